//! Why stages are what they are, in full: old and new values, digests, files, commands.

use exp_engine::core::{
    Artifact, Change, Command, Expect, Reason, RelPath, Timestamp, Value, Verdict,
};
use exp_engine::{Cause, DataDiffEntry, Explanation, Since};

use super::forecast::{Mark, follows, from_words, missing};
use super::{json, reason, table, time};

/// How many files of a directory are listed.
const FILES: usize = 10;

/// Explains one stage to someone in the directory `cwd`: a line that says what would be done with it, and below it each thing that differs. What is too
/// long for a line of `width` columns goes on in the next one.
pub(crate) fn text(
    (explanation, cwd): (&Explanation, &RelPath),
    now: Timestamp,
    width: usize,
) -> String {
    let stage = &explanation.forecast;
    let mut text = format!(
        " {} {}  {}\n",
        Mark::of(stage).symbol(),
        stage.id.address(cwd),
        head(explanation, now)
    );
    let rows = rows(&explanation.causes, stage.expect == Expect::Fail);
    let subject_width = rows
        .iter()
        .filter(|row| !row.is_file)
        .map(|row| table::columns(&row.subject))
        .max()
        .unwrap_or(0)
        .min(width / 2);
    for row in rows {
        let indent = if row.is_file { "     " } else { "   " };
        let gap = " ".repeat(subject_width.saturating_sub(table::columns(&row.subject)));
        let line = format!("{indent}{}{gap}  {}", row.subject, row.detail);
        if row.detail.is_empty() {
            text.push_str(&format!("{indent}{}\n", row.subject));
        } else if table::columns(&line) <= width {
            text.push_str(&format!("{line}\n"));
        } else {
            text.push_str(&format!("{indent}{}\n{indent}  {}\n", row.subject, row.detail));
        }
    }
    text
}

fn head(explanation: &Explanation, now: Timestamp) -> String {
    let stage = &explanation.forecast;
    let failed = if Mark::of(stage) == Mark::Failed { "; the last run failed" } else { "" };
    match (&stage.verdict, stage.expect) {
        (Verdict::Fresh, _) => {
            let frozen = if stage.is_frozen { "frozen, " } else { "" };
            format!("{frozen}{}", since(explanation.since, now))
        }
        (Verdict::Open(on), _) => format!("follows {}{failed}", follows(on)),
        (_, Expect::Restore(from)) => format!("will be restored {}", from_words(from)),
        (_, Expect::Record) if stage.is_frozen => "frozen, will be recorded as it is".to_owned(),
        (_, Expect::Record) => "will be recorded as it is".to_owned(),
        (_, Expect::Fail) => format!("cannot run: {}", missing(stage)),
        _ => format!("will run{failed}"),
    }
}

fn since(since: Option<Since>, now: Timestamp) -> String {
    match since {
        None => "unchanged".to_owned(),
        Some(Since::Uncommitted) => "unchanged since it ran; not committed yet".to_owned(),
        Some(Since::Commit { commit, at, is_at_least }) => {
            let before = if is_at_least { "before " } else { "" };
            let age = match time::age(at, now).as_str() {
                "now" => "just now".to_owned(),
                age => format!("{age} ago"),
            };
            format!("unchanged since {before}{} ({age})", commit.short(7))
        }
    }
}

/// Something that differs: what, and how.
struct Row {
    subject: String,
    detail: String,
    /// Whether it is a file of the directory above.
    is_file: bool,
}

