//! Numbers and values as Python prints them, which is how DVC's tables show them.

use std::fmt::Write as _;

use exp_core::{Value, python_float};

/// How a table shortens floating-point numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// All digits.
    Full,
    /// So many digits behind the point, as `metrics show` and `metrics diff` do: `0.123456789` is `0.12346`.
    Decimals(usize),
    /// So many significant digits in the `g` style, as `exp show` and `exp diff` do: `1234567.8` is `1.2346e+06`.
    Significant(usize),
}

/// Returns what Python's `str()` gives for the value: `True`, `None`, `1e-05`, `[1, 'a']`.
///
/// Text is returned as it is; inside lists and maps it is quoted as Python's `repr` quotes.
pub fn python_str(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Date(text) => text.clone(),
        value => {
            let mut out = String::new();
            write_repr(value, Precision::Full, &mut out);
            out
        }
    }
}

/// Returns the text of a table cell: [`python_str`] with floating-point numbers shortened, at every depth.
pub fn python_cell(value: &Value, precision: Precision) -> String {
    match value {
        Value::Text(text) | Value::Date(text) => text.clone(),
        // DVC keeps what `g` makes of a number as text, so inside lists it shows up quoted.
        Value::Float(number) => shorten(*number, precision),
        value => {
            let mut out = String::new();
            write_repr(value, precision, &mut out);
            out
        }
    }
}

/// Rounds to `decimals` digits behind the point as Python's `round` does, then prints as Python does.
fn rounded(number: f64, decimals: usize) -> String {
    if !number.is_finite() {
        return python_float(number);
    }
    python_float(format!("{number:.decimals$}").parse().unwrap_or(number))
}

/// Prints like Python's `format(number, ".{digits}g")`.
fn significant(number: f64, digits: usize) -> String {
    if !number.is_finite() {
        return python_float(number);
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let digits = digits.max(1);
    let text = format!("{:.*e}", digits - 1, number.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let kept: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let kept = kept.trim_end_matches('0');
    let sign = if number < 0.0 { "-" } else { "" };
    if (-4..len_i32(digits)).contains(&exponent) {
        let text = positional(kept, exponent + 1);
        format!("{sign}{}", text.strip_suffix(".0").unwrap_or(&text))
    } else {
        format!("{sign}{}", scientific(kept, exponent))
    }
}

/// Writes `0.DIGITS` times ten to the power of `point` without an exponent; always with a point.
fn positional(digits: &str, point: i32) -> String {
    let Ok(point) = usize::try_from(point) else {
        return format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize));
    };
    if point == 0 {
        format!("0.{digits}")
    } else if digits.len() <= point {
        format!("{digits}{}.0", "0".repeat(point - digits.len()))
    } else {
        format!("{}.{}", &digits[..point], &digits[point..])
    }
}

/// Writes the digits with a point behind the first one and an exponent of at least two digits.
fn scientific(digits: &str, exponent: i32) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}e{sign}{:02}", exponent.unsigned_abs())
}

fn len_i32(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

fn shorten(number: f64, precision: Precision) -> String {
    match precision {
        // DVC takes a precision of zero for none.
        Precision::Full | Precision::Decimals(0) | Precision::Significant(0) => {
            python_float(number)
        }
        Precision::Decimals(decimals) => rounded(number, decimals),
        Precision::Significant(digits) => significant(number, digits),
    }
}

fn write_repr(value: &Value, precision: Precision, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(truth) => out.push_str(if *truth { "True" } else { "False" }),
        Value::Int(number) => out.push_str(&number.to_string()),
        Value::Float(number) => match precision {
            Precision::Significant(digits) if digits > 0 => {
                out.push_str(&quote(&significant(*number, digits)));
            }
            precision => out.push_str(&shorten(*number, precision)),
        },
        Value::Text(text) | Value::Date(text) => out.push_str(&quote(text)),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(item, precision, out);
            }
            out.push(']');
        }
        Value::Table(table) => {
            out.push('{');
            for (index, (key, item)) in table.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(&quote(key));
                out.push_str(": ");
                write_repr(item, precision, out);
            }
            out.push('}');
        }
        _ => {}
    }
}

/// Quotes text as Python's `repr` does: single quotes unless only those occur, escapes for what cannot be seen.
pub(crate) fn quote(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    quote_with(text, quote)
}

/// Quotes text as Python source with the given quote character.
pub(crate) fn quote_with(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            // Writing into text cannot fail.
            c => drop(match u32::from(c) {
                code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                code @ 0x100..=0xffff => write!(out, "\\u{code:04x}"),
                code => write!(out, "\\U{code:08x}"),
            }),
        }
    }
    out.push(quote);
    out
}

/// Tells what Python prints as it is: no controls, separators other than the space, format or private characters.
fn is_printable(c: char) -> bool {
    c == ' '
        || !(c.is_control()
            || c.is_whitespace()
            || matches!(u32::from(c),
                0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e | 0x200b..=0x200f
                | 0x202a..=0x202e | 0x2060..=0x206f | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb
                | 0xfffe..=0xffff | 0xe0000..=0x0010_ffff))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, text) in [
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (123_456_789_012_345_680.0, "1.2345678901234568e+17"),
            (1_085_002_550_194_335.2, "1085002550194335.2"),
            (100.0, "100.0"),
            (-0.0, "-0.0"),
            (0.1, "0.1"),
            (1234.5, "1234.5"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(python_float(number), text);
        }
    }

    #[test]
    fn tables_round_by_decimals_or_by_significant_digits() {
        for (number, precision, text) in [
            (0.123_456_789, Precision::Decimals(5), "0.12346"),
            (1e-7, Precision::Decimals(5), "0.0"),
            (-1e-7, Precision::Decimals(5), "-0.0"),
            (0.125, Precision::Decimals(2), "0.12"),
            (0.375, Precision::Decimals(2), "0.38"),
            (2.675, Precision::Decimals(2), "2.67"),
            (1_234_567.891, Precision::Decimals(5), "1234567.891"),
            (1e22, Precision::Decimals(5), "1e+22"),
            (1_234_567.891, Precision::Significant(5), "1.2346e+06"),
            (1.0, Precision::Significant(5), "1"),
            (100_000.0, Precision::Significant(5), "1e+05"),
            (99_999.0, Precision::Significant(5), "99999"),
            (0.0001, Precision::Significant(5), "0.0001"),
            (0.00001, Precision::Significant(5), "1e-05"),
            (0.000_012_345_67, Precision::Significant(5), "1.2346e-05"),
            (-12.5, Precision::Significant(5), "-12.5"),
            (10.0, Precision::Significant(5), "10"),
            (0.1, Precision::Full, "0.1"),
            (f64::NAN, Precision::Significant(5), "nan"),
        ] {
            assert_eq!(python_cell(&Value::Float(number), precision), text, "{number:?}");
        }
    }

    #[test]
    fn lists_and_maps_print_as_python_prints_them() {
        let list = Value::List(vec![
            Value::Int(1),
            Value::from("it's"),
            Value::from("a\n\u{1}é\u{200b}"),
            Value::Bool(true),
            Value::Null,
            Value::Float(1e-5),
        ]);
        assert_eq!(python_str(&list), "[1, \"it's\", 'a\\n\\x01é\\u200b', True, None, 1e-05]");
        assert_eq!(python_str(&Value::from("it's")), "it's");
    }
}
