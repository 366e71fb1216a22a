//! Events in DVC's words, on DVC's streams.

use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use exp_engine::core::{
    Cancel, Event, EventSink, Exit, Failure as StageFailure, FailurePolicy, Reason, RelPath,
    StageEvent, StageId, Stream, Warning,
};

use super::{Line, Passing, Progress, Questions, Stages};

/// Speaks as DVC does: what is done goes to standard output, warnings to standard error.
///
/// Paths and addresses are shown as someone in the directory of the sink would write them.
pub(crate) struct DvcSink<'w> {
    state: Mutex<State<'w>>,
    on_failure: FailurePolicy,
}

struct State<'w> {
    out: &'w mut (dyn Write + Send),
    err: &'w mut (dyn Write + Send),
    /// The directory, below the root, that addresses are relative to.
    from: RelPath,
    /// Whether only what commands write and warnings are shown.
    quiet: bool,
    /// Whether the next stage is set off by a blank line: the last one that did not fail did something.
    gap: bool,
    /// What `gap` was before the stage that runs.
    gap_before: bool,
    /// Stages left out since the last failure, to be named in one line.
    skipped: Vec<String>,
    /// The line on standard error that says how far it is, on a terminal.
    line: Option<Line>,
    /// The stages that run, when several do at a time: what they write gets their name in front.
    stages: Option<Stages>,
}

impl<'w> DvcSink<'w> {
    /// Writes to these streams.
    pub(crate) fn new(
        out: &'w mut (dyn Write + Send),
        err: &'w mut (dyn Write + Send),
        on_failure: FailurePolicy,
    ) -> Self {
        let from = RelPath::root();
        let skipped = Vec::new();
        let state = State {
            out,
            err,
            from,
            quiet: false,
            gap: false,
            gap_before: false,
            skipped,
            line: None,
            stages: None,
        };
        Self { state: Mutex::new(state), on_failure }
    }

    /// Shows addresses as someone in this directory, below the root, writes them.
    pub(crate) fn seen_from(self, from: RelPath) -> Self {
        self.lock().from = from;
        self
    }

    /// Shows only what commands write, and warnings.
    pub(crate) fn quietly(self, quiet: bool) -> Self {
        self.lock().quiet = quiet;
        self
    }

    /// Also says how far it is, in a line that goes away.
    pub(crate) fn with_line(self, line: Option<Line>) -> Self {
        self.lock().line = line;
        self
    }

    fn lock(&self) -> MutexGuard<'_, State<'w>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for DvcSink<'_> {
    fn sink(&self) -> &dyn EventSink {
        self
    }

    fn cancelling(&self, _: Cancel) {}
}

impl Questions for DvcSink<'_> {
    fn ask(&self, id: &StageId, _: &[Reason]) {
        let mut state = self.lock();
        state.clear_line();
        let name = id.address(&state.from);
        if std::mem::take(&mut state.gap) {
            state.line("");
        }
        // A closed stream is noticed when the answer is written.
        let _ = state.out.flush();
        let _ = write!(
            state.err,
            "Going to reproduce stage: '{name}'. Are you sure you want to continue? [y/n] "
        )
        .and_then(|()| state.err.flush());
    }
}

impl EventSink for DvcSink<'_> {
    fn emit(&self, event: Event<'_>) {
        let mut state = self.lock();
        if let Event::Task { id, what } = event {
            let State { line, err, .. } = &mut *state;
            if let Some(line) = line {
                line.take(&mut **err, id, what, Instant::now());
            }
            return;
        }
        state.clear_line();
        match event {
            Event::Stage { stage, what } => state.stage(stage, &what, self.on_failure),
            Event::Run { name, .. } => state.line(&format!("Reproducing experiment '{name}'")),
            Event::Executing { at_once } => {
                state.stages = (at_once > 1).then(|| Stages::new(Passing::ByStage, None));
            }
            Event::Warning(warning) => {
                let text = warning_text(warning, &state.from);
                state.warn(&text);
            }
            _ => {}
        }
    }
}

