//! Tests against lock files and run cache files that DVC wrote.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const FIRST: &str = include_str!("../../tests/data/lock/first.lock");
const SECOND: &str = include_str!("../../tests/data/lock/second.lock");
const RUNS: &str = include_str!("../../tests/data/lock/runs.txt");
const RUN_FILES: [&str; 2] = [
    include_str!("../../tests/data/lock/run1.yaml"),
    include_str!("../../tests/data/lock/run2.yaml"),
];

#[test]
fn a_lock_file_grows_and_changes_as_dvc_writes_it() {
    let file = LockFile::parse(FIRST).unwrap();
    let mut text = None;
    for name in ["prep", "train", "tail"] {
        text = Some(LockFile::set_stage(text.as_deref(), name, &file.stages[name]).unwrap());
    }
    assert_eq!(text.as_deref(), Some(FIRST));
    let second = LockFile::parse(SECOND).unwrap();
    for (name, lock) in &second.stages {
        text = Some(LockFile::set_stage(text.as_deref(), name, lock).unwrap());
    }
    assert_eq!(text.as_deref(), Some(SECOND));
    let without = LockFile::remove_stage(SECOND, "train").unwrap();
    assert_eq!(without, include_str!("../../tests/data/lock/removed.lock"));
}

#[test]
fn runs_have_the_names_that_dvc_gives_them() {
    for line in RUNS.lines() {
        let mut words = line.split(' ');
        let number: usize = words.next().unwrap().parse().unwrap();
        let (key, value) = (words.next().unwrap(), words.next().unwrap());
        let text = RUN_FILES[number - 1];
        let lock = StageLock::parse_run(text).unwrap();
        assert_eq!(lock.run_text(), text);
        assert_eq!(lock.run_key().unwrap().to_hex(), key);
        assert_eq!(lock.run_value().to_hex(), value);
    }
    assert_eq!(
        experiment_hash(&[]),
        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    );
}

#[test]
fn everything_but_the_stage_keeps_its_bytes() {
    let text = "# mine\nschema: '2.0'   # two\ndatasets:\n- name: d\nstages:\n\n    # first\n    'a b':\n        cmd: x # c\n    other:\n        cmd: \"y\"\n\n    # last\nextra: 1\n";
    let lock = |cmd: &str| StageLock {
        cmd: Some(Command::Text(cmd.to_owned())),
        deps: Vec::new(),
        params: Vec::new(),
        outs: Vec::new(),
        extras: BTreeMap::new(),
    };
    let set = |name, cmd| LockFile::set_stage(Some(text), name, &lock(cmd)).unwrap();
    assert_eq!(set("a b", "x"), text, "equal records leave the text alone");
    let changed = "    'a b':\n        cmd: x # c\n";
    assert_eq!(set("a b", "z"), text.replace(changed, "    a b:\n      cmd: z\n"));
    let last = "        cmd: \"y\"\n";
    assert_eq!(set("new", "z"), text.replace(last, &format!("{last}    new:\n      cmd: z\n")));
    assert_eq!(LockFile::remove_stage(text, "a b").unwrap(), text.replace(changed, ""));
    assert_eq!(LockFile::remove_stage(text, "none").unwrap(), text);
    let dos = "schema: '2.0'\r\nstages:\r\n  a:\r\n    cmd: x\r\n";
    let dos = LockFile::set_stage(Some(dos), "b", &lock("y")).unwrap();
    assert!(dos.ends_with("cmd: x\r\n  b:\r\n    cmd: y\r\n"), "{dos:?}");
    let flow = LockFile::set_stage(Some("{schema: '2.0', stages: {}}"), "a", &lock("x")).unwrap();
    assert_eq!(LockFile::parse(&flow).unwrap().stages["a"], lock("x"));
    assert_eq!(LockFile::parse(text).unwrap().extra.len(), 2);
}

proptest! {
    #[test]
    fn stages_recorded_in_any_order_stand_in_that_of_the_pipeline(
        order in Just((0..8_usize).collect::<Vec<_>>()).prop_shuffle(),
        known in 0..3_usize,
    ) {
        let lock = |n: usize| StageLock {
            cmd: Some(Command::Text(format!("echo {n}"))),
            deps: Vec::new(),
            params: Vec::new(),
            outs: Vec::new(),
            extras: BTreeMap::new(),
        };
        let name = |n: usize| format!("s{n}");
        // Stages that were recorded earlier stay where they are.
        let mut before = None;
        for n in (0..known).rev() {
            before = Some(LockFile::set_stage(before.as_deref(), &name(n), &lock(9)).unwrap());
        }
        let (mut one_by_one, mut any, mut added) = (before.clone(), before, BTreeSet::new());
        for n in 0..8 {
            one_by_one = Some(LockFile::set_stage(one_by_one.as_deref(), &name(n), &lock(n)).unwrap());
        }
        for n in order {
            let later: BTreeSet<String> = added.range(n..).copied().map(name).collect();
            let set = LockFile::set_stage_before(any.as_deref(), &name(n), &lock(n), &later);
            any = Some(set.unwrap());
            if n >= known {
                added.insert(n);
            }
        }
        prop_assert_eq!(any, one_by_one);
    }
}

