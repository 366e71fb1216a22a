//! `.dvcignore`: DVC's own answers, case by case.

use std::collections::HashMap;

use exp_core::IgnoreRules;

use crate::pipe::path;

fn rules(files: &[(&str, &str)]) -> IgnoreRules {
    let mut rules = IgnoreRules::new();
    for (dir, text) in files {
        rules.add_file(&path(dir), text);
    }
    rules
}

/// DVC was asked about each pattern as it stands; out of a file it takes lines without the space around them, so that
/// this one means `lead`.
const TRIMMED: [&str; 1] = [" lead\t lead\t0\t1"];

#[test]
fn answers_are_those_of_dvc() {
    let vectors = include_str!("../data/dvcignore.tsv");
    let mut known: HashMap<&str, IgnoreRules> = HashMap::new();
    let mut wrong = Vec::new();
    for line in vectors.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [patterns, asked, is_dir, ignored] = fields[..] else { panic!("bad vector {line:?}") };
        let rules =
            known.entry(patterns).or_insert_with(|| rules(&[("", &patterns.replace("\\n", "\n"))]));
        let ours = rules.is_ignored(&path(asked), is_dir == "1").is_some();
        if ours != (ignored == "1") {
            wrong.push(line);
        }
    }
    assert_eq!(wrong, TRIMMED);
}

#[track_caller]
fn check(files: &[(&str, &str)], asked: &str, expected: &str) {
    let rules = rules(files);
    let is_dir = asked.ends_with('/');
    let rule = rules.is_ignored(&path(asked), is_dir);
    let text = rule.map_or_else(|| "no".to_owned(), |rule| rule.to_string());
    assert_eq!(text, expected, "{asked}");
}

#[test]
fn some_rules_always_hold() {
    check(&[], ".git", ":.git");
    check(&[], "sub/.git/config", ":.git");
    check(&[], ".dvc/cache/x", ":.dvc/");
    check(&[], ".hg/", ":.hg/");
    check(&[], ".dvc", "no");
    check(&[], "data.dvc", "no");
    check(&[], "", "no");
}

#[test]
fn deeper_files_and_later_lines_go_first() {
    let files = [("", "# logs\n*.log\n  \n!keep.log\nout/\n"), ("sub", "!b.log\nkeep.log\n/top\n")];
    check(&files, "a.log", ".dvcignore:2:*.log");
    check(&files, "keep.log", "no");
    check(&files, "sub/b.log", "no");
    check(&files, "sub/deep/b.log", "no");
    check(&files, "sub/keep.log", "sub/.dvcignore:2:keep.log");
    check(&files, "sub/top/x", "sub/.dvcignore:3:/top");
    check(&files, "sub/deep/top", "no");
    check(&files, "out/keep.log", ".dvcignore:5:out/");
    check(&files, "out", "no");
}

#[test]
fn what_is_taken_back_is_explained() {
    let rules = rules(&[("", "*.log\n!keep.log\nout/")]);
    let explain =
        |asked: &str| rules.deciding_rule(&path(asked), false).map(|rule| rule.to_string());
    assert_eq!(explain("keep.log").as_deref(), Some(".dvcignore:2:!keep.log"));
    assert_eq!(explain("out/keep.log").as_deref(), Some(".dvcignore:3:out/"));
    assert_eq!(explain("data"), None);
}

#[test]
fn an_ignored_file_of_rules_has_no_say() {
    check(&[("", "sub/"), ("sub", "!*")], "sub/x", ".dvcignore:1:sub/");
    check(&[("", "/sub/.dvcignore"), ("sub", "*")], "sub/x", "no");
}

#[test]
fn lines_that_mean_nothing_are_left_out() {
    for line in ["[", "[z-a]", "a\\", "/", "!", "#", "\u{feff}", "**/", "*/"] {
        check(&[("", &format!("{line}\nb"))], "b", ".dvcignore:2:b");
        check(&[("", line)], "a", "no");
    }
}

#[test]
fn what_is_special_to_regular_expressions_is_not_special_here() {
    check(&[("", "a.b+(c)|{d}^$")], "a.b+(c)|{d}^$", ".dvcignore:1:a.b+(c)|{d}^$");
    check(&[("", "[&&^~-]x")], "&x", ".dvcignore:1:[&&^~-]x");
    check(&[("", "[&&^~-]x")], "-x", ".dvcignore:1:[&&^~-]x");
    check(&[("", "end\\  ")], "end ", ".dvcignore:1:end\\ ");
    check(&[("", "[]a]x")], "]x", ".dvcignore:1:[]a]x");
}

#[test]
fn a_walker_asks_about_entries_only() {
    let rules = rules(&[("", "out/")]);
    assert!(rules.is_entry_ignored(&path("out"), true));
    assert!(!rules.is_entry_ignored(&path("out/x"), false), "who walks does not get here");
}
