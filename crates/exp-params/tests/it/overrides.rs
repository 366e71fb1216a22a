//! The grammar of overrides, against Hydra's.

use exp_params::{Override, OverrideError, Overrides, ParamChange, Value, python_str};

fn show(value: &Value) -> String {
    match value {
        Value::Text(_) => {
            python_str(&Value::List(vec![value.clone()])).trim_matches(['[', ']']).to_owned()
        }
        value => python_str(value),
    }
}

#[track_caller]
fn value(text: &str, expect: &str) {
    match format!("k={text}").parse::<ParamChange>() {
        Ok(ParamChange { change: Override::Set(_, literal), .. }) => {
            assert_eq!(show(&literal.value), expect, "{text}");
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn values_are_hydras() {
    for (text, expect) in [
        ("1", "1"),
        ("1_000", "1000"),
        ("-3", "-3"),
        ("+3", "3"),
        ("01", "'01'"),
        ("0x10", "'0x10'"),
        (".5", "0.5"),
        ("5.", "5.0"),
        ("1e4", "10000.0"),
        ("1e-3", "0.001"),
        ("1_0.5", "10.5"),
        ("inf", "inf"),
        ("-inf", "-inf"),
        ("nan", "nan"),
        ("info", "'info'"),
        ("1e", "'1e'"),
        ("1.5.2", "'1.5.2'"),
        ("2020-01-01", "'2020-01-01'"),
        ("true", "True"),
        ("FALSE", "False"),
        ("truex", "'truex'"),
        ("null", "None"),
        ("Null", "None"),
        ("None", "'None'"),
        ("", "''"),
        ("  ", "''"),
        (" a b ", "'a b'"),
        ("'a b'", "'a b'"),
        ("\"a'b\"", "\"a'b\""),
        (r"'a\'b'", "\"a'b\""),
        (r"'a\\'", r"'a\\'"),
        (r"'a\nb'", r"'a\\nb'"),
        (r"a\,b", "'a,b'"),
        (r"a\=b", "'a=b'"),
        ("a/b-c.d", "'a/b-c.d'"),
        ("http://x/y", "'http://x/y'"),
        ("a:b", "'a:b'"),
        ("a: b", "'a: b'"),
        ("$x%y*z@?|", "'$x%y*z@?|'"),
        ("${a.b}", "'${a.b}'"),
        ("x${a.b}y", "'x${a.b}y'"),
        ("[]", "[]"),
        ("[1, 2,x]", "[1, 2, 'x']"),
        ("[[1],[2,3]]", "[[1], [2, 3]]"),
        ("{}", "{}"),
        ("{a:1,b:{c:2}}", "{'a': 1, 'b': {'c': 2}}"),
        ("{a: 1, 2: x}", "{'a': 1, '2': 'x'}"),
        ("[{a:1},'x y']", "[{'a': 1}, 'x y']"),
        ("int('5')", "5"),
        ("int(1.9)", "1"),
        ("float(1)", "1.0"),
        ("str(1.0)", "'1.0'"),
        ("str(true)", "'true'"),
        ("bool(1)", "True"),
        ("bool('False')", "False"),
        ("int([1.5,'2'])", "[1, 2]"),
        ("str(value=1)", "'1'"),
        ("sort([3,1,2])", "[1, 2, 3]"),
        ("sort([3,1,2],reverse=true)", "[3, 2, 1]"),
    ] {
        value(text, expect);
    }
}

#[test]
fn files_and_signs_are_told_apart() {
    for (text, file, sign, key) in [
        ("lr=1", None, "", "lr"),
        ("a.yaml:lr=1", Some("a.yaml"), "", "lr"),
        ("a.yaml:+t.lr=1", Some("a.yaml"), "+", "t.lr"),
        ("++lr=1", None, "++", "lr"),
        ("~lr", None, "~", "lr"),
        ("a.yaml:~lr", Some("a.yaml"), "~", "lr"),
        ("lr=a:b", None, "", "lr"),
        ("l.0.x=1", None, "", "l.0.x"),
        ("$x-y_1=1", None, "", "$x-y_1"),
        ("é=1", None, "", "é"),
    ] {
        let change: ParamChange = text.parse().expect(text);
        assert_eq!(change.file.as_deref(), file, "{text}");
        assert_eq!(change.change.sign(), sign, "{text}");
        assert_eq!(change.change.key().to_string(), key, "{text}");
    }
}

#[test]
fn what_is_no_override_is_refused() {
    for text in [
        "",
        "k",
        "+k",
        "=1",
        "a..b=1",
        "l[0]=1",
        "k =1",
        "k=a=b",
        "k='x",
        "k=[1",
        "k={a}",
        "k={a:1",
        "k=]",
        "k=[1]x",
        "k='a'b",
        "k=f(",
        ":k=1",
        "k=1,",
        "k=,1",
        "k=(1)",
        "k=foo bar(1)",
        "+=1",
        "k=[choice(1,2)]",
    ] {
        assert!(
            matches!(text.parse::<ParamChange>(), Err(OverrideError::Syntax { .. })),
            "{text}: {:?}",
            text.parse::<ParamChange>()
        );
    }
    for text in
        ["k=nope(1)", "k=int(x)", "k=bool(x)", "k=range(1,2,0)", "k=choice()", "k=str(null)"]
    {
        assert!(
            matches!(text.parse::<ParamChange>(), Err(OverrideError::Function { .. })),
            "{text}: {:?}",
            text.parse::<ParamChange>()
        );
    }
    for text in ["k=1,2", "k=choice(a,b)", "k=range(3)", "k=shuffle(1,2)", "k=tag(t,choice(1,2))"] {
        assert!(
            matches!(text.parse::<ParamChange>(), Err(OverrideError::SweepNotAllowed { .. })),
            "{text}"
        );
    }
    for text in ["k=interval(0,1)", "k=glob(*)"] {
        assert!(
            matches!(text.parse::<ParamChange>(), Err(OverrideError::SweepNotFinite { .. })),
            "{text}"
        );
    }
    for text in ["db/engine=x", "db@pkg=x"] {
        assert!(matches!(text.parse::<ParamChange>(), Err(OverrideError::Group { .. })), "{text}");
    }
}

/// Combinations as `key=value key=value | …`.
#[track_caller]
fn sweep(texts: &str, expect: &str) {
    let texts: Vec<&str> = texts.split_whitespace().collect();
    let overrides = Overrides::parse(&texts).expect("the overrides are valid");
    let all: Vec<String> = overrides
        .expand(7)
        .map(|combination| {
            let parts: Vec<String> = combination
                .iter()
                .map(|change| match &change.change {
                    Override::Remove(..) => change.to_string(),
                    Override::Set(_, literal)
                    | Override::Add(_, literal)
                    | Override::Upsert(_, literal) => {
                        format!("{change}={}", show(&literal.value))
                    }
                    _ => String::new(),
                })
                .collect();
            parts.join(" ")
        })
        .collect();
    assert_eq!(all.join(" | "), expect, "{texts:?}");
}

#[test]
fn sweeps_are_combined_in_the_order_of_dvc() {
    sweep("a=1,2 b=x,y", "a=1 b='x' | a=1 b='y' | a=2 b='x' | a=2 b='y'");
    sweep("a=1,2 ~b c=5", "a=1 ~b c=5 | a=2 ~b c=5");
    sweep(
        "f.yaml:a=1,2 b=1 f.yaml:c=3,4",
        "f.yaml:a=1 f.yaml:c=3 b=1 | f.yaml:a=1 f.yaml:c=4 b=1 | f.yaml:a=2 f.yaml:c=3 b=1 | f.yaml:a=2 f.yaml:c=4 b=1",
    );
    sweep("a=1,2 b=1 a=3,4", "a=3 b=1 | a=4 b=1");
    sweep("a=range(3)", "a=0 | a=1 | a=2");
    sweep("a=range(5,0,-2)", "a=5 | a=3 | a=1");
    sweep("a=range(0,0.5,0.1)", "a=0.0 | a=0.1 | a=0.2 | a=0.3 | a=0.4");
    sweep("a=range(0,0.9,0.3)", "a=0.0 | a=0.3 | a=0.6 | a=0.8999999999999999");
    sweep("a=choice(1,x,[1,2])", "a=1 | a='x' | a=[1, 2]");
    sweep("a=sort(3,1,2)", "a=1 | a=2 | a=3");
    sweep("a=int(1.5,2.5)", "a=1 | a=2");
    sweep("a=choice(5)", "a=5");
    sweep("a=tag(x,choice(5,6))", "a=5 | a=6");
    sweep("a=1 a=2", "a=1 a=2");
    sweep("a=1e-3,b:c", "a=0.001 | a='b:c'");
    let shuffled = Overrides::parse(&["a=shuffle(range(20))"]).expect("valid");
    assert_eq!(shuffled.expand(1).count(), 20);
    assert!(shuffled.expand(1).eq(shuffled.expand(1)), "one seed gives one order");
    assert!(!shuffled.expand(1).eq(shuffled.expand(2)), "another seed gives another");
    assert!(Overrides::parse(&["a=choice(5)"]).expect("valid").is_sweep());
    assert!(Overrides::parse(&["a=5"]).expect("valid").single().is_some());
}

#[test]
fn a_change_is_told_as_it_can_be_typed_again() {
    for text in
        ["lr=1e-4", "conf/a.yaml:+x.y=abc", "~z", "~z=1", "++n=null", "flag=True", "l=[1, 2]"]
    {
        let change: ParamChange = text.parse().unwrap();
        assert_eq!(change.to_text(), text);
    }
}
