//! Which experiment a person means.

use exp_engine::core::Ctx;
use exp_engine::refs::FindError;
use exp_engine::{Error, Found, SelectorError};

use crate::apply::made;
use crate::support::{Sandbox, Test, request};

/// Makes experiments `low` (acc 0.2), `high` (acc 0.9) and `high-2` (acc 0.4), in this order.
fn three() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::with_stage()?;
    for (name, lr) in [("low", "lr=0.2"), ("high", "lr=0.9"), ("high-2", "lr=0.4")] {
        let mut request = request(&[lr])?;
        request.name = Some(name.to_owned());
        made(sandbox.project()?.run(&Ctx::silent(), &request)?);
    }
    Ok(sandbox)
}

fn found(sandbox: &Sandbox, spec: &str) -> Result<String, Error> {
    let project = sandbox.project().expect("a project");
    Ok(match project.find(&Ctx::silent(), spec)? {
        Found::Experiment(experiment) => experiment.name.to_string(),
        Found::Commit(commit) => format!("commit {commit}"),
    })
}

#[test]
fn names_prefixes_commits_and_selectors_find_one() -> Test {
    let sandbox = three()?;
    let high = sandbox.project()?.find(&Ctx::silent(), "high")?.commit().to_string();
    let full = sandbox.git(&["for-each-ref", "--format=%(refname)", "refs/exps/**/low"])?;
    for (spec, expect) in [
        ("high", "high"),
        ("lo", "low"),
        ("high-", "high-2"),
        (high.as_str(), "high"),
        (&high[..9], "high"),
        (full.trim(), "low"),
        ("last", "high-2"),
        ("last~0", "high-2"),
        ("last~", "high"),
        ("last~2", "low"),
        ("best", "high"),
        ("best:acc", "high"),
        ("best:metrics.json:acc", "high"),
        ("best:acc:min", "low"),
    ] {
        assert_eq!(found(&sandbox, spec)?, expect, "{spec}");
    }
    Ok(())
}

#[test]
fn a_revision_of_git_is_not_hidden_by_a_name_that_begins_like_it() -> Test {
    let sandbox = three()?;
    let head = sandbox.git(&["rev-parse", "HEAD"])?;
    let commit = format!("commit {}", head.trim());
    sandbox.git(&["branch", "hi"])?;
    for spec in ["main", "HEAD", "hi", &head[..10]] {
        assert_eq!(found(&sandbox, spec)?, commit, "{spec}");
    }
    sandbox.git(&["branch", "high"])?;
    assert_eq!(found(&sandbox, "high")?, "high", "a whole name goes first");
    let project = sandbox.project()?;
    let refused = project.find_experiment(&Ctx::silent(), "main");
    assert!(
        matches!(refused, Err(Error::Selector(SelectorError::NotAnExperiment { .. }))),
        "{refused:?}"
    );
    Ok(())
}

#[test]
fn what_is_not_found_is_told_with_what_looks_like_it() -> Test {
    let sandbox = three()?;
    let error = found(&sandbox, "hihg");
    let Err(Error::Find(FindError::NotFound { near, .. })) = &error else { panic!("{error:?}") };
    assert_eq!(near[0].as_str(), "high");
    let error = found(&sandbox, "hig");
    let Err(Error::Find(FindError::Ambiguous { candidates, .. })) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(candidates.len(), 2);
    for (spec, expect) in [
        ("last~3", "`last~3`: only 3 finished"),
        ("last~x", "`last~x`: `last~` needs a number"),
        ("best:nothing", "`best:nothing`"),
    ] {
        assert_eq!(
            found(&sandbox, spec).map_err(|error| error.to_string()),
            Err(expect.to_owned())
        );
    }
    let empty = Sandbox::with_stage()?;
    for spec in ["last", "best", "best:acc"] {
        let error = found(&empty, spec);
        assert!(matches!(error, Err(Error::Selector(SelectorError::None { .. }))), "{error:?}");
    }
    Ok(())
}

#[test]
fn the_same_name_of_two_baselines_means_the_one_of_head_and_else_neither() -> Test {
    let sandbox = Sandbox::with_stage()?;
    let run = |lr: &str| -> Result<_, Box<dyn std::error::Error>> {
        let mut request = request(&[lr])?;
        request.name = Some("twin".to_owned());
        Ok(made(sandbox.project()?.run(&Ctx::silent(), &request)?).commit)
    };
    run("lr=0.5")?;
    sandbox.git(&["checkout", "-q", "."])?;
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "second"])?;
    let second = run("lr=0.6")?;
    assert_eq!(sandbox.project()?.find(&Ctx::silent(), "twin")?.commit(), second);
    sandbox.git(&["checkout", "-q", "."])?;
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "third"])?;
    let error = found(&sandbox, "twin");
    let Err(Error::Find(FindError::Ambiguous { candidates, .. })) = &error else {
        panic!("{error:?}")
    };
    assert!(candidates.iter().all(|one| one.ref_name.as_str().starts_with("refs/exps/")));
    assert_eq!(found(&sandbox, "last")?, "twin", "of all when HEAD has none");
    Ok(())
}
