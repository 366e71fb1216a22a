//! Edits in place: the bytes that change and those that must not.

use exp_params::{ApplyError, Format, Obstacle, Override, ParamChange, Value, apply, parse};

fn overrides(text: &str) -> Vec<Override> {
    text.split_whitespace()
        .map(|text| text.parse::<ParamChange>().expect("the override is valid").change)
        .collect()
}

/// Applies overrides, which blanks separate.
#[track_caller]
fn check(format: Format, text: &str, changes: &str, expect: &str) {
    match apply(format, text, &overrides(changes)) {
        Ok(edited) => assert_eq!(edited, expect, "{changes}"),
        Err(err) => panic!("{changes}: {err}"),
    }
}

#[track_caller]
fn refused(format: Format, text: &str, changes: &str) -> ApplyError {
    match apply(format, text, &overrides(changes)) {
        Ok(edited) => panic!("{changes} made {edited:?}"),
        Err(err) => err,
    }
}

#[track_caller]
fn obstacle(format: Format, text: &str, changes: &str, expect: Obstacle) {
    match refused(format, text, changes) {
        ApplyError::CannotEdit { why, .. } => assert_eq!(why, expect, "{changes}"),
        err => panic!("{changes}: {err}"),
    }
}

#[test]
fn yaml_scalars_are_replaced_alone() {
    for (text, changes, expect) in [
        ("lr: 0.1 # c\n", "lr=1e-4", "lr: 1e-4 # c\n"),
        ("lr: 0.1 # c\n", "lr=0.10", "lr: 0.1 # c\n"),
        ("n: 1\n", "n=1_000", "n: 1_000\n"),
        ("n: 1\n", "n=1e4", "n: 1e4\n"),
        ("n: 1\n", "n=inf", "n: .inf\n"),
        ("n: 1\n", "n=nan", "n: .nan\n"),
        ("n: 1\n", "n=true", "n: true\n"),
        ("n: 1\n", "n=null", "n: null\n"),
        ("n: 1\n", "n=abc", "n: abc\n"),
        ("n: 1\n", "n='1'", "n: '1'\n"),
        ("n: 1\n", "n=\"it's\"", "n: it's\n"),
        ("n: 1\n", "n=", "n: ''\n"),
        ("n: 1\n", "n=${x.y}", "n: ${x.y}\n"),
        ("n: 1\n", "n=a:b", "n: a:b\n"),
        ("n: 1\n", "n='a:'", "n: 'a:'\n"),
        ("n: 1\n", "n='#x'", "n: '#x'\n"),
        ("n: \"a\"\n", "n=b", "n: \"b\"\n"),
        ("n: 'a'\n", "n=b", "n: 'b'\n"),
        ("n: 'a'\n", "n=5", "n: 5\n"),
        ("m: {a: 1, b: x}\n", "m.b='x,y'", "m: {a: 1, b: 'x,y'}\n"),
        ("m: {a: 1, b: }\n", "m.b=2", "m: {a: 1, b: 2 }\n"),
        ("a: 1\r\nb: 2\r\n", "b=3", "a: 1\r\nb: 3\r\n"),
        ("a: 1\nb: 2", "b=3", "a: 1\nb: 3"),
        ("\u{feff}a: 1\n", "a=3", "\u{feff}a: 3\n"),
        ("l:\n  - 1\n  - 2 # two\n", "l.1=5", "l:\n  - 1\n  - 5 # two\n"),
        ("l: [1, 2]\n", "l.0=9", "l: [9, 2]\n"),
        ("l:\n- lr: 1\n  k: 2\n", "l.0.lr=5", "l:\n- lr: 5\n  k: 2\n"),
        ("x: ${y}\ny: 1\n", "y=2", "x: ${y}\ny: 2\n"),
        ("a: yes\nb: 017\nc: 1\n", "c=2", "a: yes\nb: 017\nc: 2\n"),
        ("1: a\n", "1=b", "1: b\n"),
    ] {
        check(Format::Yaml, text, changes, expect);
    }
}

