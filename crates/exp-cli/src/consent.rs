//! Asking at the terminal before stages are done.

use std::io::{self, BufRead};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use exp_engine::core::{Consent, Ctx, Reason, StageId};

use crate::progress::Questions;

/// How often it is looked whether the end is asked for while an answer is waited for.
const HEARTBEAT: Duration = Duration::from_millis(100);

/// Puts the question of each stage, and reads what is answered.
pub(crate) struct Asker<'a> {
    questions: &'a dyn Questions,
    input: Mutex<&'a mut (dyn BufRead + Send)>,
    /// Whether there is somebody to answer; without, everything is declined, as DVC does.
    can_ask: bool,
    /// Whether the input is that of the process, and the end may be asked for meanwhile.
    is_process: bool,
}

impl<'a> Asker<'a> {
    /// Asks by `questions`, and takes answers from `input`.
    pub(crate) fn new(
        questions: &'a dyn Questions,
        input: &'a mut (dyn BufRead + Send),
        can_ask: bool,
        is_process: bool,
    ) -> Self {
        Self { questions, input: Mutex::new(input), can_ask, is_process }
    }

    /// Returns the next line; `None` when there is none, or nobody waits for it any more.
    fn line(&self, ctx: &Ctx<'_>) -> Option<String> {
        if !self.is_process {
            let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
            return line_of(&mut **input);
        }
        let (sender, answered) = channel();
        // Nothing ends a read of a terminal, so it is another thread that does it, and is left behind when the end is
        // asked for: the process ends soon.
        let reading = thread::Builder::new().name("answer".to_owned());
        reading.spawn(move || sender.send(line_of(&mut io::stdin().lock()))).ok()?;
        loop {
            match answered.recv_timeout(HEARTBEAT) {
                Ok(line) => return line,
                Err(RecvTimeoutError::Timeout) if ctx.cancel_token().requested().is_none() => {}
                Err(_) => return None,
            }
        }
    }
}

impl Consent for Asker<'_> {
    fn agrees(&self, ctx: &Ctx<'_>, stage: &StageId, reasons: &[Reason]) -> bool {
        if !self.can_ask {
            return false;
        }
        loop {
            self.questions.ask(stage, reasons);
            let Some(line) = self.line(ctx) else { return false };
            self.questions.answered();
            match line.trim().to_lowercase().as_str() {
                "y" | "yes" => return true,
                "n" | "no" => return false,
                _ => {}
            }
        }
    }
}

fn line_of(input: &mut dyn BufRead) -> Option<String> {
    let mut line = String::new();
    let n_bytes = input.read_line(&mut line).ok()?;
    (n_bytes > 0).then_some(line)
}
