//! One line that says how far something is, redrawn in place; for terminals only.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::time::{Duration, Instant};

use exp_engine::core::{TaskEvent, TaskId, TaskLabel, Unit};

use crate::view::{size, time};

/// The line appears so long after a task began, so that quick ones show nothing.
const PATIENCE: Duration = Duration::from_millis(250);

/// The line is redrawn no sooner than so long after the last time.
const PAUSE: Duration = Duration::from_millis(100);

/// The rate is that of so long.
const WINDOW: Duration = Duration::from_secs(5);

/// The line of the task that began last and has not ended.
#[derive(Debug)]
pub(crate) struct Line {
    /// Columns of the terminal.
    width: usize,
    tasks: BTreeMap<TaskId, State>,
    is_shown: bool,
    drawn: Option<Instant>,
}

#[derive(Debug)]
struct State {
    label: TaskLabel,
    unit: Unit,
    total: Option<u64>,
    done: u64,
    /// Bytes in all, as far as they are known, and those that were moved.
    bytes: (Option<u64>, u64),
    began: Instant,
    /// What was done when, of the last while.
    samples: VecDeque<(Instant, u64)>,
}

impl Line {
    /// Draws on a terminal of so many columns.
    pub(crate) fn new(width: usize) -> Self {
        Self { width: width.max(20), tasks: BTreeMap::new(), is_shown: false, drawn: None }
    }

    /// Takes an event, and redraws the line when it is time.
    pub(crate) fn take(&mut self, to: &mut dyn Write, id: TaskId, what: TaskEvent, now: Instant) {
        self.note(id, what, now);
        if self.tasks.is_empty() {
            self.clear(to);
        } else if what != TaskEvent::Finished {
            self.draw(to, now);
        }
    }

    /// Takes an event.
    pub(crate) fn note(&mut self, id: TaskId, what: TaskEvent, now: Instant) {
        match what {
            TaskEvent::Started { label, total, unit } => {
                let (bytes, samples) = ((None, 0), VecDeque::new());
                let state = State { label, unit, total, done: 0, bytes, began: now, samples };
                self.tasks.insert(id, state);
            }
            TaskEvent::Finished => {
                self.tasks.remove(&id);
            }
            what => {
                let Some(task) = self.tasks.get_mut(&id) else { return };
                match what {
                    TaskEvent::Advanced { by } => task.done += by,
                    TaskEvent::Sized { bytes } => task.bytes.0 = Some(bytes),
                    TaskEvent::Moved { bytes } => task.bytes.1 += bytes,
                    _ => {}
                }
            }
        }
    }

    /// Returns the line, when the task has lasted so long that it is worth one.
    pub(crate) fn text(&mut self, now: Instant) -> Option<String> {
        let task = self.tasks.values_mut().next_back()?;
        if now.duration_since(task.began) < PATIENCE {
            return None;
        }
        task.samples.push_back((now, task.moved()));
        while task.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            task.samples.pop_front();
        }
        Some(task.text(now))
    }

    /// Takes the line away, so that another one can be written.
    pub(crate) fn clear(&mut self, to: &mut dyn Write) {
        if std::mem::take(&mut self.is_shown) {
            // A terminal that is gone is noticed when the answer is written.
            let _ = to.write_all(b"\r\x1b[K").and_then(|()| to.flush());
            self.drawn = None;
        }
    }

    fn draw(&mut self, to: &mut dyn Write, now: Instant) {
        if self.drawn.is_some_and(|drawn| now.duration_since(drawn) < PAUSE) {
            return;
        }
        let Some(text) = self.text(now) else { return };
        let text: String = text.chars().take(self.width - 1).collect();
        let _ = write!(to, "\r{text}\x1b[K").and_then(|()| to.flush());
        self.drawn = Some(now);
        self.is_shown = true;
    }
}

impl State {
    /// Returns how many bytes were worked on.
    fn moved(&self) -> u64 {
        if self.unit == Unit::Bytes { self.done } else { self.bytes.1 }
    }

