//! Stages while they run. On a terminal a block of lines below everything else, redrawn in place: of one stage a bar, its
//! metrics with their curves, and what it is just writing; of several a line each. In a pipe nothing is redrawn: what one
//! stage writes is passed on, and of several stages every line has the name of its stage in front.

use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, Instant};

use exp_engine::core::{MetricPoint, StageId};
use exp_engine::params::LiveBoard;

use crate::view::live::{self, Look, Reference, Running};
use crate::view::table::columns;

/// The block is redrawn no sooner than so long after the last time, and when it was cleared for a line, than so long.
const PAUSE: Duration = Duration::from_millis(75);
const SHORT_PAUSE: Duration = Duration::from_millis(10);

/// No more stages have a line than these, so that they fit on any screen.
const N_SHOWN: usize = 10;

/// How many of its last lines are shown of a stage that failed.
const N_LAST: usize = 10;

/// So much is kept of a line whose end does not come.
const LONGEST: usize = 1 << 16;

/// How many columns the terminal has now; `None` when that cannot be told.
pub(crate) type Size = fn() -> Option<usize>;

/// What is done with what stages write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passing {
    /// One stage runs at a time: its lines are passed on as they are.
    AsIs,
    /// Several do: only a terminal has a place for each, so there lines are not passed on, and in a pipe they are with the
    /// name of the stage.
    ByStage,
}

/// The stages that run, in the order in which they began.
#[derive(Debug)]
pub(crate) struct Stages {
    rows: Vec<Row>,
    passing: Passing,
    /// How lines are drawn; `None` when there is no terminal.
    look: Option<Look>,
    size: Size,
    reference: Reference,
    /// The columns that the lines on the screen take.
    drawn_columns: Vec<usize>,
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
    board: LiveBoard,
}

impl Stages {
    /// Draws on a terminal, or writes into a pipe.
    pub(crate) fn new(passing: Passing, look: Option<Look>) -> Self {
        Self {
            rows: Vec::new(),
            passing,
            look,
            size: || None,
            reference: Reference::default(),
            drawn_columns: Vec::new(),
            drawn: None,
        }
    }

    /// Compares stages with this, and asks `size` how wide the terminal has become.
    pub(crate) fn beside(mut self, reference: Reference, size: Size) -> Self {
        (self.reference, self.size) = (reference, size);
        self
    }

    /// Returns whether no stage runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns whether lines of stages are passed on as they are.
    pub(crate) fn passes_on(&self) -> bool {
        self.passing == Passing::AsIs
    }

    /// A stage begins to run.
    pub(crate) fn start(&mut self, stage: &StageId, now: Instant) {
        self.rows.push(Row {
            stage: stage.clone(),
            name: stage.to_string(),
            began: now,
            open: Vec::new(),
            last: VecDeque::new(),
            board: LiveBoard::default(),
        });
    }

