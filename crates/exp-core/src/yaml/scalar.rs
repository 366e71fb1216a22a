//! What a plain scalar means: the rules of ruamel.yaml, which DVC reads with (formats: section 2).
//!
//! They are those of YAML 1.2 with `_` in numbers and `0…` decimal, and those of 1.1 below a `%YAML 1.1` directive.

use crate::value::Value;

/// Whose rules count in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// `yes` is true, `017` is 15, `1:30` is 90.
    V1_1,
    /// All of that is text or decimal.
    V1_2,
}

/// What a plain scalar is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Null,
    Bool,
    Int,
    Float,
    Date,
    /// `<<`
    Merge,
    /// `=`
    Default,
}

/// Says what the plain scalar `text` is.
pub(super) fn kind(text: &str, version: Version) -> Kind {
    let Some(first) = text.bytes().next() else { return Kind::Null };
    match first {
        b'+' | b'-' | b'.' | b'0'..=b'9' => numeric_kind(text, version),
        b'~' if text == "~" => Kind::Null,
        b'n' | b'N' if matches!(text, "null" | "Null" | "NULL") => Kind::Null,
        b't' | b'T' | b'f' | b'F' | b'y' | b'Y' | b'n' | b'N' | b'o' | b'O'
            if truth(text, version).is_some() =>
        {
            Kind::Bool
        }
        b'<' if text == "<<" => Kind::Merge,
        b'=' if text == "=" => Kind::Default,
        _ => Kind::Text,
    }
}

/// Returns the value of `text` taken as `kind`, which a tag may have forced.
///
/// # Errors
///
/// Says what is wrong with the text.
pub(super) fn value(text: &str, kind: Kind, version: Version) -> Result<Value, &'static str> {
    Ok(match kind {
        Kind::Text => Value::from(text),
        Kind::Null => Value::Null,
        Kind::Bool => {
            let truth = truth(text, Version::V1_1).ok_or("this is neither true nor false")?;
            Value::Bool(truth)
        }
        Kind::Int => Value::Int(int(text, version)?),
        Kind::Float => Value::Float(float(text, version)?),
        Kind::Date => {
            check_date(text)?;
            Value::Date(text.to_owned())
        }
        Kind::Merge => return Err("`<<` stands where a value is expected"),
        Kind::Default => return Err("`=` stands where a value is expected"),
    })
}

fn truth(text: &str, version: Version) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" => Some(true),
        "false" | "False" | "FALSE" => Some(false),
        _ if version == Version::V1_2 => None,
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
        _ => None,
    }
}

fn numeric_kind(text: &str, version: Version) -> Kind {
    if is_float(text, version) {
        Kind::Float
    } else if is_int(text, version) {
        Kind::Int
    } else if is_date(text) {
        Kind::Date
    } else {
        Kind::Text
    }
}

fn unsigned(text: &str) -> &str {
    text.strip_prefix(['+', '-']).unwrap_or(text)
}

/// Splits off the longest start of `text` whose bytes all satisfy `accept`.
fn span(text: &str, accept: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !accept(byte)).unwrap_or(text.len()))
}

fn all(text: &str, accept: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.bytes().all(accept)
}

fn digit_or_underscore(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'_'
}

