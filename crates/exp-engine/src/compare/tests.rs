//! Columns, constants, order and patterns over tables made by hand.

use super::*;
use crate::revision::{Baseline, ExperimentRow, ExperimentState, FileData};
use exp_core::Table;
use exp_refs::{CommitId, ExpName};

/// Makes a revision of lines `file key value`; a file that begins with `m` is a metric, a key `!` an unreadable file.
fn revision(lines: &str) -> RowData {
    if let Some(message) = lines.strip_prefix("broken ") {
        return Err(Arc::new(Problem { class: "YAMLSyntaxError", message: message.to_owned() }));
    }
    let mut tables: Vec<(String, Option<Table>)> = Vec::new();
    for line in lines.split(", ").filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        let at = tables.iter().position(|(file, _)| file == words[0]).unwrap_or_else(|| {
            tables.push((words[0].to_owned(), Some(Table::new())));
            tables.len() - 1
        });
        if words[1] == "!" {
            tables[at].1 = None;
        } else if let Some(table) = &mut tables[at].1 {
            let value =
                exp_params::parse(exp_params::Format::Yaml, &format!("v: {}", words[2])).unwrap();
            table.insert(
                words[1].to_owned(),
                value.get(&exp_core::KeyPath::parse("v")).unwrap().clone(),
            );
        }
    }
    let mut data = RevisionData::default();
    for (file, table) in tables {
        let found = if let Some(table) = table {
            FileData::Value(Arc::new(Value::Table(table)))
        } else {
            let message = "broken".to_owned();
            FileData::Error(Arc::new(Problem { class: "JSONFileCorruptedError", message }))
        };
        let files = if file.starts_with('m') { &mut data.metrics } else { &mut data.params };
        files.push((Arc::from(file), found));
    }
    Ok(Arc::new(data))
}

fn table(baseline: &str, experiments: &[(&str, &str)]) -> ShowTable {
    let id = CommitId::from_bytes(&[7; 20]).unwrap();
    let experiments = experiments
        .iter()
        .map(|(name, data)| ExperimentRow {
            name: ExpName::new(name).unwrap(),
            rev: id,
            data: revision(data),
            state: ExperimentState::Finished,
            ran: None,
        })
        .collect();
    let baseline = Baseline {
        rev: id,
        name: None,
        data: revision(baseline),
        experiments,
        is_reachable: None,
        rewritten_to: None,
    };
    ShowTable { baselines: vec![baseline], ..ShowTable::default() }
}

fn names(comparison: &Comparison<'_>) -> String {
    let names: Vec<&str> = comparison.columns.iter().map(|column| column.name.as_str()).collect();
    names.join(" ")
}

fn order(comparison: &Comparison<'_>, table: &ShowTable) -> String {
    let names: Vec<String> = (comparison.rows.iter())
        .filter_map(|row| match row.place {
            RowPlace::Experiment(at, which) => {
                Some(table.baselines[at].experiments[which].name.to_string())
            }
            _ => None,
        })
        .collect();
    names.join(" ")
}

#[test]
fn a_key_of_two_files_is_named_with_its_file() {
    let table = table(
        "m.json acc 1, p.yaml lr 1, p.yaml x 2",
        &[("a", "m2.json acc 1, q.yaml lr 1, m.json b 1")],
    );
    assert_eq!(names(&Comparison::of(&table)), "m.json:acc b m2.json:acc p.yaml:lr x q.yaml:lr");
}

#[test]
fn a_broken_file_is_a_cell_and_a_broken_revision_a_row() {
    let table = table(
        "m.json acc 1, p.yaml lr 1",
        &[("a", "m.json ! !, p.yaml lr null"), ("b", "broken dvc.yaml")],
    );
    let comparison = Comparison::of(&table);
    assert!(matches!(comparison.rows[0].cells[..], [Cell::Value(_), Cell::Value(_)]));
    assert!(matches!(comparison.rows[1].cells[..], [Cell::Error(_), Cell::Missing]));
    assert!(matches!(comparison.rows[2].cells[..], [Cell::Missing, Cell::Missing]));
    assert_eq!(
        comparison.rows[2].problem.map(|problem| problem.message.as_str()),
        Some("dvc.yaml")
    );
}

