//! A stage for a command that somebody just wants to run: what it reads and writes is guessed from names in the command
//! and in the scripts that it runs.
//!
//! Nothing is run and nothing is sure: which files there are, and what their names are like, is all that is looked at.
//! [`crate::Tracer`] finds out what a command really opens.

use std::fs;
use std::path::Path;

use exp_core::{Command, OutDefinition, OutKind, RelPath, Stage, StageDefinition, Value, verbatim};
use exp_params::Format;

use crate::error::Error;
use crate::project::Project;
use crate::stage::StageAddRequest;
use crate::view::{Broken, View};

/// Parameter files, the usual one first.
const PARAMS: [&str; 4] = ["params.yaml", "params.json", "params.toml", "params.py"];

/// Endings of files that programs of this kind write.
const MODELS: [&str; 14] = [
    "bin",
    "ckpt",
    "h5",
    "joblib",
    "keras",
    "model",
    "npy",
    "npz",
    "onnx",
    "pickle",
    "pkl",
    "pt",
    "pth",
    "safetensors",
];

/// Endings of data that is read.
const DATA: [&str; 10] =
    ["avro", "csv", "feather", "jsonl", "ndjson", "parquet", "tsv", "txt", "xml", "zip"];

/// Endings of code.
const CODE: [&str; 7] = ["jl", "js", "lua", "pl", "py", "r", "sh"];

/// How much of a script is looked at, in bytes.
const MOST: u64 = 1 << 18;

/// A stage for a command, as far as it can be guessed.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandStage {
    /// What [`crate::Project::add_stage`] is asked for: a stage in the `dvc.yaml` of the root.
    pub request: StageAddRequest,
    /// Whether the `dvc.yaml` has a stage with this very command already, under the name of the request.
    pub exists: bool,
}

impl CommandStage {
    /// Returns the name that the stage of a command in the absolute directory `root` gets: that of its script, else that
    /// of its program.
    pub fn named(root: &Path, words: &[String]) -> String {
        name_of(&existing(root, words), words)
    }

    /// Guesses the stage of a command that runs in the root of a project. Nothing is changed.
    ///
    /// # Errors
    ///
    /// A pipeline that cannot be read.
    pub fn of(project: &Project, words: &[String], command: &str) -> Result<Self, Error> {
        let is_tracked = |path: &RelPath| {
            let tracked = project.git_path(path).map(|path| project.git().is_tracked(&path));
            matches!(tracked, Ok(Ok(true)))
        };
        let view = View::load(&project.workspace(), project.root(), Broken::Fail)?;
        Self::guess(project.root(), words, command, &view.stages, &is_tracked)
    }

