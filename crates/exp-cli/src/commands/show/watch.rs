//! `show --watch`: the table, drawn again whenever it would be another one.
//!
//! It is made anew each second, which the index of rows makes cheap, and drawn when its text has changed; so whatever is
//! shown is also watched. It takes the whole screen, and what was last seen stays behind when it ends. Without a
//! terminal there is nothing to draw again, so it is refused.

use std::io::{self, BufRead, Write as _};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use exp_engine::Project;
use exp_engine::core::Ctx;
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::{Screen, View};
use crate::commands::Outcome;
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

/// How often the table is made anew.
const PERIOD: Duration = Duration::from_secs(1);
/// How long at most a key waits, where keys are not waited for by the terminal.
const STEP: Duration = Duration::from_millis(100);

/// Takes the whole screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Gives both back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// Why the table is no longer waited for.
enum Next {
    /// It has this text now.
    Draw(String),
    /// The user has seen enough.
    End,
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
        let text =
            "--watch needs a terminal: leave it out, or ask again and again for --json or --csv";
        return Err(Failure::Refused(text.to_owned()));
    }
    let mut input: Box<dyn BufRead + Send> = Box::new(io::empty());
    std::mem::swap(&mut input, &mut session.io.input);
    let keys = session.io.can_ask.then(|| Keys::new().ok()).flatten();
    session.print(ENTER)?;
    let mut last = String::new();
    let ended = loop {
        let has_keys = keys.is_some();
        let next =
            session.look(|ctx| wait(ctx, project, view, screen, &last, has_keys, &mut *input));
        match next {
            Ok(Next::Draw(text)) => {
                let drawn = session.print(&frame(&text, height()));
                last = text;
                if let Err(error) =
                    drawn.and_then(|()| session.io.out.flush().map_err(Failure::Output))
                {
                    break Err(error);
                }
            }
            Ok(Next::End) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(keys);
    session.print(LEAVE)?;
    ended?;
    session.print(&last)?;
    Ok(ExitStatus::DONE)
}

/// Makes the table until it has another text, or the user wants no more.
fn wait(
    ctx: &Ctx<'_>,
    project: &Project,
    view: &View<'_>,
    screen: Screen,
    last: &str,
    has_keys: bool,
    input: &mut dyn BufRead,
) -> Result<Next, Failure> {
    loop {
        let width = screen.width.map(|width| size().map_or(width, |(width, _)| width));
        let text = match view.text(ctx, project, Screen { width, ..screen }) {
            Ok(text) => text,
            Err(_) if ctx.check().is_err() => return Ok(Next::End),
            Err(error) => return Err(error),
        };
        if text != last {
            return Ok(Next::Draw(text));
        }
        let start = Instant::now();
        while start.elapsed() < PERIOD {
            if ctx.check().is_err() || (has_keys && wants_end(input)) {
                return Ok(Next::End);
            }
            if !has_keys {
                thread::sleep(STEP);
            }
        }
    }
}

/// Waits a moment for a key, and returns whether it was one that ends.
fn wants_end(input: &mut dyn BufRead) -> bool {
    let Ok(keys) = input.fill_buf() else { return true };
    let (ends, n) = (keys.iter().any(|key| matches!(key, b'q' | b'Q' | 3 | 4)), keys.len());
    input.consume(n);
    ends
}

/// Returns what draws a table over the last one, cut to so many lines.
fn frame(text: &str, height: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let fits = lines.len() < height;
    let shown = if fits { lines.len() } else { height.saturating_sub(2) };
    let mut frame = "\x1b[H".to_owned();
    for line in &lines[..shown.min(lines.len())] {
        frame.push_str(line);
        frame.push_str("\x1b[K\r\n");
    }
    frame.push_str("\x1b[J");
    if !fits {
        frame.push_str(&format!(" {} more lines; ", lines.len() - shown));
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

    #[test]
    fn a_frame_never_scrolls_the_screen() {
        let text = "one\ntwo\nthree\n";
        assert_eq!(frame(text, 10).matches("\r\n").count(), 3);
        assert!(frame(text, 10).ends_with("\x1b[J q ends"));
        let cut = frame(text, 3);
        assert!(cut.contains("one") && !cut.contains("two"), "{cut:?}");
        assert!(cut.ends_with(" 2 more lines;  q ends"), "{cut:?}");
        assert!(frame("", 1).ends_with(" q ends"));
    }

    #[test]
    fn q_and_the_end_of_the_terminal_end() {
        assert!(wants_end(&mut &b"xq"[..]));
        assert!(wants_end(&mut &[4][..]));
        assert!(!wants_end(&mut &b"x"[..]));
        assert!(!wants_end(&mut &b""[..]), "no key came");
    }
}