#[track_caller]
fn check_constant(baseline: &str, experiments: &[(&str, &str)], expect: &str) {
    let table = table(baseline, experiments);
    let mut comparison = Comparison::of(&table);
    let constant = comparison.constant();
    comparison.retain(|at, _| constant[at]);
    assert_eq!(names(&comparison), expect);
    assert!(comparison.rows.iter().all(|row| row.cells.len() == comparison.columns.len()));
}

#[test]
fn constant_columns_show_the_same_everywhere() {
    check_constant("m.json acc 1, p.yaml lr 1", &[("a", "m.json acc 2, p.yaml lr 1")], "lr");
    check_constant(
        "m.json acc .nan, p.yaml lr 1",
        &[("a", "m.json acc .nan, p.yaml lr 1.0")],
        "acc",
    );
    check_constant("p.yaml lr 1", &[("a", "")], "");
    check_constant("p.yaml lr null, p.yaml x 1", &[("a", "p.yaml x 1")], "lr x");
    check_constant("p.yaml lr 1", &[("a", "broken x")], "");
}

#[track_caller]
fn check_sort(column: &str, order_: Order, expect: Result<&str, &str>) {
    let table = table(
        "m.json acc 1, p.yaml lr 1, q.yaml lr 1, p.yaml name x",
        &[
            ("none", "p.yaml name b"),
            ("two", "m.json acc 2, p.yaml name a"),
            ("nan", "m.json acc .nan"),
            ("text", "m.json acc high"),
            ("one", "m.json acc 1.5, p.yaml name c"),
            ("broken", "m.json ! !"),
        ],
    );
    let mut comparison = Comparison::of(&table);
    let sorted =
        comparison.sort(&Sort { column: column.to_owned(), order: order_, blank: Blank::Last });
    let found = sorted.map(|()| order(&comparison, &table)).map_err(|error| error.to_string());
    assert_eq!(found.as_deref().map_err(String::as_str), expect);
}

#[test]
fn experiments_without_a_value_come_last_whichever_way() {
    check_sort("acc", Order::Ascending, Ok("one two text none nan broken"));
    check_sort("acc", Order::Descending, Ok("text two one none nan broken"));
    check_sort("m.json:acc", Order::Descending, Ok("text two one none nan broken"));
    check_sort("name", Order::Ascending, Ok("two none one nan text broken"));
    check_sort("lr", Order::Ascending, Err("`lr` is ambiguous, it may be p.yaml:lr or q.yaml:lr"));
    check_sort("nope", Order::Ascending, Err("there is no metric or parameter `nope`"));
}

#[test]
fn in_dvc_no_value_is_the_largest() {
    let table =
        table("m.json acc 1", &[("none", ""), ("two", "m.json acc 2"), ("one", "m.json acc 1")]);
    for (order_, expect) in
        [(Order::Ascending, "one two none"), (Order::Descending, "none two one")]
    {
        let mut comparison = Comparison::of(&table);
        comparison
            .sort(&Sort { column: "acc".to_owned(), order: order_, blank: Blank::Largest })
            .unwrap();
        assert_eq!(order(&comparison, &table), expect);
    }
}

#[test]
fn files_that_share_a_value_have_columns_of_their_own() {
    let shared =
        FileData::Value(Arc::new(Value::Table(Table::from([("a".to_owned(), Value::Int(1))]))));
    let files = vec![(Arc::from("x.json"), shared.clone()), (Arc::from("y.json"), shared)];
    let data = RevisionData { metrics: files, ..RevisionData::default() };
    let table = ShowTable { workspace: Some(Ok(Arc::new(data))), ..ShowTable::default() };
    assert_eq!(names(&Comparison::of(&table)), "x.json:a y.json:a");
}

