//! Data between the store and remotes: what moves, what is missing and where it belongs, what is refused.

use std::fs;
use std::path::PathBuf;

use exp_engine::cache::NoFilter;
use exp_engine::core::{Ctx, RelPath};
use exp_engine::{
    CloudState, DataRevisions, DataScope, DataTransferReport, DataTransferRequest, Error,
    ErrorKind, Granularity, SyncError, UnsavedData,
};

use crate::support::{Sandbox, Test};

const CONFIG: &str = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n";

fn sandbox() -> Result<Sandbox, Box<dyn std::error::Error>> {
    let sandbox = Sandbox::new(&[(".dvc/config", CONFIG)])?;
    sandbox.write("d/a", "a")?;
    sandbox.write("d/sub/b", "b")?;
    sandbox.write("f", "f")?;
    sandbox.add(&["d", "f"])?;
    sandbox.commit("data")?;
    Ok(sandbox)
}

fn targets(targets: &[&str]) -> DataTransferRequest {
    let targets = targets.iter().map(ToString::to_string).collect();
    let scope = DataScope { targets, ..DataScope::default() };
    DataTransferRequest { scope, ..DataTransferRequest::default() }
}

impl Sandbox {
    fn send(&self, request: &DataTransferRequest) -> Result<DataTransferReport, Error> {
        self.open().send_data(&Ctx::silent(), request)
    }

    fn fetch(&self, request: &DataTransferRequest) -> Result<DataTransferReport, Error> {
        self.open().fetch_data(&Ctx::silent(), request)
    }

    fn store(&self) -> PathBuf {
        self.root().join("../store")
    }

    fn lose_everything(&self) -> Test {
        fs::remove_dir_all(self.root().join(".dvc/cache"))?;
        fs::remove_dir_all(self.root().join("d"))?;
        Ok(fs::remove_file(self.root().join("f"))?)
    }
}

fn path(text: &str) -> RelPath {
    RelPath::new(text).expect("a path")
}

#[test]
fn what_was_sent_comes_back() -> Test {
    let sandbox = sandbox()?;
    let sent = sandbox.send(&targets(&[]))?;
    assert_eq!((sent.n_moved(), sent.transfers[0].bytes), (4, 3));
    assert_eq!(sent.transfers[0].remote, "store");
    assert_eq!(sandbox.send(&targets(&[]))?.n_moved(), 0);
    sandbox.lose_everything()?;
    let fetched = sandbox.fetch(&targets(&[]))?;
    assert!(fetched.is_complete());
    assert_eq!(fetched.n_moved(), 4);
    assert!(!sandbox.has("f"), "a fetch leaves the workspace");
    sandbox.checkout(&[], UnsavedData::Refuse)?;
    assert_eq!(sandbox.read("d/sub/b")?, "b");
    Ok(())
}

#[test]
fn what_is_missing_is_named_by_path_and_revision() -> Test {
    let sandbox = sandbox()?;
    sandbox.git(&["branch", "old"])?;
    sandbox.write("f", "changed")?;
    sandbox.add(&["f"])?;
    sandbox.commit("changed")?;
    fs::remove_dir_all(sandbox.root().join(".dvc/cache"))?;
    let revisions = DataRevisions { branches: true, ..DataRevisions::default() };
    let fetched = sandbox.fetch(&DataTransferRequest { revisions, ..targets(&["f"]) })?;
    let named: Vec<_> =
        fetched.missing.iter().map(|one| (one.revision.as_deref(), one.path.as_str())).collect();
    assert_eq!(named, [(None, "f"), (Some("old"), "f")]);
    let sent = sandbox.send(&targets(&["d"]))?;
    assert_eq!(sent.missing.len(), 1, "the manifest is nowhere");
    assert_eq!(sent.missing[0].path, path("d"));
    Ok(())
}

#[test]
fn data_of_experiments_and_old_commits_is_sent_on_request() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.write(".dvc/config", CONFIG)?;
    sandbox.commit("remote")?;
    sandbox.run(&["lr=0.5"])?;
    sandbox.git(&["checkout", "-q", "."])?;
    sandbox.git(&["clean", "-qfd"])?;
    let all = DataRevisions { experiments: true, ..DataRevisions::default() };
    let n_before = sandbox.send(&targets(&[]))?.n_moved();
    let sent = sandbox.send(&DataTransferRequest { revisions: all, ..targets(&[]) })?;
    assert_eq!((n_before, sent.n_moved()), (0, 1));
    Ok(())
}

