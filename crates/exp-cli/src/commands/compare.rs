//! `diff`, `params diff`, `metrics show`, `metrics diff`.

use exp_engine::core::{Ctx, RelPath};
use exp_engine::params::{All, Precision};
use exp_engine::{
    CollectOptions, Edges, Error, FileDifference, Files, Pair, Params, Project, Side,
    collect_commits, collect_workspace, patch,
};

use super::show::unknown_revision;
use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::show::{DiffArgs, MetricsDiffArgs, MetricsShowArgs, ParamsDiffArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::difference::{self, Layout};
use crate::view::metrics::look::{Judged, Look};
use crate::view::{json, metrics};

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: DiffArgs,
        run: diff,
        exp: Some("diff"),
        dvc: Some("exp diff"),
        topic: Topic::Compare,
        about: "Show what differs between two experiments",
        long: "Show what differs between two experiments: metrics, parameters, code, data and outputs, and what \
               both ran in.\n\nWithout names, the workspace is compared with HEAD; with one, the workspace with that.\n\nExamples:\n  exp \
               diff\n  exp diff bold-yak\n  exp diff bold-yak calm-otter --code",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to show experiments diff" },
    },
    command! {
        args: ParamsDiffArgs,
        run: params_diff,
        exp: Some("params diff"),
        dvc: Some("params diff"),
        topic: Topic::Compare,
        about: "Show which parameters differ between two revisions",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to show params diff" },
    },
    command! {
        args: MetricsShowArgs,
        run: metrics_show,
        exp: Some("metrics show"),
        dvc: Some("metrics show"),
        topic: Topic::Compare,
        about: "Print metrics",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: MetricsDiffArgs,
        run: metrics_diff,
        exp: Some("metrics diff"),
        dvc: Some("metrics diff"),
        topic: Topic::Compare,
        about: "Show which metrics differ between two revisions",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to show metrics diff" },
    },
];

/// The two sides of a comparison, with the names that they were given.
struct Sides {
    sides: [Side; 2],
    labels: [String; 2],
}

impl Sides {
    /// Finds them: `HEAD` and the workspace unless others are named.
    fn find(
        session: &mut Session<'_, '_>,
        project: &Project,
        (a, b): (Option<&str>, Option<&str>),
        (prefix, code): (&str, u8),
    ) -> Result<Self, Failure> {
        let labels = [a.unwrap_or("HEAD").to_owned(), b.unwrap_or("workspace").to_owned()];
        let is_dvc = session.is_dvc();
        let sides = session.look(|ctx| -> Result<_, Error> {
            Ok([Side::find(ctx, project, &labels[0])?, Side::find(ctx, project, &labels[1])?])
        });
        let sides = sides.map_err(|error| unknown_revision(is_dvc, prefix, code, error))?;
        Ok(Self { sides, labels })
    }
}

fn all(all: bool) -> All {
    if all { All::Yes } else { All::No }
}

fn read(
    session: &mut Session<'_, '_>,
    project: &Project,
    sides: [Side; 2],
    options: CollectOptions<'_>,
) -> Result<Pair, Failure> {
    Ok(session.look(|ctx| Pair::read(ctx, project, sides, options))?)
}

fn diff(session: &mut Session<'_, '_>, args: &DiffArgs) -> Outcome {
    let project = session.project()?;
    let names = (args.a_rev.as_deref(), args.b_rev.as_deref());
    let found = Sides::find(session, &project, names, ("failed to show experiments diff - ", 1))?;
    let params = if args.param_deps { Params::OfStages } else { Params::All };
    let is_dvc = session.is_dvc();
    let edges = if is_dvc || args.md { Edges::No } else { Edges::Yes };
    let pair =
        read(session, &project, found.sides, CollectOptions { edges, params, targets: None })?;
    let (metrics, params) = (pair.metrics(all(args.all)), pair.params(all(args.all)));
    if args.json && is_dvc {
        let value = json::object([
            ("metrics", difference::json(&metrics)),
            ("params", difference::json(&params)),
        ]);
        return finish(session, &json::line(&value));
    }
    let mut layout = Layout {
        labels: &found.labels,
        value: "Metric",
        precision: Precision::Significant(args.precision),
        no_path: args.no_path,
        md: args.md,
        change: Some("diff not supported"),
    };
    if is_dvc || args.md {
        let first = difference::table(&metrics, &layout);
        layout.value = "Param";
        layout.precision = Precision::Full;
        let second = difference::table(&params, &layout);
        return finish(session, &format!("{first}\n{second}"));
    }
    let code = pair.code(&project, found.sides)?;
    let environment = project.environment_difference(found.sides)?;
    let view = difference::Everything {
        metrics: &metrics,
        params: &params,
        code: &code,
        pair: &pair,
        environment: environment.as_deref(),
        labels: &found.labels,
        precision: Precision::Significant(args.precision),
        unicode: session.io.unicode,
    };
    let text = if args.json {
        json::line(&difference::everything_json(&view))
    } else {
        difference::everything(&view)
    };
    session.print(&text)?;
    if args.code && !args.json {
        let patch = patch(&project, found.sides, &code, session.io.colour)?;
        session.print(&String::from_utf8_lossy(&patch))?;
    }
    Ok(ExitStatus::DONE)
}