fn is_float(text: &str, version: Version) -> bool {
    let body = unsigned(text);
    if matches!(body, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (whole, rest) = span(body, digit_or_underscore);
    if whole.starts_with('_') {
        return false;
    }
    let Some(rest) = rest.strip_prefix('.') else {
        return !whole.is_empty()
            && (is_exponent(rest, false)
                || (version == Version::V1_1 && is_sexagesimal(whole, rest, true)));
    };
    let (fraction, rest) = span(rest, digit_or_underscore);
    if whole.is_empty() {
        return !fraction.is_empty()
            && (version == Version::V1_2 || body.len() == text.len())
            && (rest.is_empty() || is_exponent(rest, true));
    }
    rest.is_empty() || is_exponent(rest, false)
}

/// `e5`, `E-5`, `e+5`
fn is_exponent(text: &str, signed: bool) -> bool {
    let Some(text) = text.strip_prefix(['e', 'E']) else { return false };
    let digits = unsigned(text);
    (!signed || digits.len() < text.len()) && all(digits, |byte| byte.is_ascii_digit())
}

/// `1:30` and, when `fractional`, `1:30.5`: YAML 1.1 only.
fn is_sexagesimal(whole: &str, rest: &str, fractional: bool) -> bool {
    let (rest, fraction) = match rest.split_once('.') {
        Some((rest, fraction)) => (rest, Some(fraction)),
        None => (rest, None),
    };
    let minutes =
        |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    !whole.is_empty()
        && rest.strip_prefix(':').is_some_and(|rest| rest.split(':').all(minutes))
        && fraction.is_some() == fractional
        && fraction.is_none_or(|fraction| fraction.bytes().all(digit_or_underscore))
}

fn is_int(text: &str, version: Version) -> bool {
    let body = unsigned(text);
    let octal = |byte| matches!(byte, b'0'..=b'7' | b'_');
    if let Some(rest) = body.strip_prefix("0b") {
        return all(rest, |byte| matches!(byte, b'0' | b'1' | b'_'));
    }
    if let Some(rest) = body.strip_prefix("0x") {
        return all(rest, |byte| byte.is_ascii_hexdigit() || byte == b'_');
    }
    if version == Version::V1_2 {
        return match body.strip_prefix("0o") {
            Some(rest) => all(rest, octal),
            None => all(body, digit_or_underscore),
        };
    }
    if body.starts_with('0') || body.starts_with('_') {
        return all(body, octal);
    }
    let (whole, rest) = span(body, digit_or_underscore);
    !whole.is_empty() && (rest.is_empty() || is_sexagesimal(whole, rest, false))
}

fn int(text: &str, version: Version) -> Result<i128, &'static str> {
    let text = text.replace('_', "");
    let body = unsigned(&text);
    let (digits, radix) = if let Some(rest) = body.strip_prefix("0b") {
        (rest, 2)
    } else if let Some(rest) = body.strip_prefix("0x") {
        (rest, 16)
    } else if let Some(rest) = body.strip_prefix("0o") {
        (rest, 8)
    } else if version == Version::V1_1 && body.len() > 1 && body.starts_with('0') {
        (body, 8)
    } else {
        (body, 10)
    };
    let number = if version == Version::V1_1 && digits.contains(':') {
        digits.split(':').try_fold(0_i128, |sum, part| {
            sum.checked_mul(60)?.checked_add(part.parse::<i128>().ok()?)
        })
    } else if digits.bytes().all(|byte| char::from(byte).is_digit(radix)) && !digits.is_empty() {
        i128::from_str_radix(digits, radix).ok()
    } else {
        return Err("this is not a whole number");
    };
    let number = number.ok_or("this number is too large")?;
    Ok(if text.starts_with('-') { -number } else { number })
}

fn float(text: &str, version: Version) -> Result<f64, &'static str> {
    const WHY: &str = "this is not a number";
    let text = text.replace('_', "").to_ascii_lowercase();
    let body = unsigned(&text);
    let number = match body {
        ".inf" => f64::INFINITY,
        ".nan" => f64::NAN,
        body if version == Version::V1_1 && body.contains(':') => {
            body.split(':').try_fold(0.0, |sum, part| {
                part.parse::<f64>().map(|part| sum * 60.0 + part).map_err(|_| WHY)
            })?
        }
        // Rust also reads `inf` and `nan`, which only a tag can lead to here, as Python's float() does.
        body => body.parse().map_err(|_| WHY)?,
    };
    Ok(if text.starts_with('-') { -number } else { number })
}

