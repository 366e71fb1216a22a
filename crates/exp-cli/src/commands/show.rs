//! `show` and `list`: experiments as a table and as names.

use std::collections::BTreeMap;
use std::ops::Range;

use exp_engine::core::{Ctx, Filter, FilterError, Warning};
use exp_engine::params::Precision;
use exp_engine::refs::{CommitId, Experiment, FindError, GitCli, RevisionError};
use exp_engine::{
    Blank, CompareError, Comparison, ConditionError, Edges, Error, JobRows, Lost, Order, Params,
    Patterns, Project, ShowRequest, ShowTable, Sort, Unfinished, show as show_table,
};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::show::{ListArgs, ShowArgs, SortOrder};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::table::columns;
use crate::view::{json, show, time};

mod parallel;
mod stream;
mod watch;

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
               amended, rebased or deleted are shown too.\n\nA condition (--where) compares columns: = != < <= > >=, \
               and ~ with a regular expression; and, or, not and parentheses join them. Beside metrics and \
               parameters there are name and state. A row that lacks a value fulfils only != and !~; acc=null finds \
               it. Columns with blanks or signs in their names stand between backticks.\n\nExamples:\n  exp show\n  \
               exp show --sort-by acc --sort-order desc\n  exp show --where 'lr>=0.01 and acc>0.9'\n  exp show \
               --where 'not (state=failed or name~^old)'\n  exp show --group seed --sort-by acc\n  exp show --watch\n  \
               exp show --pcp --open\n  exp show -A --only-changed\n  exp show --csv > table.csv",
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
    let view = View {
        args,
        is_dvc: session.is_dvc(),
        condition: args.condition.as_deref().map(condition).transpose()?,
        keep: Patterns::new(&args.keep).map_err(|error| refused(session.is_dvc(), &error))?,
        drop: Patterns::new(&args.drop).map_err(|error| refused(session.is_dvc(), &error))?,
    };
    let screen = Screen {
        width: (session.io.out_is_terminal && args.cols.is_none()).then_some(session.io.width),
        unicode: session.io.unicode,
    };
    if args.pcp {
        return parallel::draw(session, &project, &view);
    }
    if args.watch && args.json {
        return stream::stream(session, &project);
    }
    if args.watch {
        return watch::watch(session, &project, &view, screen);
    }
    let text = session.look(|ctx| view.text(ctx, &project, screen))?;
    session.print(&text)?;
    Ok(ExitStatus::DONE)
}

/// What of the terminal the table depends on.
#[derive(Debug, Clone, Copy)]
struct Screen {
    /// Its columns; `None` where everything is shown.
    width: Option<usize>,
    unicode: bool,
}

/// What is to be shown, and how.
struct View<'a> {
    args: &'a ShowArgs,
    is_dvc: bool,
    condition: Option<Condition<'a>>,
    keep: Patterns,
    drop: Patterns,
}

/// A condition as it was written and as it is understood.
struct Condition<'a> {
    text: &'a str,
    filter: Filter,
}

