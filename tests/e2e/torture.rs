//! Twenty processes at once run, reproduce and read one project.
//!
//! `cargo xtask torture pipeline` does it for a minute; here it is a few seconds, or `EXP_TORTURE_SECONDS`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use exp_tests::setting;

use crate::project::{Outcome, Project};

const N_PROCESSES: usize = 20;

/// An experiment that was told to be there, and the learning rate that it was run with.
pub(crate) type Told = BTreeMap<String, String>;

#[test]
fn twenty_processes_on_one_project_lose_nothing() -> Outcome {
    let project = Project::new()?;
    let seconds = setting("EXP_TORTURE_SECONDS").and_then(|text| text.parse().ok()).unwrap_or(12);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (told, problems) = (Mutex::new(Told::new()), Mutex::new(Vec::new()));
    let n_commands = Mutex::new(0_usize);
    std::thread::scope(|scope| {
        for number in 0..N_PROCESSES {
            let (project, told, problems, n_commands) = (&project, &told, &problems, &n_commands);
            scope.spawn(move || {
                let mut round = 0;
                while Instant::now() < end && problems.lock().is_ok_and(|list| list.len() < 5) {
                    round += 1;
                    let problem = act(project, number, round, told).err();
                    if let Ok(mut count) = n_commands.lock() {
                        *count += 1;
                    }
                    if let (Some(problem), Ok(mut list)) = (problem, problems.lock()) {
                        list.push(problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap_or_default();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
    let told = told.into_inner().unwrap_or_default();
    assert!(told.len() >= 8, "{} experiments", told.len());
    every_result_is_there(&project, &told)?;
    project.done("repo", &["repro", "--wait-for-lock"])?;
    let status = project.done("repo", &["status"])?;
    assert!(!status.contains("is not valid"), "{status}");
    let verified = project.exp("repo", &["data", "verify"])?;
    assert_eq!(verified.code, 0, "{}", verified.both());
    project.git_check().fsck()?;
    Ok(())
}

/// Does what the process with this number does in this round.
fn act(project: &Project, number: usize, round: usize, told: &Mutex<Told>) -> Result<(), String> {
    // No zero at the end, which a lock file would not keep.
    let rate = format!("0.{:03}1", (number * 37 + round) % 1000);
    let (name, change) = (format!("e{number}x{round}"), format!("lr={rate}"));
    let private = ["run", "--temp", "-q", "-n", &name, "-S", &change];
    let shared = ["run", "--wait-for-lock", "-q", "-n", &name, "-S", &change];
    let args: &[&str] = match number {
        0..6 => &private,
        6..9 => &shared,
        9..12 => &["repro", "--wait-for-lock"],
        _ => match (number + round) % 5 {
            0 => &["list"],
            1 => &["show", "--json"],
            2 => &["status", "--json"],
            3 => &["diff"],
            _ => &["dag"],
        },
    };
    let answer = project.exp("repo", args).map_err(|err| err.to_string())?;
    if answer.code != 0 {
        let said = answer.both();
        return Err(format!("exp {} ended with {}:\n{said}", args.join(" "), answer.code));
    }
    if number < 9 {
        // The name of the experiment, which is another one when that has the same result.
        let name = answer.stdout.trim().to_owned();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("exp {} named no experiment:\n{}", args.join(" "), answer.both()));
        }
        if let Ok(mut told) = told.lock() {
            told.insert(name, rate);
        }
    }
    Ok(())
}

/// Every experiment that a run named exists, with the parameter that was asked for and the metric that comes of it.
pub(crate) fn every_result_is_there(project: &Project, told: &Told) -> Outcome {
    let refs = project.git_check().refs()?;
    for (name, rate) in told {
        let suffix = format!("/{name}");
        let full = refs
            .keys()
            .find(|full| full.starts_with("refs/exps/") && full.ends_with(&suffix))
            .ok_or_else(|| format!("{name} was told and is not there"))?;
        let file = |path: &str| {
            project.git(&["show", &format!("{full}:{path}")]).map_err(|err| {
                let tree = project.git(&["ls-tree", "-r", "--name-only", full]).unwrap_or_default();
                format!("{name} lacks {path}: {err}\n{tree}")
            })
        };
        let params = file("params.yaml")?;
        assert!(params.contains(&format!("lr: {rate} ")), "{name} is not of lr={rate}:\n{params}");
        let metrics = file("metrics.json")?;
        assert_eq!(metrics.trim(), format!("{{\"accuracy\": {rate}}}"), "{name}");
        let lock = file("dvc.lock")?;
        assert!(lock.contains(&format!("lr: {rate}\n")), "{name} recorded another rate:\n{lock}");
    }
    Ok(())
}
