//! `exp run -- COMMAND`: what is needed to run it, made on the way.

use exp_engine::core::{Algorithm, Ctx, OutKind, RelPath};
use exp_engine::refs::GitEnv;
use exp_engine::{CommandStage, InitOptions, plan_init};

use crate::diagnostic::Failure;
use crate::session::Session;

/// Joins words so that a shell takes them apart again as they are; a single one is a whole command line.
pub(in crate::commands) fn shell_line(words: &[String]) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "./_-+,=:@%".contains(c);
    match words {
        [whole] => whole.clone(),
        words => {
            let quoted = words.iter().map(|word| {
                if !word.is_empty() && word.chars().all(is_plain) {
                    word.clone()
                } else {
                    format!("'{}'", word.replace('\'', "'\\''"))
                }
            });
            quoted.collect::<Vec<_>>().join(" ")
        }
    }
}

/// Makes a project where there is none and a stage for the command where there is none, says so, and returns the name of
/// the stage.
pub(super) fn prepare(session: &mut Session<'_, '_>, words: &[String]) -> Result<String, Failure> {
    if session.io.env.project_root().is_none() {
        let options = InitOptions { hash: Algorithm::Sha256, subdir: false, replace: false };
        let env = GitEnv::new(session.io.env.vars.clone());
        plan_init(session.cwd(), &env, &options)?.perform()?;
        session.note(" ✓ made a project in .dvc/, addressed by sha256")?;
    }
    write_stage(session, words, "exp run -f --trace").map(|(name, _)| name)
}

/// Writes a stage for the command where there is none, says so, and returns its name and the files that were written.
/// `look` is the command line that finds out what the stage really opens.
pub(in crate::commands) fn write_stage(
    session: &mut Session<'_, '_>,
    words: &[String],
    look: &str,
) -> Result<(String, Vec<RelPath>), Failure> {
    let project = session.project()?;
    let cwd = project.relative(session.cwd());
    if !cwd.is_root() {
        return Err(Failure::text_usage("a command is run from the root of the project"));
    }
    let command = shell_line(words);
    let stage = CommandStage::of(&project, words, &command)?;
    let name = stage.request.name.clone();
    if stage.exists {
        return Ok((name, Vec::new()));
    }
    let added = project.add_stage(&Ctx::silent(), &stage.request)?;
    session
        .note(&format!(" ✓ wrote stage `{name}` to dvc.yaml; edit it any time   undo: exp undo"))?;
    let definition = &stage.request.definition;
    let params: Vec<String> = definition
        .params
        .iter()
        .map(|(file, keys)| format!("{file} ({})", keys.join(" ")))
        .collect();
    let outs = |kind: OutKind| -> Vec<String> {
        let outs = definition.outs.iter().filter(|out| out.kind == kind);
        outs.map(|out| out.path.clone()).collect()
    };
    let found = [
        ("reads", definition.deps.clone()),
        ("params", params),
        ("metrics", outs(OutKind::Metric)),
        ("writes", outs(OutKind::Data)),
    ];
    for (what, names) in found.iter().filter(|(_, names)| !names.is_empty()) {
        session.note(&format!("   {what:<8} {}", names.join(", ")))?;
    }
    session.note(&format!("   guessed from names; see what it really opens: {look}"))?;
    Ok((name, added.files))
}

#[cfg(test)]
mod tests {
    use super::shell_line;

    #[test]
    fn words_reach_the_command_as_they_are() {
        let line = |words: &[&str]| {
            shell_line(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(line(&["python", "a.py", "--lr=0.1"]), "python a.py --lr=0.1");
        assert_eq!(line(&["cat a > b"]), "cat a > b");
        assert_eq!(line(&["sh", "-c", "echo 'a b' $X", ""]), "sh -c 'echo '\\''a b'\\'' $X' ''");
    }
}
