//! `gc`: plan, look, ask, perform.

use std::collections::BTreeSet;
use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use exp_engine::cache::StoredObject;
use exp_engine::core::{Algorithm, ObjectId};
use exp_engine::{
    CloudScope, Doubt, Error, GcError, GcPlan, GcReport, GcRequest, Holder, KeepScope, OnDoubt,
    Project, Reading, RevisionKind, Revisions, RunsGc, SyncError,
};
use serde_json::json;

use super::super::Outcome;
use crate::args::store::{DvcGcArgs, GcArgs, GcHowArgs, ScopeArgs};
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::size;

/// So many objects are shown before the question.
const SHOWN: usize = 10;

pub(super) fn gc(session: &mut Session<'_, '_>, args: &GcArgs) -> Outcome {
    let project = session.project()?;
    if args.how.cloud && args.scope.is_empty() && !args.all {
        return Err(Failure::text_usage(
            "--cloud needs to be told what stays: --all for everything that is known here, or --all-branches and \
             its like",
        ));
    }
    check(&args.scope, &args.how)?;
    let undo = !args.no_undo;
    let scope = if args.scope.is_empty() {
        KeepScope::Everything { undo }
    } else {
        KeepScope::Revisions(revisions(session, &project, &args.scope)?)
    };
    let request = GcRequest {
        scope,
        reading: Reading::Records,
        others: others(session, &args.how),
        grace: duration(&args.grace)?,
        runs: if args.keep_runs { RunsGc::Keep } else { RunsGc::Follow },
        cloud: cloud(&args.how),
        doubt: doubt(args.how.skip_failed, args.how.skip_failed),
    };
    let plan = session.look(|ctx| project.plan_gc(ctx, request))?;
    let is_shown = !args.json;
    if is_shown {
        show(session, &project, &plan, args.how.dry)?;
    }
    if args.how.dry || plan.is_empty() {
        if args.json {
            let line = plan_json(&plan).to_string();
            session.say(&line)?;
        }
        return Ok(ExitStatus::DONE);
    }
    if !args.yes && !agreed(session)? {
        return Ok(ExitStatus::FAILED);
    }
    let report = session.look(|ctx| project.gc(ctx, plan))?;
    if args.json {
        let line = report_json(&report).to_string();
        session.say(&line)?;
    } else {
        tell(session, &report)?;
    }
    Ok(ExitStatus::DONE)
}

fn show(
    session: &mut Session<'_, '_>,
    project: &Project,
    plan: &GcPlan,
    is_dry: bool,
) -> Result<(), Failure> {
    for one in plan.skipped() {
        let place = if one.path.is_empty() { whose(&one.holder) } else { one.path.clone() };
        session.warn(&format!("warning: skipped {place}: {}", chain(&one.source).join(": ")))?;
    }
    if plan.is_shared {
        session.warn(&format!(
            "warning: the store {} is outside of this project; what other projects use there is not known (name them \
             with --projects)",
            project.cache().root().display()
        ))?;
    }
    let mut objects: Vec<&StoredObject> = plan.doomed().iter().collect();
    objects.sort_by_key(|object| (std::cmp::Reverse(object.size), object.id));
    let n_shown = if is_dry { objects.len() } else { SHOWN };
    for object in objects.iter().take(n_shown) {
        let name = plan.name_of(&object.id).unwrap_or("");
        let line = format!("- {:>9}  {}  {name}", size(object.size), object.id);
        let line = line.trim_end();
        if is_dry { session.say(line)? } else { session.note(line)? }
    }
    if objects.len() > n_shown {
        session.note(&format!("- and {} more", objects.len() - n_shown))?;
    }
    let (n_young, young) = plan.young();
    let kept = format!("{} needed", objects_of(plan.kept()));
    let young = match n_young {
        0 => String::new(),
        n => format!("; {}, {}, too young to go (--grace)", objects_of(n), size(young)),
    };
    if plan.is_empty() {
        return session.note(&format!("Nothing to remove: {kept}{young}."));
    }
    let runs = match plan.n_runs() {
        0 => String::new(),
        n => format!(" and {}", runs_of(n)),
    };
    let n = plan.doomed().len() as u64;
    session.note(&format!("to remove: {}, {}{runs}", objects_of(n), size(plan.bytes())))?;
    if let Some((name, doomed)) = plan.cloud() {
        let bytes = doomed.iter().filter_map(|(_, size)| *size).sum();
        let n = doomed.len() as u64;
        session.note(&format!("to remove from {name}: {}, {}", objects_of(n), size(bytes)))?;
    }
    session.note(&format!("kept: {kept}{young}"))
}