#[test]
fn yaml_lists_and_maps_are_replaced_merged_and_added() {
    for (text, changes, expect) in [
        ("l: [1, 2] # c\n", "l=[3,4,5]", "l: [3, 4, 5] # c\n"),
        ("l:\n- 1\n- 2 # two\nb: 1\n", "l=[1,3]", "l:\n- 1\n- 3 # two\nb: 1\n"),
        ("l:\n- 1\n- 2 # two\nb: 1\n", "l=[1,2,3]", "l:\n- 1\n- 2 # two\n- 3\nb: 1\n"),
        ("l:\n- 1\n- 2 # two\nb: 1\n", "l=[1]", "l:\n- 1\nb: 1\n"),
        ("l:\n  - 1\n  - 2\n", "l=[0,1,2]", "l:\n  - 0\n  - 1\n  - 2\n"),
        ("l:\n- 1\nb: 1\n", "l=[]", "l: []\nb: 1\n"),
        ("l: # c\n- 1\nb: 1\n", "l=5", "l: 5 # c\nb: 1\n"),
        ("m:\n  a: 1\n  b: 2\nc: 3\n", "m=5", "m: 5\nc: 3\n"),
        ("m:\n  a: 1 # c\n  b: 2\n", "m={a:5}", "m:\n  a: 5 # c\n  b: 2\n"),
        ("m: 1\n", "m={a:5}", "m: {a: 5}\n"),
        ("m:\n", "+m.a=5", "m:\n  a: 5\n"),
        ("m: # c\n", "+m.a=5", "m: # c\n  a: 5\n"),
        ("a: 1\n", "+b=2", "a: 1\nb: 2\n"),
        ("a: 1", "+b=2", "a: 1\nb: 2"),
        ("a: 1\r\n", "+b=2", "a: 1\r\nb: 2\r\n"),
        ("", "+b=2", "b: 2\n"),
        ("# only\n", "+b=2", "# only\nb: 2\n"),
        ("{}\n", "+b=2", "{b: 2}\n"),
        ("m:\n    a: 1 # c\n\nz: 1\n", "+m.b=2", "m:\n    a: 1 # c\n    b: 2\n\nz: 1\n"),
        ("m:\n    a: 1\n", "+m.b.c=2", "m:\n    a: 1\n    b:\n        c: 2\n"),
        ("m: {a: 1}\n", "+m.b=2", "m: {a: 1, b: 2}\n"),
        ("m: {a: 1,\n    b: 2}\n", "+m.c=2", "m: {a: 1,\n    b: 2,\n    c: 2}\n"),
        ("l:\n- a: 1\n  b: 2\n- x\n", "+l.0.c=3", "l:\n- a: 1\n  b: 2\n  c: 3\n- x\n"),
        ("m: {\"a\":1}\n", "+m.b=2", "m: {\"a\":1, \"b\": 2}\n"),
        ("a: 1\n", "++a=2", "a: 2\n"),
        ("a: 1\n", "++b=2", "a: 1\nb: 2\n"),
        ("a: 1\nb: 2 # c\nd: 3\n", "~b", "a: 1\nd: 3\n"),
        ("a: 1\nb: 2\n", "~b=2", "a: 1\n"),
        ("m: {a: 1, b: 2}\n", "~m.a", "m: {b: 2}\n"),
        ("m: {a: 1, b: 2}\n", "~m.b", "m: {a: 1}\n"),
        ("m: {a: 1}\n", "~m.a", "m: {}\n"),
        ("m:\n  a: 1\nb: 1\n", "~m.a", "m: {}\nb: 1\n"),
        ("m:\n  a: 1\nb: 1\n", "~m", "b: 1\n"),
        ("l:\n- a: 1\n  b: 2\n", "~l.0.a", "l:\n- b: 2\n"),
        (
            "base: &b\n  x: 1\nt:\n  <<: *b\n  y: 2\n",
            "t.x=5",
            "base: &b\n  x: 1\nt:\n  <<: *b\n  y: 2\n  x: 5\n",
        ),
        ("a: &a 1\nb: *a\n", "b=2", "a: &a 1\nb: 2\n"),
        ("a: &a 1\n", "a=2", "a: &a 2\n"),
        ("d: |\n  x\n  y\ne: 1\n", "d=z", "d: z\ne: 1\n"),
        ("d: |\n  x\n", "+e=1", "d: |\n  x\ne: 1\n"),
        ("a: 1\n", "a=2 +b=3 ~a", "b: 3\n"),
        ("---\na: 1\n...\n", "+b=2", "---\na: 1\nb: 2\n...\n"),
        ("---\n# c\n", "+b=2", "---\n# c\nb: 2\n"),
        ("l:\n- a:\n    x: 1\n- 2\n", "+l.0.b=2", "l:\n- a:\n    x: 1\n  b: 2\n- 2\n"),
        ("- a\n- b: 1\n", "1.b=2", "- a\n- b: 2\n"),
        ("a:\n  b: # c\nd: 1\n", "+a.c=1", "a:\n  b: # c\n  c: 1\nd: 1\n"),
        ("a: {b: 1,}\n", "+a.c=1", "a: {b: 1, c: 1,}\n"),
        ("a: {\n  b: 1, # one\n  c: 2 # two\n}\n", "~a.c", "a: {\n  b: 1, # one\n}\n"),
        ("a: [1e-3, 2]\n", "a=[1e-3,1e-4]", "a: [1e-3, 1e-4]\n"),
        ("a: 1\n", "+b={c:1,d:[x,{e:2}]}", "a: 1\nb:\n  c: 1\n  d: [x, {e: 2}]\n"),
    ] {
        check(Format::Yaml, text, changes, expect);
    }
}

