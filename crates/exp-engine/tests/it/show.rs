//! Tables of revisions: what stands in them whatever is broken, rewritten or cached.

use exp_engine::core::Ctx;
use exp_engine::params::All;
use exp_engine::refs::CommitId;
use exp_engine::{
    CollectOptions, Edges, ExperimentState, FileData, Lost, Pair, Params, Project, RowData,
    ShowRequest, ShowTable, Side, Unfinished, collect_commits, show,
};

use crate::support::{Sandbox, Test};

const PIPELINE: &str =
    "stages:\n  train:\n    cmd: x\n    params: [lr]\n    metrics: [m.json: {cache: false}]\n";

fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    Sandbox::new(&[
        ("dvc.yaml", PIPELINE),
        ("params.yaml", "lr: 1\n"),
        ("m.json", "{\"acc\": 0.5}"),
        ("a.py", "a\n"),
    ])
}

/// Makes an experiment of `HEAD` in which these files are different; an empty text removes one.
fn experiment(
    sandbox: &Sandbox,
    name: &str,
    files: &[(&str, &str)],
) -> Result<CommitId, Box<dyn std::error::Error>> {
    for (path, text) in files {
        if text.is_empty() {
            std::fs::remove_file(sandbox.root().join(path))?;
        } else {
            sandbox.write(path, text)?;
        }
    }
    sandbox.git(&["add", "-A"])?;
    let tree = sandbox.git(&["write-tree"])?;
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let commit = sandbox.git(&["commit-tree", tree.trim(), "-p", head.trim(), "-m", name])?;
    let (first, rest) = head.trim().split_at(2);
    sandbox.git(&["update-ref", &format!("refs/exps/{first}/{rest}/{name}"), commit.trim()])?;
    sandbox.git(&["reset", "-q", "--hard"])?;
    Ok(commit.trim().parse()?)
}

fn table(project: &Project, request: &ShowRequest) -> Result<ShowTable, exp_engine::Error> {
    show(&Ctx::silent(), project, request)
}

/// Writes a row: metrics and parameters, or the class of what is wrong.
fn told(row: &RowData) -> String {
    let data = match row {
        Ok(data) => data,
        Err(problem) => return format!("row {}", problem.class),
    };
    let files = data.metrics.iter().chain(&data.params).map(|(path, found)| match found {
        FileData::Value(value) => {
            let leaves = exp_engine::params::flatten(value).into_iter();
            let leaves = leaves
                .map(|(key, value)| format!("{key}={}", exp_engine::params::python_str(value)));
            format!("{path} {}", leaves.collect::<Vec<_>>().join(" "))
        }
        FileData::Error(problem) => format!("{path} {}", problem.class),
    });
    files.collect::<Vec<_>>().join(", ")
}