#[test]
fn a_name_that_is_nearly_right_is_told() {
    let table = table("m.json val.accuracy 1, p.yaml train.lr 1, p.yaml seed 1", &[]);
    let comparison = Comparison::of(&table);
    for (wrong, expect) in
        [("accurcy", "val.accuracy"), ("train.lrr", "train.lr"), ("SEED", "seed"), ("zzz", "")]
    {
        let Err(CompareError::UnknownColumn { near, .. }) = comparison.find(wrong) else {
            panic!("{wrong}")
        };
        assert_eq!(near.join(" "), expect, "{wrong}");
    }
}

#[test]
fn patterns_match_from_the_beginning() {
    let patterns = Patterns::new(&["lr|tra".to_owned()]).unwrap();
    assert!(
        patterns.matches("lr_decay") && patterns.matches("train.x") && !patterns.matches("the.lr")
    );
    assert!(!Patterns::default().matches("lr"));
    assert!(matches!(Patterns::new(&["(".to_owned()]), Err(CompareError::Pattern { .. })));
}

#[test]
fn the_best_row_is_found_by_the_leading_metric() {
    let table = table(
        "m.json epoch 1, m.json loss 0.5, m.json acc 1",
        &[
            ("a", "m.json epoch 1, m.json loss 0.1"),
            ("b", "m.json loss .nan"),
            ("c", "m.json loss 0.3"),
        ],
    );
    let comparison = Comparison::of(&table);
    let (column, direction) = comparison.leading_metric().unwrap();
    assert_eq!(
        (comparison.columns[column].name.as_str(), direction),
        ("loss", MetricDirection::Down)
    );
    let places = best(&comparison, column, direction);
    assert_eq!(
        places,
        [RowPlace::Experiment(0, 0), RowPlace::Experiment(0, 2), RowPlace::Baseline(0)]
    );
}

fn many() -> ShowTable {
    let mut table = table(
        "m.json acc 0.1, p.yaml lr 1, p.yaml seed 0, q.yaml x 1",
        &[
            ("bold-yak", "m.json acc 0.9, p.yaml lr 1, p.yaml seed 1, q.yaml x 1"),
            ("calm-otter", "m.json acc 0.7, p.yaml lr 1, p.yaml seed 2, q.yaml x 1"),
            ("dry-wren", "m.json acc 0.5, p.yaml lr 2, p.yaml seed 1, q.yaml x 1"),
            ("old-newt", "p.yaml lr 1, p.yaml seed 3, q.yaml x 1"),
            ("red-finch", "broken dvc.yaml"),
        ],
    );
    table.workspace = Some(revision("m.json acc 0.8, p.yaml lr 1, p.yaml seed 0"));
    table
}

