//! `show` and `list`: experiments as a table and as names.

use std::collections::BTreeMap;

use exp_engine::core::{Ctx, Warning};
use exp_engine::params::Precision;
use exp_engine::refs::{CommitId, Experiment, FindError, GitCli, RevisionError};
use exp_engine::{
    Blank, CompareError, Comparison, Edges, Error, Lost, Order, Params, Patterns, Project,
    ShowRequest, Sort, Unfinished, show as show_table,
};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::show::{ListArgs, ShowArgs, SortOrder};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::{json, show, time};

/// Digits of numbers when nothing else is asked for.
const PRECISION: usize = 5;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: ShowArgs,
        run: show,
        exp: Some("show"),
        dvc: Some("exp show"),
        topic: Topic::First,
        about: "Compare experiments in a table",
        long: "Compare experiments in a table.\n\nColumns in which all rows agree are folded into the first line, \
               columns that do not fit are named in the last one. With -A, experiments of commits that were \
               amended, rebased or deleted are shown too.\n\nExamples:\n  exp show\n  exp show --sort-by acc \
               --sort-order desc\n  exp show -A --only-changed\n  exp show --csv > table.csv",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to show experiments" },
    },
    command! {
        args: ListArgs,
        run: list,
        exp: Some("list"),
        dvc: Some("exp list"),
        topic: Topic::Compare,
        about: "List experiments here or on a Git remote",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn show(session: &mut Session<'_, '_>, args: &ShowArgs) -> Outcome {
    let project = session.project()?;
    let is_dvc = session.is_dvc();
    let reads_all = args.json || is_dvc || args.csv || args.md;
    let vanished = match (is_dvc, args.all.all_commits) {
        (true, _) => Lost::Ignore,
        (false, true) => Lost::Show,
        (false, false) => Lost::Count,
    };
    let request = ShowRequest {
        revs: args.rev.iter().filter(|rev| !rev.is_empty()).cloned().collect(),
        n: limit(args.num),
        all_branches: args.all.all_branches,
        all_tags: args.all.all_tags,
        all_commits: args.all.all_commits,
        workspace: !args.hide_workspace,
        vanished,
        unfinished: if is_dvc || args.hide_failed { Unfinished::Hide } else { Unfinished::Show },
        edges: Edges::Yes,
        params: if args.param_deps { Params::OfStages } else { Params::All },
    };
    let table = session
        .look(|ctx| {
            if let Err(error) = project.recover(ctx) {
                // The table does not depend on it, and the next run says why with an error of its own.
                let what = "what a killed command left".to_owned();
                ctx.warn(&Warning::Unreadable { what, why: error.to_string() });
            }
            show_table(ctx, &project, &request)
        })
        .map_err(|error| unknown_revision(is_dvc, "failed to show experiments - ", 1, error))?;
    let now = project.now();
    if args.json {
        let options = show::WireOptions { sha: args.sha, offset: now.offset };
        return finish(session, &json::line(&show::json(&table, options)));
    }
    let mut comparison = Comparison::of(&table);
    if let Some(column) = &args.sort_by {
        let order = match args.sort_order {
            SortOrder::Asc => Order::Ascending,
            SortOrder::Desc => Order::Descending,
        };
        let blank = if is_dvc { Blank::Largest } else { Blank::Last };
        let sort = Sort { column: column.clone(), order, blank };
        comparison.sort(&sort).map_err(|error| refused(is_dvc, &error))?;
    }
    let keep = Patterns::new(&args.keep).map_err(|error| refused(is_dvc, &error))?;
    let drop = Patterns::new(&args.drop).map_err(|error| refused(is_dvc, &error))?;
    let precision = match (args.precision, args.csv) {
        (Some(digits), _) if args.csv || !is_dvc => Precision::Significant(digits),
        (_, true) => Precision::Full,
        _ => Precision::Significant(PRECISION),
    };
    if reads_all {
        let plain = show::Plain {
            table: &table,
            comparison: &comparison,
            sha: args.sha,
            only_changed: args.only_changed,
            keep: &keep,
            drop: &drop,
            precision,
            now,
        };
        let text = if args.csv {
            show::csv(&plain)
        } else if args.md {
            show::markdown(&plain)
        } else {
            show::plain_table(&plain)
        };
        return finish(session, &text);
    }
    let look = show::Look {
        table: &table,
        comparison: &comparison,
        sha: args.sha,
        only_changed: args.only_changed,
        all_columns: args.cols.is_some(),
        keep: &keep,
        drop: &drop,
        precision,
        now,
        width: (session.io.out_is_terminal && args.cols.is_none()).then_some(session.io.width),
        unicode: session.io.unicode,
    };
    finish(session, &show::look(&look))
}

fn finish(session: &mut Session<'_, '_>, text: &str) -> Outcome {
    session.print(text)?;
    Ok(ExitStatus::DONE)
}

/// Returns how many commits are taken: all for a negative number.
fn limit(num: i64) -> Option<usize> {
    usize::try_from(num).ok()
}

/// Says in DVC's words that a revision does not exist; any other error is left as it is.
pub(super) fn unknown_revision(is_dvc: bool, prefix: &str, code: u8, error: Error) -> Failure {
    let revision = match &error {
        Error::Revision(RevisionError::Unknown { revision, .. }) => revision.clone(),
        Error::Find(FindError::NotFound { spec, .. }) => spec.clone(),
        Error::NoCommit => "HEAD".to_owned(),
        _ => return error.into(),
    };
    if is_dvc {
        return Failure::Dvc {
            message: format!("{prefix}unknown Git revision '{revision}'"),
            code,
        };
    }
    error.into()
}

/// Says what is wrong with a column or a pattern.
fn refused(is_dvc: bool, error: &CompareError) -> Failure {
    let dvc = |message: String| Failure::Dvc { message, code: 255 };
    match error {
        CompareError::UnknownColumn { name, .. } if is_dvc => {
            dvc(format!("Unknown sort column '{name}'"))
        }
        CompareError::AmbiguousColumn { name, candidates } if is_dvc => {
            dvc(format!("Ambiguous sort column '{name}' matched '{}'", candidates.join(", ")))
        }
        CompareError::UnknownColumn { near, .. } if !near.is_empty() => {
            Failure::Refused(format!("{error}\nhint: did you mean {}?", near.join(" or ")))
        }
        error => Failure::Refused(error.to_string()),
    }
}

fn list(session: &mut Session<'_, '_>, args: &ListArgs) -> Outcome {
    let project = session.project()?;
    match &args.git_remote {
        Some(remote) => list_remote(session, &project, remote, args),
        None => list_here(session, &project, args),
    }
}

/// Lists the experiments of a remote: refs only, nothing is fetched.
fn list_remote(
    session: &mut Session<'_, '_>,
    project: &Project,
    remote: &str,
    args: &ListArgs,
) -> Outcome {
    if args.sha_only && session.is_dvc() {
        return Err(Failure::Dvc {
            message: "--sha-only not supported with git_remote.".to_owned(),
            code: 255,
        });
    }
    let git = GitCli::new(project.git().clone());
    let listed = session.look(|ctx: &Ctx<'_>| git.list(ctx, remote, "refs/exps/"));
    let experiments: Vec<Experiment> = (listed.map_err(Error::from)?.into_iter())
        .filter_map(|found| Experiment::of_ref(&found))
        .collect();
    print_groups(session, project, experiments, args, Place::Remote)
}

fn list_here(session: &mut Session<'_, '_>, project: &Project, args: &ListArgs) -> Outcome {
    let experiments = project.experiments().list().map_err(Error::from)?;
    let finished = experiments.into_iter().filter(|experiment| experiment.is_finished).collect();
    print_groups(session, project, finished, args, Place::Here)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Here,
    Remote,
}

fn print_groups(
    session: &mut Session<'_, '_>,
    project: &Project,
    experiments: Vec<Experiment>,
    args: &ListArgs,
    place: Place,
) -> Outcome {
    let is_dvc = session.is_dvc();
    let mut groups: BTreeMap<CommitId, Vec<Experiment>> = BTreeMap::new();
    for experiment in experiments {
        groups.entry(experiment.baseline).or_default().push(experiment);
    }
    let n_all: usize = groups.values().map(Vec::len).sum();
    if !args.all_commits {
        let prefix = if place == Place::Here { "" } else { "failed to list experiments - " };
        let asked = exp_engine::baselines(project, &args.rev, limit(args.num))
            .map_err(|error| unknown_revision(is_dvc, prefix, 255, error))?;
        groups.retain(|baseline, _| asked.contains(baseline));
    }
    let names =
        project.git().names_of(&groups.keys().copied().collect::<Vec<_>>()).map_err(Error::from)?;
    let n_shown: usize = groups.values().map(Vec::len).sum();
    let mut groups: Vec<(String, Vec<Experiment>)> = (groups.into_iter())
        .map(|(baseline, list)| {
            (names.get(&baseline).cloned().unwrap_or_else(|| baseline.short(7)), list)
        })
        .collect();
    groups.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, list) in groups {
        let heading = !args.name_only && !args.sha_only;
        if heading {
            session.say(&format!("{name}:"))?;
        }
        for experiment in list {
            let line = if args.name_only {
                experiment.name.to_string()
            } else if args.sha_only {
                experiment.commit.to_string()
            } else if place == Place::Remote {
                format!("\t{}", experiment.name)
            } else if is_dvc {
                format!("\t{} [{}]", experiment.commit.short(7), experiment.name)
            } else {
                let age = project
                    .git()
                    .commit(experiment.commit)
                    .map(|commit| time::age(commit.time, project.now()));
                format!(
                    "\t{}  {}  {}",
                    experiment.name,
                    experiment.commit.short(7),
                    age.unwrap_or_default()
                )
            };
            session.say(&line)?;
        }
    }
    if !is_dvc && n_all > n_shown {
        let n = n_all - n_shown;
        let more =
            if n == 1 { "1 more experiment".to_owned() } else { format!("{n} more experiments") };
        session.note(&format!("{more} of other commits: exp list -A"))?;
    }
    Ok(ExitStatus::DONE)
}