fn whose(holder: &Holder) -> String {
    match holder {
        Holder::WorkTree(root) | Holder::Index(root) => root.display().to_string(),
        Holder::Commit(id) => id.short(7),
        _ => "the project".to_owned(),
    }
}

fn agreed(session: &mut Session<'_, '_>) -> Result<bool, Failure> {
    if !session.io.can_ask {
        return Err(Failure::text_usage(
            "nothing was removed: give `--yes`, for there is no terminal to ask at",
        ));
    }
    write!(session.io.err, "Remove them? [y/n] ")
        .and_then(|()| session.io.err.flush())
        .map_err(Failure::Output)?;
    let mut answer = String::new();
    session.io.input.read_line(&mut answer).map_err(Failure::Input)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn tell(session: &mut Session<'_, '_>, report: &GcReport) -> Result<(), Failure> {
    let runs = match report.n_runs {
        0 => String::new(),
        n => format!(" and {}", runs_of(n)),
    };
    let n = report.removed.len() as u64;
    session.note(&format!("removed {}, {}{runs}", objects_of(n), size(report.bytes)))?;
    if report.spared > 0 {
        session.note(&format!("{} needed by now, and kept", objects_of(report.spared)))?;
    }
    if let Some(cloud) = &report.cloud {
        let n = objects_of(cloud.removed);
        session.note(&format!("removed from {}: {n}, {}", cloud.remote, size(cloud.bytes)))?;
    }
    Ok(())
}

fn plan_json(plan: &GcPlan) -> serde_json::Value {
    let objects: Vec<_> = (plan.doomed().iter())
        .map(|object| {
            json!({
                "object": object.id.to_string(),
                "hash": object.id.digest.algorithm().name(),
                "size": object.size,
                "path": plan.name_of(&object.id),
            })
        })
        .collect();
    let cloud = plan.cloud().map(|(name, doomed)| {
        let objects: Vec<_> = doomed.iter().map(|(id, _)| id.to_string()).collect();
        json!({ "remote": name, "objects": objects })
    });
    let (n_young, young_bytes) = plan.young();
    json!({
        "removed": false,
        "objects": objects,
        "bytes": plan.bytes(),
        "runs": plan.n_runs(),
        "kept": plan.kept(),
        "young": { "objects": n_young, "bytes": young_bytes },
        "cloud": cloud,
    })
}

fn report_json(report: &GcReport) -> serde_json::Value {
    let objects: Vec<_> = report.removed.iter().map(ObjectId::to_string).collect();
    let cloud = report.cloud.as_ref().map(
        |cloud| json!({ "remote": cloud.remote, "removed": cloud.removed, "bytes": cloud.bytes }),
    );
    json!({
        "removed": true,
        "objects": objects,
        "bytes": report.bytes,
        "runs": report.n_runs,
        "spared": report.spared,
        "cloud": cloud,
    })
}

/// DVC's way: its words, its scopes, and no grace.
pub(super) fn dvc_gc(session: &mut Session<'_, '_>, args: &DvcGcArgs) -> Outcome {
    let (scope, how) = (&args.scope, &args.how);
    let failed = |message: String| Failure::Dvc { message, code: 255 };
    if how.not_in_remote && how.cloud {
        return Err(failed("`--not-in-remote` and `--cloud` are mutually exclusive".to_owned()));
    }
    if scope.is_empty() && scope.num.is_none() {
        return Err(failed(
            "Either of `-w|--workspace`, `-a|--all-branches`, `-T|--all-tags` `--all-experiments`, `--all-commits`, \
             `--date` or `--rev` needs to be set."
                .to_owned(),
        ));
    }
    if scope.num.is_some() && scope.rev.is_none() && !scope.all_branches {
        return Err(failed(
            "`--num` can only be used alongside `--rev` or `--all-branches`".to_owned(),
        ));
    }
    let project = session.project()?;
    let others = others(session, how);
    session.warn(&format!("WARNING: {}", warning(scope, how, &others)))?;
    let force = args.force || how.dry;
    if !force && !dvc_agreed(session)? {
        return Ok(ExitStatus::FAILED);
    }
    let request = GcRequest {
        scope: KeepScope::Revisions(revisions(session, &project, scope)?),
        reading: Reading::Pipelines,
        others: others.clone(),
        grace: Duration::ZERO,
        runs: RunsGc::Leave,
        cloud: cloud(how),
        doubt: doubt(how.skip_failed, force),
    };
    let worded = |error| {
        match error {
        Error::Gc(GcError::Unreadable { holder, path, source, .. }) => {
            let rev = match holder {
                Holder::Commit(id) => id.to_string(),
                _ => "workspace".to_owned(),
            };
            let place = if path.is_empty() { String::new() } else { format!("{path}: ") };
            let causes = chain(&*source).join(": ");
            failed(format!("Failed to collect '{rev}': {place}{causes}"))
        }
        Error::Gc(GcError::NoSuchProject { path }) => {
            let nth = others.iter().position(|other| *other == path);
            let given = nth.and_then(|nth| how.projects.get(nth)).map_or("", String::as_str);
            Failure::Dvc { message: format!("directory '{given}' does not exist"), code: 253 }
        }
        Error::Gc(GcError::NoRemote) => Failure::Dvc {
            message: format!(
                "configuration error - config file error: no remote specified in {}. Create a default remote with\n    \
                 dvc remote add -d <remote name> <remote url>",
                project.root().display()
            ),
            code: 251,
        },
        Error::Sync(SyncError::OnlyVersions { .. }) => Failure::Dvc {
            message: "configuration error - config file error: 'gc -c' is unsupported for cloud versioned remotes"
                .to_owned(),
            code: 251,
        },
        error => error.into(),
    }
    };
    let plan = session.look(|ctx| project.plan_gc(ctx, request)).map_err(worded)?;
    let mut seen = BTreeSet::new();
    for one in plan.skipped() {
        let rev = match &one.holder {
            Holder::Commit(id) => id.to_string(),
            _ => "workspace".to_owned(),
        };
        if seen.insert(rev.clone()) {
            session.warn(&format!("WARNING: Failed to collect '{rev}', skipping"))?;
        }
    }
    let legacy = |id: &ObjectId| id.digest.algorithm() == Algorithm::Md5Dos2Unix;
    let (old, new): (Vec<&StoredObject>, Vec<_>) =
        plan.doomed().iter().partition(|object| legacy(&object.id));
    let (n_old, n_new) = (old.len(), new.len());
    let n_cloud = plan.cloud().map(|(_, doomed)| doomed.len());
    for (objects, n, name) in [(new, n_new, "repo"), (old, n_old, "legacy")] {
        for object in objects.iter().filter(|_| how.dry) {
            let path = project.cache().object_path(&object.id);
            session.note(&format!("Removing {}", path.display()))?;
        }
        session.note(&removed(n, name))?;
    }
    if let Some((_, doomed)) = plan.cloud() {
        for (id, _) in doomed.iter().filter(|_| how.dry) {
            session.note(&format!("Removing {id}"))?;
        }
    }
    if !how.dry {
        session.look(|ctx| project.gc(ctx, plan))?;
    }
    match n_cloud {
        None => {}
        Some(0) => session.note("No unused cache to remove from remote.")?,
        Some(n) => session.note(&format!("Removed {n} objects from remote."))?,
    }
    Ok(ExitStatus::DONE)
}

fn removed(n: usize, name: &str) -> String {
    match n {
        0 => format!("No unused '{name}' cache to remove."),
        n => format!("Removed {n} objects from {name} cache."),
    }
}

fn warning(scope: &ScopeArgs, how: &GcHowArgs, others: &[PathBuf]) -> String {
    let mut text = "This will remove all cache except items used in the workspace".to_owned();
    let num = scope.num.or(scope.rev.as_ref().map(|_| 1));
    let branches = match num {
        Some(num) => format!(" and last {num} commits from all git branches"),
        None => " and all git branches".to_owned(),
    };
    if scope.all_commits {
        text.push_str(" and all git commits");
    } else {
        match (scope.all_branches, scope.all_tags) {
            (true, true) if num.is_none() => text.push_str(" and all git branches and tags"),
            (true, true) => text.push_str(&format!("{branches} and all git tags")),
            (true, false) => text.push_str(&branches),
            (false, true) => text.push_str(" and all git tags"),
            (false, false) => {}
        }
        if let Some(date) = &scope.date {
            text.push_str(&format!(" and all git commits before date {date}"));
        }
        if let (Some(rev), Some(num)) = (&scope.rev, num) {
            text.push_str(&format!(" and last {num} commits from {rev}"));
        }
    }
    if scope.all_experiments {
        text.push_str(" and all experiments");
    }
    if how.not_in_remote {
        text.push_str(" that are not present in the DVC remote");
    }
    if others.is_empty() {
        text.push_str(" of the current repo.");
    } else {
        text.push_str(" of the current and the following repos:");
        for path in others {
            text.push_str(&format!("\n  - {}", path.display()));
        }
    }
    text
}

/// Asks as DVC does: on standard output, also where there is no terminal.
fn dvc_agreed(session: &mut Session<'_, '_>) -> Result<bool, Failure> {
    loop {
        write!(session.io.out, "Are you sure you want to proceed? [y/n]: ")
            .and_then(|()| session.io.out.flush())
            .map_err(Failure::Output)?;
        let mut answer = String::new();
        if session.io.input.read_line(&mut answer).map_err(Failure::Input)? == 0 {
            return Ok(false);
        }
        match answer.trim_end_matches(['\r', '\n']).to_lowercase().as_str() {
            "y" | "yes" => return Ok(true),
            "n" | "no" => return Ok(false),
            _ => session
                .say("Your response must be one of: ['yes', 'no', 'y', 'n']. Please try again.")?,
        }
    }
}

fn check(scope: &ScopeArgs, how: &GcHowArgs) -> Result<(), Failure> {
    let complaint = if how.cloud && how.not_in_remote {
        "--cloud and --not-in-remote exclude each other"
    } else if how.remote.is_some() && !how.cloud && !how.not_in_remote {
        "--remote needs --cloud or --not-in-remote"
    } else if scope.num.is_some() && scope.rev.is_none() && !scope.all_branches {
        "--num needs --rev or --all-branches"
    } else {
        return Ok(());
    };
    Err(Failure::text_usage(complaint))
}

fn revisions(
    session: &Session<'_, '_>,
    project: &Project,
    scope: &ScopeArgs,
) -> Result<Revisions, Failure> {
    let kinds = [
        (scope.all_branches, RevisionKind::Branches),
        (scope.all_tags, RevisionKind::Tags),
        (scope.all_commits, RevisionKind::Commits),
        (scope.all_experiments, RevisionKind::Experiments),
    ];
    let since = match &scope.date {
        None => None,
        Some(date) => Some(midnight(date, project.options().utc_offset).ok_or_else(|| {
            if session.is_dvc() {
                let message = format!(
                    "unexpected error - time data '{date}' does not match format '%Y-%m-%d'\n\nHaving any troubles? Hit \
                     us up at https://dvc.org/support, we are always happy to help!"
                );
                Failure::Dvc { message, code: 255 }
            } else {
                Failure::TextUsage(format!("`{date}` is no day: write YYYY-MM-DD"))
            }
        })?),
    };
    Ok(Revisions {
        named: scope.rev.iter().cloned().collect(),
        kinds: kinds.into_iter().filter_map(|(asked, kind)| asked.then_some(kind)).collect(),
        depth: scope.num.unwrap_or(1),
        since,
    })
}

/// Returns the moment at which a day begins, in seconds since the epoch, on a clock so many seconds east of UTC.
fn midnight(date: &str, offset: i32) -> Option<i64> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || !(1..=9999).contains(&year) {
        return None;
    }
    // Days since the epoch, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    Some(days * 86_400 - i64::from(offset))
}

