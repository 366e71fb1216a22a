//! Push and fetch with the `git` program, against repositories on disk.

use exp_core::{Cancel, CancelToken, Ctx, NullSink};
use exp_refs::{ExpName, Expected, GitCli, OnDiverged, TransportError};

use crate::scratch::{Scratch, TestResult, draft};

#[test]
fn experiments_travel_and_diverged_ones_are_told() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["init", "-q", "--bare", "../remote.git"]);
    scratch.git(&["remote", "add", "origin", "../remote.git"]);
    let (store, ctx) = (scratch.store(), Ctx::silent());
    let cli = GitCli::new(store.git().clone());
    let parent = scratch.rev("HEAD");
    let mut refs = Vec::new();
    for i in 0..3 {
        let name: ExpName = format!("e{i}").parse()?;
        refs.push(
            store.save(&draft(parent, &format!("{i}\n")), &name, Expected::Missing)?.ref_name,
        );
    }
    let report = cli.push(&ctx, "origin", &refs, OnDiverged::Keep)?;
    assert_eq!((report.updated.len(), report.up_to_date.len()), (3, 0));
    let there = cli.list(&ctx, "origin", "refs/exps/")?;
    assert_eq!(there, store.git().list_refs("refs/exps/")?);

    let old = store.find("e1")?;
    let new = store.save(&draft(parent, "new\n"), &old.name, Expected::Is(old.commit))?;
    let report = cli.push(&ctx, "origin", &refs, OnDiverged::Keep)?;
    assert_eq!(report.diverged, std::slice::from_ref(&new.ref_name));
    assert_eq!(report.up_to_date.len(), 2);
    let kept = cli.fetch(&ctx, "origin", &there, OnDiverged::Keep)?;
    assert_eq!(kept.diverged, std::slice::from_ref(&new.ref_name));
    assert_eq!(store.find("e1")?, new);
    let report = cli.push(&ctx, "origin", &refs, OnDiverged::Overwrite)?;
    assert_eq!(report.updated, std::slice::from_ref(&new.ref_name));

    store.remove(&store.list()?)?;
    let there = cli.list(&ctx, "origin", "refs/exps/")?;
    let report = cli.fetch(&ctx, "origin", &there, OnDiverged::Keep)?;
    assert_eq!(report.updated.len(), 3);
    assert_eq!(store.find("e1")?, new);
    let report = cli.delete(&ctx, "origin", &refs[..1])?;
    assert_eq!(report.updated, refs[..1]);
    let report = cli.delete(&ctx, "origin", &refs[..1])?;
    assert_eq!((report.updated.len(), report.up_to_date.len()), (0, 1));
    assert_eq!(cli.list(&ctx, "origin", "refs/exps/")?.len(), 2);
    scratch.fsck();
    Ok(())
}

#[test]
fn failures_are_told_apart() {
    let scratch = Scratch::new();
    let cli = GitCli::new(scratch.open());
    let ctx = Ctx::silent();
    let list = |remote| cli.list(&ctx, remote, "refs/exps/").err();
    let missing = list("nowhere");
    assert!(matches!(missing, Some(TransportError::Missing { .. })), "{missing:?}");
    for remote in ["--upload-pack=touch /tmp/x", ""] {
        assert!(matches!(list(remote), Some(TransportError::InvalidRemote { .. })), "{remote}");
    }
    let nobody = list("http://127.0.0.1:9/x.git");
    assert!(matches!(nobody, Some(TransportError::Network { .. })), "{nobody:?}");
    let gone =
        cli.clone().with_program("/nonexistent/git".into()).list(&ctx, "nowhere", "refs/exps/");
    assert!(matches!(gone, Err(TransportError::Program { .. })), "{gone:?}");

    let token = CancelToken::new();
    token.cancel(Cancel::Stop);
    let stopped = cli.list(&Ctx::new(&NullSink, token), "nowhere", "refs/exps/");
    assert!(matches!(stopped, Err(TransportError::Cancelled(_))), "{stopped:?}");
}
