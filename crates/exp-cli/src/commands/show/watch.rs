//! `show --watch`: the table, drawn again whenever it would be another one, and below it what runs, with its metrics.
//!
//! What runs is looked at some times a second. The table is made anew each second, which the index of rows makes cheap;
//! where it is not cheap, less often. It takes the whole screen, and what was last seen stays behind when it ends. Without a
//! terminal there is nothing to draw again, so it is refused.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use exp_engine::core::Ctx;
use exp_engine::refs::CommitId;
use exp_engine::{LiveRun, LiveRuns, Project};
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::{Screen, View};
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;
use crate::view::live::{self, Look, Reference, Running};
use crate::view::summary;

/// How often the table is made anew, and that this takes no more than this share of the time.
const PERIOD: Duration = Duration::from_secs(1);
const SHARE: u32 = 400;
/// How often runs are looked at where keys are not waited for by the terminal.
const STEP: Duration = Duration::from_millis(75);
/// More runs than these have no lines of their own.
const MOST_RUNS: usize = 16;
/// With more runs than these each has one line.
const MOST_IN_FULL: usize = 3;

/// Takes the whole screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Gives both back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Why the table is no longer waited for.
enum Next {
    /// This is to be seen now.
    Draw(Shown),
    /// The user has seen enough.
    End,
}

/// What is on the screen.
#[derive(PartialEq, Eq)]
struct Shown {
    table: Arc<str>,
    /// What runs, a line each.
    live: Vec<String>,
}

/// Shows the table until the user ends it.
pub(super) fn watch(
    session: &mut Session<'_, '_>,
    project: &Project,
    view: &View<'_>,
    screen: Screen,
) -> Outcome {
    let is_dumb = session.io.env.var("TERM").is_some_and(|term| term == "dumb");
    if !session.io.out_is_terminal || is_dumb {
        let text = "--watch needs a terminal: leave it out, or add --json for events, one a line";
        return Err(Failure::Refused(text.to_owned()));
    }
    let mut input: Box<dyn BufRead + Send> = Box::new(io::empty());
    std::mem::swap(&mut input, &mut session.io.input);
    let keys = session.io.can_ask.then(|| Keys::new().ok()).flatten();
    session.print(ENTER)?;
    let mut watcher = Watcher {
        project,
        view,
        screen,
        runs: LiveRuns::of(project),
        references: HashMap::new(),
        table: Arc::from(""),
        names: Vec::new(),
        made: None,
        has_keys: keys.is_some(),
        shown: Shown { table: Arc::from(""), live: Vec::new() },
        size: None,
    };
    // One look, so that signals are heard all the time; what it writes to is taken out of the session meanwhile.
    let mut out: Box<dyn Write + Send> = Box::new(io::sink());
    std::mem::swap(&mut out, &mut session.io.out);
    let ended = session.look(|ctx| watcher.run(ctx, &mut *input, &mut *out));
    session.io.out = out;
    drop(keys);
    session.print(LEAVE)?;
    ended?;
    let last = watcher.table;
    session.print(&last)?;
    Ok(ExitStatus::DONE)
}

/// What is watched.
struct Watcher<'w> {
    project: &'w Project,
    view: &'w View<'w>,
    screen: Screen,
    runs: LiveRuns,
    /// What runs are compared with, by the commit that they started from.
    references: HashMap<CommitId, Reference>,
    table: Arc<str>,
    /// The names of the runs when it was made.
    names: Vec<String>,
    /// When the table was made, and how long that took.
    made: Option<(Instant, Duration)>,
    has_keys: bool,
    shown: Shown,
    /// The size of the terminal that the table was made for.
    size: Option<(usize, usize)>,
}

impl Watcher<'_> {
    /// Draws whatever is new until the user wants no more.
    fn run(
        &mut self,
        ctx: &Ctx<'_>,
        input: &mut dyn BufRead,
        out: &mut dyn Write,
    ) -> Result<(), Failure> {
        while let Next::Draw(shown) = self.wait(ctx, input)? {
            let frame = frame(&shown, height());
            out.write_all(frame.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)?;
            self.shown = shown;
        }
        Ok(())
    }

    /// Looks until something else is to be seen, or the user wants no more.
    fn wait(&mut self, ctx: &Ctx<'_>, input: &mut dyn BufRead) -> Result<Next, Failure> {
        loop {
            self.runs.look()?;
            match self.make(ctx) {
                Ok(()) => {}
                Err(_) if ctx.check().is_err() => return Ok(Next::End),
                Err(error) => return Err(error),
            }
            let shown = Shown { table: Arc::clone(&self.table), live: self.live() };
            if shown != self.shown {
                return Ok(Next::Draw(shown));
            }
            if ctx.check().is_err() || (self.has_keys && wants_end(input)) {
                return Ok(Next::End);
            }
            if !self.has_keys {
                thread::sleep(STEP);
            }
        }
    }

    /// Makes the table when it is time, or when a run has begun or ended.
    fn make(&mut self, ctx: &Ctx<'_>) -> Result<(), Failure> {
        let now_size = size();
        let names: Vec<String> = self.runs.runs().map(|run| run.name.clone()).collect();
        let is_due = self.made.is_none_or(|(at, took)| at.elapsed() >= PERIOD.max(took * SHARE));
        if !is_due && names == self.names && now_size == self.size {
            return Ok(());
        }
        let start = Instant::now();
        let width = self.screen.width.map(|width| now_size.map_or(width, |(width, _)| width));
        self.table = self.view.text(ctx, self.project, Screen { width, ..self.screen })?.into();
        self.names = names;
        (self.made, self.size) = (Some((Instant::now(), start.elapsed())), now_size);
        Ok(())
    }

    /// Draws what runs.
    fn live(&mut self) -> Vec<String> {
        let width = size().map_or(self.screen.width, |(width, _)| Some(width)).unwrap_or(80);
        let look = Look { width: width.saturating_sub(1).max(20), unicode: self.screen.unicode };
        let project = self.project;
        let (none, mut lines) = (Reference::default(), Vec::new());
        let in_full = self.runs.runs().len() <= MOST_IN_FULL;
        for run in self.runs.runs().take(MOST_RUNS) {
            let reference = if let Some(commit) = run.baseline {
                &*self.references.entry(commit).or_insert_with(|| reference(project, commit))
            } else {
                &none
            };
            let mut head = live::head(&running(run, self.screen.unicode, project), look);
            if !in_full {
                live::inline(&run.board, reference, &mut head, look);
            }
            lines.push(head);
            if in_full {
                lines.extend(live::metrics(&run.board, reference, look));
            }
        }
        let n = self.runs.runs().len();
        if n > MOST_RUNS {
            lines.push(format!("   and {} more", n - MOST_RUNS));
        }
        lines
    }
}