fn duration(text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::TextUsage(format!("`{text}` is no age: write 90s, 30m, 12h or 7d"));
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

fn others(session: &Session<'_, '_>, how: &GcHowArgs) -> Vec<PathBuf> {
    let full = how.projects.iter().map(|path| session.cwd().join(path));
    full.map(|path| path.canonicalize().unwrap_or(path)).collect()
}

fn cloud(how: &GcHowArgs) -> CloudScope {
    let remote = how.remote.clone();
    match (how.cloud, how.not_in_remote) {
        (true, _) => CloudScope::Collect { remote },
        (false, true) => CloudScope::SpareMissing { remote },
        (false, false) => CloudScope::Leave,
    }
}

fn doubt(skips_unreadable: bool, skips_unlisted: bool) -> Doubt {
    let on = |skip| if skip { OnDoubt::Skip } else { OnDoubt::Refuse };
    Doubt { unreadable: on(skips_unreadable), unlisted: on(skips_unlisted) }
}

fn objects_of(n: u64) -> String {
    if n == 1 { "1 object".to_owned() } else { format!("{n} objects") }
}

fn runs_of(n: usize) -> String {
    if n == 1 { "1 recorded run".to_owned() } else { format!("{n} recorded runs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_ages_are_understood_or_refused() {
        for (date, expect) in [
            ("1970-01-01", Some(0)),
            ("2000-03-01", Some(951_868_800)),
            ("2024-02-29", Some(1_709_164_800)),
            ("2023-02-29", None),
            ("2020-13-01", None),
            ("2020-1", None),
            ("x-1-1", None),
        ] {
            assert_eq!(midnight(date, 0), expect, "{date}");
        }
        assert_eq!(midnight("1970-01-01", 3_600), Some(-3_600));
        assert_eq!(duration("30m").ok(), Some(Duration::from_mins(30)));
        assert!(duration("30").is_err() && duration("").is_err() && duration("h").is_err());
    }
}