/// Returns whether there is no commit to compare with, where DVC has nothing to say.
fn is_unborn(session: &Session<'_, '_>, project: &Project) -> Result<bool, Failure> {
    Ok(session.is_dvc() && project.git().head().map_err(Error::from)?.commit.is_none())
}

fn params_diff(session: &mut Session<'_, '_>, args: &ParamsDiffArgs) -> Outcome {
    let project = session.project()?;
    if is_unborn(session, &project)? {
        return finish(session, if args.json { "{}\n" } else { "" });
    }
    let names = (args.a_rev.as_deref(), args.b_rev.as_deref());
    let found = Sides::find(session, &project, names, ("", 255))?;
    let targets = targets(session, &project, &args.targets)?;
    let params = if args.deps { Params::OfStages } else { Params::All };
    let options = CollectOptions { edges: Edges::No, params, targets: targets.as_deref() };
    let pair = read(session, &project, found.sides, options)?;
    warn(session, &found.labels, &[&pair.old, &pair.new], Which::Params)?;
    let here = from_here(session, &project);
    let changes = relative(pair.params(all(args.all)), &here);
    let layout = Layout {
        labels: &found.labels,
        value: "Param",
        precision: Precision::Full,
        no_path: args.no_path,
        md: args.md,
        change: None,
    };
    print_changes(session, &changes, &layout, args.json, Judged::No)
}

fn metrics_diff(session: &mut Session<'_, '_>, args: &MetricsDiffArgs) -> Outcome {
    let project = session.project()?;
    if is_unborn(session, &project)? {
        return finish(session, if args.json { "{}\n" } else { "" });
    }
    let names = (args.a_rev.as_deref(), args.b_rev.as_deref());
    let found = Sides::find(session, &project, names, ("", 255))?;
    let targets = targets(session, &project, &args.targets)?;
    let options =
        CollectOptions { edges: Edges::No, params: Params::All, targets: targets.as_deref() };
    let pair = read(session, &project, found.sides, options)?;
    warn(session, &found.labels, &[&pair.old, &pair.new], Which::Metrics)?;
    let here = from_here(session, &project);
    let changes = relative(pair.metrics(all(args.all)), &here);
    let layout = Layout {
        labels: &found.labels,
        value: "Metric",
        precision: decimals(session, args.precision),
        no_path: args.no_path,
        md: args.md,
        change: Some("-"),
    };
    print_changes(session, &changes, &layout, args.json, Judged::Yes)
}

fn print_changes(
    session: &mut Session<'_, '_>,
    changes: &[FileDifference],
    layout: &Layout<'_>,
    as_json: bool,
    judged: Judged,
) -> Outcome {
    let text = if as_json {
        json::line(&difference::json(changes))
    } else if session.is_dvc() || layout.md {
        difference::table(changes, layout)
    } else {
        let look = look(session, layout.precision);
        metrics::look::changes(changes, layout.labels, (judged, layout.no_path), look)
    };
    if text.is_empty() && !session.is_dvc() {
        let what = if judged == Judged::Yes { "metric" } else { "parameter" };
        session.note(&format!("no {what} differs"))?;
    }
    finish(session, &text)
}

/// Returns how many digits there are behind the point; DVC takes none for its default.
fn decimals(session: &Session<'_, '_>, digits: usize) -> Precision {
    Precision::Decimals(if session.is_dvc() && digits == 0 { 5 } else { digits })
}

fn look(session: &Session<'_, '_>, precision: Precision) -> Look {
    Look { width: session.line_width(), unicode: session.io.unicode, precision }
}

