//! Stages that run, looked at by one thread for all of them.
//!
//! A thread that wakes up some times a second costs more than what it looks at, so of the stages that run one has the thread
//! that looks for all; when that stage ends, the thread of another goes on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use exp_core::{Ctx, Event, PipelineFile, Stage, StageEvent, StageId, Stream, Warning};
use exp_params::{LiveFormat, LiveReader};

use super::place::places;
use super::{Follower, Found, Since};

/// How often files are looked at. What is written is told within this and what a frontend needs to show it.
const PERIOD: Duration = Duration::from_millis(75);

/// The stages of a run that are followed.
#[derive(Debug, Default)]
pub(crate) struct Lookout {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    watches: Vec<Arc<Watch>>,
    /// Whether a thread looks.
    is_led: bool,
}

/// A stage that runs.
#[derive(Debug)]
struct Watch {
    stage: StageId,
    root: PathBuf,
    /// `None` when the stage has ended, and nothing may be told of it any more.
    follower: Mutex<Option<Follower>>,
}

impl Lookout {
    /// Runs a stage with `work` and tells of the metrics that it writes meanwhile. `root` is that of its workspace, `files`
    /// what its `dvc.yaml` files declare. All stages tell the same `ctx`.
    pub(crate) fn followed<T>(
        &self,
        ctx: &Ctx<'_>,
        root: &Path,
        files: &[PipelineFile],
        stage: &Stage,
        work: impl FnOnce(&Ctx<'_>) -> T,
    ) -> T {
        let follower = Follower::new(places(root, files, [stage]), Since::Now);
        let (stage, root) = (stage.id.clone(), root.to_path_buf());
        let watch = Arc::new(Watch { stage, root, follower: Mutex::new(Some(follower)) });
        let printed = Mutex::new(LiveReader::new(LiveFormat::Words));
        let sink = |event: Event<'_>| {
            let mut points = Vec::new();
            if let Event::Stage { stage, what: StageEvent::Output { stream: Stream::Out, bytes } } =
                &event
                && **stage == watch.stage
            {
                let mut reader = printed.lock().unwrap_or_else(PoisonError::into_inner);
                // Whatever is no word is passed over, so there is no error.
                let _infallible = reader.feed(bytes, &mut points);
            }
            ctx.emit(event);
            if !points.is_empty()
                && let Some(follower) = &mut *watch.lock()
            {
                follower.keep_printed(&mut points);
                watch.tell(ctx, Found { points, problems: Vec::new() });
            }
        };
        let noted = Ctx::new(&sink, ctx.cancel_token().clone()).asking(ctx.consent());
        self.lock().watches.push(Arc::clone(&watch));
        let done = thread::scope(|scope| {
            // Dropping it ends the thread, also when the work panics.
            let _working = Working { lookout: self, watch: &watch };
            scope.spawn(|| self.look(ctx, &watch));
            work(&noted)
        });
        if let Some(mut follower) = watch.lock().take() {
            watch.tell(ctx, follower.finish());
        }
        done
    }

    /// Looks at all stages while nobody else does, until `own` ends.
    fn look(&self, ctx: &Ctx<'_>, own: &Arc<Watch>) {
        let mut state = self.lock();
        let mut leads = false;
        while state.watches.iter().any(|watch| Arc::ptr_eq(watch, own)) {
            if !state.is_led {
                (state.is_led, leads) = (true, true);
            }
            if leads {
                // The length of a wait does not matter, nor who ended it.
                let waited = self.changed.wait_timeout(state, PERIOD);
                let watches = waited.unwrap_or_else(PoisonError::into_inner).0.watches.clone();
                for watch in &watches {
                    watch.look(ctx);
                }
                state = self.lock();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
        if leads {
            state.is_led = false;
            self.changed.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Option<Follower>> {
        self.follower.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was written since the last look.
    fn look(&self, ctx: &Ctx<'_>) {
        if let Some(follower) = &mut *self.lock() {
            let found = follower.look();
            self.tell(ctx, found);
        }
    }

    fn tell(&self, ctx: &Ctx<'_>, found: Found) {
        if !found.points.is_empty() {
            let what = StageEvent::Metrics { points: &found.points };
            ctx.emit(Event::Stage { stage: &self.stage, what });
        }
        for (path, why) in found.problems {
            let what = path.strip_prefix(&self.root).unwrap_or(&path).display().to_string();
            ctx.warn(&Warning::Unreadable { what, why });
        }
    }
}

/// A stage whose commands run.
struct Working<'w> {
    lookout: &'w Lookout,
    watch: &'w Arc<Watch>,
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.lookout.lock().watches.retain(|other| !Arc::ptr_eq(other, self.watch));
        self.lookout.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use exp_core::{CancelToken, RelPath, Value};

    use super::*;

    struct NoVars;

    impl exp_core::VarsSource for NoVars {
        fn load(&self, _: &RelPath) -> Result<Option<Value>, exp_core::PortError> {
            Ok(None)
        }
    }

    #[test]
    fn when_a_stage_ends_another_one_looks() {
        let dir = tempfile::tempdir().unwrap();
        let text = "stages:\n  a: {cmd: x, plots: [a.csv]}\n  b: {cmd: x, plots: [b.csv]}\n";
        let file = RelPath::new("dvc.yaml").unwrap();
        let parsed = PipelineFile::parse(&file, text, dir.path(), &NoVars).unwrap();
        let (sender, told) = channel();
        let sender = Mutex::new(sender);
        let sink = |event: Event<'_>| {
            if let Event::Stage { stage, what: StageEvent::Metrics { points } } = event {
                sender.lock().unwrap().send((stage.to_string(), points[0].value)).unwrap();
            }
        };
        let (ctx, lookout) = (Ctx::new(&sink, CancelToken::new()), Lookout::default());
        let (ended, ends) = channel::<()>();
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join(format!("{name}.csv")), format!("step,v\n{text}")).unwrap();
        };
        let wait = || told.recv_timeout(Duration::from_secs(20)).unwrap();
        thread::scope(|scope| {
            let (begun, begins) = channel::<()>();
            let (ctx, lookout, stages, root) = (&ctx, &lookout, &parsed.stages, dir.path());
            scope.spawn(move || {
                lookout.followed(ctx, root, &[], &stages[0], |_| {
                    begun.send(()).unwrap();
                    ends.recv().unwrap();
                });
            });
            begins.recv().unwrap();
            lookout.followed(ctx, root, &[], &stages[1], |_| {
                write("b", "1,0.5\n");
                assert_eq!(wait(), ("b".to_owned(), 0.5), "the other one looks");
                write("a", "1,0.25\n");
                assert_eq!(wait(), ("a".to_owned(), 0.25));
                // A last line without its end is told when a stage ends, and is the last.
                write("a", "1,0.25\n2,0.125");
                ended.send(()).unwrap();
                assert_eq!(wait(), ("a".to_owned(), 0.125));
                write("a", "1,0.25\n2,0.125\n3,7\n");
                write("b", "1,0.5\n2,0.75\n");
                assert_eq!(wait(), ("b".to_owned(), 0.75), "and now this one does");
            });
        });
        assert!(told.try_recv().is_err(), "nothing else is told");
        assert!(lookout.lock().watches.is_empty() && !lookout.lock().is_led);
    }
}
