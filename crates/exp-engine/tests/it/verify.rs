//! Damage in the store is told by the paths that need it, and mended from where the bytes still are.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use exp_engine::core::{Algorithm, Ctx, Digest, ObjectId, PathError, RelPath};
use exp_engine::{DataError, Error, MendedFrom, Project, Repair, UsageBy, VerifyRequest};

use crate::support::{Sandbox, Test};

fn damage(project: &Project, bytes: &[u8]) -> Test {
    let id = ObjectId::file(Digest::of(Algorithm::Md5, bytes));
    let path = project.cache().object_path(&id);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
    fs::write(&path, "damaged")?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(0o444))?)
}

#[test]
fn damage_is_named_by_path_and_mended_from_the_workspace_or_the_remote() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    let model = sandbox.read("model")?;
    let project = sandbox.project()?;
    let ctx = Ctx::silent();
    let whole = VerifyRequest::default();
    assert!(project.verify(&ctx, &whole)?.defects.is_empty());

    damage(&project, model.as_bytes())?;
    let report = project.verify(&ctx, &whole)?;
    assert_eq!(report.defects.len(), 1);
    assert!(report.defects[0].needed.iter().any(|by| by.path == "model"));
    let mending = VerifyRequest { repair: Repair::Yes, ..VerifyRequest::default() };
    let report = project.verify(&ctx, &mending)?;
    let defect = &report.defects[0];
    assert!(matches!(&defect.mended, Some(MendedFrom::File(path)) if path.ends_with("model")));
    let aside = defect.aside.as_ref().ok_or("it was set aside")?;
    assert_eq!(fs::read_to_string(aside)?, "damaged");
    assert!(project.verify(&ctx, &whole)?.defects.is_empty());

    // Without the file, the remote has it.
    let id = ObjectId::file(Digest::of(Algorithm::Md5, model.as_bytes())).to_string();
    let remote = sandbox.root().with_file_name("remote");
    let at = remote.join("files/md5").join(&id[..2]);
    fs::create_dir_all(&at)?;
    fs::write(at.join(&id[2..]), &model)?;
    sandbox.write(
        ".dvc/config",
        "[core]\n    remote = r\n['remote \"r\"']\n    url = ../../remote\n",
    )?;
    let project = sandbox.project()?;
    damage(&project, model.as_bytes())?;
    fs::remove_file(sandbox.root().join("model"))?;
    let targets = vec![RelPath::new("model")?];
    let report = project.verify(&ctx, &VerifyRequest { targets, ..mending })?;
    assert_eq!(report.defects[0].mended, Some(MendedFrom::Remote("r".to_owned())));
    assert!(project.verify(&ctx, &whole)?.defects.is_empty());
    Ok(())
}

#[test]
fn what_is_not_tracked_is_said_and_not_called_missing() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    let (project, ctx) = (sandbox.project()?, Ctx::silent());
    let verify = |targets: &[&str]| {
        let targets = targets.iter().copied().map(RelPath::new).collect::<Result<_, _>>()?;
        Ok::<_, PathError>(
            project.verify(&ctx, &VerifyRequest { targets, ..VerifyRequest::default() }),
        )
    };
    for known in [&["model"][..], &["dvc.yaml"], &["model", "dvc.yaml"], &["model", "model"], &[""]]
    {
        assert!(verify(known)?.is_ok(), "{known:?}");
    }
    for unknown in [&["no"][..], &["model", "no"], &["model/no"], &["mod"]] {
        let error = verify(unknown)?.err();
        let path = unknown.last().copied().unwrap_or_default();
        assert!(
            matches!(&error, Some(Error::Data(DataError::NothingTracked { path: told })) if told.as_str() == path),
            "{unknown:?}: {error:?}"
        );
    }
    sandbox.write("no.dvc", "outs:\n- md5: 12345\n  hash: md5\n  path: no\n")?;
    let text = verify(&["no"])?.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("no.dvc"), "what tracks it cannot be read: {text}");
    assert!(verify(&["model"])?.is_ok());
    Ok(())
}

#[test]
fn usage_tells_what_only_one_needs_and_what_nobody_does() -> Test {
    let sandbox = Sandbox::with_stage()?;
    sandbox.run(&[])?;
    sandbox.commit("ran")?;
    sandbox.run(&["lr=7"])?;
    sandbox.git(&["checkout", "-q", "."])?;
    let project = sandbox.project()?;
    project.cache().add_bytes(b"nobody needs these")?;
    let ctx = Ctx::silent();
    let usage = project.store_usage(&ctx, UsageBy::Output)?;
    assert_eq!((usage.unneeded, usage.unneeded_bytes), (1, 18));
    let model = usage.rows.iter().find(|row| row.name == "model").ok_or("a row")?;
    assert_eq!((model.objects, model.bytes), (2, model.only_here));

    let usage = project.store_usage(&ctx, UsageBy::Revision)?;
    let row = |name: &str| usage.rows.iter().find(|row| row.name == name);
    let experiment = project.latest()?[0].name.to_string();
    assert!(row(&experiment).ok_or("a row")?.only_here > 0);
    assert_eq!(row("main").ok_or("a row")?.only_here, 0, "the workspace has it too");
    Ok(())
}