#[test]
fn yaml_that_others_share_is_refused() {
    for (text, changes) in
        [("a: &x\n  lr: 1\nt: *x\n", "t.lr=5"), ("a: &x\n  lr: 1\nt: *x\n", "+t.b=5")]
    {
        obstacle(Format::Yaml, text, changes, Obstacle::Shared);
    }
    for (text, changes) in [
        ("a: &x\n  lr: 1\nt: *x\n", "a.lr=5"),
        ("a: &a 1\nb: *a\n", "a=2"),
        ("a: &a 1\nb: *a\n", "~a"),
        ("b: &b {x: 1}\nt:\n  <<: *b\n  x: 2\n", "~t.x"),
    ] {
        let err = refused(Format::Yaml, text, changes);
        assert!(matches!(err, ApplyError::CannotEdit { .. }), "{changes}: {err}");
    }
}

#[test]
fn json_is_changed_in_place() {
    for (text, changes, expect) in [
        ("{\"a\": 1}", "a=2", "{\"a\": 2}"),
        ("{\"a\": 1}\n", "a=1e-4", "{\"a\": 1e-4}\n"),
        ("{\"a\": 1}", "a=.5", "{\"a\": 0.5}"),
        ("{\"a\": 1}", "a=1_000", "{\"a\": 1000}"),
        ("{\"a\": 1}", "a='é\"'", "{\"a\": \"é\\\"\"}"),
        ("{\"a\": NaN}", "a=inf", "{\"a\": Infinity}"),
        ("{\"a\": 1}", "a=null", "{\"a\": null}"),
        ("{\"a\": 1}", "+b=2", "{\"a\": 1, \"b\": 2}"),
        ("{\"a\":1,\"c\":2}", "+b=2", "{\"a\":1,\"c\":2,\"b\":2}"),
        ("{\n\t\"a\": 1\n}\n", "+b.c=2", "{\n\t\"a\": 1,\n\t\"b\": {\"c\": 2}\n}\n"),
        (
            "{\r\n  \"a\": 1,\r\n  \"b\": 2\r\n}",
            "+c=3",
            "{\r\n  \"a\": 1,\r\n  \"b\": 2,\r\n  \"c\": 3\r\n}",
        ),
        ("{\n  \"m\": {}\n}", "+m.a=1", "{\n  \"m\": {\n    \"a\": 1\n  }\n}"),
        ("{}", "+a=1", "{\"a\": 1}"),
        ("{\"a\": 1, \"b\": 2}", "~a", "{\"b\": 2}"),
        ("{\"a\": 1, \"b\": 2}", "~b", "{\"a\": 1}"),
        ("{\n  \"a\": 1\n}", "~a", "{}"),
        ("{\"l\": [\n  1,\n  2\n]}", "l=[3]", "{\"l\": [\n  3\n]}"),
        ("{\"l\": [1, 2]}", "l.1=5", "{\"l\": [1, 5]}"),
        ("{\"a\": 1, \"a\": 2}", "a=3", "{\"a\": 1, \"a\": 3}"),
    ] {
        check(Format::Json, text, changes, expect);
    }
}

