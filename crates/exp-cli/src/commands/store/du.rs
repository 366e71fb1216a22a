//! `du`: what takes the room in the store.

use exp_engine::UsageBy;
use serde_json::json;

use super::super::Outcome;
use crate::args::store::DuArgs;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::size;

pub(super) fn du(session: &mut Session<'_, '_>, args: &DuArgs) -> Outcome {
    let project = session.project()?;
    let by = if args.by_revision { UsageBy::Revision } else { UsageBy::Output };
    let usage = session.look(|ctx| project.store_usage(ctx, by))?;
    if args.json {
        let rows: Vec<_> = (usage.rows.iter())
            .map(|row| {
                json!({
                    "name": row.name,
                    "objects": row.objects,
                    "bytes": row.bytes,
                    "only_here": row.only_here,
                })
            })
            .collect();
        let text = json!({
            "by": if args.by_revision { "revision" } else { "output" },
            "rows": rows,
            "objects": usage.objects,
            "bytes": usage.bytes,
            "unneeded": { "objects": usage.unneeded, "bytes": usage.unneeded_bytes },
        });
        session.say(&text.to_string())?;
        return Ok(ExitStatus::DONE);
    }
    session.say(&format!("{:>9}  {:>9}  name", "size", "only here"))?;
    for row in &usage.rows {
        session.say(&format!(
            "{:>9}  {:>9}  {}",
            size(row.bytes),
            size(row.only_here),
            row.name
        ))?;
    }
    let objects = usage.objects;
    session.note(&format!("store: {objects} objects, {}", size(usage.bytes)))?;
    if usage.unneeded > 0 {
        let unneeded = size(usage.unneeded_bytes);
        session.note(&format!("{} of them, {unneeded}, nothing needs: exp gc", usage.unneeded))?;
    }
    Ok(ExitStatus::DONE)
}