    /// Guesses the stage of a command that runs in the absolute directory `root`, whose pipeline has the stages
    /// `declared`. `is_tracked` tells whether Git tracks a path.
    fn guess(
        root: &Path,
        words: &[String],
        command: &str,
        declared: &[Stage],
        is_tracked: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Self, Error> {
        let wanted = Command::Text(command.to_owned());
        let mut definition = StageDefinition::new(wanted.verbatim());
        let named = existing(root, words);
        for path in &named {
            take(&mut definition, path, root, is_tracked);
        }
        for script in named.iter().filter(|path| has_ending(path, &CODE)) {
            for path in mentioned(&script.under(root)) {
                take(&mut definition, &path, root, is_tracked);
            }
        }
        for file in PARAMS.iter().filter_map(|name| RelPath::new(name).ok()) {
            if definition.params.is_empty() && file.under(root).is_file() {
                take(&mut definition, &file, root, is_tracked);
            }
        }
        let file = RelPath::new("dvc.yaml")?;
        let mut own = declared.iter().filter(|stage| stage.id.file == file);
        let same = own.find(|stage| stage.cmd.as_ref() == Some(&wanted));
        let name = match same.and_then(|stage| stage.id.name.clone()) {
            Some(name) => name,
            None => name_of(&named, words),
        };
        let exists = same.is_some();
        let request = StageAddRequest { name, definition, cwd: RelPath::root(), replace: false };
        Ok(Self { request, exists })
    }
}

/// Returns the words of a command that are paths of something that is there.
fn existing(root: &Path, words: &[String]) -> Vec<RelPath> {
    words
        .iter()
        .flat_map(|word| word.split_whitespace())
        .filter(|word| !word.starts_with(['-', '/']))
        .filter_map(|word| RelPath::new(word).ok())
        .filter(|path| !path.is_root() && path.under(root).exists())
        .collect()
}

/// Takes a path into the definition as what its name and its being there make it.
fn take(
    definition: &mut StageDefinition,
    path: &RelPath,
    root: &Path,
    is_tracked: &dyn Fn(&RelPath) -> bool,
) {
    let text = verbatim(path.as_str());
    let name = path.file_name().unwrap_or_default();
    let is_known = definition.deps.contains(&text)
        || definition.params.iter().any(|(file, _)| *file == text)
        || definition.outs.iter().any(|out| out.path == text);
    if is_known || matches!(name, "dvc.yaml" | "dvc.lock") || name.starts_with('.') {
        return;
    }
    let is_there = path.under(root).exists();
    if PARAMS.contains(&name) {
        if is_there {
            definition.params.push((text, keys_of(&path.under(root))));
        }
    } else if name.contains("metric") && has_ending(path, &["json", "yaml", "yml", "toml"]) {
        let out = OutDefinition::new(text, OutKind::Metric);
        definition.outs.push(OutDefinition { cache: false, ..out });
    } else if has_ending(path, &MODELS) {
        if !is_tracked(path) {
            definition.outs.push(OutDefinition::new(text, OutKind::Data));
        }
    } else if is_there && (has_ending(path, &CODE) || has_ending(path, &DATA) || is_dir(path, root))
    {
        definition.deps.push(text);
    }
}

fn is_dir(path: &RelPath, root: &Path) -> bool {
    path.under(root).is_dir()
}

fn has_ending(path: &RelPath, endings: &[&str]) -> bool {
    let name = path.file_name().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// Returns what looks like the path of a file in a script, in its order.
fn mentioned(script: &Path) -> Vec<RelPath> {
    let is_small = script.metadata().is_ok_and(|data| data.len() <= MOST);
    let text =
        if is_small { fs::read_to_string(script).unwrap_or_default() } else { String::new() };
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '/' | '_' | '-');
    let words = text.split(|c: char| !is_part(c));
    let looks = |word: &&str| word.contains('.') && !word.starts_with(['/', '.', '-']);
    words.filter(looks).filter_map(|word| RelPath::new(word).ok()).collect()
}

/// Returns the top-level keys of a parameter file that a stage can name one by one; none stands for the whole file.
pub(crate) fn keys_of(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let format = Format::of(&file.to_string_lossy());
    let Ok(Value::Table(table)) = exp_params::parse(format, &text) else { return Vec::new() };
    let is_plain = |key: &String| {
        !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
    };
    if table.keys().all(is_plain) { table.keys().cloned().collect() } else { Vec::new() }
}

/// Returns the name of a stage: that of its script, or of its program.
fn name_of(named: &[RelPath], words: &[String]) -> String {
    let script = named.iter().find(|path| has_ending(path, &CODE));
    let program = words.iter().flat_map(|word| word.split_whitespace()).next().unwrap_or("run");
    let name = script.and_then(RelPath::file_name).unwrap_or(program);
    let name = name.rsplit('/').next().unwrap_or(name);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let plain: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' })
        .collect();
    if plain.trim_matches('-').is_empty() { "run".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use exp_core::add_stage;

    use crate::source::WorkspaceSource;

    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn guessed(root: &Path, command: &str) -> Result<CommandStage, Error> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        let source = WorkspaceSource::new(root, RelPath::root(), None, Arc::default());
        let view = View::load(&source, root, Broken::Fail)?;
        let is_tracked = |path: &RelPath| path.as_str() == "tracked.bin";
        CommandStage::guess(root, &words, command, &view.stages, &is_tracked)
    }

    #[test]
    fn what_a_script_names_is_sorted_by_what_it_is_like() -> Outcome {
        let dir = tempfile::tempdir()?;
        let root = dir.path();
        let script = "import json\ndata = open('data/train.csv')\nother = open('none.csv')\n\
                      json.dump({}, open(\"metrics.json\", 'w'))\nsave('out/model.pkl'); x = 1.5\n\
                      load('tracked.bin'); p = open('params.yaml')\n";
        fs::create_dir(root.join("data"))?;
        for (name, text) in [
            ("train.py", script),
            ("data/train.csv", "1\n"),
            ("params.yaml", "lr: 1\nmodel:\n  depth: 2\n"),
        ] {
            fs::write(root.join(name), text)?;
        }
        let stage = guessed(root, "python train.py --epochs 3")?;
        assert!(!stage.exists);
        assert_eq!(stage.request.name, "train");
        let text = add_stage(None, "train", &stage.request.definition, false)?;
        assert_eq!(
            text,
            "stages:\n  train:\n    cmd: python train.py --epochs 3\n    deps:\n    - data/train.csv\n    - train.py\n    \
             params:\n    - lr\n    - model\n    outs:\n    - out/model.pkl\n    metrics:\n    - metrics.json:\n        \
             cache: false\n"
        );
        fs::write(root.join("dvc.yaml"), text.replace("  train:", "  mine:"))?;
        let again = guessed(root, "python train.py --epochs 3")?;
        assert_eq!((again.exists, again.request.name.as_str()), (true, "mine"));
        Ok(())
    }

    #[test]
    fn what_the_shell_replaces_is_no_template() -> Outcome {
        let dir = tempfile::tempdir()?;
        let stage = guessed(dir.path(), "echo ${HOME} \\${x}")?;
        let text = add_stage(None, "echo", &stage.request.definition, false)?;
        assert_eq!(text, "stages:\n  echo:\n    cmd: echo \\${HOME} \\\\${x}\n");
        fs::write(dir.path().join("dvc.yaml"), text)?;
        assert!(guessed(dir.path(), "echo ${HOME} \\${x}")?.exists, "it is read as it was typed");
        Ok(())
    }

    #[test]
    fn stages_with_templates_are_no_hindrance_and_are_known_by_what_they_run() -> Outcome {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("params.yaml"), "lr: 0.5\n")?;
        fs::write(dir.path().join("dvc.yaml"), "stages:\n  a:\n    cmd: echo ${lr}\n")?;
        assert!(!guessed(dir.path(), "echo ${lr}")?.exists, "the shell's variable is another");
        assert!(guessed(dir.path(), "echo 0.5")?.exists);
        Ok(())
    }

    #[test]
    fn a_command_without_a_script_has_the_name_of_its_program() -> Outcome {
        let dir = tempfile::tempdir()?;
        let stage = guessed(dir.path(), "./bin/do.it now")?;
        assert_eq!(stage.request.name, "do");
        assert_eq!(stage.request.definition.deps, Vec::<String>::new());
        assert_eq!(guessed(dir.path(), "[ 1 ]")?.request.name, "run");
        Ok(())
    }
}
