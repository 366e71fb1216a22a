//! Opening, `HEAD`, revisions, names.

use std::fs;
use std::path::Path;

use exp_refs::{CommitError, Git, OpenError, OpenOptions};

use crate::scratch::{Scratch, TestResult, draft};

#[test]
fn a_repository_is_found_from_below() -> TestResult {
    let scratch = Scratch::new();
    let git = scratch.open_at(&scratch.root().join("src"));
    assert_eq!(git.root(), scratch.root().canonicalize()?);
    assert_eq!(git.git_dir(), git.root().join(".git"));
    assert_eq!(git.common_dir(), git.git_dir());
    let head = git.head()?;
    assert_eq!(head.commit, Some(scratch.rev("HEAD")));
    assert_eq!(head.branch.as_deref(), Some("main"));
    Ok(())
}

#[test]
fn what_is_no_repository_is_told_apart() -> TestResult {
    let outside = tempfile::tempdir()?;
    assert!(matches!(Git::discover(outside.path()), Err(OpenError::NotARepository { .. })));

    let bare = Scratch::init(&["--bare"]);
    assert!(matches!(Git::discover(&bare.root()), Err(OpenError::Bare { .. })));
    assert!(OpenOptions::default().open(&bare.root())?.is_bare());

    let reftable = Scratch::init(&["--ref-format=reftable"]);
    match Git::discover(&reftable.root()) {
        Err(OpenError::UnsupportedExtension { name, value, .. }) => {
            assert_eq!((name.as_str(), value.as_str()), ("extensions.refStorage", "reftable"));
        }
        other => return Err(format!("{other:?}").into()),
    }

    let broken = Scratch::new();
    fs::write(broken.root().join(".git/config"), "[core\n")?;
    let error = Git::discover(&broken.root()).err();
    assert!(matches!(error, Some(OpenError::Corrupt { .. })), "{error:?}");
    Ok(())
}

#[test]
fn a_linked_work_tree_shares_refs_and_has_its_own_head() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let main = scratch.store();
    let side = scratch.open_at(&scratch.root().parent().expect("a parent").join("side"));
    assert_eq!(side.head()?.branch.as_deref(), Some("side"));
    assert_eq!(side.common_dir(), main.git().common_dir());
    assert_ne!(side.git_dir(), main.git().git_dir());

    let store = exp_refs::ExperimentStore::new(side);
    let parent = scratch.rev("HEAD");
    store.save(&draft(parent, "lr: 1\n"), &"e1".parse()?, exp_refs::Expected::Missing)?;
    assert_eq!(main.list()?.len(), 1);
    scratch.fsck();
    Ok(())
}

#[test]
fn detached_and_unborn_heads_are_described() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["checkout", "-q", "--detach"]);
    let head = scratch.open().head()?;
    assert_eq!((head.commit, head.branch), (Some(scratch.rev("HEAD")), None));

    let unborn = Scratch::unborn();
    let git = unborn.open();
    let head = git.head()?;
    assert_eq!((head.commit, head.branch.as_deref()), (None, Some("main")));
    assert!(git.resolve("HEAD").is_err());
    assert_eq!(unborn.store().list()?, []);
    Ok(())
}

#[test]
fn revisions_mean_what_they_mean_to_git() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    scratch.git(&["tag", "-a", "-m", "x", "v1", "HEAD~1"]);
    scratch.git(&["pack-refs", "--all"]);
    let git = scratch.open();
    let short = scratch.git(&["rev-parse", "--short", "HEAD"]);
    for revision in ["HEAD", "HEAD~1", "main", "v1", "refs/tags/v1", "main^", &short] {
        let commit = scratch.rev(&format!("{revision}^{{commit}}"));
        assert_eq!(git.resolve(revision)?, commit, "{revision}");
    }
    for revision in ["", "nope", "HEAD~9", "HEAD:params.yaml", "main..v1", "\0"] {
        assert!(git.resolve(revision).is_err(), "{revision:?}");
    }
    let chain = git.first_parents(scratch.rev("HEAD"), 5)?;
    assert_eq!(chain, [scratch.rev("HEAD"), scratch.rev("HEAD~1")]);
    Ok(())
}

