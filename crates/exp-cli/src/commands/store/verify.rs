//! `verify`: what is damaged, who needs it, and mending it.

use exp_engine::cache::CacheError;
use exp_engine::{Defect, Holder, MendedFrom, Repair, VerifyReport, VerifyRequest};
use serde_json::json;

use super::super::Outcome;
use crate::args::store::VerifyArgs;
use crate::diagnostic::{Failure, chain};
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) fn verify(session: &mut Session<'_, '_>, args: &VerifyArgs) -> Outcome {
    let project = session.project()?;
    let mut targets = Vec::new();
    for target in &args.targets {
        targets.push(project.locate(&session.cwd().join(target))?);
    }
    let repair = if args.repair { Repair::Yes } else { Repair::No };
    let request = VerifyRequest { targets, repair, remote: args.remote.clone() };
    let report = session.look(|ctx| project.verify(ctx, &request))?;
    if args.json {
        let text = as_json(&report).to_string();
        session.say(&text)?;
    } else {
        show(session, &report, args.repair)?;
    }
    let left = |is_missing: bool| {
        let mut left = report.defects.iter().filter(|one| one.mended.is_none());
        left.any(|one| one.is_missing() == is_missing)
    };
    Ok(match (left(false), left(true)) {
        (true, _) => ExitStatus::CORRUPT,
        (false, true) => ExitStatus::FAILED,
        _ => ExitStatus::DONE,
    })
}

fn show(
    session: &mut Session<'_, '_>,
    report: &VerifyReport,
    is_repair: bool,
) -> Result<(), Failure> {
    for defect in &report.defects {
        let what = word(&defect.source);
        let place = places(defect);
        session.say(format!("{what:<10}  {}  {place}", defect.id).trim_end())?;
        if let Some(aside) = &defect.aside {
            session.note(&format!("  set aside: {}", aside.display()))?;
        }
        match &defect.mended {
            Some(MendedFrom::File(path)) => {
                session.note(&format!("  right again, from {}", path.display()))?;
            }
            Some(MendedFrom::Remote(name)) => {
                session.note(&format!("  right again, from remote {name}"))?;
            }
            _ if is_repair => session.note("  its right bytes were not found")?,
            _ => {}
        }
    }
    if let Some(error) = &report.remote_failed {
        session.warn(&format!("warning: {}", chain(error).join(": ")))?;
    }
    let n = report.checked;
    let checked = if n == 1 { "1 object".to_owned() } else { format!("{n} objects") };
    let mended = report.defects.iter().filter(|one| one.mended.is_some()).count();
    match report.defects.len() {
        0 => session.note(&format!("{checked} checked, all right"))?,
        bad if is_repair => {
            session.note(&format!("{checked} checked, {bad} wrong, {mended} of them mended"))?;
        }
        bad => {
            session.note(&format!("{checked} checked, {bad} wrong"))?;
            session.note("mend: exp data verify --repair")?;
        }
    }
    match report.incomplete {
        0 => Ok(()),
        n => session.note(&format!("{n} files of stored directories are not in the store")),
    }
}

fn word(defect: &CacheError) -> &'static str {
    match defect {
        CacheError::Missing { .. } => "missing",
        CacheError::Corrupt { .. } | CacheError::Manifest { .. } => "corrupt",
        _ => "unreadable",
    }
}

fn whose(holder: &Holder) -> String {
    match holder {
        Holder::WorkTree(_) => "workspace".to_owned(),
        Holder::Index(_) => "index".to_owned(),
        Holder::Commit(id) => id.short(7),
        Holder::Undo => "undo".to_owned(),
        Holder::Running => "running".to_owned(),
        _ => "run cache".to_owned(),
    }
}

fn places(defect: &Defect) -> String {
    let needed: Vec<String> =
        (defect.needed.iter()).map(|by| format!("{} ({})", by.path, whose(&by.holder))).collect();
    needed.join(", ")
}

fn as_json(report: &VerifyReport) -> serde_json::Value {
    let defects: Vec<_> = (report.defects.iter())
        .map(|defect| {
            let needed: Vec<_> = (defect.needed.iter())
                .map(|by| json!({ "path": by.path, "by": whose(&by.holder) }))
                .collect();
            let mended = defect.mended.as_ref().map(|from| match from {
                MendedFrom::File(path) => json!({ "file": path }),
                MendedFrom::Remote(name) => json!({ "remote": name }),
                _ => json!({}),
            });
            json!({
                "object": defect.id.to_string(),
                "hash": defect.id.digest.algorithm().name(),
                "state": word(&defect.source),
                "needed": needed,
                "aside": defect.aside,
                "mended": mended,
            })
        })
        .collect();
    json!({ "checked": report.checked, "defects": defects, "incomplete": report.incomplete })
}