#[test]
fn toml_is_changed_in_place() {
    for (text, changes, expect) in [
        ("a = 1 # c\r\n", "a=2", "a = 2 # c\r\n"),
        ("\u{feff}a = 1", "a=1e-5", "\u{feff}a = 1e-5"),
        ("a = 'x'\n", "a=y", "a = 'y'\n"),
        ("a = \"x\"\n", "a=y", "a = \"y\"\n"),
        ("a = 1\n", "a=.5", "a = 0.5\n"),
        ("a = 1\n", "a=nan", "a = nan\n"),
        ("[t]\na = 1 # c\n\n[u]\nb = 2\n", "+t.c=3", "[t]\na = 1 # c\nc = 3\n\n[u]\nb = 2\n"),
        ("[t]\n[u]\nb = 2\n", "+t.c=3", "[t]\nc = 3\n[u]\nb = 2\n"),
        ("a = 1\n[t]\nb = 2\n", "+c=3", "a = 1\nc = 3\n[t]\nb = 2\n"),
        ("[t]\nb = 2\n", "+c=3", "c = 3\n\n[t]\nb = 2\n"),
        ("", "+c=3", "c = 3\n"),
        ("t = { a = 1 }\n", "+t.b=2", "t = { a = 1, b = 2 }\n"),
        ("t = { a = 1, b = 2 }\n", "~t.a", "t = { b = 2 }\n"),
        ("t.a = 1\n", "+t.b=2", "t.a = 1\nt.b = 2\n"),
        ("a = 1\nb = 2 # c\n", "~b", "a = 1\n"),
        ("a = [ 1, 2 ]\n", "a.0=5", "a = [ 5, 2 ]\n"),
        ("a = [ 1, 2 ]\n", "a=[3]", "a = [3]\n"),
        ("[[l]]\nx = 1\n[[l]]\nx = 2\n", "l.1.x=5", "[[l]]\nx = 1\n[[l]]\nx = 5\n"),
        ("a = 1\n", "+b={c:1}", "a = 1\nb = { c = 1 }\n"),
        ("[a.b]\nx = 1\n", "+a.y=2", "[a.b]\nx = 1\n\n[a]\ny = 2\n"),
    ] {
        check(Format::Toml, text, changes, expect);
    }
    obstacle(Format::Toml, "a = 1\n", "a=null", Obstacle::NoSpelling);
    obstacle(Format::Toml, "[t]\na = 1\n", "t=5", Obstacle::Layout);
}