/// Whether `text` has the form of a date, or of a date and a time.
fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes.get(range).is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    if !(digits(0..4) && bytes.get(4) == Some(&b'-')) {
        return false;
    }
    if bytes.len() == 10 && digits(5..7) && bytes[7] == b'-' && digits(8..10) {
        return true;
    }
    // `2001-1-1 1:00:00.5 +1:30`
    let Some((_, rest)) = one_or_two(&text[5..]) else { return false };
    let Some((_, rest)) = rest.strip_prefix('-').and_then(one_or_two) else { return false };
    let rest = match rest.strip_prefix(['T', 't']) {
        Some(rest) => rest,
        None if rest.starts_with([' ', '\t']) => rest.trim_start_matches([' ', '\t']),
        None => return false,
    };
    let Some((_, rest)) = one_or_two(rest) else { return false };
    let two = |text: &str| {
        text.as_bytes().get(..3).is_some_and(|part| {
            part[0] == b':' && part[1].is_ascii_digit() && part[2].is_ascii_digit()
        })
    };
    if !two(rest) || !two(&rest[3..]) {
        return false;
    }
    let rest = &rest[6..];
    let rest = match rest.strip_prefix('.') {
        Some(rest) => span(rest, |byte| byte.is_ascii_digit()).1,
        None => rest,
    };
    let zone = rest.trim_start_matches([' ', '\t']);
    if rest.is_empty() || zone == "Z" {
        return true;
    }
    match zone.strip_prefix(['+', '-']).and_then(one_or_two) {
        Some((_, "")) => true,
        Some((_, rest)) => rest.len() == 3 && two(rest),
        None => false,
    }
}

fn one_or_two(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take(2).take_while(u8::is_ascii_digit).count();
    Some((text[..length].parse().ok()?, &text[length..]))
}

/// Refuses the thirteenth month and the like, on which DVC stumbles.
fn check_date(text: &str) -> Result<(), &'static str> {
    const WHY: &str = "there is no such date";
    let year: u32 = text.get(..4).and_then(|year| year.parse().ok()).ok_or(WHY)?;
    let (month, rest) = text.get(5..).and_then(one_or_two).ok_or(WHY)?;
    let (day, _) = rest.get(1..).and_then(one_or_two).ok_or(WHY)?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let n_days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    if year == 0 || day == 0 || day > n_days { Err(WHY) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &str, version: Version, expect: Kind) {
        for text in texts.split(' ') {
            assert_eq!(kind(text, version), expect, "{text}");
        }
    }

    #[test]
    fn plain_scalars_mean_what_they_mean_to_dvc() {
        use Version::{V1_1, V1_2};
        check(
            "yes no on off Yes y 1:30 inf nan 1e e3 0o8 . .e5 .5e3 0b 2020-1-1 _1 +.nan",
            V1_2,
            Kind::Text,
        );
        check("true True TRUE false False FALSE", V1_2, Kind::Bool);
        check("~ null Null NULL", V1_2, Kind::Null);
        check("1_000 0o17 017 08 0x1F 0b11 -0 +12 12_ 0x_1 -_", V1_2, Kind::Int);
        check(
            "1e3 1e-3 1E5 .5 5. 1. 1_0.5 .inf -.INF +.inf .NaN -0.0 1e400 +.5 .5e+3",
            V1_2,
            Kind::Float,
        );
        check("2020-01-01 2020-01-01T10:00:00Z 2020-1-1t1:00:00.5+1:30", V1_2, Kind::Date);
        assert_eq!(kind("2020-1-1 1:00:00 -3", V1_2), Kind::Date);
        check("yes No on OFF y", V1_1, Kind::Bool);
        check("017 1:30 190:20:30", V1_1, Kind::Int);
        check("1:30.5 1.5", V1_1, Kind::Float);
        check("0o17 08 1:60", V1_1, Kind::Text);
    }

    #[test]
    fn numbers_have_the_values_they_have_for_dvc() {
        let number = |text| value(text, kind(text, Version::V1_2), Version::V1_2);
        for (text, expect) in
            [("017", 17), ("08", 8), ("0o17", 15), ("1_000", 1000), ("-0x1F", -31)]
        {
            assert_eq!(number(text), Ok(Value::Int(expect)), "{text}");
        }
        assert_eq!(number("1e400"), Ok(Value::Float(f64::INFINITY)));
        assert_eq!(number("1_0.5"), Ok(Value::Float(10.5)));
        for bad in ["-_", "0o_", "._", "2020-13-45", "2021-02-29", &"9".repeat(50)] {
            assert!(number(bad).is_err(), "{bad}");
        }
        let old = |text| value(text, kind(text, Version::V1_1), Version::V1_1);
        assert_eq!(old("017"), Ok(Value::Int(15)));
        assert_eq!(old("1:30"), Ok(Value::Int(90)));
        assert_eq!(old("1:30.5"), Ok(Value::Float(90.5)));
    }
}