/// Returns what runs from this commit are compared with.
fn reference(project: &Project, commit: CommitId) -> Reference {
    let names = project.git().names_of(&[commit]).unwrap_or_default();
    let name = names.get(&commit).cloned().unwrap_or_else(|| commit.short(7));
    Reference { name, metrics: summary::metrics_of(project, commit), ..Reference::default() }
}

/// Returns a run as a stage that runs: its own name, the times of the stage that it is at.
fn running<'r>(run: &'r LiveRun, unicode: bool, project: &Project) -> Running<'r> {
    let since_start = || {
        let seconds = project.now().seconds - run.started.seconds;
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    };
    let since = |began: SystemTime| SystemTime::now().duration_since(began).unwrap_or_default();
    let took = run.stage_began.map_or_else(since_start, since);
    let symbol = if unicode { "●" } else { "*" };
    Running { symbol, name: &run.name, took, typical: run.typical, board: &run.board }
}

/// Waits a moment for a key, and returns whether it was one that ends.
fn wants_end(input: &mut dyn BufRead) -> bool {
    let Ok(keys) = input.fill_buf() else { return true };
    let (ends, n) = (keys.iter().any(|key| matches!(key, b'q' | b'Q' | 3 | 4)), keys.len());
    input.consume(n);
    ends
}

/// Returns what draws the table and what runs over what is on the screen, cut to so many lines. Of what runs, half the
/// screen is shown at most.
fn frame(shown: &Shown, height: usize) -> String {
    let n_live = shown.live.len().min(height / 2);
    let room = height - if n_live > 0 { n_live + 1 } else { 0 };
    let lines: Vec<&str> = shown.table.lines().collect();
    let fits = lines.len() < room;
    let n_shown = if fits { lines.len() } else { room.saturating_sub(2).min(lines.len()) };
    let mut frame = "\x1b[H".to_owned();
    let mut add = |line: &str| {
        frame.push_str(line);
        frame.push_str("\x1b[K\r\n");
    };
    lines[..n_shown].iter().for_each(|line| add(line));
    if n_live > 0 {
        add("");
        shown.live[..n_live].iter().for_each(|line| add(line));
    }
    frame.push_str("\x1b[J");
    if !fits {
        frame.push_str(&format!(" {} more lines; ", lines.len() - n_shown));
    }
    frame.push_str(" q ends");
    frame
}

fn size() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size()?;
    Some((width.0.into(), height.0.into()))
}

fn height() -> usize {
    size().map_or(24, |(_, height)| height.max(3))
}

/// Lets single keys through without showing them, until it is dropped. Ctrl-C is still a signal.
struct Keys(Termios);

impl Keys {
    fn new() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = termios::tcgetattr(stdin.as_fd())?;
        let mut modes = before.clone();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        // A read ends after a tenth of a second, with or without a key.
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = 1;
        termios::tcsetattr(stdin.as_fd(), OptionalActions::Now, &modes)?;
        Ok(Self(before))
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin().as_fd(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &str, live: &[&str]) -> Shown {
        Shown { table: table.into(), live: live.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn a_frame_never_scrolls_the_screen() {
        let text = shown("one\ntwo\nthree\n", &[]);
        assert_eq!(frame(&text, 10).matches("\r\n").count(), 3);
        assert!(frame(&text, 10).ends_with("\x1b[J q ends"));
        let cut = frame(&text, 3);
        assert!(cut.contains("one") && !cut.contains("two"), "{cut:?}");
        assert!(cut.ends_with(" 2 more lines;  q ends"), "{cut:?}");
        assert!(frame(&shown("", &[]), 1).ends_with(" q ends"));
    }

    #[test]
    fn what_runs_stands_below_the_table() {
        let text = shown("one\ntwo\nthree\n", &["a runs", "b runs", "c runs"]);
        assert_eq!(frame(&text, 10).matches("\r\n").count(), 7);
        let cut = frame(&text, 4);
        assert!(cut.contains("b runs") && !cut.contains("c runs"), "{cut:?}");
        for height in 1..12 {
            assert!(frame(&text, height).matches("\r\n").count() < height.max(3), "{height}");
        }
    }

    #[test]
    fn q_and_the_end_of_the_terminal_end() {
        assert!(wants_end(&mut &b"xq"[..]));
        assert!(wants_end(&mut &[4][..]));
        assert!(!wants_end(&mut &b"x"[..]));
        assert!(!wants_end(&mut &b""[..]), "no key came");
    }
}