#[test]
fn broken_lock_files_are_told_with_their_place() {
    for (text, expect) in [
        ("schema: '3.0'\nstages: {}\n", "schema is 3.0, not 2.0"),
        ("schema: 2.0\n", "schema is 2.0, not 2.0"),
        ("stages: {}\n", "schema is missing, not 2.0"),
        ("train:\n  cmd: x\n", "schema is missing, not 2.0"),
        ("schema: '2.0'\n<<<<<<< HEAD\nstages:\n=======\n", "line 2: merge conflict"),
        ("schema: '2.0'\nstages:\n  a: [\n", "line 3, column 6: unclosed bracket '['"),
        (
            "schema: '2.0'\nstages:\n  a: 1\n",
            "line 3, column 3: expected a map, found int at `stages.a`",
        ),
        (
            "schema: '2.0'\nstages:\n  a:\n    deps: []\n",
            "line 3, column 3: `cmd` is missing at `stages.a`",
        ),
        (
            "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    out: []\n",
            "line 5, column 5: unknown key at `stages.a.out`",
        ),
        (
            "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - hash: md5\n",
            "line 6, column 7: `path` is missing at `stages.a.outs.0`",
        ),
        (
            "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: o\n      md5: ../x\n",
            "line 7, column 7: `../x` is not a digest at `stages.a.outs.0.md5`",
        ),
        (
            "schema: '2.0'\nstages:\n  a:\n    cmd: x\n    outs:\n    - path: o\n      hash: md5\n      md5: d41d8cd98f00b204e9800998ecf8427e\n      size: -1\n",
            "line 9, column 7: not a size at `stages.a.outs.0.size`",
        ),
    ] {
        assert_eq!(LockFile::parse(text).unwrap_err().to_string(), expect);
    }
    assert_eq!(LockFile::parse("").unwrap(), LockFile::default());
}

#[test]
fn the_algorithm_of_an_entry_is_told_by_its_keys() {
    let md5 = "d41d8cd98f00b204e9800998ecf8427e";
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (fields, algorithm) in [
        (format!("hash: md5\n  md5: {md5}"), Algorithm::Md5),
        (format!("md5: {md5}"), Algorithm::Md5Dos2Unix),
        (format!("hash: sha256\n  sha256: {sha}"), Algorithm::Sha256),
    ] {
        let text = format!("cmd: x\ndeps:\n- path: p\n  {fields}\n");
        let lock = StageLock::parse_run(&text).unwrap();
        assert_eq!(lock.deps[0].artifact.unwrap().id.digest.algorithm(), algorithm);
        assert_eq!(lock.run_text(), text);
    }
}

fn locks() -> impl Strategy<Value = StageLock> {
    let text = "[ -~é]{1,90}";
    let values = prop::collection::vec(("[a-z.]{1,8}", any::<i64>()), 1..4);
    let outs = prop::collection::vec(("[a-z/ ]{1,12}", any::<[u8; 16]>(), any::<u32>()), 0..4);
    (prop::collection::vec(text, 1..4), values, outs).prop_map(|(cmd, values, outs)| StageLock {
        cmd: Some(Command::List(cmd)),
        deps: Vec::new(),
        params: vec![(
            "params.yaml".to_owned(),
            values.into_iter().map(|(key, value)| (key, Value::from(value))).collect(),
        )],
        outs: outs
            .into_iter()
            .map(|(path, bytes, size)| {
                let id = crate::digest::ObjectId::file(Digest::of(Algorithm::Md5, &bytes));
                let size = Some(u64::from(size));
                LockEntry::new(path, Some(Artifact { id, size, n_files: None, is_exec: false }))
            })
            .collect(),
        extras: BTreeMap::new(),
    })
}

proptest! {
    #[test]
    fn what_is_set_is_read_and_the_rest_stays(
        stages in prop::collection::vec(("[a-zA-Z0-9_ :'-]{1,6}", locks()), 1..6)
    ) {
        let mut text: Option<String> = None;
        let mut expect = BTreeMap::new();
        for (name, lock) in stages {
            text = Some(LockFile::set_stage(text.as_deref(), &name, &lock).unwrap());
            expect.insert(name, lock);
            let read = LockFile::parse(text.as_deref().unwrap());
            prop_assert_eq!(&read.unwrap().stages, &expect);
        }
        let mut text = text.unwrap();
        while let Some((name, _)) = expect.pop_first() {
            text = LockFile::remove_stage(&text, &name).unwrap();
            prop_assert_eq!(&LockFile::parse(&text).unwrap().stages, &expect);
        }
    }
}
