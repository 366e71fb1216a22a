//! The graph: order, selection, and what makes a set of stages no pipeline.

use std::collections::BTreeSet;

use exp_core::{Pipeline, Reach, SelectError, Selection, StageGraph, Target, select};

use crate::pipe::{id, ids, path, stages, unchecked};

const DIAMOND: &str = "
    a = x > a1
    b = a1 > b1
    c = a1 > c1/f
    d = b1 c1 > d1
    e = y > e1
";

#[track_caller]
fn refuses(pipeline: &str, message: &str) {
    let error = Pipeline::new(stages(pipeline)).expect_err("a broken pipeline");
    assert_eq!(error.to_string(), message);
}

#[test]
fn a_broken_pipeline_names_what_is_broken() {
    refuses("a = > x\na = > y", "stage `a` is declared twice");
    refuses("a = > x\nb = > y\nc = > x", "output `x` is declared by `a`, `c`");
    refuses("a = > d/x\nb = > d", "output `d/x` of `a` lies inside output `d` of `b`");
    refuses("a = x > x", "stage `a` has `x` as a dependency and `x` as an output");
    refuses("a = d/x > d", "stage `a` has `d/x` as a dependency and `d` as an output");
    refuses(
        "a = c1 > a1\nb = a1 > b1\nc = b1 > c1",
        "stages wait for each other: `a` -> `b` -> `c` -> `a`",
    );
    refuses(
        "a = > /elsewhere/x",
        "cached output `/elsewhere/x` of stage `a` is outside the project",
    );
    refuses("a = > d\nd/x.dvc = > x-", "output `d/x` of `d/x.dvc` lies inside output `d` of `a`");
    refuses(
        "a = > d\nd/dvc.yaml:b =",
        "`d/dvc.yaml`, which declares stage `d/dvc.yaml:b`, lies inside output `d`",
    );
    assert!(Pipeline::new(stages("a = > /elsewhere/x-\nb = > dx\nc = dx > d")).is_ok());
}

#[test]
fn edges_go_by_whole_parts_of_paths() {
    let graph = StageGraph::new(&stages(
        "inside = > d/x
         around = > e
         beside = > dx
         params = > p.yaml
         reader = d e/y p.yaml#lr
         url = s3://b > s3://c/k-
         url2 = s3://c",
    ));
    assert_eq!(graph.before(4), [0, 1, 3]);
    assert_eq!(graph.after(5), [6]);
    assert_eq!(graph.after(2), [] as [usize; 0]);
}

#[track_caller]
fn selects(pipeline: &str, cwd: &str, targets: &[&str], reach: Reach, expected: &str) {
    let pipeline = unchecked(pipeline);
    let targets = targets.iter().map(|text| Target::parse(text, &path(cwd)).expect("a target"));
    let selection = Selection::of(targets).reaching(reach);
    let found = select(&pipeline, &selection).map(|found| ids(&found));
    assert_eq!(found.unwrap_or_else(|error| format!("{error:?}")), expected);
}

#[test]
fn a_selection_reaches_as_far_as_it_is_asked_to() {
    selects(DIAMOND, "", &["d"], Reach::Upstream, "a b c d");
    selects(DIAMOND, "", &["d", "a"], Reach::Single, "d a");
    selects(DIAMOND, "", &["b"], Reach::Downstream, "b d");
    selects(DIAMOND, "", &["c", "c"], Reach::Component, "a b c d");
    selects(DIAMOND, "", &["dvc.yaml"], Reach::Upstream, "a b c d e");
    assert_eq!(ids(&select(&unchecked(DIAMOND), &Selection::All).expect("all")), "a b c d e");
}

#[test]
fn a_stage_comes_after_what_it_reads_wherever_it_is_declared() {
    selects("c = b1 > c1\nb = a1 > b1\na = > a1", "", &["c"], Reach::Upstream, "a b c");
}

#[test]
fn a_frozen_stage_cuts_what_is_before_it() {
    let text = "a = > a1\n*b = a1 > b1\nc = b1 > c1";
    selects(text, "", &["c"], Reach::Upstream, "b c");
    selects(text, "", &["a"], Reach::Downstream, "a");
    selects(text, "", &["a"], Reach::Component, "a");
}