impl Drop for DvcSink<'_> {
    fn drop(&mut self) {
        let mut state = self.lock();
        state.clear_line();
        state.flush_skipped();
    }
}

impl State<'_> {
    fn stage(&mut self, stage: &StageId, what: &StageEvent<'_>, on_failure: FailurePolicy) {
        if !matches!(what, StageEvent::Skipped { .. }) {
            self.flush_skipped();
        }
        let name = stage.address(&self.from);
        match what {
            // DVC does not see in a dry run that an earlier stage may write something else.
            StageEvent::Fresh | StageEvent::Open { .. } => {
                self.begin(false);
                let label = if stage.name.is_some() { "Stage " } else { "" };
                self.line(&format!("{label}'{name}' didn't change, skipping"));
            }
            StageEvent::Restored { .. } => {
                self.begin(true);
                self.line(&format!(
                    "Stage '{name}' is cached - skipping run, checking out outputs"
                ));
            }
            StageEvent::Verified => {
                self.begin(true);
                let what = if stage.name.is_some() { "outputs" } else { "data sources" };
                let frozen = if stage.name.is_some() { "frozen " } else { "" };
                self.line(&format!("Verifying {what} in {frozen}stage: '{name}'"));
            }
            StageEvent::Started { .. } => {
                self.begin(true);
                self.line(&format!("Running stage '{name}':"));
                if let Some(stages) = &mut self.stages {
                    stages.start(stage, Instant::now());
                }
            }
            StageEvent::Command { line } => self.line(&format!("> {line}")),
            StageEvent::Finished { .. } => {
                let text = self.stages.as_mut().map(|stages| stages.end(stage, false));
                let _ = self.out.write_all(&text.unwrap_or_default());
            }
            StageEvent::Output { stream, bytes } => {
                let named = self.stages.as_mut().map(|stages| stages.take(stage, bytes));
                let bytes = named.as_deref().unwrap_or(bytes);
                let to = if *stream == Stream::Out { &mut *self.out } else { &mut *self.err };
                // A closed stream is noticed when the answer is written.
                let _ = to.write_all(bytes).and_then(|()| to.flush());
            }
            StageEvent::Failed { failure } => {
                self.gap = self.gap_before;
                match on_failure {
                    FailurePolicy::Stop => {}
                    FailurePolicy::KeepGoing => self.warn(&failure_text(failure)),
                    FailurePolicy::Ignore => {
                        self.warn(&format!("{} (ignored)", failure_text(failure)));
                    }
                }
            }
            StageEvent::Locked { created } if stage.name.is_some() => {
                let dir = stage.file.parent().unwrap_or_else(RelPath::root);
                let file = dir.join("dvc.lock").unwrap_or(dir).relative_to(&self.from);
                if *created {
                    self.line(&format!("Generating lock file '{file}'"));
                }
                self.line(&format!("Updating lock file '{file}'"));
            }
            StageEvent::Skipped { .. } if on_failure == FailurePolicy::KeepGoing => {
                self.skipped.push(format!("'{name}'"));
            }
            _ => {}
        }
    }

    fn clear_line(&mut self) {
        if let Some(line) = &mut self.line {
            line.clear(&mut *self.err);
        }
    }

    fn begin(&mut self, does_something: bool) {
        if self.gap {
            self.line("");
        }
        self.gap_before = self.gap;
        self.gap = does_something;
    }

    fn line(&mut self, text: &str) {
        if self.quiet {
            return;
        }
        let _ = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
    }

    fn warn(&mut self, text: &str) {
        let _ = writeln!(self.err, "WARNING: {text}");
    }

    fn flush_skipped(&mut self) {
        let names = std::mem::take(&mut self.skipped);
        match &names[..] {
            [] => {}
            [one] => self.warn(&format!("Stage {one} will be skipped due to this failure")),
            many => self
                .warn(&format!("Stages {} will be skipped due to this failure", many.join(", "))),
        }
    }
}

