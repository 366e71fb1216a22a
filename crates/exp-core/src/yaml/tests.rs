//! Tests against what ruamel.yaml wrote and read.

use proptest::prelude::*;

use super::*;
use crate::value::Table;

/// 4,640 documents that DVC wrote.
const VECTORS: &str = include_str!("../../tests/data/yaml_emit.jsonl");

/// Turns the vectors' notation into a value: `{"__m": pairs}`, `{"__i": "1"}`, `{"__f": "1.0"}`.
fn decoded(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(decoded).collect()),
        Json::Object(map) => {
            if let Some(Json::String(number)) = map.get("__i") {
                return Value::Int(number.parse().unwrap());
            }
            if let Some(Json::String(number)) = map.get("__f") {
                return Value::Float(number.parse().unwrap());
            }
            let pairs = map["__m"].as_array().unwrap().iter();
            Value::Table(
                pairs
                    .map(|pair| (pair[0].as_str().unwrap().to_owned(), decoded(&pair[1])))
                    .collect::<Table>(),
            )
        }
        Json::Number(_) => unreachable!("the vectors have no bare numbers"),
    }
}

fn vectors() -> impl Iterator<Item = (Value, String)> {
    VECTORS.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        (decoded(&line["v"]), line["y"].as_str().unwrap().to_owned())
    })
}

/// Equality that takes NaN for equal to itself.
fn same(a: &Value, b: &Value) -> bool {
    format!("{a:?}") == format!("{b:?}")
}

fn slow(text: &str) -> Result<Value, SyntaxError> {
    read::document(text)?.to_value()
}

#[test]
fn every_document_is_written_as_dvc_wrote_it_unless_that_reads_differently() {
    let mut n_all = 0;
    let mut n_broken = 0;
    for (value, text) in vectors() {
        n_all += 1;
        let ours = emit_yaml(&value);
        if ours != text {
            let read = slow(&text).unwrap();
            assert!(!same(&read, &value), "\n{ours:?}\n{text:?}");
            assert!(same(&slow(&ours).unwrap(), &value), "\n{ours}");
            n_broken += 1;
        }
    }
    // Random texts of blanks and escapes; the other 4,546 agree byte for byte.
    assert_eq!((n_all, n_broken), (4640, 94));
}

#[test]
fn every_document_of_dvc_is_read_back_both_ways() {
    let mut n_fast = 0;
    let mut n_all = 0;
    for (value, text) in vectors().filter(|(_, text)| !has_odd_break(text)) {
        n_all += 1;
        let long_way = slow(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        if emit_yaml(&value) != text {
            continue;
        }
        assert!(same(&long_way, &value), "{long_way:?}\n{value:?}\n{text}");
        if let Some(shortcut) = fast::parse(&text) {
            n_fast += 1;
            assert!(same(&shortcut, &value), "{shortcut:?}\n{value:?}\n{text}");
        }
    }
    assert!(n_fast * 10 > n_all * 7, "the shortcut took only {n_fast} of {n_all}");
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,30}",
        "[a-z:#'\" \\\\-]{0,120}",
        "\\PC{0,40}",
        "[a\\n\\t\u{85}\u{2028}é ]{0,20}",
        "[-+0-9._eExo:T]{1,12}",
        Just("true".to_owned()),
        Just("<<".to_owned()),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("NaN equals nothing", |n| !n.is_nan()).prop_map(Value::Float),
        texts().prop_map(Value::Text),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((texts(), inner), 0..5)
                .prop_map(|pairs| Value::Table(pairs.into_iter().collect())),
        ]
    })
}

