//! Reading and comparing files of every format.

use exp_params::{All, Format, Value, diff, flatten, metrics, parse, python_str};

/// Values as Python prints them, with the types of numbers to be seen.
#[track_caller]
fn check(format: Format, text: &str, expect: &str) {
    match parse(format, text) {
        Ok(value) => assert_eq!(python_str(&value), expect, "{text:?}"),
        Err(err) => panic!("{text:?}: {err}"),
    }
}

#[track_caller]
fn broken(format: Format, text: &str, line: usize, column: usize) {
    match parse(format, text) {
        Ok(value) => panic!("{text:?} is {value:?}"),
        Err(err) => assert_eq!((err.line, err.column), (line, column), "{text:?}: {err}"),
    }
}

#[test]
fn formats_go_by_extension() {
    for (path, format) in [
        ("params.yaml", Format::Yaml),
        ("a/b.JSON", Format::Json),
        ("x.toml", Format::Toml),
        ("conf.py", Format::Python),
        ("x.yml", Format::Yaml),
        ("metrics", Format::Yaml),
        ("dir.py/metrics", Format::Yaml),
        (".json", Format::Yaml),
    ] {
        assert_eq!(Format::of(path), format, "{path}");
    }
}

#[test]
fn empty_documents_are_empty_maps() {
    for text in ["", "null", "[]", "0", "''", "# c\n"] {
        check(Format::Yaml, text, "{}");
    }
    for text in ["null", "[]", "0", "\"\"", "false", "{}", "\u{feff}{}"] {
        check(Format::Json, text, "{}");
    }
    check(Format::Toml, "", "{}");
    check(Format::Python, "", "{}");
}

#[test]
fn json_is_read_as_python_reads_it() {
    for (text, expect) in [
        ("{\"a\": NaN, \"b\": Infinity, \"c\": -Infinity}", "{'a': nan, 'b': inf, 'c': -inf}"),
        ("{\"a\": 1, \"a\": 2}", "{'a': 2}"),
        ("{\"a\": 123456789012345678901234567890}", "{'a': 123456789012345678901234567890}"),
        (
            "{\"a\": 1e400, \"b\": 1E2, \"c\": -0, \"d\": -0.0}",
            "{'a': inf, 'b': 100.0, 'c': 0, 'd': -0.0}",
        ),
        ("{\"\\u00e9\\n\": \"\\ud83d\\ude00\"}", "{'é\\n': '😀'}"),
        (" [1, [2, {}]] ", "[1, [2, {}]]"),
        ("5", "5"),
    ] {
        check(Format::Json, text, expect);
    }
    broken(Format::Json, "", 1, 1);
    broken(Format::Json, "{\"a\": 1,}", 1, 9);
    broken(Format::Json, "{\n  \"é\": x}", 2, 8);
    broken(Format::Json, "{\"a\": 01}", 1, 8);
    broken(Format::Json, "{\"a\": \"\n\"}", 1, 8);
    broken(Format::Json, "{} {}", 1, 4);
    broken(Format::Json, "// c\n{}", 1, 1);
    broken(Format::Json, "{\"a\": 1.}", 1, 8);
    broken(Format::Json, "{\"a\": .5}", 1, 7);
    assert!(parse(Format::Json, &"[".repeat(100_000)).is_err());
}

