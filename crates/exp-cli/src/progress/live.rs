//! Several stages at a time: a line for each that runs, redrawn in place on a terminal; in a pipe, what they write with
//! the name of the stage in front of every line.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use exp_engine::core::StageId;

use crate::view::table::columns;
use crate::view::time::duration;

/// The lines are redrawn no sooner than so long after the last time.
const PAUSE: Duration = Duration::from_millis(100);

/// No more lines than these, so that they fit on any screen.
const N_SHOWN: usize = 10;

/// How many of its last lines are shown of a stage that failed.
const N_LAST: usize = 10;

/// The stages that run, in the order in which they began.
#[derive(Debug)]
pub(crate) struct Stages {
    rows: Vec<Row>,
    /// Columns of the terminal; `None` when there is none.
    width: Option<usize>,
    symbol: &'static str,
    /// How many lines are on the screen.
    n_drawn: usize,
    drawn: Option<Instant>,
}

#[derive(Debug)]
struct Row {
    stage: StageId,
    name: String,
    began: Instant,
    /// The line that has not ended.
    open: Vec<u8>,
    /// The last ones that have.
    last: VecDeque<String>,
}

impl Stages {
    /// Draws on a terminal of so many columns, or writes into a pipe.
    pub(crate) fn new(width: Option<usize>, symbol: &'static str) -> Self {
        let width = width.map(|width| width.max(20));
        Self { rows: Vec::new(), width, symbol, n_drawn: 0, drawn: None }
    }

    /// Returns whether lines are drawn in place, so that nothing else of a stage is shown until it ends.
    pub(crate) fn is_live(&self) -> bool {
        self.width.is_some()
    }

    /// A stage begins to run.
    pub(crate) fn start(&mut self, stage: &StageId, now: Instant) {
        let (open, last) = (Vec::new(), VecDeque::new());
        self.rows.push(Row {
            stage: stage.clone(),
            name: stage.to_string(),
            began: now,
            open,
            last,
        });
    }

    /// Takes what a stage wrote, and returns the text to be shown now; nothing on a terminal.
    pub(crate) fn take(&mut self, stage: &StageId, bytes: &[u8]) -> String {
        let (mut text, is_live) = (String::new(), self.is_live());
        let Some(row) = self.rows.iter_mut().find(|row| row.stage == *stage) else { return text };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            row.open.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                row.close(is_live, &mut text);
            }
        }
        text
    }

    /// A stage no longer runs. Returns the text to be shown of it: the line that had not ended, or the last ones on a
    /// terminal when it failed.
    pub(crate) fn end(&mut self, stage: &StageId, has_failed: bool) -> String {
        let (mut text, is_live) = (String::new(), self.is_live());
        let Some(at) = self.rows.iter().position(|row| row.stage == *stage) else { return text };
        let mut row = self.rows.remove(at);
        if !row.open.is_empty() {
            row.close(is_live, &mut text);
        }
        if is_live && has_failed {
            for line in &row.last {
                text.push_str(&format!("{} | {line}\n", row.name));
            }
        }
        text
    }

    /// Takes the lines away, so that others can be written.
    pub(crate) fn clear(&mut self, to: &mut dyn Write) {
        if self.n_drawn == 0 {
            return;
        }
        let up = "\x1b[A\x1b[K".repeat(self.n_drawn - 1);
        // A terminal that is gone is noticed when the answer is written.
        let _ = write!(to, "\r\x1b[K{up}").and_then(|()| to.flush());
        (self.n_drawn, self.drawn) = (0, None);
    }

    /// Draws the lines when it is time.
    pub(crate) fn draw(&mut self, to: &mut dyn Write, now: Instant) {
        let Some(width) = self.width else { return };
        let is_early = self.drawn.is_some_and(|drawn| now.duration_since(drawn) < PAUSE);
        if is_early || (self.rows.is_empty() && self.n_drawn == 0) {
            return;
        }
        self.clear(to);
        let mut lines: Vec<String> = (self.rows.iter().take(N_SHOWN))
            .map(|row| fitted(&row.line(self.symbol, now), width - 1))
            .collect();
        if self.rows.len() > N_SHOWN {
            lines.push(format!("   and {} more", self.rows.len() - N_SHOWN));
        }
        let _ = write!(to, "{}", lines.join("\n")).and_then(|()| to.flush());
        (self.n_drawn, self.drawn) = (lines.len(), Some(now));
    }
}

