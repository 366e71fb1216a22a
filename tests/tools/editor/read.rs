//! The calls that read.

use regex::Regex;
use serde_json::Value as Json;

use super::{commits, project};
use crate::stand::Stand;
use crate::{Fails, Outcome};

/// What standard output has to be.
enum Out {
    /// Exactly this.
    Text(&'static str),
    /// Something that this finds.
    Like(&'static str),
    /// JSON that fulfils this.
    Json(fn(&Json) -> Outcome),
}

/// The calls whose arguments are always the same, in a project whose experiment `e1` was run in the workspace.
const CALLS: &[(&[&str], i32, Out)] = &[
    (&["--version"], 0, Out::Like(r"^3\.(3[4-9]|[4-9]\d|\d{3})\.\d+\n$")),
    (&["root"], 0, Out::Text(".\n")),
    (&["data", "status", "--granular", "--unchanged", "--json"], 0, Out::Json(data_status)),
    (&["dag", "--md"], 0, Out::Like(r"(?s)^```mermaid\nflowchart TD\n.*train.*```\n$")),
    (&["stage", "list"], 0, Out::Like(r"(?m)^train\s")),
    (&["remote", "list"], 0, Out::Like(r"(?m)^store\s+\S+/store\s+\(default\)$")),
    (&["remote", "list", "--local"], 0, Out::Text("")),
    (&["remote", "list", "--project"], 0, Out::Like(r"(?m)^store\s+\S+")),
    (&["config", "studio.offline"], 0, Out::Text("")),
    (&["config", "studio.url"], 0, Out::Text("")),
    (&["config", "studio.token"], 0, Out::Text("secret\n")),
];

fn ran() -> Fails<Stand> {
    let stand = project()?;
    let store = stand.at("../store").display().to_string();
    stand.done(&["remote", "add", "-d", "--project", "store", &store])?;
    stand.done(&["config", "--global", "studio.token", "secret"])?;
    stand.commit("Remote")?;
    stand.done(&["exp", "run", "-n", "e1", "-S", "lr=2"])?;
    Ok(stand)
}

#[test]
fn each_call_that_reads_answers_on_standard_output_alone() -> Outcome {
    let stand = ran()?;
    for (argv, code, out) in CALLS {
        let answer = stand.dvc(argv)?;
        let call = argv.join(" ");
        assert_eq!(answer.code, *code, "{call}: {}", answer.both());
        assert_eq!(answer.stderr.is_empty(), *code == 0, "{call}: {}", answer.stderr);
        assert!(!answer.both().contains('\u{1b}'), "{call} is coloured: {}", answer.both());
        match out {
            Out::Text(text) => assert_eq!(answer.stdout, *text, "{call}"),
            Out::Like(pattern) => {
                assert!(Regex::new(pattern)?.is_match(&answer.stdout), "{call}: {}", answer.stdout);
            }
            Out::Json(check) => check(&serde_json::from_str(&answer.stdout)?)?,
        }
    }
    Ok(())
}

fn data_status(status: &Json) -> Outcome {
    let known = ["committed", "uncommitted", "unchanged", "not_in_cache", "git", "untracked"];
    let members = status.as_object().ok_or("no object")?;
    assert!(members.keys().all(|key| known.contains(&key.as_str())), "{status}");
    assert!(members.values().all(|value| value != &Json::from(Vec::<Json>::new())), "{status}");
    assert_eq!(status["committed"]["modified"], serde_json::json!(["model.txt"]), "{status}");
    assert_eq!(status["unchanged"], serde_json::json!(["data.txt"]), "{status}");
    Ok(())
}

#[test]
fn a_clean_repository_has_no_data_status() -> Outcome {
    let stand = Stand::new()?;
    stand.done(&["init", "-q"])?;
    stand.commit("Start")?;
    assert_eq!(stand.done(&["data", "status", "--granular", "--unchanged", "--json"])?, "{}\n");
    Ok(())
}

#[test]
fn the_table_has_a_row_for_each_commit_that_is_asked_for() -> Outcome {
    let stand = ran()?;
    let commits = commits(&stand)?;
    let mut argv = vec!["exp", "show"];
    for commit in &commits {
        argv.extend(["--rev", commit]);
    }
    argv.push("--json");
    let table = stand.json(&argv)?;
    let rows = table.as_array().ok_or("no array")?;
    let revs: Vec<&str> = rows.iter().filter_map(|row| row["rev"].as_str()).collect();
    let expect: Vec<&str> =
        std::iter::once("workspace").chain(commits.iter().map(String::as_str)).collect();
    assert_eq!(revs, expect);
    for row in rows {
        check_row(row)?;
    }
    assert_eq!(rows[0]["experiments"], Json::Null, "the workspace has none");
    let range = &rows[1]["experiments"][0];
    assert_eq!((&range["name"], &range["executor"]), (&Json::from("e1"), &Json::Null));
    check_row(&range["revs"][0])?;
    let data = &rows[1]["data"];
    assert_eq!(data["metrics"]["metrics.json"]["data"]["acc"], 1);
    assert_eq!(data["params"]["params.yaml"]["data"]["layers"], serde_json::json!([1, 2]));
    assert_eq!(data["outs"]["model.txt"]["use_cache"], true);
    assert!(
        Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$")?
            .is_match(data["timestamp"].as_str().unwrap_or_default())
    );
    assert_eq!(rows[3]["data"]["metrics"]["metrics.json"]["error"]["type"], "FileNotFoundError");
    Ok(())
}

/// Checks the shape of a row, and of what is below it.
pub(super) fn check_row(row: &Json) -> Outcome {
    let rev = row["rev"].as_str().ok_or("no rev")?;
    assert!(rev == "workspace" || Regex::new("^[0-9a-f]{40}$")?.is_match(rev), "{row}");
    assert!(row["name"].is_null() || row["name"].is_string(), "{row}");
    if !row["error"].is_null() {
        assert!(row["error"]["msg"].is_string() && row["error"]["type"].is_string(), "{row}");
        return Ok(());
    }
    let data = row["data"].as_object().ok_or_else(|| format!("no data: {row}"))?;
    for key in ["rev", "timestamp", "params", "metrics", "deps", "outs", "meta"] {
        assert!(data.contains_key(key), "{key} is missing: {row}");
    }
    for file in ["params", "metrics"].iter().filter_map(|key| data[*key].as_object()) {
        for entry in file.values() {
            assert!(entry["data"].is_object() || entry["error"]["type"].is_string(), "{entry}");
        }
    }
    for (key, out) in [("deps", false), ("outs", true)] {
        for entry in data[key].as_object().into_iter().flat_map(|it| it.values()) {
            assert!(entry["hash"].is_string() || entry["hash"].is_null(), "{entry}");
            assert!(entry.get("size").is_some() && entry.get("nfiles").is_some(), "{entry}");
            assert_eq!(entry["use_cache"].is_boolean(), out, "{entry}");
            assert_eq!(entry["is_data_source"].is_boolean(), out, "{entry}");
        }
    }
    for range in row["experiments"].as_array().into_iter().flatten() {
        assert!(range["name"].is_string(), "{range}");
        check_executor(&range["executor"]);
        check_row(&range["revs"][0])?;
    }
    Ok(())
}

fn check_executor(executor: &Json) {
    if executor.is_null() {
        return;
    }
    let states = ["queued", "running", "success", "failed"];
    assert!(executor["state"].as_str().is_some_and(|state| states.contains(&state)), "{executor}");
    let name = &executor["name"];
    assert!(name.is_null() || name == "dvc-task" || name == "workspace", "{executor}");
    for key in ["root", "log", "pid", "returncode", "task_id"] {
        assert!(executor["local"].get(key).is_some(), "{key}: {executor}");
    }
}

#[test]
fn a_repository_without_commits_has_an_empty_table() -> Outcome {
    let stand = Stand::new()?;
    stand.done(&["init", "-q"])?;
    let answer = stand.dvc(&["exp", "show", "--rev", "", "--json"])?;
    assert_eq!((answer.code, answer.stdout.trim()), (0, "[]"), "{}", answer.stderr);
    Ok(())
}

#[test]
fn plots_are_split_and_images_are_copied() -> Outcome {
    let stand = ran()?;
    let base = commits(&stand)?.remove(0);
    let short = &base[..7];
    let plots = stand.json(&[
        "plots",
        "diff",
        "workspace",
        "e1",
        "main",
        short,
        "-o",
        ".dvc/tmp/plots",
        "--split",
        "--json",
    ])?;
    let image = plots["data"]["img/0.png"].as_array().ok_or_else(|| plots.to_string())?;
    for one in image {
        assert_eq!(
            (&one["type"], one["revisions"].as_array().map(Vec::len)),
            (&"image".into(), Some(1))
        );
        let url = std::path::Path::new(one["url"].as_str().ok_or("no url")?);
        assert!(url.is_absolute() && url.starts_with(stand.at(".dvc/tmp/plots")), "{url:?}");
        let rev = one["revisions"][0].as_str().unwrap_or_default();
        assert!(url.ends_with(format!("{rev}_img_0.png")), "{url:?}");
        assert_eq!(std::fs::read(url)?, super::PNG);
    }
    let revs: Vec<&str> = image.iter().filter_map(|one| one["revisions"][0].as_str()).collect();
    assert_eq!(revs, ["workspace", "e1", "main", short]);
    let curve = &plots["data"]["loss.tsv"][0];
    assert_eq!(curve["type"], "vega", "{plots}");
    let anchors = curve["anchor_definitions"].as_object().ok_or("no anchors")?;
    let points = anchors["<DVC_METRIC_DATA>"].as_array().ok_or("no points")?;
    assert!(points.iter().all(|point| point["rev"].is_string()), "rows without `rev` vanish");
    assert_eq!(points[0]["step"], "0", "values of tables stay texts");
    for anchor in
        ["COLOR", "TITLE", "X_LABEL", "Y_LABEL", "PLOT_WIDTH", "PLOT_HEIGHT", "ZOOM_AND_PAN"]
    {
        assert!(anchors.contains_key(&format!("<DVC_METRIC_{anchor}>")), "{anchor}: {anchors:?}");
    }
    let content = curve["content"].to_string();
    assert!(content.contains("<DVC_METRIC_DATA>") && content.contains("<DVC_METRIC_COLOR>"));
    assert_eq!(anchors["<DVC_METRIC_COLOR>"]["field"], "rev");
    Ok(())
}

#[test]
fn errors_of_files_do_not_fail_the_plots() -> Outcome {
    let stand = ran()?;
    stand.write(&[("dvc.yaml", "plots:\n- none.csv:\n    x: a\n- loss.tsv\n")])?;
    let plots = stand.json(&[
        "plots",
        "diff",
        "HEAD",
        "workspace",
        "-o",
        ".dvc/tmp/plots",
        "--split",
        "--json",
    ])?;
    let errors = plots["errors"].as_array().ok_or("no errors")?;
    assert!(
        errors
            .iter()
            .any(|error| error["type"] == "FileNotFoundError" && error["rev"] == "workspace"),
        "{plots}"
    );
    Ok(())
}

#[test]
fn a_broken_pipeline_is_told_from_one_without_stages() -> Outcome {
    let stand = ran()?;
    stand.write(&[("sub/dvc.yaml", "plots: []\n")])?;
    let answer = stand.dvc_in("sub", &["stage", "list"])?;
    assert_eq!((answer.code, &*answer.stdout), (0, ""), "{}", answer.stderr);
    stand.write(&[("sub/dvc.yaml", "stages: [\n")])?;
    let answer = stand.dvc_in("sub", &["stage", "list"])?;
    assert!(answer.code != 0 && answer.stdout.is_empty(), "{answer:?}");
    assert!(answer.stderr.starts_with("ERROR: "), "{}", answer.stderr);
    Ok(())
}

#[test]
fn an_unknown_flag_fails_with_an_error_on_standard_error() -> Outcome {
    let stand = ran()?;
    for argv in
        [&["exp", "show", "--nonsense"][..], &["nonsense"], &["plots", "diff", "--json", "--nope"]]
    {
        let answer = stand.dvc(argv)?;
        // DVC says how it is used on standard output.
        assert_eq!(answer.code, 254, "{argv:?}: {answer:?}");
        assert!(answer.stderr.starts_with("ERROR: "), "{argv:?}: {}", answer.stderr);
    }
    Ok(())
}
