//! The experiments of a repository, with `exp-refs` alone: no pipeline, no store, no project. It works on bare
//! repositories too, where a server keeps them.
//!
//! ```console
//! $ cargo run -p exp-examples --example refs_only -- PATH    # a work tree or a bare repository
//! ```

use exp_core::Timestamp;
use exp_examples::{Failure, Place, print};
use exp_refs::{Draft, Expected, ExperimentStore, OpenOptions, RunEnd, RunRecord, TreeChange};

fn main() -> Result<(), Failure> {
    if let Some(place) = Place::named()? {
        let options = OpenOptions { env: place.env(), ..OpenOptions::default() };
        return list(&ExperimentStore::new(options.open(place.path())?));
    }
    let work = Place::empty()?;
    work.git(&["init", "-q", "-b", "main"])?;
    work.git(&["commit", "-q", "--allow-empty", "-m", "Nothing yet"])?;
    let options = OpenOptions { env: work.env(), ..OpenOptions::default() };
    save_two(&ExperimentStore::new(options.discover(work.path())?))?;

    // A mirror has every ref, those of experiments and of runs that did not finish included.
    let server = Place::empty()?;
    let from = work.path().to_string_lossy().into_owned();
    server.git(&["clone", "-q", "--mirror", &from, "."])?;
    let store = ExperimentStore::new(options.open(server.path())?);
    list(&store)?;
    let n_finished = store.list()?.iter().filter(|experiment| experiment.is_finished).count();
    if n_finished == 1 { Ok(()) } else { Err(format!("{n_finished} experiments finished").into()) }
}

/// Prints a line for each experiment: its name, its commit, how it ended, its message.
fn list(store: &ExperimentStore) -> Result<(), Failure> {
    for experiment in store.list()? {
        let state = match store.record(&experiment)? {
            None => "finished".to_owned(),
            Some(record) => match (record.end, record.exit_code) {
                (RunEnd::Failed, Some(code)) => format!("failed with exit code {code}"),
                (end, _) => format!("{end:?}").to_lowercase(),
            },
        };
        let commit = store.git().commit(experiment.commit)?;
        print(&format!(
            "{} on {}: {}, {state}: {}",
            experiment.name,
            experiment.baseline.short(7),
            experiment.commit.short(7),
            commit.message.lines().next().unwrap_or_default(),
        ))?;
    }
    Ok(())
}

/// Saves an experiment and a run that failed. `HEAD`, the index and the branches stay as they are.
fn save_two(store: &ExperimentStore) -> Result<(), Failure> {
    let baseline = store.git().resolve("HEAD")?;
    let draft = |text: &str, message: &str| -> Result<Draft, Failure> {
        Ok(Draft {
            parent: baseline,
            base: None,
            changes: vec![TreeChange::file("params.yaml".parse()?, text.as_bytes())],
            message: message.to_owned(),
            author: None,
            time: Timestamp::utc(1_795_410_005),
            record: None,
        })
    };
    let name = store.free_name(baseline, 7)?;
    store.save(&draft("lr: 0.1\n", "a higher rate")?, &name, Expected::Missing)?;
    let record = RunRecord {
        stage: Some("train".to_owned()),
        exit_code: Some(137),
        overrides: vec!["lr=9".to_owned()],
        ..RunRecord::new(RunEnd::Failed, Timestamp::utc(1_795_410_000))
    };
    let name = store.free_name(baseline, 8)?;
    store.save_run(&draft("lr: 9\n", "far too high")?, &name, &record, Some(b"out of memory\n"))?;
    Ok(())
}
