//! Charts as they are seen.

use std::sync::Arc;

use exp_core::Value;
use indexmap::IndexMap;

use super::*;
use crate::{Definitions, PlotKind, PlotProps, RevisionPlots, parse_table, plots};

fn plot(tables: &[(&str, &str)], props: &PlotProps) -> PointsPlot {
    let revisions: Vec<RevisionPlots> = (tables.iter())
        .map(|(rev, text)| RevisionPlots {
            rev: (*rev).to_owned(),
            definitions: Ok(Definitions::from([(
                String::new(),
                IndexMap::from([("t.csv".to_owned(), props.clone())]),
            )])),
            sources: IndexMap::from([("t.csv".to_owned(), parse_table(text, ',', true))]),
        })
        .collect();
    let mut plots = plots(&revisions);
    match plots.remove(0).kind {
        PlotKind::Points(points) => points,
        PlotKind::Images(_) => panic!("no points"),
    }
}

fn drawn(plot: &PointsPlot, width: usize, unicode: bool) -> String {
    let chart = chart(plot, ChartOptions { width, height: 6, unicode });
    let row = |row: &Vec<Piece>| {
        let text: String = row.iter().map(|piece| piece.text.as_str()).collect();
        assert!(columns(&text) <= width, "{text}");
        format!("{}\n", text.trim_end())
    };
    chart.rows.iter().map(row).collect()
}

#[test]
fn one_line_is_drawn_in_dots() {
    let curve = plot(&[("workspace", "loss\n1\n0.5\n0.25\n0.125\n")], &PlotProps::default());
    assert_eq!(
        drawn(&curve, 24, true),
        "    1 ┤⠑⢄
      │ ⠈⠢⡀
      │   ⠈⢆
      │     ⠑⠤⡀
      │       ⠈⠑⠢⣀
0.125 ┤           ⠉⠒⠒⠤⠤⣀
      └─────────────────
       0     step      3
"
    );
}

#[test]
fn several_lines_are_told_apart_without_colour_and_in_ascii() {
    let curves = plot(
        &[("main", "loss\n1\n0.5\n0\n"), ("bold-yak", "loss\n0\n0.5\n1\n")],
        &PlotProps::default(),
    );
    assert_eq!(
        drawn(&curves, 20, false),
        "1 +**            ooo
  |  ****    oooo
  |      *ooo
  |    ooo   **
  |  oo        ***
0 +oo             **
  +-----------------
   0     step      2
   * main
   o bold-yak
"
    );
}

#[test]
fn what_is_no_number_is_skipped_and_counted() {
    let curve = plot(&[("workspace", "l\n1\nnan\nx\n3\n")], &PlotProps::default());
    let chart = chart(&curve, ChartOptions { width: 40, height: 4, unicode: true });
    assert_eq!(chart.n_skipped, 2);
    let none = plot(&[("workspace", "l\nx\n")], &PlotProps::default());
    assert!(drawn(&none, 40, true).is_empty());
}

#[test]
fn numbers_are_short() {
    for (number, expect) in [
        (0.0, "0"),
        (0.123_456, "0.1235"),
        (1.0, "1"),
        (12.345, "12.35"),
        (123_456.0, "123456"),
        (1.5e9, "1.5e9"),
        (-1e-7, "-1e-7"),
    ] {
        assert_eq!(short(number), expect);
    }
}

#[test]
fn a_plot_that_is_wider_than_numbers_go_is_drawn() {
    let values = vec![Some(Value::Float(f64::MAX)), Some(Value::Float(f64::MIN))];
    let mut frame = Frame::new(IndexMap::new(), 2);
    frame.set("v", crate::Column::Values(Arc::new(values)));
    let mut plot = PointsPlot { points: vec![frame], ..PointsPlot::default() };
    plot.filled.y = Some("v".to_owned());
    plot.filled.series = vec![("f".to_owned(), "v".to_owned())];
    assert!(!drawn(&plot, 40, true).is_empty());
}

fn props(template: &str, x: &str, y: &str) -> PlotProps {
    PlotProps {
        template: Some(template.to_owned()),
        x: Some(crate::Axis::Columns(vec![x.to_owned()])),
        y: Some(crate::Axis::Columns(vec![y.to_owned()])),
        ..PlotProps::default()
    }
}

#[test]
fn wide_characters_take_two_columns() {
    let bars = plot(
        &[("workspace", "名,v\n日本,4\nab,2\ne\u{301},1\n")],
        &props("bar_horizontal", "v", "名"),
    );
    assert_eq!(
        drawn(&bars, 20, false),
        "日本 |*========== 4\nab   |*===== 2\ne\u{301}    |*=== 1\n"
    );
    let confusion =
        plot(&[("workspace", "a,p\n猫,犬\n猫,猫\nab,犬\n")], &props("confusion", "a", "p"));
    assert_eq!(drawn(&confusion, 40, true), "workspace\n    ab  猫\n犬   1   1\n猫   0   1\n");
    let curves = plot(
        &[("日本語の枝", "損失\n1\n0\n"), ("main", "損失\n0\n1\n")],
        &PlotProps { x_label: Some("時間".to_owned()), ..PlotProps::default() },
    );
    for line in drawn(&curves, 24, true).lines() {
        assert!(columns(line) <= 24, "{line}");
    }
    assert_eq!(cut("日本語", 5), "日本");
}

#[test]
fn bars_and_counts_are_drawn() {
    let bars = plot(
        &[("workspace", "name,v\nsmall,1\nlarge,4\n")],
        &props("bar_horizontal_sorted", "v", "name"),
    );
    assert_eq!(drawn(&bars, 20, false), "large |*========= 4\nsmall |*== 1\n");
    let confusion = plot(
        &[("workspace", "a,p\ncat,dog\ncat,cat\ndog,dog\ncat,cat\n")],
        &props("confusion", "a", "p"),
    );
    assert_eq!(
        drawn(&confusion, 40, true),
        "workspace\n     cat  dog\ncat    2    0\ndog    1    1\n"
    );
}