/// ruamel itself cannot read back a text with U+0085 and the like in single quotes beside blanks.
fn has_odd_break(text: &str) -> bool {
    text.contains(['\u{85}', '\u{2028}', '\u{2029}'])
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in values()) {
        let value = Value::Table(Table::from([("v".to_owned(), value)]));
        let text = emit_yaml(&value);
        prop_assume!(!has_odd_break(&text));
        let read = parse_yaml(&text);
        prop_assert_eq!(read.as_ref(), Ok(&value), "{}", text);
        prop_assert_eq!(slow(&text), Ok(value), "{}", text);
    }

    #[test]
    fn the_shortcut_agrees_with_the_reader(text in "([ ]{0,4}(- )?([a-c'\"#&:-]{1,4}: ?)?[a-z0-9'\" #:\\\\\\[\\]{}.-]{0,12}\n?){0,8}") {
        if let Some(shortcut) = fast::parse(&text) {
            prop_assert_eq!(Ok(shortcut), slow(&text), "{}", text);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[\\PC\\n\\t]{0,60}|([ \\n\\t:#'\"&*!|>%@?,{}\\[\\]a-b1~<=-]{0,40})") {
        if let Ok(node) = parse_yaml_spanned(&text) {
            check_spans(&node, &text);
        }
    }
}

fn check_spans(node: &YamlNode, text: &str) {
    assert!(text.get(node.span.start..node.span.end).is_some(), "{:?} in {text:?}", node.span);
    for item in node.items().unwrap_or_default() {
        check_spans(item, text);
    }
    for entry in node.entries().unwrap_or_default() {
        check_spans(&entry.key, text);
        check_spans(&entry.value, text);
    }
}

/// Text, and its value as Python writes it in JSON or the position of the error, as DVC found it where it tells.
const READ: &[(&str, &str)] = &[
    (
        "a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3\n",
        r#"{"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}"#,
    ),
    ("d:\n  b: 3\n  <<: {b: 1, q: 2}\n  b: 4\n", r#"{"d": {"b": 4, "q": 2}}"#),
    ("d:\n  <<: [{b: 1, q: 2},{b: 5,z: 3}]\n", r#"{"d": {"b": 1, "z": 3, "q": 2}}"#),
    ("<<: {a: 1}\n<<: {b: 1}\n", "2:1"),
    ("<<: 3\n", "1:5"),
    ("'<<': 3\n", r#"{"<<": 3}"#),
    ("a: <<\n", "1:4"),
    ("- <<\n", "1:3"),
    ("a: =\n", "1:4"),
    ("1: a\ntrue: b\n", "2:1"),
    ("1: a\n1.0: b\n", "2:1"),
    ("014: a\n14: b\n", "2:1"),
    ("a: {b: 1, b: 2}\n", "1:11"),
    ("a: 1\nb: 2\na: 3\n", "3:1"),
    ("{a: 1}: x\n", "1:1"),
    ("[1, 2]: x\n", "1:1"),
    ("~: 1\n", r#"{"~": 1}"#),
    ("014: 1\n", r#"{"014": 1}"#),
    ("a: 2020-13-45\n", "1:4"),
    ("a: -_\n", "1:4"),
    (
        "a: !!str 12\nb: !!int '12'\nc: ! 12\nd: !!float 1\ne: !!bool yes\nf: !!null ''\n",
        r#"{"a": "12", "b": 12, "c": 12, "d": 1.0, "e": true, "f": null}"#,
    ),
    ("a: !foo 1\n", "1:9"),
    ("a: !!str\nb: 1\n", r#"{"a": "", "b": 1}"#),
    (
        "%YAML 1.1\n---\na: yes\nb: 017\nc: 1:30\nd: 0o17\ne: 1e3\nf: 1:30.5\ng: 08\n",
        r#"{"a": true, "b": 15, "c": 90, "d": "0o17", "e": 1000.0, "f": 90.5, "g": "08"}"#,
    ),
    ("%YAML 1.3\n---\na: 1\n", "2:1"),
    ("a: 1\n---\nb: 2\n", "2:1"),
    ("a: 1\n---\n", "2:1"),
    ("---\na: 1\n...\n", r#"{"a": 1}"#),
    ("a:\tb\n", "1:3"),
    ("a:\n\tb: 1\n", "2:2"),
    ("a: x\ty\n", "1:5"),
    ("a: 'x\ty' # \t\n", r#"{"a": "x\ty"}"#),
    ("a: |\n  x\ty\n", r#"{"a": "x\ty\n"}"#),
    ("\u{feff}a: 1\n", r#"{"a": 1}"#),
    ("a: b: c\n", "1:5"),
    ("a: @x\n", "1:4"),
    ("a: `x\n", "1:4"),
    ("- a\nb: 1\n", "2:1"),
    ("a: *x\n", "1:4"),
    ("a: &x [*x]\n", "1:8"),
    ("a: |\n  x\n  y", r#"{"a": "x\ny"}"#),
    ("a: >-\n  x\n  y\n\n  z\n", r#"{"a": "x y\nz"}"#),
    ("a: ? x\n", "1:4"),
    ("a: x\n y\n", r#"{"a": "x y"}"#),
    ("a: x\n y: z\n", "2:3"),
    ("a: 'x\n\n  y'\n", r#"{"a": "x\ny"}"#),
    ("a: 1# c\nb: 1 # c\n", r#"{"a": "1# c", "b": 1}"#),
    ("a: 1\r\nb: x\r\n", r#"{"a": 1, "b": "x"}"#),
    ("k : v\n'q' : w\n", r#"{"k": "v", "q": "w"}"#),
    ("{a: 1,}\n", r#"{"a": 1}"#),
    ("a: {x, y: }\nb: [x: 1]\n", r#"{"a": {"x": null, "y": null}, "b": [{"x": 1}]}"#),
    ("a: 12345678901234567890123456789012345678901234567890\n", "1:4"),
    ("a: 12345678901234567890123\n", r#"{"a": 12345678901234567890123}"#),
    (
        "a: 014\nb: no\nc: 1_000\nd: 0o17\ne: 2020-01-01\n",
        r#"{"a": 14, "b": "no", "c": 1000, "d": 15, "e": "2020-01-01"}"#,
    ),
    ("", "{}"),
    ("null\n", "{}"),
    ("# only a comment\n", "{}"),
    ("[]\n", "{}"),
    ("? [a]\n: b\n", "1:3"),
];

#[test]
fn documents_are_read_as_dvc_reads_them() {
    use crate::json::{KeyOrder, python_json};
    for (text, expect) in READ {
        let answer = match parse_yaml(text) {
            Ok(value) => python_json(&value, KeyOrder::AsIs),
            Err(error) => format!("{}:{}", error.line, error.column),
        };
        assert_eq!(&answer, expect, "{text:?}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let alias = format!("*a{}, ", n - 1).repeat(10);
        text = format!("{text}a{n}: &a{n} [{alias}]\n");
    }
    let error = parse_yaml(&text).unwrap_err();
    assert!(error.message.contains("too many"), "{error}");
    let deep = format!("a: {}{}\n", "[".repeat(300), "]".repeat(300));
    assert!(parse_yaml(&deep).is_err());
    let deep = (0..300).map(|n| " ".repeat(n) + "a:\n").collect::<String>();
    assert!(parse_yaml(&deep).is_err());
}

#[test]
fn spans_tell_where_everything_stands() {
    let text = "a:\nb: {c: 'x', d}\ne:\n- |\n  text\n  more\n\n- &k 1 # c\n'f' :\n";
    let root = parse_yaml_spanned(text).unwrap();
    let part = |node: &YamlNode| text[node.span.start..node.span.end].to_owned();
    let value = |name| &root.entry(name).unwrap().value;
    assert_eq!((value("a").span.start, value("a").span.column), (2, 3));
    assert_eq!(part(value("b")), "{c: 'x', d}");
    assert_eq!(part(&value("b").entry("c").unwrap().value), "'x'");
    assert_eq!(part(value("e")), "- |\n  text\n  more\n\n- &k 1");
    let items = value("e").items().unwrap();
    assert_eq!(part(&items[0]), "text\n  more");
    assert_eq!((part(&items[1]).as_str(), items[1].anchored), ("1", true));
    assert_eq!((items[1].span.line, items[1].span.column), (8, 6));
    let last = value("f").span;
    assert_eq!((last.start, last.line, last.column), (text.len() - 1, 9, 6));
}