#[test]
fn targets_are_read_from_where_one_stands() {
    let text = "
        top = > t
        sub/dvc.yaml:train = ../t > m
        sub/dvc.yaml:fit@a:b/c = > f1
        sub/dvc.yaml:fit@2 = > f2
        sub/raw.dvc = > raw";
    selects(text, "sub", &["train"], Reach::Upstream, "top sub/dvc.yaml:train");
    selects(text, "", &["sub/dvc.yaml:train"], Reach::Single, "sub/dvc.yaml:train");
    selects(text, "sub", &["fit"], Reach::Single, "sub/dvc.yaml:fit@a:b/c sub/dvc.yaml:fit@2");
    selects(text, "sub", &["fit@a:b/c"], Reach::Single, "sub/dvc.yaml:fit@a:b/c");
    selects(text, "sub", &["raw.dvc"], Reach::Single, "sub/raw.dvc");
    selects(text, "sub", &["../dvc.yaml"], Reach::Single, "top");
    selects(text, "", &[":top"], Reach::Single, "top");
    let dir = Selection::of([Target::Dir(path("sub"))]).reaching(Reach::Single);
    assert_eq!(select(&unchecked(text), &dir).expect("a directory").len(), 4);
    let glob = Target::parse_glob("sub/dvc.yaml:f*@[0-9]", &path("")).expect("a pattern");
    let glob = Selection::of([glob]);
    assert_eq!(ids(&select(&unchecked(text), &glob).expect("a pattern")), "sub/dvc.yaml:fit@2");
    let glob = |text| Target::parse_glob(text, &path("")).expect("a pattern");
    let none = select(&unchecked(text), &Selection::of([glob("sub/dvc.yaml:q*")]));
    assert_eq!(
        none.map_err(|error| error.to_string()),
        Err("no stage of `sub/dvc.yaml` matches `q*`".to_owned())
    );
    let some = Selection::of([glob("sub/dvc.yaml:q*"), glob("sub/dvc.yaml:fit@2")]);
    assert_eq!(ids(&select(&unchecked(text), &some).expect("a match")), "sub/dvc.yaml:fit@2");
}

#[test]
fn what_is_not_there_is_named() {
    selects(DIAMOND, "sub", &["a"], Reach::Single, r#"UnknownFile { file: "sub/dvc.yaml" }"#);
    selects(DIAMOND, "", &["x.dvc"], Reach::Single, r#"UnknownFile { file: "x.dvc" }"#);
    selects(
        "train = > a\ntrial = > b\nother = > c",
        "",
        &["tain"],
        Reach::Single,
        r#"UnknownStage { file: "dvc.yaml", name: "tain", nearest: ["train"] }"#,
    );
    let empty = Selection::of([Target::Dir(path("sub"))]);
    assert_eq!(
        select(&unchecked(DIAMOND), &empty),
        Err(SelectError::EmptyDir { dir: path("sub") })
    );
    let lock = Target::parse("sub/dvc.lock", &path("")).expect_err("a lock file");
    assert!(matches!(lock, SelectError::LockFile { meant, .. } if meant == "sub/dvc.yaml"));
    assert!(matches!(Target::parse("../dvc.yaml", &path("")), Err(SelectError::Path(_))));
}

#[test]
fn a_broken_pipeline_still_has_an_order() {
    selects("a = b1 > a1\nb = a1 > b1", "", &["a"], Reach::Upstream, "b a");
}

#[test]
fn ten_thousand_stages_have_their_edges_and_order() {
    let n = 10_000;
    let mut text = String::from("raw.dvc = > data\n");
    for at in 1..n {
        let line = format!("s{at} = data/{at} out/{} > out/{at}\n", at - 1);
        text.push_str(&line);
    }
    let pipeline = Pipeline::new(stages(&text)).expect("a chain");
    let last: BTreeSet<usize> = pipeline.graph().upstream(&[n - 1]);
    assert_eq!(last.len(), n);
    assert_eq!(pipeline.graph().order(&last).last(), Some(&(n - 1)));
    assert_eq!(pipeline.position(&id("s77")), Some(77));
}
