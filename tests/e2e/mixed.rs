//! Thirty-two processes at once run, queue, work, show, save, rename and remove on one project.
//!
//! `cargo xtask torture mixed` does it for five minutes; here it is a few seconds, or `EXP_TORTURE_SECONDS`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use exp_tests::setting;
use serde_json::Value as Json;

use crate::project::{Outcome, Project};
use crate::torture::{Told, every_result_is_there};

const N_PROCESSES: usize = 32;

/// What has to have been done, however long that takes on a busy machine, up to this.
const KINDS: [&str; 6] = ["run", "queue", "worker", "show", "rename", "save"];
const PATIENCE: Duration = Duration::from_mins(3);

/// What the processes were told.
#[derive(Default)]
struct Ledger {
    /// Experiments that are there, with the learning rate that they were run with.
    told: Told,
    /// Jobs that were queued.
    queued: Told,
    /// Experiments that were saved.
    saved: Vec<String>,
    /// Names that are no longer there.
    gone: Vec<String>,
    n_commands: BTreeMap<&'static str, usize>,
}

impl Ledger {
    /// Whether nobody did something of what has to be done.
    fn lacks_some(&self) -> bool {
        KINDS.iter().any(|what| !self.n_commands.contains_key(what))
    }
}

#[test]
fn thirty_two_processes_that_do_everything_lose_nothing_and_meet_no_lock() -> Outcome {
    let project = Project::new()?;
    let seconds = setting("EXP_TORTURE_SECONDS").and_then(|text| text.parse().ok()).unwrap_or(8);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (ledger, problems) = (Mutex::new(Ledger::default()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for number in 0..N_PROCESSES {
            let (project, ledger, problems) = (&project, &ledger, &problems);
            scope.spawn(move || {
                let mut own = Vec::new();
                let mut round = 0;
                let goes_on = || {
                    let now = Instant::now();
                    now < end
                        || (now < end + PATIENCE && ledger.lock().is_ok_and(|all| all.lacks_some()))
                };
                while goes_on() && problems.lock().is_ok_and(|list| list.len() < 5) {
                    let done = act(project, (number, round), &mut own, ledger);
                    if let (Err(problem), Ok(mut list)) = (done, problems.lock()) {
                        list.push(problem);
                    }
                    round += 1;
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap_or_default();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    let mut ledger = ledger.into_inner().unwrap_or_default();
    assert!(!ledger.lacks_some(), "of {KINDS:?} somebody did {:?}", ledger.n_commands);
    // What still waits is run, and every job has ended well.
    project.done("repo", &["worker", "-q"])?;
    let status = project.exp("repo", &["queue", "status", "--json"])?;
    let status: Json = serde_json::from_str(&status.stdout)?;
    let jobs = status["jobs"].as_array().ok_or("no jobs")?;
    assert_eq!(jobs.len(), ledger.queued.len(), "every job that was told is in the queue");
    for job in jobs {
        assert_eq!(job["state"], "done", "{job}");
    }
    let queued = std::mem::take(&mut ledger.queued);
    ledger.told.extend(queued);
    every_result_is_there(&project, &ledger.told)?;
    let mut expected: Vec<String> = ledger.told.keys().chain(&ledger.saved).cloned().collect();
    expected.sort();
    let mut found = project.experiments()?;
    found.sort();
    assert_eq!(found, expected, "what was told is there, what was removed or renamed is not");
    for name in &ledger.gone {
        assert!(!found.contains(name), "{name} is gone");
    }
    let verified = project.exp("repo", &["data", "verify"])?;
    assert_eq!(verified.code, 0, "{}", verified.both());
    project.git_check().fsck()?;
    Ok(())
}

/// Does what the process with this number does in this round; `own` are the experiments that it alone names.
fn act(
    project: &Project,
    (number, round): (usize, usize),
    own: &mut Vec<(String, String)>,
    ledger: &Mutex<Ledger>,
) -> Result<(), String> {
    // Neither small nor with a zero at the end, which a lock file would write otherwise.
    let rate = format!("0.5{:02}{:03}1", number, round % 1000);
    let change = format!("lr={rate}");
    let name = |kind: &str| format!("{kind}{number}x{round}");
    let run = |args: &[&str]| -> Result<String, String> {
        let answer = project.exp("repo", args).map_err(|err| err.to_string())?;
        match answer.code {
            0 => Ok(answer.stdout.trim().to_owned()),
            code => Err(format!("exp {} ended with {code}:\n{}", args.join(" "), answer.both())),
        }
    };
    let note = |what: &'static str, change: &mut dyn FnMut(&mut Ledger)| {
        if let Ok(mut ledger) = ledger.lock() {
            *ledger.n_commands.entry(what).or_default() += 1;
            change(&mut ledger);
        }
    };
    match (number + round) % 7 {
        0 => {
            let name = name("e");
            let told = run(&["run", "--temp", "-q", "-n", &name, "-S", &change])?;
            own.push((told.clone(), rate.clone()));
            note("run", &mut |ledger| drop(ledger.told.insert(told.clone(), rate.clone())));
        }
        1 => {
            let told = run(&["queue", "add", "-q", "-n", &name("q"), "-S", &change])?;
            note("queue", &mut |ledger| drop(ledger.queued.insert(told.clone(), rate.clone())));
        }
        2 => {
            run(&["worker", "-q", "--max-jobs", "2"])?;
            note("worker", &mut |_| ());
        }
        3 => {
            let what = [&["show", "--json"][..], &["list"], &["queue", "status", "--json"]];
            run(what[(number / 7) % what.len()])?;
            note("show", &mut |_| ());
        }
        4 if number % 8 == 4 => {
            let told = name("s");
            run(&["save", "--wait-for-lock", "-q", "-n", &told])?;
            note("save", &mut |ledger| ledger.saved.push(told.clone()));
        }
        4 if number % 8 == 0 => {
            let name = name("w");
            let args = ["run", "--wait-for-lock", "-q", "-n", &name, "-S", &change];
            let told = run(&args)?;
            note("run", &mut |ledger| drop(ledger.told.insert(told.clone(), rate.clone())));
        }
        5 => {
            let Some((old, rate)) = own.pop() else { return Ok(()) };
            let new = name("r");
            run(&["rename", "-q", &old, &new])?;
            own.insert(0, (new.clone(), rate.clone()));
            note("rename", &mut |ledger| {
                ledger.told.remove(&old);
                ledger.told.insert(new.clone(), rate.clone());
                ledger.gone.push(old.clone());
            });
        }
        6 if own.len() > 1 => {
            let (old, _) = own.remove(0);
            run(&["remove", "-q", &old])?;
            note("remove", &mut |ledger| {
                ledger.told.remove(&old);
                ledger.gone.push(old.clone());
            });
        }
        _ => {}
    }
    Ok(())
}