fn rows(causes: &[Cause], is_blocked: bool) -> Vec<Row> {
    let never_ran = causes.iter().any(|cause| cause.reason == Reason::NeverRan);
    let mut rows = Vec::new();
    let row = |subject: String, detail: String| Row { subject, detail, is_file: false };
    for Cause { reason, files } in causes {
        match reason {
            Reason::NeverRan => {
                rows.push(row("never ran: nothing is recorded".to_owned(), String::new()));
            }
            // Of a stage without a record everything is new; only what stops it is worth a line.
            Reason::Dep { change, .. } | Reason::Param { change, .. }
                if never_ran && !(is_blocked && *change == Change::Deleted) => {}
            Reason::Out { .. } if never_ran => {}
            Reason::Command { was, now } => {
                rows.push(row("command".to_owned(), String::new()));
                let old = was.iter().flat_map(Command::lines).map(|line| format!("- {line}"));
                let new = now.lines().into_iter().map(|line| format!("+ {line}"));
                rows.extend(old.chain(new).map(|subject| Row {
                    subject,
                    detail: String::new(),
                    is_file: true,
                }));
            }
            Reason::Dep { location, change, was, now, .. } => {
                rows.push(row(
                    location.to_string(),
                    data(*change, was.as_ref(), now.as_ref(), false),
                ));
                rows.extend(file_rows(files));
            }
            Reason::Out { location, change, was, now, .. } => {
                rows.push(row(
                    location.to_string(),
                    data(*change, was.as_ref(), now.as_ref(), true),
                ));
                rows.extend(file_rows(files));
            }
            Reason::Param { param, change, was, now } => {
                let changed = reason::param_values(param, *change, was.as_ref(), now.as_ref());
                rows.extend(changed.into_iter().map(|(name, change, was, now)| {
                    row(name, values(change, was.as_ref(), now.as_ref()))
                }));
            }
            Reason::Extra { key, change, was, now } => {
                let side = |digest: &Option<String>| digest.as_deref().map(short);
                let detail = match (change, side(was), side(now)) {
                    (Change::Modified, Some(was), Some(now)) => format!("{was} → {now}"),
                    (Change::New, _, Some(now)) => format!("new, {now}"),
                    (_, Some(was), None) => format!("missing, was {was}"),
                    _ => "changed".to_owned(),
                };
                rows.push(row(key.clone(), detail));
            }
            other => rows.push(row(reason::one(other), String::new())),
        }
    }
    rows
}

fn file_rows(files: &[DataDiffEntry]) -> Vec<Row> {
    let row = |subject: String, detail: String| Row { subject, detail, is_file: true };
    let mut rows: Vec<Row> = files
        .iter()
        .take(FILES)
        .map(|file| {
            let digest = |id: exp_engine::core::ObjectId| short(&id.to_string());
            match (file.old, file.new) {
                (Some(old), Some(new)) => {
                    row(format!("~ {}", file.path), format!("{} → {}", digest(old), digest(new)))
                }
                (None, Some(new)) => row(format!("+ {}", file.path), digest(new)),
                (Some(old), None) => row(format!("- {}", file.path), digest(old)),
                (None, None) => row(file.path.clone(), String::new()),
            }
        })
        .collect();
    if files.len() > FILES {
        rows.push(row(format!("… and {} more files", files.len() - FILES), String::new()));
    }
    rows
}

fn data(change: Change, was: Option<&Artifact>, now: Option<&Artifact>, is_out: bool) -> String {
    let digest = |one: Option<&Artifact>| one.map(|one| short(&one.id.to_string()));
    let (was, now) = (digest(was), digest(now));
    let known = |word: &str, digest: Option<String>| match digest {
        Some(digest) => format!("{word} {digest}"),
        None => word.to_owned(),
    };
    match (change, was, now) {
        (Change::Modified, Some(was), Some(now)) => format!("{was} → {now}"),
        (Change::Modified, Some(was), _) => format!("changed, was {was}"),
        // A place whose content is told by marks of its server.
        (Change::Modified, None, _) => "changed".to_owned(),
        (Change::New, _, now) if is_out => known("was never recorded, is", now),
        (Change::New, _, now) => known("new,", now),
        (Change::Deleted, Some(was), _) => format!("missing, was {was}"),
        (Change::Deleted, None, _) => "missing".to_owned(),
        (Change::NotInCache, was, _) => known("not in the store:", was),
    }
}

fn values(change: Change, was: Option<&Value>, now: Option<&Value>) -> String {
    let shown = |value: Option<&Value>| match value {
        Some(Value::Text(text)) => text.clone(),
        Some(value) => json::line(value).trim_end().to_owned(),
        None => "nothing".to_owned(),
    };
    match (change, was) {
        (Change::New, _) => format!("new, {}", shown(now)),
        (Change::Deleted, None) => "missing".to_owned(),
        (Change::Deleted, was) => format!("missing, was {}", shown(was)),
        _ => format!("{} → {}", shown(was), shown(now)),
    }
}

