//! Events of the `exp` grammar as lines: a symbol, a stage, what happened to it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use exp_engine::core::{
    Cancel, Event, EventSink, Failure as StageFailure, MetricPoint, Reason, RestoredFrom,
    StageEvent, StageId, Until, Warning, exit_text,
};

use super::{Line, Passing, Progress, Questions, Size, Stages};
use crate::diagnostic::stage_place;
use crate::view::live::{Look, Reference};
use crate::view::time::duration;
use crate::view::wrap::wrapped;
use crate::view::{reason, summary};

/// Writes a line for each thing that happens to a stage, and passes on what commands write.
///
/// Everything goes to one stream, standard error, so that standard output holds only the answer.
pub(crate) struct PlainSink<'w> {
    state: Mutex<State<'w>>,
    symbols: &'static Symbols,
    /// The project whose files are shown where a stage failed of what they say.
    root: Option<PathBuf>,
}

struct State<'w> {
    err: &'w mut (dyn Write + Send),
    unicode: bool,
    /// Lines that are not written unless something happens: the head of a run, and stages that did not change.
    held: Vec<String>,
    /// Whether a command's output stopped in the middle of a line.
    open_line: bool,
    /// The line that says how far it is, on a terminal.
    line: Option<Line>,
    /// The stages that run, when several do at a time.
    stages: Option<Stages>,
    /// Columns of the terminal; `None` when there is none.
    width: Option<usize>,
    /// What running stages are compared with, and how wide the terminal is now.
    beside: (Reference, Size),
}

/// Where the text begins behind the name of a stage that is not long.
const BEHIND_NAME: usize = 15;

struct Symbols {
    done: &'static str,
    runs: &'static str,
    failed: &'static str,
    waits: &'static str,
    same: &'static str,
    warns: &'static str,
    asks: &'static str,
}

const UNICODE: Symbols =
    Symbols {
        done: "✓", runs: "●", failed: "✗", waits: "○", same: "=", warns: "!", asks: "?"
    };
const ASCII: Symbols =
    Symbols { done: "+", runs: "*", failed: "x", waits: "o", same: "=", warns: "!", asks: "?" };

impl<'w> PlainSink<'w> {
    /// Writes to `err`, with symbols outside ASCII if `unicode`.
    pub(crate) fn new(err: &'w mut (dyn Write + Send), unicode: bool) -> Self {
        let symbols = if unicode { &UNICODE } else { &ASCII };
        let (held, open_line) = (Vec::new(), false);
        let beside: (Reference, Size) = (Reference::default(), || None);
        let (line, stages, width) = (None, None, None);
        let state = State { err, unicode, held, open_line, line, stages, width, beside };
        Self { state: Mutex::new(state), symbols, root: None }
    }

    /// Also says how far it is, on a terminal of so many columns, in lines that go away.
    pub(crate) fn on_terminal(self, width: Option<usize>) -> Self {
        let mut state = self.lock();
        (state.line, state.width) = (width.map(Line::new), width);
        drop(state);
        self
    }

    /// Shows lines of the files of the project at `root`.
    pub(crate) fn in_project(mut self, root: Option<PathBuf>) -> Self {
        self.root = root;
        self
    }

    /// Compares running stages with `reference`, and asks `size` how wide the terminal has become.
    pub(crate) fn beside(self, reference: Reference, size: Size) -> Self {
        self.lock().beside = (reference, size);
        self
    }

    fn lock(&self) -> MutexGuard<'_, State<'w>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, symbol: &str, subject: &str, text: &str) {
        self.lock().write(&format!(" {symbol} {subject:<11} {text}"));
    }

    fn hold(&self, line: String) {
        self.lock().held.push(line);
    }

    fn stage(&self, stage: &StageId, what: &StageEvent<'_>) {
        let name = stage.to_string();
        let symbols = self.symbols;
        match what {
            StageEvent::Fresh => self.hold(format!(" {} {name:<11} unchanged", symbols.same)),
            StageEvent::Restored { from } => {
                let from = match from {
                    RestoredFrom::RunCache => "restored from the run cache",
                    _ => "restored from the lock file",
                };
                self.line(symbols.done, &name, from);
            }
            StageEvent::Verified => self.line(symbols.done, &name, "recorded as it is"),
            StageEvent::Started { reasons } => {
                let mut held = self.lock();
                held.write(&format!(" {} {name:<11} {}", symbols.runs, reason::list(reasons)));
                held.begin(stage);
            }
            StageEvent::Command { line } => self.lock().command(stage, line),
            StageEvent::Output { bytes, .. } => self.lock().output(stage, bytes),
            StageEvent::Metrics { points } => self.lock().measure(stage, points),
            StageEvent::Waiting { until } => {
                let what = match until {
                    Until::SameRun => "waits for another process that runs the same",
                    _ => "waits for what it claims of the machine",
                };
                self.line(symbols.waits, &name, what);
            }
            StageEvent::Retrying { exit, next, of, pause } => {
                let (why, pause) = (exit_text(exit), duration(*pause));
                self.line(symbols.warns, &name, &format!("{why}; try {next} of {of} in {pause}"));
            }
            StageEvent::Finished { success, took } => {
                let mut held = self.lock();
                held.end(stage, !success);
                if *success {
                    held.write(&format!(" {} {name:<11} {}", symbols.done, duration(*took)));
                }
            }
            StageEvent::Failed { failure: StageFailure::Declined } => {
                self.line(symbols.waits, &name, "not done: declined");
            }
            StageEvent::Failed { failure } => {
                self.line(symbols.failed, &name, &failed(failure));
                let root = self.root.as_deref();
                if let Some(place) = root.and_then(|root| stage_place(failure, stage, root)) {
                    self.lock().write(place.trim_end());
                }
            }
            StageEvent::Open { on } => {
                let on: Vec<String> = on.iter().map(|stage| format!("`{stage}`")).collect();
                self.line(symbols.waits, &name, &format!("depends on {}", on.join(", ")));
            }
            StageEvent::Skipped { because } => {
                self.line(symbols.waits, &name, &format!("left out because `{because}` failed"));
            }
            _ => {}
        }
    }
}

