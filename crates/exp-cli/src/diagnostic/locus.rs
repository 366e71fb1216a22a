//! Where in a file an error is, and how that is shown: the place, the line, a caret.

use std::fs;
use std::path::{Path, PathBuf};

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
pub(super) fn of(error: &Error) -> Option<Locus> {
    match error {
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

impl Locus {
    /// Returns the place, the line and a caret below the character, each line ended.
    pub(super) fn shown(&self) -> String {
        let place = format!("{}:{}:{}", self.path.display(), self.line, self.column);
        let line = self.text.clone().or_else(|| line(&self.path, self.line));
        let Some(line) = line else { return format!("  --> {place}\n") };
        let number = self.line.to_string();
        let gap = " ".repeat(number.len());
        let before: String = line
            .chars()
            .take(self.column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{gap}--> {place}\n{gap} |\n{number} | {line}\n{gap} | {before}^\n")
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
}