/// Shortens a digest; that of a directory keeps its ending, as two directories may differ in it only.
fn short(id: &str) -> String {
    let (digest, dir) = match id.strip_suffix(".dir") {
        Some(digest) => (digest, "/"),
        None => (id, ""),
    };
    format!("{}{dir}", digest.get(..7).unwrap_or(digest))
}

/// Returns an explanation for programs.
pub(crate) fn value(explanation: &Explanation) -> Value {
    let mut value = super::forecast::value(&explanation.forecast, Some(&explanation.causes));
    let since = match explanation.since {
        None => Value::Null,
        Some(Since::Uncommitted) => json::object([
            ("commit", Value::Null),
            ("at", Value::Null),
            ("at_least", Value::Bool(false)),
        ]),
        Some(Since::Commit { commit, at, is_at_least }) => json::object([
            ("commit", Value::from(commit.to_string())),
            ("at", Value::from(at.seconds)),
            ("at_least", Value::Bool(is_at_least)),
        ]),
    };
    if let Value::Table(table) = &mut value {
        table.insert("since".to_owned(), since);
    }
    value
}

/// Returns a reason for programs: its kind, its words, and what its kind has.
pub(crate) fn cause_value(why: &Reason, files: &[DataDiffEntry]) -> Value {
    let change = |change: Change| match change {
        Change::New => "new",
        Change::Modified => "modified",
        Change::Deleted => "missing",
        Change::NotInCache => "not-in-store",
    };
    let mut members: Vec<(&str, Value)> = Vec::new();
    let kind = match why {
        Reason::NeverRan => "never-ran",
        Reason::AlwaysChanged => "always",
        Reason::Checksum => "checksum",
        Reason::Forced => "forced",
        Reason::Upstream => "upstream",
        Reason::Command { was, now } => {
            members.push(("was", was.as_ref().map_or(Value::Null, Command::to_value)));
            members.push(("now", now.to_value()));
            "command"
        }
        Reason::Param { param, change: how, was, now } => {
            members.push(("file", Value::from(param.location.to_string())));
            let key = param.key.as_ref().map(|key| Value::from(key.to_string()));
            members.push(("key", key.unwrap_or(Value::Null)));
            members.push(("change", Value::from(change(*how))));
            members.push(("was", was.clone().unwrap_or(Value::Null)));
            members.push(("now", now.clone().unwrap_or(Value::Null)));
            "param"
        }
        Reason::Extra { key, change: how, was, now } => {
            members.push(("key", Value::from(key.as_str())));
            members.push(("change", Value::from(change(*how))));
            members.push(("was", was.clone().map_or(Value::Null, Value::from)));
            members.push(("now", now.clone().map_or(Value::Null, Value::from)));
            "extra"
        }
        Reason::Dep { location, change: how, was, now, .. }
        | Reason::Out { location, change: how, was, now, .. } => {
            members.push(("path", Value::from(location.to_string())));
            members.push(("change", Value::from(change(*how))));
            members.push(("was", was.as_ref().map_or(Value::Null, artifact_value)));
            members.push(("now", now.as_ref().map_or(Value::Null, artifact_value)));
            members.push(("files", Value::List(files.iter().map(file_value).collect())));
            if matches!(why, Reason::Dep { .. }) { "dep" } else { "out" }
        }
        _ => "other",
    };
    let first = [("kind", Value::from(kind)), ("text", Value::from(reason::one(why)))];
    let members = first.into_iter().chain(members);
    Value::Table(members.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn artifact_value(artifact: &Artifact) -> Value {
    json::object([
        ("hash", Value::from(artifact.id.digest.algorithm().name())),
        ("digest", Value::from(artifact.id.to_string())),
        ("size", artifact.size.map_or(Value::Null, Value::from)),
    ])
}

fn file_value(file: &DataDiffEntry) -> Value {
    let id = |id: Option<exp_engine::core::ObjectId>| {
        id.map_or(Value::Null, |id| Value::from(id.to_string()))
    };
    json::object([
        ("path", Value::from(file.path.as_str())),
        ("was", id(file.old)),
        ("now", id(file.new)),
    ])
}
