//! `init`: make a project, and its first stage if one is described.

mod first;

use std::borrow::Cow;
use std::path::Path;

use exp_engine::core::Algorithm;
use exp_engine::refs::GitEnv;
use exp_engine::{FirstStage, InitError, InitOptions, plan_init};

use super::run::command::write_stage;
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
               cannot read; with --hash md5 the project is one that DVC can share.\n\nWith --command or -i the \
               first stage is written to dvc.yaml, in an existing project too. Paths that are not given have \
               the defaults below; an empty one, or n, leaves it out. Nothing but dvc.yaml and .gitignore is \
               created. With --from the parts of the stage are guessed from the names in a command and its script.\n\nExamples:\n  exp init\n  exp init -i\n  exp init --from 'python train.py'\n  exp init --command 'python train.py' --code \
               train.py --plots n",
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
    let root = session.cwd().to_path_buf();
    let env = GitEnv::new(session.io.env.vars.clone());
    let hash = match args.hash.as_deref() {
        Some("md5") => Algorithm::Md5,
        _ => Algorithm::Sha256,
    };
    let options = InitOptions { hash, subdir: args.subdir, replace: args.force };
    let wants_stage = args.interactive || args.stage.command.is_some() || args.from.is_some();
    let plan = match plan_init(&root, &env, &options) {
        // Its settings were not asked about, so that the stage is all there is to do.
        Err(InitError::Exists { .. } | InitError::NotAtTop { .. })
            if wants_stage && args.hash.is_none() && root.join(".dvc/config").is_file() =>
        {
            None
        }
        plan => Some(plan?),
    };
    let stage = if args.interactive {
        first::asked(session, &args.stage)?
    } else {
        first::given(&args.stage)?
    };
    if let Some(stage) = &stage {
        stage.check(&root)?;
    }
    let mut files = Vec::new();
    if let Some(plan) = plan {
        let report = plan.perform()?;
        files = report.files;
        session.note(&format!("Made a project; its content is addressed by {hash}."))?;
    }
    if let Some(stage) = &stage {
        files.extend(write(session, stage, &root)?);
    }
    if let Some(line) = &args.from {
        let words = std::slice::from_ref(line);
        let (_, written) = write_stage(session, words, "exp run --trace")?;
        files.extend(written.iter().map(ToString::to_string));
    }
    if !files.is_empty() {
        let names: Vec<_> = files.iter().map(|file| quoted(file)).collect();
        session.note(&format!("commit it: git add {} && git commit", names.join(" ")))?;
    }
    let next = match &stage {
        Some(_) => "exp run",
        None if args.from.is_some() => "exp run",
        None if root.join("dvc.yaml").exists() => return Ok(ExitStatus::DONE),
        None => "exp init -i, to describe the first stage",
    };
    session.note(&format!("next: {next}"))?;
    Ok(ExitStatus::DONE)
}

/// Writes the stage and tells of it; returns the files that were written.
fn write(
    session: &mut Session<'_, '_>,
    stage: &FirstStage,
    root: &Path,
) -> Result<Vec<String>, Failure> {
    let project = session.project()?;
    let request = stage.request();
    let added = session.look(|ctx| project.add_stage(ctx, &request))?;
    let files: Vec<String> = added.files.iter().map(ToString::to_string).collect();
    session.note(&format!("Wrote stage `{}` to {}.", stage.name, files.join(" and ")))?;
    let missing = stage.missing(root);
    if !missing.is_empty() {
        let names: Vec<String> = missing.iter().map(|path| format!("`{path}`")).collect();
        let names = names.join(", ");
        session.warn(&format!("warning: the stage reads what does not exist yet: {names}"))?;
    }
    Ok(files)
}

/// Returns a path as a shell takes it.
fn quoted(path: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '-' | '+' | ',');
    if path.chars().all(is_plain) {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("'{}'", path.replace('\'', "'\\''")))
    }
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
    let env = GitEnv::new(session.io.env.vars.clone());
    let report = plan_init(&dir, &env, &options)?.perform()?;
    report.stage(session.io.env.vars.clone())?;
    session.note("Initialized DVC repository.\n\nYou can now commit the changes to git.\n")?;
    session.note(
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
