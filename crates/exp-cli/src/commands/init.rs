//! `init`: make a project.

use exp_engine::core::Algorithm;
use exp_engine::{InitError, InitOptions, init};

use super::{CommandSpec, DvcFailure, Outcome, Topic, command};
use crate::args::init::{DvcInitArgs, InitArgs};
use crate::diagnostic::Failure;
use crate::exit::ExitStatus;
use crate::session::Session;

pub(super) const COMMANDS: &[CommandSpec] = &[
    command! {
        args: InitArgs,
        run: ours,
        exp: Some("init"),
        dvc: None,
        topic: Topic::First,
        about: "Make a project in this directory of a Git repository",
        long: "Make a project in this directory of a Git repository.\n\nCreates .dvc/ and .dvcignore and names \
               the files to commit; Git's index is not touched. Content is addressed by SHA-256, which DVC itself \
               cannot read; with --hash md5 the project is one that DVC can share.\n\nExamples:\n  exp init\n  \
               exp init --hash md5",
        dvc_failure: DvcFailure::PLAIN,
    },
    command! {
        args: DvcInitArgs,
        run: dvcs,
        exp: None,
        dvc: Some("init"),
        topic: Topic::First,
        about: "Initialize DVC repository",
        long: "",
        dvc_failure: DvcFailure { code: 1, prefix: "failed to initiate DVC" },
    },
];

fn ours(session: &mut Session<'_, '_>, args: &InitArgs) -> Outcome {
    let hash = if args.hash == "md5" { Algorithm::Md5 } else { Algorithm::Sha256 };
    let options = InitOptions { hash, subdir: args.subdir, replace: args.force };
    let report = init(session.cwd(), &options)?;
    session.note(&format!("Made a project; its content is addressed by {hash}."))?;
    session.note(&format!("commit it: git add {} && git commit", report.files.join(" ")))?;
    Ok(ExitStatus::DONE)
}

fn dvcs(session: &mut Session<'_, '_>, args: &DvcInitArgs) -> Outcome {
    if args.no_scm {
        let message = if args.subdir {
            "Cannot initialize repo with `--no-scm` and `--subdir`".to_owned()
        } else {
            "failed to initiate DVC - projects without Git are not supported".to_owned()
        };
        return Err(Failure::Dvc { message, code: if args.subdir { 255 } else { 1 } });
    }
    let dir = session.cwd().join(&args.directory);
    let dir = dir.canonicalize().map_err(|source| Failure::Enter { dir, source })?;
    let options = InitOptions { hash: Algorithm::Md5, subdir: args.subdir, replace: args.force };
    let report = init(&dir, &options)?;
    report.stage(session.io.env.vars.clone())?;
    session.note("Initialized DVC repository.\n\nYou can now commit the changes to git.\n")?;
    session.say(
        "What's next?\n------------\n- Check out the documentation: <https://dvc.org/doc>\n- Get help and \
         share ideas: <https://dvc.org/chat>\n- Star us on GitHub: <https://github.com/treeverse/dvc>",
    )?;
    Ok(ExitStatus::DONE)
}

/// Returns DVC's words for a project that was not made.
pub(crate) fn dvc_message(error: &InitError) -> String {
    match error {
        InitError::Exists { .. } => "'.dvc' exists. Use `-f` to force.".to_owned(),
        InitError::NoGit { dir } | InitError::NotAtTop { dir, .. } => format!(
            "{} is not tracked by any supported SCM tool (e.g. Git). Use `--no-scm` if you don't want to use \
             any SCM or `--subdir` if initializing inside a subdirectory of a parent SCM repository.",
            dir.display()
        ),
        error => crate::diagnostic::chain(error).join(": "),
    }
}
