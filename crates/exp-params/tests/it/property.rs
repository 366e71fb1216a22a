//! Random documents and random edits.

use exp_params::{Format, Literal, Override, ParamChange, Table, Value, apply, parse};
use proptest::prelude::*;

const FORMATS: [Format; 4] = [Format::Yaml, Format::Json, Format::Toml, Format::Python];

/// Puts blanks, comments and styles at random around random values.
fn document() -> impl Strategy<Value = (Format, String)> {
    let lines = prop::collection::vec((0..12_usize, 0..5_usize, any::<bool>()), 1..8);
    (0..4_usize, lines, any::<bool>(), any::<bool>()).prop_map(|(format, lines, crlf, no_end)| {
        let format = FORMATS[format];
        let mut text = match format {
            Format::Yaml => yaml(&lines),
            Format::Json => json(&lines),
            Format::Toml => toml(&lines),
            Format::Python => python(&lines),
        };
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        if no_end {
            text = text.trim_end().to_owned();
        }
        (format, text)
    })
}

type Lines = [(usize, usize, bool)];

fn yaml(lines: &Lines) -> String {
    const VALUES: [&str; 12] = [
        "1",
        "0.5",
        "x",
        "'q'",
        "\"d # x\"",
        "[1, 2]",
        "{a: 1, b: [x]}",
        "\n    a: 1\n    b: 2",
        "\n    - 1\n    - 2",
        "",
        "true",
        "|\n    text\n    more",
    ];
    let mut out = String::from("# head\nm:\n");
    for (at, (value, blank, comment)) in lines.iter().enumerate() {
        if *blank == 0 {
            out.push('\n');
        }
        let note = if *comment && !VALUES[*value].contains('\n') { "  # note" } else { "" };
        out.extend(["  ", &format!("k{at}: {}{note}", VALUES[*value]), "\n"]);
    }
    out + "z: 1\n"
}

fn json(lines: &Lines) -> String {
    const VALUES: [&str; 12] = [
        "1",
        "0.5",
        "\"x\"",
        "\"q\\\"\"",
        "null",
        "[1, 2]",
        "{\"a\": 1}",
        "{\n  \"a\": 1\n}",
        "[]",
        "{}",
        "true",
        "NaN",
    ];
    let members: Vec<String> = lines
        .iter()
        .enumerate()
        .map(|(at, (value, blank, _))| {
            format!("{}\"k{at}\": {}", " ".repeat(*blank), VALUES[*value])
        })
        .collect();
    format!("{{\"m\": {{\n{}\n}}, \"z\": 1}}\n", members.join(",\n"))
}

fn toml(lines: &Lines) -> String {
    const VALUES: [&str; 12] = [
        "1",
        "0.5",
        "\"x\"",
        "'q'",
        "inf",
        "[1, 2]",
        "{ a = 1 }",
        "[\n 1, # c\n 2\n]",
        "[]",
        "{}",
        "true",
        "\"\"\"a\nb\"\"\"",
    ];
    let mut out = String::from("z = 1\n[m] # head\n");
    for (at, (value, blank, comment)) in lines.iter().enumerate() {
        let note = if *comment { " # note" } else { "" };
        out.extend(["\n".repeat(*blank), format!("k{at} = {}{note}\n", VALUES[*value])]);
    }
    out
}