    fn text(&self, now: Instant) -> String {
        let verb = match self.label {
            TaskLabel::Scan => "looking at files",
            TaskLabel::Hash => "storing",
            TaskLabel::Checkout => "checking out",
            TaskLabel::Push => "sending",
            TaskLabel::Pull => "receiving",
            TaskLabel::Collect => "collecting",
            _ => "working",
        };
        let mut parts = vec![format!(" {verb}")];
        if self.unit == Unit::Files {
            let is_transfer = matches!(self.label, TaskLabel::Push | TaskLabel::Pull);
            let noun = if is_transfer { "objects" } else { "files" };
            parts.push(match self.total {
                Some(total) => format!("{}/{total} {noun}", self.done),
                None => format!("{} {noun}", self.done),
            });
        }
        let total = if self.unit == Unit::Bytes { self.total } else { self.bytes.0 };
        let moved = self.moved();
        match total {
            Some(total) if total > 0 => {
                parts.push(format!("{} of {}", size(moved.min(total)), size(total)));
            }
            _ if moved > 0 => parts.push(size(moved)),
            _ => {}
        }
        let rate = self.rate(now);
        if let Some(rate) = rate.filter(|rate| *rate > 0) {
            parts.push(format!("{}/s", size(rate)));
        }
        if let Some(left) = self.left(now, total, rate) {
            parts.push(format!("{} left", time::duration(left)));
        }
        parts.join("  ")
    }

    /// Returns the bytes of a second, over the last while.
    fn rate(&self, now: Instant) -> Option<u64> {
        let (at, moved) = *self.samples.front()?;
        let (since, before) = if self.samples.len() > 1 { (at, moved) } else { (self.began, 0) };
        let took = now.duration_since(since).as_millis();
        let gained = u128::from(self.moved().saturating_sub(before));
        u64::try_from(gained * 1_000 / took.max(1)).ok()
    }

    /// Returns how long the rest will take: by bytes where their sum is known, else by objects.
    fn left(&self, now: Instant, total: Option<u64>, rate: Option<u64>) -> Option<Duration> {
        if let (Some(total), Some(rate)) = (total, rate.filter(|rate| *rate > 0)) {
            let left = total.checked_sub(self.moved())?;
            return Some(Duration::from_secs(left.div_ceil(rate)));
        }
        let (total, done) = (self.total?, u32::try_from(self.done).ok().filter(|done| *done > 0)?);
        let left = u32::try_from(total.checked_sub(self.done)?).ok()?;
        Some((now.duration_since(self.began) / done).saturating_mul(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_and_time_left_and_goes_away() -> Result<(), Box<dyn std::error::Error>> {
        let (mut to, mut line, start) = (Vec::new(), Line::new(80), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let id = TaskId(1);
        let label = TaskLabel::Push;
        let begin = TaskEvent::Started { label, total: Some(4), unit: Unit::Files };
        line.take(&mut to, id, begin, at(0));
        line.take(&mut to, id, TaskEvent::Sized { bytes: 40_000 }, at(0));
        line.take(&mut to, id, TaskEvent::Moved { bytes: 1_000 }, at(100));
        assert!(to.is_empty(), "what is quick shows nothing");
        line.take(&mut to, id, TaskEvent::Moved { bytes: 9_000 }, at(1_000));
        line.take(&mut to, id, TaskEvent::Advanced { by: 1 }, at(1_050));
        line.take(&mut to, id, TaskEvent::Moved { bytes: 10_000 }, at(2_000));
        line.take(&mut to, id, TaskEvent::Finished, at(2_000));
        assert_eq!(
            String::from_utf8(to)?,
            "\r sending  0/4 objects  10.0 kB of 40.0 kB  10.0 kB/s  3.0s left\x1b[K\
             \r sending  1/4 objects  20.0 kB of 40.0 kB  10.0 kB/s  2.0s left\x1b[K\r\x1b[K"
        );
        Ok(())
    }

    #[test]
    fn the_line_is_redrawn_ten_times_a_second_at_most() {
        let (mut to, mut line, start) = (Vec::new(), Line::new(30), Instant::now());
        let id = TaskId(0);
        let begin = TaskEvent::Started { label: TaskLabel::Pull, total: None, unit: Unit::Files };
        line.take(&mut to, id, begin, start);
        for millis in 0..2_000 {
            let now = start + Duration::from_millis(millis);
            line.take(&mut to, id, TaskEvent::Advanced { by: 1 }, now);
        }
        let n_drawn = to.split(|byte| *byte == b'\r').count() - 1;
        assert_eq!(n_drawn, 18);
    }
}
