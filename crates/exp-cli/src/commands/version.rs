//! `version` and `root`.

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::version::{NoArgs, VersionArgs};
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: NoArgs,
        run: root,
        exp: Some("root"),
        dvc: Some("root"),
        topic: Topic::Settings,
        about: "Print the path to the project's root, relative to the current directory",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: VersionArgs,
        run: version,
        exp: Some("version"),
        dvc: Some("version"),
        topic: Topic::Settings,
        about: "Print the version and what this machine offers",
        long: "",
        dvc_failure: DvcFailure::PLAIN,
    },
];

fn root(session: &mut Session<'_, '_>, _: &NoArgs) -> Outcome {
    let root = session.project_root()?;
    let below = session.cwd().strip_prefix(&root).map_or(0, |below| below.components().count());
    let path = if below == 0 { ".".to_owned() } else { vec![".."; below].join("/") };
    session.say(&path)?;
    Ok(ExitStatus::DONE)
}

fn version(session: &mut Session<'_, '_>, args: &VersionArgs) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if args.short {
        session.say(version)?;
        return Ok(ExitStatus::DONE);
    }
    session.say(&format!("exp {version}"))?;
    session.say(&format!("Follows DVC {}", crate::grammar::DVC_VERSION))?;
    session.say(&format!("Platform: {} {}", std::env::consts::OS, std::env::consts::ARCH))?;
    if let Some(root) = session.io.env.project_root().map(std::path::Path::to_path_buf) {
        let settings = exp_engine::ProjectSettings::load(&root.join(".dvc"))?;
        session.say(&format!("Project: {}", root.display()))?;
        session.say(&format!("Hash: {}", settings.hash))?;
    }
    Ok(ExitStatus::DONE)
}