fn metrics_show(session: &mut Session<'_, '_>, args: &MetricsShowArgs) -> Outcome {
    let project = session.project()?;
    let targets = targets(session, &project, &args.targets)?;
    let options =
        CollectOptions { edges: Edges::No, params: Params::All, targets: targets.as_deref() };
    let named = metrics::revisions(&project, args.all)?;
    let commits: Vec<_> = named.iter().map(|(commit, _)| *commit).collect();
    let rows = session.look(|ctx: &Ctx<'_>| collect_commits(ctx, &project, &commits, options))?;
    let selects = !named.is_empty();
    let mut labelled = vec![(
        if selects { "workspace".to_owned() } else { String::new() },
        collect_workspace(&project, options),
    )];
    labelled.extend(named.into_iter().map(|(_, name)| name).zip(rows));
    // The workspace says nothing when the current branch, by its own name, has the same.
    let branch = project.git().head().map_err(Error::from)?.branch;
    let same = labelled.iter().skip(1).find(|(name, _)| Some(name) == branch.as_ref());
    if same.is_some_and(|(_, row)| metrics::is_same(row, &labelled[0].1)) {
        labelled.drain(..1);
    }
    let labels: Vec<String> = labelled.iter().map(|(name, _)| name.clone()).collect();
    let rows: Vec<_> = labelled.iter().map(|(_, row)| row).collect();
    warn(session, &labels, &rows, Which::Metrics)?;
    let here = from_here(session, &project);
    if args.json {
        return finish(session, &json::line(&metrics::json(&labelled, &here)));
    }
    let precision = decimals(session, args.precision);
    if !session.is_dvc() && !args.md {
        let (text, hidden) = metrics::look::show(&labelled, &here, look(session, precision));
        if text.trim().is_empty() {
            session.note("no metrics")?;
        }
        session.print(&text)?;
        if !hidden.is_empty() {
            let n = hidden.len();
            session.note(&format!(
                "{n} more, too wide: {} (--md, --json show all)",
                hidden.join(", ")
            ))?;
        }
        return Ok(ExitStatus::DONE);
    }
    let text = metrics::table(
        &labelled,
        &here,
        precision,
        if args.md { metrics::Form::Markdown } else { metrics::Form::Plain },
    );
    finish(session, &text)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Metrics,
    Params,
}

/// Tells on standard error which revisions could not be read, and why.
fn warn(
    session: &mut Session<'_, '_>,
    labels: &[String],
    rows: &[&exp_engine::RowData],
    which: Which,
) -> Result<(), Failure> {
    let of = |data: &exp_engine::RevisionData| -> Files {
        if which == Which::Metrics { data.metrics.clone() } else { data.params.clone() }
    };
    let name = if which == Which::Metrics { "metrics" } else { "params" };
    let mut failed = Vec::new();
    for (label, row) in labels.iter().zip(rows) {
        match row {
            Ok(data) => {
                let broken = difference::problems(&of(data));
                if broken.is_empty() {
                    continue;
                }
                if !session.is_dvc() {
                    for problem in broken {
                        session.warn(&format!("warning: {}{problem}", prefix(label)))?;
                    }
                }
            }
            Err(problem) => {
                let text = if session.is_dvc() {
                    format!(
                        "WARNING: failed to load {name} in revision '{label}', {}",
                        problem.message
                    )
                } else {
                    format!("warning: {}{}", prefix(label), problem.message)
                };
                session.warn(&text)?;
            }
        }
        failed.push(label.as_str());
    }
    if session.is_dvc() && !failed.is_empty() {
        let failed = failed.join(", ");
        session.warn(&format!(
            "DVC failed to load some metrics for following revisions: '{failed}'."
        ))?;
    }
    Ok(())
}

fn prefix(label: &str) -> String {
    if label.is_empty() { String::new() } else { format!("{label}: ") }
}

/// Returns where the current directory is in the project.
fn from_here(session: &Session<'_, '_>, project: &Project) -> RelPath {
    project.relative(session.cwd())
}

/// Writes files as they are seen from a directory.
fn relative(mut changes: Vec<FileDifference>, here: &RelPath) -> Vec<FileDifference> {
    if !here.is_root() {
        for change in &mut changes {
            change.file = difference::seen_from(here, &change.file).into();
        }
    }
    changes
}

/// Reads targets, which are relative to the current directory; `None` for none.
fn targets(
    session: &Session<'_, '_>,
    project: &Project,
    targets: &[String],
) -> Result<Option<Vec<RelPath>>, Failure> {
    if targets.is_empty() {
        return Ok(None);
    }
    let here = from_here(session, project);
    let root = project.root();
    let path = |target: &String| {
        let below = std::path::Path::new(target).strip_prefix(root);
        match below {
            Ok(below) => RelPath::from_path(below),
            Err(_) => here.join(target),
        }
    };
    let paths: Result<Vec<RelPath>, _> = targets.iter().map(path).collect();
    Ok(Some(paths.map_err(Error::from)?))
}

fn finish(session: &mut Session<'_, '_>, text: &str) -> Outcome {
    session.print(text)?;
    Ok(ExitStatus::DONE)
}