impl State<'_> {
    fn begin(&mut self, stage: &StageId) {
        if let Some(stages) = &mut self.stages {
            stages.start(stage, Instant::now());
        }
        self.draw();
    }

    fn command(&mut self, stage: &StageId, line: &str) {
        if self.stages.as_ref().is_some_and(|stages| !stages.passes_on()) {
            self.output(stage, format!("$ {line}\n").as_bytes());
        } else {
            self.write(&format!("   $ {line}"));
        }
    }

    fn output(&mut self, stage: &StageId, bytes: &[u8]) {
        if let Some(stages) = &mut self.stages {
            let text = stages.take(stage, bytes);
            self.shown(&text);
            return;
        }
        self.clear_lines();
        let _ = self.err.write_all(bytes).and_then(|()| self.err.flush());
        if let Some(last) = bytes.last() {
            self.open_line = *last != b'\n';
        }
    }

    fn measure(&mut self, stage: &StageId, points: &[MetricPoint]) {
        if let Some(stages) = &mut self.stages {
            stages.measure(stage, points);
        }
        self.draw();
    }

    fn end(&mut self, stage: &StageId, has_failed: bool) {
        if let Some(stages) = &mut self.stages {
            let text = stages.end(stage, has_failed);
            self.clear_lines();
            self.shown(&text);
        }
    }

    /// Writes whole lines of stages.
    fn shown(&mut self, text: &[u8]) {
        if !text.is_empty() {
            self.clear_lines();
            let _ = self.err.write_all(text).and_then(|()| self.err.flush());
        }
        self.draw();
    }

    /// Draws the lines of the stages that run, when it is time.
    fn draw(&mut self) {
        if let Some(stages) = &mut self.stages {
            let now = Instant::now();
            let task = self.line.as_mut().and_then(|line| line.text(now));
            stages.draw(&mut *self.err, task.as_deref(), now);
        }
    }

    /// Writes a line, behind what was held back.
    fn write(&mut self, line: &str) {
        self.held.push(line.to_owned());
        self.release();
        let _ = self.err.flush();
        self.draw();
    }

    /// Writes what was held back.
    fn release(&mut self) {
        self.clear_lines();
        self.close_line();
        for line in std::mem::take(&mut self.held) {
            let line = if self.unicode { line } else { summary::ascii(&line) };
            let line = match self.width {
                // Lines of a file stay as they are there.
                Some(width) if !line.contains('\n') => wrapped(&line, width, BEHIND_NAME),
                _ => line,
            };
            // A closed stream is noticed when the answer is written.
            let _ = writeln!(self.err, "{line}");
        }
    }

    /// Writes the beginning of a line, behind what was held back.
    fn ask(&mut self, question: &str) {
        self.release();
        let question = if self.unicode { question.to_owned() } else { summary::ascii(question) };
        let _ = write!(self.err, "{question}").and_then(|()| self.err.flush());
        self.open_line = true;
    }

    fn clear_lines(&mut self) {
        if let Some(line) = &mut self.line {
            line.clear(&mut *self.err);
        }
        if let Some(stages) = &mut self.stages {
            stages.clear(&mut *self.err);
        }
    }

    fn close_line(&mut self) {
        if std::mem::take(&mut self.open_line) {
            let _ = writeln!(self.err);
        }
    }
}

impl Progress for PlainSink<'_> {
    fn sink(&self) -> &dyn EventSink {
        self
    }

    fn tick(&self) {
        self.lock().draw();
    }

    fn cancelling(&self, wish: Cancel) {
        let text = match wish {
            Cancel::Drain => "finishing what runs; press ctrl-c again to stop it",
            Cancel::Stop => "stopping",
        };
        self.lock().write(&format!(" {} {text}", self.symbols.warns));
    }
}