#[test]
fn commits_are_named_as_dvc_names_them() -> TestResult {
    let scratch = Scratch::new();
    scratch.git(&["tag", "z"]);
    scratch.git(&["tag", "a"]);
    scratch.git(&["branch", "other"]);
    scratch.git(&["commit", "-q", "--allow-empty", "-m", "second"]);
    scratch.git(&["tag", "on-head"]);
    let git = scratch.open();
    let (head, first) = (scratch.rev("HEAD"), scratch.rev("HEAD~1"));
    let names = git.names_of(&[head, first])?;
    assert_eq!(names[&head], "main", "the current branch goes before tags");
    assert_eq!(names[&first], "a", "tags go before branches, the first counts");
    let branches: Vec<_> = git.branches()?.into_iter().map(|branch| branch.name).collect();
    assert_eq!(branches, ["main", "other"]);
    Ok(())
}

#[test]
fn configuration_of_the_user_is_found_through_the_given_environment() -> TestResult {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.home().join(".config/git"))?;
    fs::write(
        scratch.home().join(".gitconfig"),
        "[user]\nname = Home\n[include]\npath = ~/more\n",
    )?;
    fs::write(scratch.home().join("more"), "[user]\nemail = h@e.x\n")?;
    fs::write(scratch.home().join(".config/git/ignore"), "*.globally\n")?;
    let env =
        exp_refs::GitEnv::default().with("HOME", scratch.home()).with("GIT_CONFIG_NOSYSTEM", "1");
    let git = OpenOptions { env, durable: false }.discover(&scratch.root())?;
    let author = git.author()?;
    assert_eq!((author.name.as_str(), author.email.as_str()), ("Home", "h@e.x"));
    assert!(git.is_ignored(&"src/x.globally".parse()?, false)?);
    Ok(())
}

#[test]
fn nobody_commits_without_an_identity() -> TestResult {
    let scratch = Scratch::new();
    let git = Git::discover(&scratch.root())?;
    let parent = scratch.rev("HEAD");
    let error = git.write_commit(&draft(parent, "lr: 2\n")).err();
    assert!(matches!(error, Some(CommitError::NoIdentity { missing: "user.name" })), "{error:?}");
    scratch.git(&["config", "user.name", "Local"]);
    scratch.git(&["config", "user.email", "l@e.x"]);
    let git = Git::discover(&scratch.root())?;
    let commit = git.commit(git.write_commit(&draft(parent, "lr: 2\n"))?)?;
    assert_eq!((commit.author_name.as_str(), commit.author_email.as_str()), ("Local", "l@e.x"));
    Ok(())
}

#[test]
fn tracked_and_ignored_are_what_git_says() -> TestResult {
    let scratch = Scratch::new();
    scratch.write(".gitignore", "*.log\n/data/\n!keep.log\n");
    scratch.write("src/.gitignore", "b.py\n");
    let git = scratch.open();
    let mut ignores = git.ignores()?;
    for (path, is_dir) in [
        ("x.log", false),
        ("keep.log", false),
        ("data", true),
        ("data/in/it.txt", false),
        ("src/b.py", false),
        ("b.py", false),
        ("src/data/x", false),
    ] {
        let shown = if is_dir { format!("{path}/") } else { path.to_owned() };
        if is_dir {
            fs::create_dir_all(scratch.root().join(path))?;
        }
        let by_git = scratch.try_git(&["check-ignore", "-q", &shown]).status.success();
        assert_eq!(ignores.is_ignored(&path.parse()?, is_dir)?, by_git, "{shown}");
    }
    for (path, expect) in
        [("params.yaml", true), ("src", true), ("src/a.py", true), ("sr", false), ("x", false)]
    {
        assert_eq!(git.is_tracked(&path.parse()?)?, expect, "{path}");
    }
    Ok(())
}

#[test]
fn sha256_repositories_work() -> TestResult {
    let scratch = Scratch::init(&["--object-format=sha256"]);
    scratch.write("params.yaml", "lr: 1\n");
    scratch.git(&["add", "."]);
    scratch.git(&["commit", "-q", "-m", "first"]);
    let store = scratch.store();
    let parent = scratch.rev("HEAD");
    let saved =
        store.save(&draft(parent, "lr: 3\n"), &"e1".parse()?, exp_refs::Expected::Missing)?;
    assert_eq!(saved.commit.as_bytes().len(), 32);
    assert_eq!(store.list()?, [saved]);
    scratch.fsck();
    Ok(())
}

#[test]
fn a_missing_directory_is_no_panic() {
    let error = Git::discover(Path::new("/nonexistent/for/sure")).err();
    assert!(error.is_some());
}