/// Says why a stage failed, as DVC says it behind `failed to reproduce '…': `.
pub(crate) fn failure_text(failure: &StageFailure) -> String {
    match failure {
        StageFailure::Declined => "reproduction aborted by the user".to_owned(),
        StageFailure::MissingDep { path, .. } => format!("dependency '{path}' does not exist"),
        StageFailure::MissingWdir { dir } => {
            format!("[Errno 2] No such file or directory: '{dir}'")
        }
        StageFailure::MissingParamFile { file, .. } => format!("'{file}' does not exist"),
        StageFailure::MissingParam { file, keys, .. } => {
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            format!("Parameters '{}' are missing from '{file}'.", keys.join(", "))
        }
        StageFailure::Exit(Exit::Code { code, line }) => {
            format!("failed to run: {line}, exited with {code}")
        }
        StageFailure::Exit(Exit::Signal { signal, line }) => {
            format!("failed to run: {line}, exited with -{signal}")
        }
        StageFailure::OutNotProduced { path, .. } => format!("output '{path}' does not exist"),
        StageFailure::MissingData { paths } => {
            let noun = if paths.len() == 1 { "source" } else { "sources" };
            format!("missing data '{noun}': {}", paths.join(", "))
        }
        StageFailure::Port { source, .. } => crate::diagnostic::dvc_port_message(source),
        failure => crate::diagnostic::chain(failure).join(": "),
    }
}

fn warning_text(warning: &Warning, from: &RelPath) -> String {
    match warning {
        Warning::Frozen { stage } => {
            let what = if stage.name.is_some() { "stage: " } else { "" };
            let name = stage.address(from);
            format!("{what}'{name}' is frozen. Its dependencies are not going to be reproduced.")
        }
        Warning::NeverRecorded { path } => format!(
            "Output '{path}'(stage) is missing version info. Cache for it will not be collected. Use \
             `dvc repro` to get your pipeline up to date."
        ),
        Warning::Unreadable { what, why } => format!("{what}: {why}"),
        Warning::ExecutableInDirectory { path, n } => super::plain::executables(path, *n),
        Warning::Recovered { experiment } => {
            format!("an earlier run was interrupted and is recorded as '{experiment}'")
        }
        Warning::RemoteNotCommitted { remote } => {
            format!("remote '{remote}' is configured here only and not in the commit")
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_run_that_keeps_going_is_told_as_dvc_tells_it() -> Result<(), Box<dyn std::error::Error>> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let sink = DvcSink::new(&mut out, &mut err, FailurePolicy::KeepGoing);
        let file = RelPath::new("dvc.yaml")?;
        let stage = |name: &str| StageId::named(file.clone(), name);
        let (s1, s2, s3) = (stage("s1"), stage("s2"), stage("s3"));
        let data = StageId::data(RelPath::new("data.dvc")?);
        let tell = |stage: &StageId, what| sink.emit(Event::Stage { stage, what });
        tell(&data, StageEvent::Fresh);
        tell(&s1, StageEvent::Started { reasons: &[] });
        tell(&s1, StageEvent::Command { line: "cp a b" });
        tell(&s1, StageEvent::Output { stream: Stream::Err, bytes: b"hm\n" });
        tell(&s1, StageEvent::Finished { success: true, took: Duration::ZERO });
        tell(&s1, StageEvent::Locked { created: true });
        tell(&s2, StageEvent::Started { reasons: &[] });
        let line = "exit 3".to_owned();
        let failure = StageFailure::Exit(Exit::Code { code: 3, line });
        tell(&s2, StageEvent::Failed { failure: &failure });
        tell(&s3, StageEvent::Skipped { because: &s2 });
        tell(&stage("s4"), StageEvent::Skipped { because: &s2 });
        drop(sink);
        assert_eq!(
            String::from_utf8(out)?,
            "'data.dvc' didn't change, skipping\nRunning stage 's1':\n> cp a b\nGenerating lock file \
             'dvc.lock'\nUpdating lock file 'dvc.lock'\n\nRunning stage 's2':\n"
        );
        assert_eq!(
            String::from_utf8(err)?,
            "hm\nWARNING: failed to run: exit 3, exited with 3\nWARNING: Stages 's3', 's4' will be skipped due \
             to this failure\n"
        );
        Ok(())
    }
}