#[test]
fn python_is_changed_in_place() {
    for (text, changes, expect) in [
        ("lr = 0.1  # c\n", "lr=1e-4", "lr = 1e-4  # c\n"),
        ("lr: float = 0.1\n", "lr=2", "lr: float = 2\n"),
        ("a = True\n", "a=false", "a = False\n"),
        ("a = 1\n", "a=null", "a = None\n"),
        ("a = 'x'\n", "a=y", "a = 'y'\n"),
        ("a = \"x\"\n", "a=y", "a = \"y\"\n"),
        ("a = 1\n", "a=-5", "a = -5\n"),
        ("a = -1\n", "a=5", "a = 5\n"),
        ("class T:\n    lr = 1\n", "T.lr=2", "class T:\n    lr = 2\n"),
        ("class T:\n    lr = 1\n", "+T.n=2", "class T:\n    lr = 1\n    n = 2\n"),
        (
            "class T:\n    def __init__(self):\n        self.x = 1\n",
            "T.x=2",
            "class T:\n    def __init__(self):\n        self.x = 2\n",
        ),
        (
            "class T:\n    def __init__(self):\n        self.x = 1\n",
            "+T.y=2",
            "class T:\n    def __init__(self):\n        self.x = 1\n        self.y = 2\n",
        ),
        ("d = {'a': 1, 'b': [1, 2]}\n", "d.a=5 d.b.1=7", "d = {'a': 5, 'b': [1, 7]}\n"),
        ("d = {'a': 1}\n", "+d.b=x", "d = {'a': 1, 'b': 'x'}\n"),
        ("d = {'a': 1, 'b': 2}\n", "~d.a", "d = {'b': 2}\n"),
        ("t = (1, 2)\n", "t=[3]", "t = (3,)\n"),
        ("l = [1, 2]\r\nx = 1", "l=[3]", "l = [3]\r\nx = 1"),
        (
            "import os\nx = 1\n\ndef f():\n    pass\n",
            "+y=2",
            "import os\nx = 1\ny = 2\n\ndef f():\n    pass\n",
        ),
        ("x = 1\ny = 2\n", "~x", "y = 2\n"),
        ("class T:\n    lr = 1  # c\n", "~T.lr", "class T:\n    pass  # c\n"),
        ("class T:\n    lr = 1\n    n = 2\n", "~T.lr", "class T:\n    n = 2\n"),
        ("x = 1\nx = 2\n", "x=5", "x = 1\nx = 5\n"),
    ] {
        check(Format::Python, text, changes, expect);
    }
    obstacle(Format::Python, "a = 1\n", "a=nan", Obstacle::NoSpelling);
}

#[test]
fn unknown_and_known_keys_are_told() {
    let text = "train:\n  lr: 1\n  epochs: 2\nseed: 3\n";
    for (change, near) in [
        ("train.lrr=1", "train.lr"),
        ("train.epoch=1", "train.epochs"),
        ("sede=1", "seed"),
        ("lr=1", "train.lr"),
        ("zzzz=1", ""),
    ] {
        match refused(Format::Yaml, text, change) {
            ApplyError::NotFound { near: found, .. } => {
                let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                assert_eq!(found.first().map_or("", String::as_str), near, "{change}");
            }
            err => panic!("{change}: {err}"),
        }
    }
    assert!(matches!(refused(Format::Yaml, text, "+seed=1"), ApplyError::Exists { .. }));
    assert!(matches!(refused(Format::Yaml, text, "~nope"), ApplyError::NotFound { .. }));
    assert!(matches!(refused(Format::Yaml, text, "~seed=4"), ApplyError::NotEqual { .. }));
    assert!(matches!(refused(Format::Yaml, text, "train={x:1}"), ApplyError::NotFound { .. }));
    assert!(matches!(refused(Format::Yaml, "l: [1]\n", "+l.3=4"), ApplyError::ListItem { .. }));
    assert!(matches!(refused(Format::Yaml, "l: [1]\n", "~l.0"), ApplyError::ListItem { .. }));
    assert!(matches!(refused(Format::Yaml, "a: 1\na: 2\n", "a=3"), ApplyError::Parse(_)));
}

#[test]
fn a_failed_change_leaves_nothing_behind() {
    let text = "a: 1\n";
    assert!(apply(Format::Yaml, text, &overrides("a=2 nope=3")).is_err());
    assert_eq!(
        parse(Format::Yaml, text).map(|value| value.child("a").cloned()),
        Ok(Some(1_i64.into()))
    );
}

