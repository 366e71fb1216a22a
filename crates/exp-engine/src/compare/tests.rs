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
    ShowTable { workspace: None, baselines: vec![baseline], vanished: Vec::new() }
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
    check_sort("nope", Order::Ascending, Err("unknown sort column `nope`"));
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