/// Names the rows that are left.
fn left(table: &ShowTable) -> String {
    let workspace = table.workspace.iter().map(|_| "workspace".to_owned());
    let rows = table.baselines.iter().flat_map(|baseline| {
        let names = baseline.experiments.iter().map(|row| row.name.to_string());
        std::iter::once("main".to_owned()).chain(names).collect::<Vec<_>>()
    });
    workspace.chain(rows).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_condition_leaves_rows_out_and_a_commit_stays_with_its_experiments() {
    for (condition, expect, n_left_out) in [
        ("acc>0.6", "workspace main bold-yak calm-otter", 3),
        ("acc>0.75 or lr=2", "workspace main bold-yak dry-wren", 3),
        ("acc<0.2", "main", 6),
        ("acc>99", "", 7),
        ("acc=null", "main old-newt red-finch", 4),
        ("name~^calm", "main calm-otter", 5),
        ("name=workspace", "workspace", 6),
        ("state=done and lr=1", "main bold-yak calm-otter old-newt", 3),
        ("p.yaml:lr=2", "main dry-wren", 5),
    ] {
        let mut table = many();
        table.filter(&condition.parse().unwrap()).unwrap();
        assert_eq!((left(&table).as_str(), table.left_out), (expect, n_left_out), "{condition}");
    }
}

#[test]
fn a_column_that_is_not_there_is_an_error_and_changes_nothing() {
    let mut table = many();
    for (condition, span, message) in [
        ("acc>0 and lrr=1", 10..13, "there is no metric or parameter `lrr`"),
        ("acc>accc", 4..8, "there is no metric or parameter `accc`"),
    ] {
        let error = table.filter(&condition.parse().unwrap()).unwrap_err();
        assert_eq!((error.span.clone(), error.to_string().as_str()), (span, message));
        assert_eq!(table.n_experiments(), 5);
    }
    let mut empty = ShowTable::default();
    assert_eq!(empty.filter(&"acc>0".parse().unwrap()), Ok(()), "it has no columns at all");
}

#[test]
fn experiments_that_differ_in_the_seed_are_one_row() {
    let table = many();
    let mut comparison = Comparison::of(&table);
    comparison.group(&table, &["seed".to_owned()]).unwrap();
    assert_eq!(order(&comparison, &table), "bold-yak dry-wren red-finch");
    let group = &comparison.rows[2];
    assert_eq!(group.members.len(), 3, "one has no metrics, which is no parameter");
    let at = |name: &str| comparison.find(name).unwrap();
    let Cell::Spread { mean, deviation: Some(deviation), n: 2 } = group.cells[at("acc")] else {
        panic!("{:?}", group.cells)
    };
    assert!((mean - 0.8).abs() < 1e-12 && (deviation - 0.02_f64.sqrt()).abs() < 1e-12);
    assert_eq!(group.cells[at("seed")], Cell::Various(3));
    assert_eq!(group.cells[at("lr")], Cell::Value(&Value::Int(1)));
    let alone = &comparison.rows[3];
    assert!(alone.members.is_empty());
    assert_eq!(alone.cells[at("acc")], Cell::Value(&Value::Float(0.5)));
    for (by, expect) in
        [("acc", "`acc` is no parameter"), ("sed", "there is no metric or parameter `sed`")]
    {
        let error = Comparison::of(&table).group(&table, &[by.to_owned()]).unwrap_err();
        assert_eq!(error.to_string(), expect);
    }
    let mut both = Comparison::of(&table);
    both.group(&table, &["seed".to_owned(), "lr".to_owned()]).unwrap();
    assert_eq!(order(&both, &table), "bold-yak red-finch");
    both.sort(&Sort { column: "acc".to_owned(), order: Order::Descending, blank: Blank::Last })
        .unwrap();
    assert_eq!(both.rows[2].members.len(), 4);
}

#[test]
fn what_was_read_keeps_experiments_apart_and_what_was_written_does_not() {
    let made = |name: &str, code: u8, model: u8| {
        let artifact = |byte: u8| Artifact {
            id: exp_core::ObjectId::file(exp_core::Digest::of(exp_core::Algorithm::Md5, &[byte])),
            size: None,
            n_files: None,
            is_exec: false,
        };
        let mut row = table("", &[(name, "m.json acc 1, p.yaml seed 1")]).baselines.remove(0);
        let mut experiment = row.experiments.remove(0);
        let data = experiment.data.as_mut().unwrap();
        let data = Arc::make_mut(data);
        let dep = |path: &str, byte| {
            let artifact = Some(artifact(byte));
            (Arc::from(path), crate::revision::DepData { artifact })
        };
        data.deps = vec![dep("a.py", code), dep("out/model", model)];
        let artifact = Some(artifact(model));
        let out = crate::revision::OutData { artifact, use_cache: true, is_data_source: false };
        data.outs = vec![(Arc::from("out"), out)];
        experiment
    };
    let mut table = table("", &[]);
    table.baselines[0].experiments = vec![made("a", 1, 1), made("b", 1, 2), made("c", 2, 3)];
    let mut comparison = Comparison::of(&table);
    comparison.group(&table, &["seed".to_owned()]).unwrap();
    assert_eq!(order(&comparison, &table), "a c");
    assert_eq!(comparison.rows[1].members.len(), 2);
}