fn told_of(table: &ShowTable, name: &str) -> String {
    let rows = table.baselines.iter().flat_map(|baseline| &baseline.experiments);
    rows.filter(|row| row.name.as_str() == name)
        .map(|row| told(&row.data))
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn a_broken_file_costs_its_cell_and_a_broken_pipeline_its_row() -> Test {
    let sandbox = sandbox()?;
    for (name, files) in [
        ("good", [("params.yaml", "lr: 2\n")]),
        ("metrics", [("m.json", "{\"acc\": ")]),
        ("params", [("params.yaml", "lr: [\n")]),
        ("missing", [("m.json", "")]),
        ("pipeline", [("dvc.yaml", "stages: [\n")]),
        ("schema", [("dvc.yaml", "stages:\n  a:\n    cmd: x\n    out: [y]\n")]),
        ("lock", [("dvc.lock", "schema: [\n")]),
    ] {
        experiment(&sandbox, name, &files)?;
    }
    let table = table(&sandbox.project()?, &ShowRequest::default())?;
    assert_eq!(table.n_experiments(), 7);
    for (name, expect) in [
        ("good", "m.json acc=0.5, params.yaml lr=2"),
        ("metrics", "m.json JSONFileCorruptedError, params.yaml lr=1"),
        ("params", "m.json acc=0.5, params.yaml YAMLFileCorruptedError"),
        ("missing", "m.json FileNotFoundError, params.yaml lr=1"),
        ("pipeline", "row YAMLSyntaxError"),
        ("schema", "row YAMLValidationError"),
        ("lock", "row YAMLSyntaxError"),
    ] {
        assert_eq!(told_of(&table, name), expect, "{name}");
    }
    assert_eq!(told(&table.baselines[0].data), "m.json acc=0.5, params.yaml lr=1");
    Ok(())
}

#[test]
fn a_template_is_resolved_with_the_values_of_each_revision() -> Test {
    let pipeline = "vars: [v.yaml]\nstages:\n  train:\n    cmd: x ${lr}\n    metrics:\n    - ${out}.json:\n        cache: false\n";
    let sandbox = Sandbox::new(&[
        ("dvc.yaml", pipeline),
        ("params.yaml", "lr: 1\n"),
        ("v.yaml", "out: m\n"),
        ("m.json", "{\"acc\": 1}"),
        ("n.json", "{\"acc\": 2}"),
    ])?;
    experiment(&sandbox, "other-lr", &[("params.yaml", "lr: 2\n")])?;
    experiment(&sandbox, "other-out", &[("v.yaml", "out: n\n")])?;
    experiment(&sandbox, "both", &[("v.yaml", "out: n\n"), ("params.yaml", "lr: 3\n")])?;
    experiment(&sandbox, "no-value", &[("v.yaml", "x: n\n")])?;
    let table = table(&sandbox.project()?, &ShowRequest::default())?;
    assert_eq!(told_of(&table, "other-lr"), "m.json acc=1, params.yaml lr=2, v.yaml out=m");
    assert_eq!(told_of(&table, "other-out"), "n.json acc=2, params.yaml lr=1, v.yaml out=n");
    assert_eq!(told_of(&table, "both"), "n.json acc=2, params.yaml lr=3, v.yaml out=n");
    assert_eq!(told_of(&table, "no-value"), "row ResolveError");
    Ok(())
}

#[test]
fn what_many_revisions_share_does_not_mix_them_up() -> Test {
    let sandbox = sandbox()?;
    let sub = "params: [p.yaml]\nmetrics: [n.json]\n";
    let mut commits = Vec::new();
    for i in 0..80 {
        let (lr, acc) = (format!("lr: {}\n", i % 7), format!("{{\"acc\": {}}}", i % 5));
        let mut files = vec![("params.yaml", lr.as_str()), ("m.json", acc.as_str())];
        if i % 3 == 0 {
            files.extend([
                ("sub/dvc.yaml", sub),
                ("sub/p.yaml", "z: 1\n"),
                ("sub/n.json", "{\"n\": 1}"),
            ]);
        }
        commits.push(experiment(&sandbox, &format!("e{i}"), &files)?);
    }
    let project = sandbox.project()?;
    let options = CollectOptions::default();
    let together = collect_commits(&Ctx::silent(), &project, &commits, options)?;
    for (i, (commit, row)) in commits.iter().zip(&together).enumerate() {
        let alone = collect_commits(&Ctx::silent(), &project, &[*commit], options)?;
        assert_eq!(*row, alone[0]);
        let sub = if i % 3 == 0 { (", sub/n.json n=1", ", sub/p.yaml z=1") } else { ("", "") };
        assert_eq!(
            told(row),
            format!("m.json acc={}{}, params.yaml lr={}{}", i % 5, sub.0, i % 7, sub.1)
        );
    }
    Ok(())
}

#[test]
fn metrics_in_the_store_are_read_from_there() -> Test {
    let sandbox = Sandbox::new(&[
        ("params.yaml", "lr: 1\n"),
        (
            "dvc.yaml",
            "stages:\n  a:\n    cmd: mkdir -p d && cp params.yaml d/p.yaml && echo '{\"k\":2}' > m.json\n    params: [lr]\n    outs: [d]\n    metrics: [m.json]\nmetrics: [d/p.yaml]\n",
        ),
    ])?;
    sandbox.run(&["lr=5"])?;
    std::fs::remove_file(sandbox.root().join("m.json"))?;
    let project = sandbox.project()?;
    let table = table(&project, &ShowRequest::default())?;
    let row = &table.baselines[0].experiments[0];
    let expect = "m.json k=2, d/p.yaml lr=5, params.yaml lr=5";
    assert_eq!(told(&row.data), expect);
    assert_eq!(
        table.workspace.as_ref().map(told).as_deref(),
        Some(expect),
        "the workspace has lost a file"
    );
    let data = row.data.as_ref().map_err(|problem| problem.message.clone())?;
    assert_eq!(data.outs.len(), 1, "metrics are no outputs");
    assert!(
        data.outs[0]
            .1
            .artifact
            .is_some_and(|artifact| artifact.id.is_tree() && artifact.n_files == Some(1))
    );
    std::fs::remove_dir_all(sandbox.root().join(".dvc/cache"))?;
    std::fs::remove_dir_all(sandbox.root().join("d"))?;
    let table = self::table(&project, &ShowRequest::default())?;
    assert!(told(&table.baselines[0].experiments[0].data).starts_with("m.json FileNotFoundError"));
    Ok(())
}

#[test]
fn experiments_of_rewritten_and_deleted_commits_are_never_lost() -> Test {
    let sandbox = sandbox()?;
    let first = sandbox.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    experiment(&sandbox, "kept", &[("params.yaml", "lr: 2\n")])?;
    sandbox.git(&["commit", "-q", "--amend", "-m", "better words"])?;
    let amended: CommitId = sandbox.git(&["rev-parse", "HEAD"])?.trim().parse()?;
    sandbox.git(&["switch", "-q", "-c", "side"])?;
    sandbox.write("b.py", "b\n")?;
    sandbox.commit("side")?;
    experiment(&sandbox, "orphan", &[("params.yaml", "lr: 3\n")])?;
    sandbox.git(&["switch", "-q", "main"])?;
    sandbox.git(&["branch", "-q", "-D", "side"])?;
    let project = sandbox.project()?;

    let counted =
        table(&project, &ShowRequest { vanished: Lost::Count, ..ShowRequest::default() })?;
    assert_eq!((counted.n_experiments(), counted.vanished.len()), (0, 2));
    assert_eq!(counted.vanished.iter().map(|lost| lost.n_experiments).sum::<usize>(), 2);

    let request = ShowRequest { all_commits: true, vanished: Lost::Show, ..ShowRequest::default() };
    let shown = table(&project, &request)?;
    assert_eq!(shown.n_experiments(), 2);
    assert_eq!(told_of(&shown, "kept"), "m.json acc=0.5, params.yaml lr=2");
    assert_eq!(told_of(&shown, "orphan"), "m.json acc=0.5, params.yaml lr=3");
    let old = shown
        .baselines
        .iter()
        .find(|baseline| baseline.rev.to_string() == first)
        .ok_or("no row")?;
    assert_eq!((old.is_reachable, old.rewritten_to), (Some(false), Some(amended)));
    Ok(())
}

#[test]
fn a_failed_run_is_a_row_with_its_cause_and_its_own_metrics() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.run(&["lr=0.9", "fail=3"])?;
    let project = sandbox.project()?;
    let shown = table(&project, &ShowRequest::default())?;
    let rows = &shown.baselines[0].experiments;
    assert_eq!(rows.len(), 2);
    assert!(rows[0].state.is_finished(), "finished ones come first");
    let ExperimentState::Unfinished(record) = &rows[1].state else { panic!("{:?}", rows[1].state) };
    assert_eq!((record.exit_code, record.stage.as_deref()), (Some(3), Some("train")));
    assert!(told(&rows[1].data).starts_with("metrics.json acc=0.9"), "{}", told(&rows[1].data));
    let hidden =
        table(&project, &ShowRequest { unfinished: Unfinished::Hide, ..ShowRequest::default() })?;
    assert_eq!(hidden.n_experiments(), 1);
    Ok(())
}