#[test]
fn a_target_must_be_known_somewhere() -> Test {
    let sandbox = sandbox()?;
    sandbox.git(&["branch", "old"])?;
    sandbox.git(&["rm", "-q", "f.dvc"])?;
    sandbox.commit("without f")?;
    assert!(matches!(sandbox.send(&targets(&["f"])), Err(Error::Data(_))));
    let revisions = DataRevisions { branches: true, ..DataRevisions::default() };
    let request = DataTransferRequest { revisions, ..targets(&["f"]) };
    assert_eq!(sandbox.send(&request)?.n_moved(), 1);
    Ok(())
}

#[test]
fn without_a_remote_nothing_is_sent_and_what_is_here_needs_none() -> Test {
    let sandbox = sandbox()?;
    sandbox.write(".dvc/config", "")?;
    let refused = sandbox.send(&targets(&[])).expect_err("there is no remote");
    assert!(matches!(refused, Error::Sync(SyncError::NoDefaultRemote { n_outputs: 2 })));
    assert_eq!(refused.kind(), ErrorKind::Config);
    assert!(sandbox.fetch(&targets(&[]))?.is_complete());
    fs::remove_dir_all(sandbox.root().join(".dvc/cache"))?;
    assert_eq!(sandbox.fetch(&targets(&[]))?.without_remote.len(), 2);
    Ok(())
}

#[test]
fn a_remote_that_keeps_versions_is_never_taken_for_a_plain_one() -> Test {
    let sandbox = sandbox()?;
    for name in ["version_aware", "worktree"] {
        sandbox.write(".dvc/config", &format!("{CONFIG}    {name} = true\n"))?;
        let refused = sandbox.send(&targets(&[])).expect_err("it is not supported");
        assert!(
            matches!(&refused, Error::Sync(SyncError::VersionedRemote { option, .. }) if *option == name)
        );
        assert!(sandbox.fetch(&targets(&[])).is_err());
    }
    assert!(!sandbox.store().exists());
    Ok(())
}

#[test]
fn a_comparison_says_where_what_is() -> Test {
    let sandbox = sandbox()?;
    sandbox.send(&targets(&["f"]))?;
    fs::remove_dir_all(sandbox.root().join(".dvc/cache/files/md5/8f"))?;
    let found = sandbox.open().compare_data(&Ctx::silent(), &targets(&[]))?;
    let found: Vec<_> =
        found.differing.iter().map(|(path, state)| (path.as_str(), *state)).collect();
    let expected = [("d", CloudState::New), ("d/a", CloudState::New), ("d/sub/b", CloudState::New)];
    assert_eq!(found[..3], expected);
    assert_eq!(found[3], ("f", CloudState::Deleted));
    Ok(())
}

#[test]
fn what_is_not_on_the_remote_is_listed() -> Test {
    let sandbox = sandbox()?;
    let unsent = |paths: &[RelPath], granularity| {
        sandbox.open().not_in_remote(&Ctx::silent(), (paths, granularity), None)
    };
    assert_eq!(unsent(&[], Granularity::Outputs)?, ["d/", "f"]);
    assert_eq!(unsent(&[path("d/sub")], Granularity::Files)?, ["d/sub/b"]);
    sandbox.send(&targets(&["d/a", "f"]))?;
    assert_eq!(unsent(&[], Granularity::Files)?, ["d/", "d/sub/b"]);
    sandbox.send(&targets(&[]))?;
    assert!(unsent(&[], Granularity::Files)?.is_empty());
    Ok(())
}

#[test]
fn data_can_go_to_the_remote_past_the_store() -> Test {
    let sandbox = Sandbox::new(&[(".dvc/config", CONFIG)])?;
    sandbox.write("../outside/one", "1")?;
    sandbox.write("../outside/deep/two", "2")?;
    let source = sandbox.root().join("../outside");
    let project = sandbox.open();
    let send = || project.add_to_remote(&Ctx::silent(), (&source, &NoFilter), None, None);
    let (artifact, moved) = send()?;
    assert_eq!((artifact.n_files, artifact.size, moved.moved), (Some(2), Some(2), 3));
    assert!(!project.cache().contains(&artifact.id));
    let (again, moved) = send()?;
    assert_eq!((again, moved.moved), (artifact, 0));
    Ok(())
}