impl Questions for PlainSink<'_> {
    fn ask(&self, stage: &StageId, reasons: &[Reason]) {
        let (name, why) = (stage.to_string(), reason::list(reasons));
        self.lock().ask(&format!(" {} {name:<11} {why}: run it? [y/n] ", self.symbols.asks));
    }

    fn answered(&self) {
        self.lock().open_line = false;
    }
}

impl EventSink for PlainSink<'_> {
    fn emit(&self, event: Event<'_>) {
        match event {
            Event::Stage { stage, what } => self.stage(stage, &what),
            Event::Run { name, baseline, overrides } => {
                let short = baseline.get(..7).unwrap_or(baseline);
                let head = format!(" {name}  on {short}  {}", overrides.join(" "));
                self.hold(head.trim_end().to_owned());
            }
            Event::Warning(warning) => {
                self.lock().write(&format!(" {} {}", self.symbols.warns, warning_text(warning)));
            }
            Event::Executing { at_once } => {
                let mut state = self.lock();
                let passing = if at_once > 1 { Passing::ByStage } else { Passing::AsIs };
                let (reference, size) =
                    std::mem::replace(&mut state.beside, (Reference::default(), || None));
                // In a pipe one stage writes as it likes.
                let has_block = at_once > 1 || state.width.is_some();
                let look = state.width.map(|width| Look { width, unicode: state.unicode });
                let stages = has_block.then(|| Stages::new(passing, look));
                state.stages = stages.map(|stages| stages.beside(reference, size));
            }
            Event::Task { id, what } => {
                let mut state = self.lock();
                let State { line, err, stages, .. } = &mut *state;
                let Some(line) = line else { return };
                if stages.as_ref().is_none_or(Stages::is_idle) {
                    line.take(&mut **err, id, what, Instant::now());
                } else {
                    line.note(id, what, Instant::now());
                    state.draw();
                }
            }
            _ => {}
        }
    }
}

impl Drop for PlainSink<'_> {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.clear_lines();
        state.close_line();
    }
}

fn failed(failure: &StageFailure) -> String {
    crate::diagnostic::chain(failure).join(": ")
}

/// Says what stops nothing.
pub(crate) fn warning_text(warning: &Warning) -> String {
    match warning {
        Warning::Frozen { stage } => format!("`{stage}` is frozen and was not looked at"),
        Warning::NeverRecorded { path } => format!("`{path}` was never recorded"),
        Warning::Unreadable { what, why } => format!("{what} is left out: {why}"),
        Warning::ExecutableInDirectory { path, n } => executables(path, *n),
        Warning::Recovered { experiment } => {
            format!("an earlier run was interrupted; it is kept as `{experiment}`")
        }
        Warning::RemoteNotCommitted { remote } => {
            format!("remote `{remote}` is configured here only and not in the commit")
        }
        other => format!("{other:?}"),
    }
}

/// Says what a directory does not record.
pub(crate) fn executables(path: &str, n: usize) -> String {
    let what = match n {
        1 => format!("{path} is"),
        n => format!("{path} and {} more are", n - 1),
    };
    format!(
        "{what} executable, which a directory does not record: a new checkout brings the content only"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use exp_engine::core::{Reason, RelPath, Stream};

    use super::*;

    #[test]
    fn a_line_is_broken_where_a_narrow_terminal_ends() -> Result<(), Box<dyn std::error::Error>> {
        let mut err = Vec::new();
        let train = StageId::named(RelPath::new("dvc.yaml")?, "train");
        let sink = PlainSink::new(&mut err, true).on_terminal(Some(40));
        let failure = StageFailure::MissingData { paths: vec!["data/raw/a".into(), "b".into()] };
        sink.emit(Event::Stage { stage: &train, what: StageEvent::Failed { failure: &failure } });
        drop(sink);
        let text = String::from_utf8(err)?;
        assert!(
            text.ends_with(" ✗ train       data is missing:\n             `data/raw/a`, `b`\n"),
            "{text:?}"
        );
        Ok(())
    }

    #[test]
    fn a_stage_is_told_line_by_line() -> Result<(), Box<dyn std::error::Error>> {
        let mut err = Vec::new();
        let train = StageId::named(RelPath::new("dvc.yaml")?, "train");
        let sink = PlainSink::new(&mut err, true);
        let tell = |what| sink.emit(Event::Stage { stage: &train, what });
        tell(StageEvent::Started { reasons: &[Reason::NeverRan] });
        tell(StageEvent::Command { line: "python train.py" });
        tell(StageEvent::Output { stream: Stream::Out, bytes: b"epoch 1" });
        tell(StageEvent::Finished { success: true, took: Duration::from_millis(64_200) });
        tell(StageEvent::Fresh);
        sink.cancelling(Cancel::Drain);
        drop(sink);
        assert_eq!(
            String::from_utf8(err)?,
            " ● train       never ran\n   $ python train.py\nepoch 1\n ✓ train       1m 04s\n = train       unchanged\n \
             ! finishing what runs; press ctrl-c again to stop it\n"
        );
        Ok(())
    }
}
