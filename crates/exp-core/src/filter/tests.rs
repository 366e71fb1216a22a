//! Filters: what they read, what they mean, and how a mistake is told.

use super::*;

const ROW: &[(&str, &str)] = &[
    ("lr", "0.1"),
    ("depth", "3"),
    ("opt", "adam"),
    ("best", "adam"),
    ("aug", "true"),
    ("off", "false"),
    ("layers", "[1, 2]"),
    ("train.lr", "1e-3"),
    ("params.yaml:top-1", "7"),
    ("my key", "x y"),
    ("nan", "nan"),
    ("empty", "null"),
];

fn value(text: &str) -> Value {
    match text {
        "nan" => Value::Float(f64::NAN),
        "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        "[1, 2]" => Value::List(vec![Value::Int(1), Value::Int(2)]),
        text => (text.parse().map(Value::Int).ok())
            .or_else(|| text.parse().map(Value::Float).ok())
            .unwrap_or_else(|| Value::from(text)),
    }
}

#[track_caller]
fn check(condition: &str, expect: bool) {
    let filter: Filter = condition.parse().unwrap_or_else(|error| panic!("{condition}: {error}"));
    let found = |at: usize| {
        let column = &filter.columns()[at];
        assert_eq!(condition[column.span.clone()].trim_matches('`'), column.name);
        match ROW.iter().find(|(name, _)| *name == column.name) {
            Some((_, text)) => FilterValue::Value(Cow::Owned(value(text))),
            None if column.may_be_text => FilterValue::NoColumn,
            None => FilterValue::Missing,
        }
    };
    assert_eq!(filter.accepts(&found), expect, "{condition}");
}

#[test]
fn values_are_compared_by_their_kind() {
    for (condition, expect) in [
        ("lr=0.1", true),
        ("lr == 0.10", true),
        ("lr>=0.1 and lr<=0.1", true),
        ("lr>0.1", false),
        ("depth>2.5", true),
        ("depth=3.0", true),
        ("depth<-3", false),
        ("train.lr<1e-2", true),
        ("params.yaml:top-1=7", true),
        ("`my key`='x y'", true),
        ("`my key`=\"x y\"", true),
        ("opt=adam", true),
        ("opt='adam'", true),
        ("opt=best", true),
        ("opt=sgd", false),
        ("opt!=sgd", true),
        ("opt<'b'", true),
        ("opt>1", false),
        ("opt<1", false),
        ("opt!=1", true),
        ("aug", true),
        ("off", false),
        ("not off", true),
        ("aug=true", true),
        ("aug=TRUE", true),
        ("aug=1", false),
        ("layers='[1, 2]'", true),
        ("layers ~ 2", true),
        ("depth<train.lr", false),
        ("depth>train.lr", true),
        ("depth ≥ 3", true),
    ] {
        check(condition, expect);
    }
}

#[test]
fn what_is_missing_is_different_from_everything() {
    for (condition, expect) in [
        ("gone>0", false),
        ("gone<=0", false),
        ("gone=0", false),
        ("gone!=0", true),
        ("not gone>0", true),
        ("gone", false),
        ("gone=null", true),
        ("gone!=null", false),
        ("lr!=none", true),
        ("empty=null", true),
        ("empty=`gone`", true),
        ("gone~x", false),
        ("gone!~x", true),
        ("gone<=null", false),
        ("nan=nan", false),
        ("nan>0", false),
        ("nan<inf", false),
    ] {
        check(condition, expect);
    }
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    for (condition, expect) in [
        ("lr=9 and lr=9 or lr=0.1", true),
        ("lr=0.1 or lr=9 and lr=9", true),
        ("(lr=0.1 or lr=9) and lr=9", false),
        ("not lr=9 and lr=9", false),
        ("not (lr=9 and lr=9)", true),
        ("NOT not lr=0.1 AND TRUE_ or aug", true),
        ("lr=0.1&&depth=3", true),
        ("lr=9||depth=3", true),
        ("((lr=0.1))", true),
    ] {
        check(condition, expect);
    }
}

#[test]
fn patterns_are_searched_anywhere() {
    for (condition, expect) in [
        ("opt~ad", true),
        ("opt ~ ^d", false),
        ("opt ~ ^a.*m$", true),
        ("opt !~ ^d", true),
        ("opt ~ 'a|b'", true),
        ("opt ~ '^(ad|sg)'", true),
        (r"`my key` ~ '\s'", true),
        ("lr ~ ^0", true),
        ("aug ~ true", true),
    ] {
        check(condition, expect);
    }
}

#[test]
fn errors_point_at_the_place() {
    for (condition, place, message) in [
        ("", "", "a column expected"),
        ("lr >=", "", "a value expected"),
        ("lr >= and acc", "and", "a value expected"),
        ("lr 0.1", "0.1", "`and` or `or` expected"),
        ("0.1 < lr", "0.1", "a column expected"),
        ("(lr=1", "(", "a parenthesis has no other half"),
        ("lr=1)", ")", "a parenthesis has no other half"),
        ("(lr=1 acc=2)", "acc", "`and`, `or` or `)` expected"),
        ("opt='adam", "'adam", "' is not closed"),
        ("lr, acc", ",", "`,` means nothing here"),
        ("lr & acc", "&", "`&` means nothing here"),
        ("lr = = 1", "=", "a value expected"),
        ("opt ~ '('", "'('", "this is no regular expression: unclosed group"),
        ("opt ~", "", "a regular expression expected"),
        ("not", "", "a column expected"),
        ("lr=1 or", "", "a column expected"),
    ] {
        let error = condition.parse::<Filter>().expect_err(condition);
        assert_eq!(error.to_string(), message, "{condition}");
        assert_eq!(&condition[error.span.clone()], place, "{condition}");
    }
    let deep = "(".repeat(10_000);
    assert_eq!(deep.parse::<Filter>().unwrap_err().fault, FilterFault::TooDeep);
    let deep = "not ".repeat(10_000) + "lr";
    assert_eq!(deep.parse::<Filter>().unwrap_err().fault, FilterFault::TooDeep);
}
