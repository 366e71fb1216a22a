//! Which jobs a sweep makes: samples and repetitions, and parameters that are composed for each.

use crate::{Outcome, Sandbox};

fn project(config: &str) -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::project()?;
    std::fs::create_dir_all(sandbox.root().join("conf/db"))?;
    for (path, text) in [
        (".dvc/config", config),
        (".dvc/.gitignore", "/config.local\n/tmp\n/cache\n"),
        ("params.yaml", "lr: 0\nseed: 9\n"),
        ("conf/config.yaml", "defaults:\n- db: mysql\nlr: 1\n"),
        ("conf/db/mysql.yaml", "driver: mysql\n"),
        ("conf/db/pg.yaml", "driver: pg\n"),
        ("dvc.yaml", "stages:\n  train:\n    cmd: 'true'\n    params: [lr]\n"),
    ] {
        std::fs::write(sandbox.root().join(path), text)?;
    }
    sandbox.git(&["add", "-A"])?;
    sandbox.git(&["commit", "-q", "-m", "first"])?;
    Ok(sandbox)
}

/// Returns the parameters of each job in a line, in the order of queueing.
fn queued(sandbox: &Sandbox) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let refs = sandbox.git(&["for-each-ref", "--format=%(refname)", "refs/exp/queue"])?;
    let mut jobs: Vec<(u64, String)> = Vec::new();
    for name in refs.lines() {
        let number = name.rsplit('/').next().unwrap_or_default().parse()?;
        let params = sandbox.git(&["show", &format!("{name}:params.yaml")])?;
        jobs.push((number, params.trim_end().replace('\n', " ")));
    }
    jobs.sort();
    Ok(jobs.into_iter().map(|(_, params)| params).collect())
}

#[test]
fn a_sample_is_drawn_and_each_setting_repeated() -> Outcome {
    let flags = "-S lr=range(1,9) --sample 3 --draw-seed 7";
    let one = project("")?;
    let ran = one.run(&format!("exp run --queue -q -n s {flags}"));
    assert_eq!((ran.code, ran.out.as_str()), (0, "s-1\ns-2\ns-3\n"), "{}", ran.err);
    let sample = queued(&one)?;
    assert!(
        sample.windows(2).all(|pair| pair[0] < pair[1]),
        "in the order of the grid: {sample:?}"
    );
    let two = project("")?;
    let ran = two.run(&format!("exp run --queue -q {flags} --repeat 2 --vary seed"));
    assert_eq!((ran.code, ran.out.lines().count()), (0, 6), "{}", ran.err);
    let expect: Vec<String> = (sample.iter())
        .flat_map(|setting| [0, 1].map(|seed| setting.replace("seed: 9", &format!("seed: {seed}"))))
        .collect();
    assert_eq!(queued(&two)?, expect, "the same seed draws the same sample");
    let three = project("")?;
    assert_eq!(three.run("exp run --queue -q --repeat 3 --vary seed").code, 0);
    assert_eq!(queued(&three)?, [0, 1, 2].map(|seed| format!("lr: 0 seed: {seed}")));
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused() -> Outcome {
    let sandbox = project("")?;
    for (flags, expect) in [
        ("--missing -S lr=1", "choose what is queued: give `--queue`"),
        ("--sample 2 -S lr=1", "choose what is queued: give `--queue`"),
        ("--queue --repeat 2", "--vary"),
        ("--queue -S seed=1,2 --repeat 2 --vary seed", "`seed` is given twice"),
        ("--queue --repeat 2 --vary nope", "`nope` does not exist"),
    ] {
        let ran = sandbox.run(&format!("exp run {flags}"));
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{flags}: {}", ran.err);
        assert!(ran.err.contains(expect), "{flags}: {}", ran.err);
    }
    assert!(queued(&sandbox)?.is_empty());
    Ok(())
}

#[test]
fn each_job_has_parameters_composed_of_its_own_choices() -> Outcome {
    let sandbox = project("[hydra]\nenabled = true\n")?;
    let ran = sandbox.run("exp run --queue -q -S db=mysql,pg -S lr=5");
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}", ran.err);
    assert_eq!(queued(&sandbox)?, ["db:   driver: mysql lr: 5", "db:   driver: pg lr: 5"]);
    Ok(())
}

#[test]
fn of_a_sweep_that_is_asked_for_again_only_what_is_missing_is_queued() -> Outcome {
    let sandbox = project("")?;
    let again = "exp queue add --missing -n g -S lr=1,2,3";
    let first = sandbox.run(again);
    assert!(first.err.starts_with("queued 3 jobs, 1 to 3: g-1, g-2, g-3\n"), "{}", first.err);
    sandbox.check(again, 0, "", "3 of 3 are done, or wait or run already\nNothing is missing.\n");
    assert_eq!(sandbox.run("exp queue remove g-2").code, 0);
    let second = sandbox.run(again);
    assert!(
        second.err.starts_with("2 of 3 are done, or wait or run already\nqueued g-2 as job 4\n"),
        "{}",
        second.err
    );
    assert_eq!(sandbox.run("exp worker -q").code, 0);
    // In front of what is done there is something new: numbers that are taken are not given twice.
    let wider = sandbox.run("exp run --queue -q --missing -n g -S lr=0,1,2,3");
    assert_eq!((wider.code, wider.out.as_str()), (0, "g-5\n"), "{}", wider.err);
    assert_eq!(queued(&sandbox)?, ["lr: 0 seed: 9"]);
    Ok(())
}