    /// Takes what a stage wrote, and returns what is to be shown now.
    pub(crate) fn take(&mut self, stage: &StageId, bytes: &[u8]) -> Vec<u8> {
        let (mut shown, passing, is_live) = (Vec::new(), self.passing, self.look.is_some());
        let Some(row) = self.rows.iter_mut().find(|row| row.stage == *stage) else { return shown };
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            row.open.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                row.close(passing, is_live, &mut shown);
            } else {
                row.forget();
            }
        }
        shown
    }

    /// Takes values of metrics.
    pub(crate) fn measure(&mut self, stage: &StageId, points: &[MetricPoint]) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.stage == *stage) {
            for point in points {
                row.board.add(point);
            }
        }
    }

    /// A stage no longer runs. Returns what is to be shown of it: the line that had not ended, or the last ones when they
    /// were not passed on and it failed.
    pub(crate) fn end(&mut self, stage: &StageId, has_failed: bool) -> Vec<u8> {
        let (mut shown, is_live) = (Vec::new(), self.look.is_some());
        let Some(at) = self.rows.iter().position(|row| row.stage == *stage) else { return shown };
        let mut row = self.rows.remove(at);
        if !row.open.is_empty() {
            row.close(self.passing, is_live, &mut shown);
            if !shown.is_empty() && !shown.ends_with(b"\n") {
                shown.push(b'\n');
            }
        }
        if is_live && has_failed && self.passing == Passing::ByStage {
            for line in &row.last {
                shown.extend(format!("{} | {line}\n", row.name).into_bytes());
            }
        }
        shown
    }

    /// Takes the block away, so that other lines can be written.
    pub(crate) fn clear(&mut self, to: &mut dyn Write) {
        let erased = self.erased();
        // A terminal that is gone is noticed when the answer is written.
        let _ = to.write_all(erased.as_bytes()).and_then(|()| to.flush());
    }

    /// Returns what takes the block away. A terminal that has become narrower has broken its lines.
    fn erased(&mut self) -> String {
        let lines = std::mem::take(&mut self.drawn_columns);
        if lines.is_empty() {
            return String::new();
        }
        let width = (self.size)().or(self.look.map(|look| look.width)).unwrap_or(usize::MAX).max(1);
        let n_rows: usize = lines.iter().map(|columns| columns.div_ceil(width).max(1)).sum();
        format!("\r\x1b[K{}", "\x1b[A\x1b[K".repeat(n_rows - 1))
    }

    /// Draws the block when it is time, `task` below it if there is one.
    pub(crate) fn draw(&mut self, to: &mut dyn Write, task: Option<&str>, now: Instant) {
        let Some(Look { width, unicode }) = self.look else { return };
        let pause = if self.drawn_columns.is_empty() { SHORT_PAUSE } else { PAUSE };
        let is_early = self.drawn.is_some_and(|drawn| now.duration_since(drawn) < pause);
        if is_early || (self.rows.is_empty() && self.drawn_columns.is_empty()) {
            return;
        }
        // In the last column some terminals begin a new line.
        let look = Look { width: (self.size)().unwrap_or(width).max(20) - 1, unicode };
        let mut lines = self.lines(look, now);
        if !self.rows.is_empty() {
            lines.extend(task.map(|task| fitted(task, look.width)));
        }
        let mut text = self.erased();
        text.push_str(&lines.join("\n"));
        let _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
        self.drawn_columns = lines.iter().map(|line| columns(line)).collect();
        self.drawn = Some(now);
    }

    fn lines(&self, look: Look, now: Instant) -> Vec<String> {
        let mut lines = Vec::new();
        if let [row] = self.rows.as_slice() {
            let open = plain(&row.open);
            if self.passing == Passing::AsIs && !open.is_empty() {
                lines.push(fitted(&open, look.width));
            }
            let mut head = live::head(&self.running(row, now), look);
            if self.passing == Passing::ByStage {
                row.last_words(&mut head, look);
            }
            lines.push(head);
            lines.extend(live::metrics(&row.board, &self.reference, look));
            return lines;
        }
        for row in self.rows.iter().take(N_SHOWN) {
            let mut head = live::head(&self.running(row, now), look);
            if row.board.is_empty() {
                row.last_words(&mut head, look);
            } else {
                live::inline(&row.board, &self.reference, &mut head, look);
            }
            lines.push(head);
        }
        if self.rows.len() > N_SHOWN {
            lines.push(format!("   and {} more", self.rows.len() - N_SHOWN));
        }
        lines
    }

    fn running<'r>(&'r self, row: &'r Row, now: Instant) -> Running<'r> {
        Running {
            symbol: if self.look.is_some_and(|look| look.unicode) { "●" } else { "*" },
            name: &row.name,
            took: now.duration_since(row.began),
            typical: self.reference.typical.get(&row.name).copied(),
            board: &row.board,
        }
    }
}

impl Row {
    /// Adds the last line that the stage wrote, as far as it fits.
    fn last_words(&self, line: &mut String, look: Look) {
        let open = plain(&self.open);
        let last =
            if open.is_empty() { self.last.back().cloned().unwrap_or_default() } else { open };
        if !last.is_empty() {
            *line = fitted(&format!("{line}  {last}"), look.width);
        }
    }

    /// Ends the open line.
    fn close(&mut self, passing: Passing, is_live: bool, shown: &mut Vec<u8>) {
        let open = std::mem::take(&mut self.open);
        if passing == Passing::AsIs {
            shown.extend(open);
            return;
        }
        let line = plain(&open);
        if is_live {
            self.last.push_back(line);
            if self.last.len() > N_LAST {
                self.last.pop_front();
            }
        } else {
            shown.extend(format!("{} | {line}\n", self.name).into_bytes());
        }
    }