#[test]
fn a_repository_without_a_commit_has_an_empty_table() -> Test {
    let sandbox = sandbox()?;
    sandbox.git(&["update-ref", "-d", "refs/heads/main"])?;
    assert_eq!(table(&sandbox.project()?, &ShowRequest::default())?, ShowTable::default());
    Ok(())
}

#[test]
fn two_revisions_differ_in_values_code_and_data() -> Test {
    let sandbox = sandbox()?;
    let lock = |size: u64| {
        format!(
            "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: model\n      hash: md5\n      \
             md5: {size:0>31}a\n      size: {size}\n"
        )
    };
    let pipeline = PIPELINE.replace("    metrics", "    outs: [model]\n    metrics");
    sandbox.write("dvc.yaml", &pipeline)?;
    sandbox.write("dvc.lock", &lock(1))?;
    sandbox.commit("lock")?;
    let lock = lock(2);
    let files = [
        ("dvc.lock", lock.as_str()),
        ("params.yaml", "lr: 2\n"),
        ("a.py", "a\nb\n"),
        ("m.json", "{\"acc\": 1}"),
    ];
    experiment(&sandbox, "new", &files)?;
    let project = sandbox.project()?;
    let ctx = Ctx::silent();
    let sides = [Side::find(&ctx, &project, "HEAD")?, Side::find(&ctx, &project, "new")?];
    let options = CollectOptions { edges: Edges::Yes, params: Params::All, targets: None };
    let pair = Pair::read(&Ctx::silent(), &project, sides, options)?;
    let keys = |files: &[exp_engine::FileDifference]| -> Vec<String> {
        files
            .iter()
            .flat_map(|file| {
                file.changes.iter().map(move |change| format!("{}:{}", file.file, change.key))
            })
            .collect()
    };
    assert_eq!(keys(&pair.metrics(All::No)), ["m.json:acc"]);
    assert_eq!(keys(&pair.params(All::No)), ["params.yaml:lr"]);
    let code = pair.code(&project, sides)?;
    assert_eq!(
        code.iter().map(|file| (file.path.as_str(), file.lines)).collect::<Vec<_>>(),
        [("a.py", Some((1, 0)))]
    );
    assert_eq!(pair.outputs().iter().map(|found| &*found.path).collect::<Vec<_>>(), ["model"]);
    assert_eq!(pair.data(), []);
    let patch = String::from_utf8(exp_engine::patch(&project, sides, &code, false)?)?;
    assert!(patch.contains("+b\n") && !patch.contains("params.yaml"), "{patch}");
    let same = Pair::read(&Ctx::silent(), &project, [sides[0], sides[0]], options)?;
    assert_eq!((same.metrics(All::No), same.outputs()), (Vec::new(), Vec::new()));
    Ok(())
}