#[test]
fn toml_is_read_with_dates_as_dates() {
    check(
        Format::Toml,
        "\u{feff}a.b = 1\r\n[t]\nx = [1, 2.5, 'x']\n[[l]]\ny = { z = true }\n",
        "{'a': {'b': 1}, 't': {'x': [1, 2.5, 'x']}, 'l': [{'y': {'z': True}}]}",
    );
    assert!(matches!(
        parse(Format::Toml, "d = 2024-01-02").map(|value| value.child("d").cloned()),
        Ok(Some(Value::Date(_)))
    ));
    broken(Format::Toml, "a = 1\nb = \n", 2, 5);
    assert!(parse(Format::Toml, &format!("a = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn python_literals_are_read_and_the_rest_is_left_out() {
    for (text, expect) in [
        ("a = 1\nb: float = 2.5\nc = f(1)\nd = 1 + 2\n", "{'a': 1, 'b': 2.5}"),
        ("x = -1\ny = +2.5\nz = - 3\nw = --1\n", "{'x': -1, 'y': 2.5, 'z': -3}"),
        ("a = b = 1\nc, d = 1, 2\ne = 1, 2\n", "{'e': [1, 2]}"),
        ("a: int\nb = None\nc = True\n", "{'b': None, 'c': True}"),
        ("s = 'a' \"b\"\nr = r'\\n'\nf = f'x'\nb = b'x'\n", "{'s': 'ab', 'r': '\\\\n'}"),
        (
            "d = {'a': 1, 2: 'x', 'n': {'m': [1]}}\ne = {'a': f()}\n",
            "{'d': {'a': 1, '2': 'x', 'n': {'m': [1]}}}",
        ),
        ("class A:\n    x = 1\n    class B:\n        y = 2\n", "{'A': {'x': 1, 'B': {'y': 2}}}"),
        (
            "class A:\n    def __init__(self):\n        self.x = 1\n        y = 2\n    def f(self):\n        self.z = 3\n",
            "{'A': {'x': 1}}",
        ),
        ("class A: pass\n", "{'A': {}}"),
        ("if True:\n    x = 1\n", "{}"),
        (
            "n = 0x1F\nm = 1_000\nb = 123456789012345678901234567890\n",
            "{'n': 31, 'm': 1000, 'b': 123456789012345678901234567890}",
        ),
        ("x = 1\nx = 'later'\n", "{'x': 'later'}"),
        ("self.x = 1\nother.y = 2\na[0] = 3\n", "{'x': 1}"),
        (
            "def __init__(self):\n    self.q = 1\n    class I:\n        r = 2\n",
            "{'q': 1, 'I': {'r': 2}}",
        ),
        ("async def __init__(self):\n    self.q = 1\n", "{}"),
        ("x = {**a}\ny = [f()]\nz = 1\n", "{'z': 1}"),
        ("x = (1)\ny = (1,)\ns = {1, 2}\n", "{'x': 1, 'y': [1], 's': [1, 2]}"),
    ] {
        check(Format::Python, text, expect);
    }
    broken(Format::Python, "a = 1\nb = = 2\n", 2, 5);
    broken(Format::Python, "x = 1\n y = 2\n", 2, 1);
}

#[test]
fn python_that_is_nested_too_deep_is_refused_not_crashed_on() {
    for text in [
        format!("x = {}", "(".repeat(100_000)),
        format!("x = {}1", "-".repeat(100_000)),
        format!("x = {}1", "not ".repeat(100_000)),
        format!("x = 1{}", "+1".repeat(100_000)),
        format!("x = a{}", ".a".repeat(100_000)),
        format!("x = a{}", "()".repeat(100_000)),
        format!("x = {}1", "lambda: ".repeat(100_000)),
        format!("x = {}", "f'{".repeat(10_000)),
        (0..1000).flat_map(|n| [" ".repeat(n), "if x:\n".to_owned()]).collect(),
    ] {
        assert!(parse(Format::Python, &text).is_err());
    }
    let long = format!("x = [{}]\n", "-1, ".repeat(100_000));
    assert!(parse(Format::Python, &long).is_ok());
}

#[test]
fn metrics_are_numbers_truths_and_text_in_maps() -> Result<(), exp_params::ParseError> {
    for (text, expect) in [
        (
            "a: 1\nb: [1]\nc: x\nd: null\ne: {f: [1]}\ng: {h: 0, i: {}}\n",
            "{'a': 1, 'c': 'x', 'g': {'h': 0}}",
        ),
        ("a: 2020-01-01\nb: false\n", "{'b': False}"),
        ("5", "5"),
        ("0", "{}"),
        ("[1]", "{}"),
    ] {
        assert_eq!(python_str(&metrics(&parse(Format::Yaml, text)?)), expect, "{text:?}");
    }
    let value = parse(Format::Yaml, "a: {b: 1, c: [1, 2], d: {}}\ne: 5\n")?;
    let rows: Vec<String> =
        flatten(&value).iter().map(|(key, value)| format!("{key}={}", python_str(value))).collect();
    assert_eq!(rows, ["a.b=1", "a.c=[1, 2]", "e=5"]);
    Ok(())
}

/// Both states as YAML; changes as `key:old:new:delta`.
#[track_caller]
fn differs(old: &str, new: &str, all: All, expect: &str) {
    let read = |text: &str| (text != "-").then(|| parse(Format::Yaml, text).expect("valid"));
    let show = |value: &Option<Value>| value.as_ref().map_or("-".to_owned(), python_str);
    let changes: Vec<String> = diff(read(old).as_ref(), read(new).as_ref(), all)
        .iter()
        .map(|c| format!("{}:{}:{}:{}", c.key, show(&c.old), show(&c.new), show(&c.delta)))
        .collect();
    assert_eq!(changes.join(" | "), expect, "{old} -> {new}");
}

#[test]
fn changes_are_what_dvc_finds() {
    for (old, new, expect) in [
        ("{a: 1, m: {b: 2}}", "{a: 3, m: {b: 2}}", "a:1:3:2"),
        ("{lr: 0.1}", "{lr: 0.3}", "lr:0.1:0.3:0.19999999999999998"),
        ("{a: 1}", "{a: 1.0}", ""),
        ("{a: 1}", "{a: true}", ""),
        ("{a: 1, b: 1}", "-", "a:1:-:- | b:1:-:-"),
        ("-", "{a: 1}", "a:-:1:-"),
        ("{a: null}", "{b: 1}", "b:-:1:-"),
        ("{l: [1, 2]}", "{l: [1, 2, 3]}", "l:[1, 2]:[1, 2, 3]:-"),
        ("{l: [1]}", "{l: [2]}", "l:[1]:[2]:-"),
        ("{l: [1]}", "{l: [1.0]}", "l:[1]:[1.0]:-"),
        ("{a: .nan}", "{a: .nan}", "a:nan:nan:nan"),
        ("{a: true}", "{a: 3}", "a:True:3:2"),
        ("{a: true}", "{a: false}", "a:True:False:-1"),
        ("{a: x}", "{a: y}", "a:x:y:-"),
        (
            "{b: 1, a: 1, c: {z: 1, y: 1}}",
            "{b: 2, a: 2, c: {z: 2, y: 2}}",
            "a:1:2:1 | b:1:2:1 | c.y:1:2:1 | c.z:1:2:1",
        ),
        ("5", "6", ":5:6:1"),
        ("[1]", "[2]", ":1:2:1"),
        ("[1, 2]", "[1, 3]", ":[1, 2]:[1, 3]:-"),
        ("{a: {}}", "{a: 1}", "a:-:1:-"),
        ("5", "{a: 1}", "a:unable to parse:1:-"),
    ] {
        differs(old, new, All::No, expect);
    }
    differs("{a: 1, b: x}", "{a: 1, b: x}", All::Yes, "a:1:1:0 | b:x:x:-");
}