/// What DVC 3.67.1 makes of these, by values; `!` is an error there.
#[test]
fn overrides_mean_what_they_mean_to_dvc() {
    let text = "a: 1\nd: {x: 1, y: {z: 2}}\nl: [1, {p: 1}]\ns: hi\nn: null\n";
    for (change, expect) in [
        ("a=2", "a: 2"),
        ("a=[1,2]", "a: [1, 2]"),
        ("a={q:1}", "a: {q: 1}"),
        ("a.b=1", "!"),
        ("+a.b=1", "a: {b: 1}"),
        ("++a.b=1", "a: {b: 1}"),
        ("d=5", "d: 5"),
        ("d=[1]", "!"),
        ("d={x:5}", "d: {x: 5, y: {z: 2}}"),
        ("d={w:5}", "!"),
        ("+d={w:5}", "d: {x: 1, y: {z: 2}, w: 5}"),
        ("++d={w:5,y:{k:1}}", "d: {x: 1, y: {z: 2, k: 1}, w: 5}"),
        ("d={y:3}", "d: {x: 1, y: 3}"),
        ("d={x:{k:1}}", "d: {x: {k: 1}, y: {z: 2}}"),
        ("d={}", "a: 1"),
        ("+d=5", "!"),
        ("++d=5", "d: 5"),
        ("d=null", "d: null"),
        ("l=5", "l: 5"),
        ("l={x:1}", "!"),
        ("l={}", "!"),
        ("+l=[9]", "l: [9]"),
        ("+l=5", "!"),
        ("l.0=9", "l: [9, {p: 1}]"),
        ("++l.0=4", "l: [4, {p: 1}]"),
        ("l.1.p=9", "l: [1, {p: 9}]"),
        ("l.5=9", "!"),
        ("l.1.q=9", "!"),
        ("+l.1.q=9", "l: [1, {p: 1, q: 9}]"),
        ("+l.0=4", "!"),
        ("~a", "a:"),
        ("~a=1", "a:"),
        ("~a=1.0", "a:"),
        ("~a=true", "a:"),
        ("~a=null", "a:"),
        ("~a=2", "!"),
        ("~d", "d:"),
        ("~d.x", "d: {y: {z: 2}}"),
        ("~d={x:1}", "!"),
        ("~l.0", "!"),
        ("+n=3", "n: 3"),
        ("n=3", "n: 3"),
        ("+n.x=3", "n: {x: 3}"),
        ("n.x=3", "!"),
        ("+q.r.s=1", "q: {r: {s: 1}}"),
        ("q.r=1", "!"),
        ("++q=[1,{a:2}]", "q: [1, {a: 2}]"),
        ("s=", "s: ''"),
        ("+a=[5]", "a: [5]"),
        ("+a={k:1}", "a: {k: 1}"),
        ("+d.y={z:7}", "d: {x: 1, y: {z: 7}}"),
        ("+s=x", "!"),
        ("+a=1", "!"),
    ] {
        let result = apply(Format::Yaml, text, &overrides(change));
        if expect == "!" {
            assert!(result.is_err(), "{change} made {result:?}");
            continue;
        }
        let edited = result.unwrap_or_else(|err| panic!("{change}: {err}"));
        let read = |text: &str| parse(Format::Yaml, text).expect("valid");
        let mut wanted = read(text);
        if let (Value::Table(wanted), Value::Table(part)) =
            (&mut wanted, read(&format!("{expect}\n")))
        {
            for (key, value) in part {
                if expect.ends_with(':') {
                    wanted.shift_remove(&key);
                } else {
                    wanted.insert(key, value);
                }
            }
        }
        assert_eq!(read(&edited), wanted, "{change}");
        let n_lines =
            text.lines().filter(|line| edited.lines().any(|other| other == *line)).count();
        assert!(n_lines >= 4, "{change} touched more than one line: {edited}");
    }
}