    /// Drops of the open line what a terminal would not show any more.
    fn forget(&mut self) {
        if self.open.len() > LONGEST {
            let end = self.open.len() - 1;
            let from = self.open[..end].iter().rposition(|byte| *byte == b'\r');
            self.open.drain(..from.unwrap_or(0).max(end - LONGEST / 2));
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

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn stage(name: &str) -> StageId {
        StageId::named(RelPath::new("dvc.yaml").expect("a path"), name)
    }

    fn point(name: &str, step: i64, value: f64) -> MetricPoint {
        MetricPoint { name: name.to_owned(), step: Some(step), value }
    }

    fn drawn(stages: &mut Stages, now: Instant) -> Result<String, Box<dyn std::error::Error>> {
        let mut to = Vec::new();
        stages.draw(&mut to, None, now);
        Ok(String::from_utf8(to)?)
    }

    #[test]
    fn in_a_pipe_every_line_of_several_says_whose_it_is() -> Outcome {
        let (a, b, now) = (stage("a"), stage("b"), Instant::now());
        let mut stages = Stages::new(Passing::ByStage, None);
        stages.start(&a, now);
        stages.start(&b, now);
        assert_eq!(stages.take(&a, b"one\ntw"), b"a | one\n");
        assert_eq!(stages.take(&b, b"10%\r20%\r\n"), b"b | 20%\n");
        assert_eq!(stages.take(&a, b"o\n\x1b[31mred\x1b[0m"), b"a | two\n");
        stages.measure(&a, &[point("acc", 1, 0.5)]);
        assert_eq!(stages.end(&a, true), b"a | red\n");
        assert_eq!(stages.end(&b, false), b"");
        assert_eq!(drawn(&mut stages, now)?, "");
        Ok(())
    }

    #[test]
    fn a_terminal_has_a_line_for_each_stage_that_fits() -> Outcome {
        let (a, b, start) = (stage("a"), stage("b"), Instant::now());
        let mut stages = Stages::new(Passing::ByStage, Some(Look { width: 31, unicode: false }));
        stages.start(&a, start);
        stages.start(&b, start);
        assert_eq!(stages.take(&a, b"epoch 1\nepoch 2 of a great many\n"), b"");
        let text = drawn(&mut stages, start + Duration::from_millis(1_200))?;
        assert_eq!(text, " * a               1s  epoch 2\n * b               1s");
        assert_eq!(drawn(&mut stages, start + Duration::from_millis(1_210))?, "", "too early");
        let mut to = Vec::new();
        stages.clear(&mut to);
        assert_eq!(to, b"\r\x1b[K\x1b[A\x1b[K");
        assert_eq!(stages.end(&a, true), b"a | epoch 1\na | epoch 2 of a great many\n");
        Ok(())
    }

    #[test]
    fn one_stage_has_its_metrics_below_and_its_lines_above() -> Outcome {
        let (a, start) = (stage("a"), Instant::now());
        let mut stages = Stages::new(Passing::AsIs, Some(Look { width: 61, unicode: false }));
        stages.start(&a, start);
        assert_eq!(stages.take(&a, b"\x1b[31mred\x1b[0m\n10%\r50%"), b"\x1b[31mred\x1b[0m\n");
        stages.measure(&a, &[point("acc", 1, 0.5), point("acc", 2, 0.75)]);
        let text = drawn(&mut stages, start + Duration::from_secs(3))?;
        assert_eq!(
            text,
            "50%\n * a               3s  step 2\n   acc       0.75 _#          best 0.75"
        );
        assert_eq!(stages.end(&a, false), b"10%\r50%\n");
        let text = drawn(&mut stages, start + Duration::from_secs(4))?;
        assert_eq!(text, "\r\x1b[K\x1b[A\x1b[K\x1b[A\x1b[K", "nothing is left behind");
        Ok(())
    }

    #[test]
    fn a_terminal_that_became_narrower_is_cleared_whole() -> Outcome {
        let (a, start) = (stage("a"), Instant::now());
        let mut stages = Stages::new(Passing::AsIs, Some(Look { width: 60, unicode: false }));
        stages.start(&a, start);
        stages.take(&a, &[b'x'; 45]);
        assert_eq!(drawn(&mut stages, start)?.lines().count(), 2);
        stages = stages.beside(Reference::default(), || Some(20));
        let mut to = Vec::new();
        stages.clear(&mut to);
        // 45 columns take three rows of 20, and the head of 23 takes two.
        assert_eq!(String::from_utf8(to)?.matches("\x1b[A").count(), 4);
        Ok(())
    }

    #[test]
    fn a_line_without_end_does_not_grow() {
        let (a, now) = (stage("a"), Instant::now());
        let mut stages = Stages::new(Passing::AsIs, Some(Look { width: 60, unicode: false }));
        stages.start(&a, now);
        for n in 0..100_000 {
            stages.take(&a, format!("\r{n} %").as_bytes());
        }
        assert!(stages.rows[0].open.len() <= LONGEST + 10);
        assert_eq!(plain(&stages.rows[0].open), "99999 %");
        stages.take(&a, &vec![b'x'; 3 * LONGEST]);
        assert!(stages.rows[0].open.len() <= LONGEST);
    }
}
