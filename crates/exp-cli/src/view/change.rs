//! What a command changed or would change, as lines for people.

use exp_engine::{ApplyPlan, DataStep, FileStep, Operation, OperationKind};

/// Returns the number with its noun: `1 file`, `3 files`.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// Returns names one after the other, at most `most` of them: `a, b and 3 more`.
pub(crate) fn listed<T: ToString>(names: &[T], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(ToString::to_string).collect();
    match names.len().checked_sub(most) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

/// Returns names quoted as DVC lists them: `'a', 'b' and 'c'`.
pub(crate) fn quoted<T: ToString>(names: &[T]) -> String {
    let mut quoted: Vec<String> =
        names.iter().map(|name| format!("'{}'", name.to_string())).collect();
    match quoted.pop() {
        Some(last) if !quoted.is_empty() => format!("{} and {last}", quoted.join(", ")),
        last => last.unwrap_or_default(),
    }
}

/// Returns one line a path of what applying would do, sorted by path: `+` comes, `~` changes, `-` goes.
pub(crate) fn steps(plan: &ApplyPlan) -> Vec<String> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for (path, step) in &plan.files {
        let (sign, note) = match step {
            FileStep::Create(_) => ("+", ""),
            FileStep::Replace(_) if plan.unsaved.contains(path) => ("~", "  (unsaved edits)"),
            FileStep::Replace(_) => ("~", ""),
            FileStep::Remove => ("-", ""),
        };
        lines.push((path.to_string(), format!("{sign} {path}{note}")));
    }
    for (path, step) in &plan.data {
        let is_unsaved = plan.unsaved.iter().any(|unsaved| unsaved.starts_with(path));
        let note = if is_unsaved { ", unsaved content" } else { "" };
        let line = match step {
            DataStep::Bring(_) => format!("~ {path}  (data, from the store{note})"),
            DataStep::Remove => format!("- {path}  (data, in the store)"),
        };
        lines.push((path.to_string(), line));
    }
    for path in &plan.missing {
        lines.push((path.to_string(), format!("! {path}  (data, not in the store)")));
    }
    for path in &plan.blocked {
        lines.push((path.to_string(), format!("! {path}  (in the way)")));
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Returns what an operation was: `apply bold-yak`.
pub(crate) fn operation(operation: &Operation) -> String {
    let verb = match operation.kind {
        OperationKind::Run => "run",
        OperationKind::Apply => "apply",
        OperationKind::Branch => "branch",
        OperationKind::Remove => "remove",
        OperationKind::Rename => "rename",
        OperationKind::Save => "save",
        OperationKind::Data => "data",
        OperationKind::Stage => "stage",
        OperationKind::Undo => "undo of",
        OperationKind::Redo => "redo of",
        _ => "change",
    };
    format!("{verb} {}", operation.subject).trim_end().to_owned()
}

/// Returns how much an operation changes: `3 files, 1 ref`.
pub(crate) fn extent(operation: &Operation) -> String {
    let parts = [(operation.files.len(), "file"), (operation.refs.len(), "ref")];
    let parts: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, noun)| counted(*n, noun)).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(", ") }
}

/// Returns one line a path and ref of what an operation does.
pub(crate) fn operation_lines(operation: &Operation) -> Vec<String> {
    let sign = |before: bool, after: bool| match (before, after) {
        (false, _) => "+",
        (true, false) => "-",
        (true, true) => "~",
    };
    let files = operation.files.iter();
    let files = files.map(|file| (sign(file.before.is_some(), file.after.is_some()), &file.path));
    let refs = operation.refs.iter();
    let refs = refs.map(|moved| (sign(moved.before.is_some(), moved.after.is_some()), &moved.name));
    files.chain(refs).map(|(sign, name)| format!("{sign} {name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_for_people_and_as_dvc_lists_them() {
        assert_eq!(quoted(&["a", "b", "c"]), "'a', 'b' and 'c'");
        assert_eq!(quoted(&["a", "b"]), "'a' and 'b'");
        assert_eq!(quoted(&["a"]), "'a'");
        assert_eq!(quoted::<&str>(&[]), "");
        assert_eq!(listed(&["a", "b", "c"], 2), "a, b and 1 more");
        assert_eq!(listed(&["a", "b"], 2), "a, b");
        assert_eq!(counted(1, "file"), "1 file");
        assert_eq!(counted(0, "file"), "0 files");
    }
}