fn python(lines: &Lines) -> String {
    const VALUES: [&str; 12] = [
        "1",
        "0.5",
        "'x'",
        "\"q\"",
        "None",
        "[1, 2]",
        "{'a': 1}",
        "{\n'a': 1,\n}",
        "[]",
        "(1, 2)",
        "True",
        "-1",
    ];
    let mut out = String::from("import os\nz = 1\nclass m:\n");
    for (at, (value, blank, comment)) in lines.iter().enumerate() {
        let note = if *comment { " # note" } else { "" };
        out.extend(["\n".repeat(*blank), format!("    k{at} = {}{note}\n", VALUES[*value])]);
    }
    out
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i32>().prop_map(|number| Value::from(i64::from(number))),
        (-1e9..1e9).prop_map(Value::Float),
        "[ -~é☃]{0,12}".prop_map(Value::Text),
        "[a-z:#,'\"\\[\\]{}&*!|>%@` \n\t-]{0,6}".prop_map(Value::Text),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::List),
            prop::collection::vec(("[a-z ]{1,5}", inner), 0..3)
                .prop_map(|members| { Value::Table(members.into_iter().collect::<Table>()) }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    /// An edit either is refused or gives exactly the value asked for, and keeps every line that it does not concern.
    #[test]
    fn edits_say_what_was_asked((format, text) in document(), at in 0..9_usize, new in value(), kind in 0..3_usize) {
        let old = parse(format, &text).map_err(|err| TestCaseError::fail(format!("{err}: {text}")))?;
        let key = exp_params::KeyPath::parse(&format!("m.k{at}"));
        let literal = Literal::from(new.clone());
        let exists = old.get(&key).is_some();
        let change = match kind {
            0 => Override::Upsert(key.clone(), literal),
            1 if exists => Override::Remove(key.clone(), None),
            _ if exists => Override::Set(key.clone(), literal),
            _ => Override::Add(key.clone(), literal),
        };
        let removes = matches!(change, Override::Remove(..));
        let edited = match apply(format, &text, &[change]) {
            Ok(edited) => edited,
            // Some places have no safe edit, but a plain value always has one.
            Err(err) => {
                let is_plain = old.get(&key).is_some_and(|old| !matches!(old, Value::Table(_) | Value::List(_)));
                let is_simple = matches!(new, Value::Bool(_) | Value::Int(_) | Value::Float(_));
                prop_assert!(!(is_plain && is_simple && !removes), "{err}\n{text}");
                return Ok(());
            }
        };
        let now = parse(format, &edited).map_err(|err| TestCaseError::fail(format!("{err}: {edited}")))?;
        match now.get(&key) {
            None => prop_assert!(removes),
            Some(now) => {
                let merged = matches!((old.get(&key), &new), (Some(Value::Table(_)), Value::Table(_)));
                prop_assert!(merged || *now == new, "{now:?}\n{edited}");
            }
        }
        // Everything else has its value.
        for (name, value) in old.get(&exp_params::KeyPath::parse("m")).and_then(Value::as_table).into_iter().flatten() {
            let other = exp_params::KeyPath::parse(&format!("m.{name}"));
            if other != key && *value != Value::Float(f64::NAN) {
                let now = now.get(&other);
                prop_assert!(now == Some(value) || matches!(value, Value::Float(n) if n.is_nan()), "{name}\n{edited}");
            }
        }
        // Lines of other keys are there byte for byte, in their order.
        let mut rest = edited.as_str();
        for line in text.split('\n').filter(|line| !line.trim().is_empty()) {
            let is_other = line.contains(": ") || line.contains(" = ");
            let mine = line.contains(&format!("k{at}")) || !line.contains('k');
            if is_other && !mine {
                let line = line.trim_end_matches(['\r', ',']);
                let found = rest.find(line);
                prop_assert!(found.is_some(), "{line:?} is gone\n{text}\n---\n{edited}");
                rest = &rest[found.unwrap_or(0) + line.len()..];
            }
        }
    }

    #[test]
    fn readers_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let text = String::from_utf8_lossy(&bytes);
        for format in FORMATS {
            let _ = parse(format, &text);
        }
        let _ = text.parse::<ParamChange>();
    }

    #[test]
    fn readers_do_not_panic_on_near_documents((_, text) in document(), from in 0..200_usize, junk in "[\\[\\]{}:,'\"#&*!|>=~\\\\ \n\té-]{0,4}") {
        let mut at = from.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let broken = format!("{}{junk}{}", &text[..at], &text[at..]);
        for format in FORMATS {
            if parse(format, &broken).is_ok() {
                let _ = apply(format, &broken, &[Override::Upsert(exp_params::KeyPath::parse("m.k0"), Literal::from(Value::Int(7)))]);
            }
        }
    }

    #[test]
    fn overrides_do_not_panic(text in "[a-z]{0,2}[:+~=.]{0,2}[a-c0-9_.,()\\[\\]{}'\"\\\\$:= -]{0,20}") {
        if let Ok(change) = text.parse::<ParamChange>() {
            let _ = apply(Format::Yaml, "a: 1\nb: {c: [1, 2]}\n", &[change.change]);
        }
    }
}