impl Row {
    fn line(&self, symbol: &str, now: Instant) -> String {
        let took = duration(now.duration_since(self.began));
        let open = plain(&self.open);
        let last =
            if open.is_empty() { self.last.back().cloned().unwrap_or_default() } else { open };
        let (name, took) =
            (&self.name, took.rsplit_once('.').map_or(took.clone(), |(s, _)| format!("{s}s")));
        format!(" {symbol} {name:<11} {took:>6}  {last}").trim_end().to_owned()
    }

    /// Ends the open line.
    fn close(&mut self, is_live: bool, text: &mut String) {
        let line = plain(&std::mem::take(&mut self.open));
        if is_live {
            self.last.push_back(line);
            if self.last.len() > N_LAST {
                self.last.pop_front();
            }
        } else {
            text.push_str(&format!("{} | {line}\n", self.name));
        }
    }
}

/// Returns what a terminal would show of a line in the end: behind the last return to its beginning, without colors and
/// other control characters.
fn plain(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\n', '\r']);
    let text = text.rsplit('\r').next().unwrap_or_default();
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' => {
                // A sequence ends with a letter, after `[` and its parameters.
                if rest.next() == Some('[') {
                    for other in rest.by_ref() {
                        if ('@'..='~').contains(&other) {
                            break;
                        }
                    }
                }
            }
            '\t' => shown.push(' '),
            character if character.is_control() => {}
            character => shown.push(character),
        }
    }
    shown
}

/// Cuts a text to so many columns.
fn fitted(text: &str, width: usize) -> String {
    let mut cut = String::new();
    let mut taken = 0;
    for character in text.chars() {
        taken += columns(character.encode_utf8(&mut [0; 4]));
        if taken > width {
            break;
        }
        cut.push(character);
    }
    cut
}

#[cfg(test)]
mod tests {
    use exp_engine::core::RelPath;

    use super::*;

    fn stage(name: &str) -> StageId {
        StageId::named(RelPath::new("dvc.yaml").expect("a path"), name)
    }

    #[test]
    fn in_a_pipe_every_line_says_whose_it_is() {
        let (a, b, now) = (stage("a"), stage("b"), Instant::now());
        let mut stages = Stages::new(None, "*");
        stages.start(&a, now);
        stages.start(&b, now);
        assert_eq!(stages.take(&a, b"one\ntw"), "a | one\n");
        assert_eq!(stages.take(&b, b"10%\r20%\r\n"), "b | 20%\n");
        assert_eq!(stages.take(&a, b"o\n\x1b[31mred\x1b[0m"), "a | two\n");
        assert_eq!(stages.end(&a, true), "a | red\n");
        assert_eq!(stages.end(&b, false), "");
        let mut to = Vec::new();
        stages.draw(&mut to, now);
        assert!(to.is_empty());
    }

    #[test]
    fn a_terminal_has_a_line_for_each_stage_that_fits() -> Result<(), Box<dyn std::error::Error>> {
        let (a, b, start) = (stage("a"), stage("b"), Instant::now());
        let (mut to, mut stages) = (Vec::new(), Stages::new(Some(31), "*"));
        stages.start(&a, start);
        stages.start(&b, start);
        assert_eq!(stages.take(&a, b"epoch 1\nepoch 2 of a great many\n"), "");
        stages.draw(&mut to, start + Duration::from_millis(1_200));
        stages.draw(&mut to, start + Duration::from_millis(1_210));
        assert_eq!(String::from_utf8(to)?, " * a               1s  epoch 2\n * b               1s");
        let mut to = Vec::new();
        stages.clear(&mut to);
        assert_eq!(to, b"\r\x1b[K\x1b[A\x1b[K");
        assert_eq!(stages.end(&a, true), "a | epoch 1\na | epoch 2 of a great many\n");
        Ok(())
    }
}
