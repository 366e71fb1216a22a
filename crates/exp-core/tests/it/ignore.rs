use exp_core::{IgnoreRules, RelPath};

fn rules(files: &[(&str, &str)]) -> IgnoreRules {
    let mut rules = IgnoreRules::new();
    for (dir, text) in files {
        rules.add_file(&path(dir), text);
    }
    rules
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path of a test")
}

/// The answers were made by DVC 3.67.1, which was handed each pattern as it stands, while a file's lines lose the space
/// around them. The lines whose meaning changes by that are named here.
const TRIMMED: [&str; 2] = [" lead", "trail\\ "];

#[test]
fn answers_are_those_of_dvc() {
    let vectors = include_str!("../data/dvcignore.tsv");
    let mut wrong = Vec::new();
    let mut n_checked = 0;
    for line in vectors.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [patterns, asked, is_dir, ignored] = fields[..] else { panic!("bad vector {line:?}") };
        if TRIMMED.contains(&patterns) {
            continue;
        }
        let rules = rules(&[("", &patterns.replace("\\n", "\n"))]);
        let ours = rules.is_ignored(&path(asked), is_dir == "1").is_some();
        if ours != (ignored == "1") {
            wrong.push(line);
        }
        n_checked += 1;
    }
    assert_eq!(wrong, Vec::<&str>::new(), "of {n_checked}");
}