impl View<'_> {
    /// Collects the rows as they are now.
    fn table(&self, ctx: &Ctx<'_>, project: &Project) -> Result<ShowTable, Failure> {
        let reaped = project.queue().and_then(|queue| queue.reap(ctx));
        if let Err(error) = project.recover(ctx).and(reaped) {
            // The table does not depend on it, and the next run says why with an error of its own.
            let what = "what a killed command left".to_owned();
            ctx.warn(&Warning::Unreadable { what, why: error.to_string() });
        }
        let mut table = show_table(ctx, project, &self.request()).map_err(|error| {
            unknown_revision(self.is_dvc, "failed to show experiments - ", 1, error)
        })?;
        if let Some(condition) = &self.condition {
            table.filter(&condition.filter).map_err(|error| condition.refused(&error))?;
        }
        Ok(table)
    }

    /// Makes the table as it is now.
    fn text(&self, ctx: &Ctx<'_>, project: &Project, screen: Screen) -> Result<String, Failure> {
        let (args, is_dvc) = (self.args, self.is_dvc);
        let table = self.table(ctx, project)?;
        let now = project.now();
        if args.json && args.group.is_empty() {
            // DVC's has a place for it, and nothing in it.
            let records = (!is_dvc).then(|| table.run_records(project));
            let records = records.as_ref();
            let options = show::WireOptions { sha: args.sha, offset: now.offset, records };
            return Ok(json::line(&show::json(&table, options)));
        }
        let mut comparison = Comparison::of(&table);
        if !args.group.is_empty() {
            comparison.group(&table, &args.group).map_err(|error| refused(is_dvc, &error))?;
        }
        if let Some(column) = &args.sort_by {
            let order = match args.sort_order {
                SortOrder::Asc => Order::Ascending,
                SortOrder::Desc => Order::Descending,
            };
            let blank = if is_dvc { Blank::Largest } else { Blank::Last };
            let sort = Sort { column: column.clone(), order, blank };
            comparison.sort(&sort).map_err(|error| refused(is_dvc, &error))?;
        }
        if args.json {
            return Ok(json::line(&show::groups_json(&table, &comparison)));
        }
        let (keep, drop) = (&self.keep, &self.drop);
        let precision = match (args.precision, args.csv) {
            (Some(digits), _) if args.csv || !is_dvc => Precision::Significant(digits),
            (_, true) => Precision::Full,
            _ => Precision::Significant(PRECISION),
        };
        if is_dvc || args.csv || args.md {
            let plain = show::Plain {
                table: &table,
                comparison: &comparison,
                sha: args.sha,
                only_changed: args.only_changed,
                keep,
                drop,
                precision,
                now,
            };
            return Ok(if args.csv {
                show::csv(&plain)
            } else if args.md {
                show::markdown(&plain)
            } else {
                show::plain_table(&plain)
            });
        }
        let text = show::look(&show::Look {
            table: &table,
            comparison: &comparison,
            sha: args.sha,
            only_changed: args.only_changed,
            all_columns: args.cols.is_some(),
            keep,
            drop,
            precision,
            now,
            width: screen.width,
            unicode: screen.unicode,
        });
        if !args.watch {
            // The process ends now; to give thousands of rows back one by one takes as long as to draw them.
            std::mem::forget(comparison);
            std::mem::forget(table);
        }
        Ok(text)
    }

    fn request(&self) -> ShowRequest {
        let (args, is_dvc) = (self.args, self.is_dvc);
        let vanished = match (is_dvc, args.all.all_commits) {
            (true, _) => Lost::Ignore,
            (false, true) => Lost::Show,
            (false, false) => Lost::Count,
        };
        ShowRequest {
            revs: args.rev.iter().filter(|rev| !rev.is_empty()).cloned().collect(),
            n: limit(args.num),
            all_branches: args.all.all_branches,
            all_tags: args.all.all_tags,
            all_commits: args.all.all_commits,
            workspace: !args.hide_workspace,
            vanished,
            unfinished: if is_dvc || args.hide_failed {
                Unfinished::Hide
            } else {
                Unfinished::Show
            },
            jobs: JobRows {
                waiting: !args.hide_queued,
                running: true,
                finished: is_dvc,
                // Ours are runs that did not finish, and shown as such.
                failed: is_dvc && !args.hide_failed,
                failed_of_dvc: !args.hide_failed,
            },
            edges: Edges::Yes,
            params: if args.param_deps { Params::OfStages } else { Params::All },
        }
    }
}

/// Understands a condition.
fn condition(text: &str) -> Result<Condition<'_>, Failure> {
    let filter = text.parse().map_err(|error: FilterError| {
        Failure::Refused(pointed(&format!("--where: {error}"), text, &error.span))
    })?;
    Ok(Condition { text, filter })
}

impl Condition<'_> {
    /// Says which column of it does not exist.
    fn refused(&self, error: &ConditionError) -> Failure {
        let mut text = pointed(&format!("--where: {error}"), self.text, &error.span);
        if let CompareError::UnknownColumn { near, .. } = &error.source
            && !near.is_empty()
        {
            text.push_str(&format!("\nhint: did you mean {}?", near.join(" or ")));
        }
        Failure::Refused(text)
    }
}

/// Writes a message, the text that it is about, and carets below the bytes that are meant.
fn pointed(message: &str, text: &str, span: &Range<usize>) -> String {
    let text = text.replace(['\n', '\t'], " ");
    let before = " ".repeat(columns(&text[..span.start]));
    let carets = "^".repeat(columns(&text[span.clone()]).max(1));
    format!("{message}\n  {text}\n  {before}{carets}")
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
