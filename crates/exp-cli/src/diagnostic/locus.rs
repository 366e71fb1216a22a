//! Where in a file an error is, and how that is shown: the place, the line, a caret.

use std::fs;
use std::path::{Path, PathBuf};

use exp_engine::core::{Failure as StageFailure, StageId, declared_at, named_at};
use exp_engine::{ConfigError, Error, SettingsError};

/// A place in a text file.
pub(super) struct Locus {
    /// The file.
    pub(super) path: PathBuf,
    /// The line, from 1.
    pub(super) line: usize,
    /// The character in the line, from 1.
    pub(super) column: usize,
    /// The line's text; `None` when it is to be read from the file.
    pub(super) text: Option<String>,
}

/// Returns where an error is, if it is in a file.
///
/// Of stages that do not fit together, the files of the project around `cwd` are read once more.
pub(super) fn of(error: &Error, cwd: &Path) -> Option<Locus> {
    let place = |file: &str, line, column, text: &str| {
        let text = (!text.is_empty()).then(|| text.to_owned());
        Some(Locus { path: file.into(), line, column, text })
    };
    match error {
        Error::Pipeline(error) if error.text.is_empty() => {
            // Of a file beside, whose text nobody has kept.
            let root = cwd.ancestors().find(|dir| dir.join(".dvc").is_dir())?;
            let text = line(&error.file.under(root), error.line);
            let path = error.file.as_str().into();
            Some(Locus { path, line: error.line, column: error.column, text })
        }
        Error::Pipeline(error) => place(error.file.as_str(), error.line, error.column, &error.text),
        Error::Graph(error) => {
            let (stage, location) = error.culprit()?;
            let root = cwd.ancestors().find(|dir| dir.join(".dvc").is_dir())?;
            let text = fs::read_to_string(stage.file.under(root)).ok()?;
            let found = declared_at(&text, stage.name.as_deref()?, location)?;
            place(stage.file.as_str(), found.line, found.column, &found.text)
        }
        Error::Recorded { file, source } => {
            let (line, column, text) = source.place()?;
            place(file.as_str(), line, column, text)
        }
        Error::Values { file, source } => place(file, source.line, source.column, &source.text),
        Error::Config(ConfigError::Syntax { path, syntax }) => Some(Locus {
            path: path.clone(),
            line: syntax.line,
            column: syntax.column,
            text: Some(syntax.text.clone()),
        }),
        Error::Settings(SettingsError::Syntax { path, line, column, .. }) => {
            Some(Locus { path: path.clone(), line: *line, column: *column, text: None })
        }
        _ => None,
    }
}

/// Shows where a stage of the project at `root` names what it failed of, if its file does.
pub(crate) fn of_stage(failure: &StageFailure, stage: &StageId, root: &Path) -> Option<String> {
    let what = failure.culprit()?;
    let text = fs::read_to_string(stage.file.under(root)).ok()?;
    let found = named_at(&text, stage.name.as_deref()?, what)?;
    let (path, line, column) = (stage.file.as_str().into(), found.line, found.column);
    Some(Locus { path, line, column, text: Some(found.text) }.shown())
}

impl Locus {
    /// Returns the place, the line and a caret below the character, each line ended.
    pub(super) fn shown(&self) -> String {
        let place = format!("{}:{}:{}", self.path.display(), self.line, self.column);
        let line = self.text.clone().or_else(|| line(&self.path, self.line));
        let Some(line) = line else { return format!("  --> {place}\n") };
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        let (line, column) = excerpt(&line, self.column);
        let before: String = line
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{gap}--> {place}\n{gap} |\n{number} | {line}\n{gap} | {before}^\n")
    }
}

/// How many characters of a line are shown.
const WIDTH: usize = 120;

/// Cuts a long line so that the character in the column `column` is shown; returns it with the column there.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let n_chars = line.chars().count();
    if n_chars <= WIDTH {
        return (line.to_owned(), column);
    }
    let skipped = column.saturating_sub(WIDTH / 2).min(n_chars - WIDTH / 2);
    let shown: String = line.chars().skip(skipped).take(WIDTH).collect();
    let end = if skipped + WIDTH < n_chars { "…" } else { "" };
    if skipped == 0 {
        (format!("{shown}{end}"), column)
    } else {
        (format!("…{shown}{end}"), column - skipped + 1)
    }
}

fn line(path: &Path, number: usize) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.lines().nth(number.checked_sub(1)?).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_below_the_character() {
        let locus =
            Locus { path: "dvc.yaml".into(), line: 12, column: 3, text: Some("\tx: [".to_owned()) };
        assert_eq!(locus.shown(), "  --> dvc.yaml:12:3\n   |\n12 | \tx: [\n   | \t ^\n");
    }

    #[test]
    fn of_a_long_line_the_part_around_the_character_is_shown() {
        let line = format!("{}HERE{}", "a".repeat(1000), "b".repeat(1000));
        let (shown, column) = excerpt(&line, 1001);
        assert_eq!(shown.chars().nth(column - 1), Some('H'), "{shown}");
        assert!(
            shown.chars().count() <= WIDTH + 2 && shown.starts_with('…') && shown.ends_with('…')
        );
        let (shown, column) = excerpt(&line, 3);
        assert_eq!((shown.chars().count(), column), (WIDTH + 1, 3));
        assert_eq!(excerpt("short", 2), ("short".to_owned(), 2));
    }
}
