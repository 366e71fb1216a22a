//! Which Python commands run in, and what is installed for it.
//!
//! The interpreter is the one that a command names: by itself, by the first line of the script that it starts, or by the
//! environment of a package manager (`uv run …`); else `python` or `python3` of `PATH`, which a script may call.
//!
//! Virtual environments and those of conda say by files what they are. Another interpreter that a command names is asked once,
//! and what it said is kept by the path, size and times of the program; of a program that is a script, such as those of
//! pyenv, the files that choose a version count too. One that no command names is never started.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use exp_core::{Algorithm, Digest, Stage};
use exp_refs::GitEnv;
use serde::{Deserialize, Serialize};

use crate::files;

/// What an interpreter is asked: its version, where it is installed, and where it looks for packages.
const QUESTION: &str = "import sys\nv = sys.version_info\n\
    print('%d.%d.%d' % v[:3] + ('' if v[3] == 'final' else v[3] + str(v[4])))\n\
    print(sys.prefix)\nprint('\\n'.join(p for p in sys.path if p))";

/// An interpreter that takes longer to say that is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of so many interpreters it is kept what they said.
const KEPT_NOTES: usize = 50;

/// Where it is looked for an interpreter.
pub(super) struct Place<'p> {
    /// The workspace of the commands.
    pub(super) root: &'p Path,
    /// The environment of the commands.
    pub(super) env: &'p GitEnv,
    /// The directory of what interpreters said.
    pub(super) notes: &'p Path,
}

/// What an interpreter says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) version: String,
    prefix: PathBuf,
    path: Vec<PathBuf>,
}

/// An interpreter that stages run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) program: PathBuf,
    /// Whether a command names it.
    is_named: bool,
}

/// What a command says of its interpreter.
enum Named {
    /// It runs in this program.
    Program(PathBuf),
    /// It runs in one that is not there yet.
    Later,
    /// Nothing.
    Nothing,
}

/// Returns the program of the interpreter that the stages run in: that of the first stage which names one.
pub(super) fn find<'s>(
    place: &Place<'_>,
    stages: impl Iterator<Item = &'s Stage>,
) -> Option<Found> {
    let mut is_later = false;
    for stage in stages {
        let wdir = stage.wdir.under(place.root);
        for line in stage.cmd.iter().flat_map(exp_core::Command::lines) {
            match named(place, &wdir, line) {
                Named::Program(program) => return Some(Found { program, is_named: true }),
                Named::Later => is_later = true,
                Named::Nothing => {}
            }
        }
    }
    if is_later {
        return None;
    }
    let program = ["python", "python3"].iter().find_map(|name| on_path(place, name))?;
    Some(Found { program, is_named: false })
}

fn named(place: &Place<'_>, wdir: &Path, line: &str) -> Named {
    let mut words = line.split_whitespace().skip_while(|word| {
        word.contains('=') || matches!(*word, "env" | "exec" | "nice" | "nohup" | "time")
    });
    let Some(first) = words.next() else { return Named::Nothing };
    let first = first.trim_matches(['"', '\'']);
    let name = first.rsplit('/').next().unwrap_or(first);
    if matches!(name, "uv" | "poetry" | "pipenv" | "pdm" | "hatch" | "rye" | "pixi")
        && words.next() == Some("run")
    {
        return managed(place, wdir, name);
    }
    let Some(program) = program(place, wdir, first) else { return Named::Nothing };
    if is_python(name) {
        return Named::Program(program);
    }
    // A script that a package installed, such as `torchrun`, names its interpreter in its first line.
    let Some(line) = first_line(&program) else { return Named::Nothing };
    let mut words = line.trim_start_matches("#!").split_whitespace();
    let interpreter = words.next().unwrap_or_default();
    let interpreter = if interpreter.ends_with("/env") {
        words.find(|word| !word.starts_with('-')).unwrap_or_default()
    } else {
        interpreter
    };
    if !is_python(interpreter.rsplit('/').next().unwrap_or_default()) {
        return Named::Nothing;
    }
    self::program(place, wdir, interpreter).map_or(Named::Nothing, Named::Program)
}

/// Returns the interpreter of the environment that a package manager keeps for the project.
fn managed(place: &Place<'_>, wdir: &Path, manager: &str) -> Named {
    let usual = match manager {
        "pixi" => ".pixi/envs/default/bin/python",
        _ => ".venv/bin/python",
    };
    let around = wdir.ancestors().take_while(|dir| dir.starts_with(place.root));
    let mut found = around.map(|dir| dir.join(usual)).filter(|program| is_program(program));
    let active = || {
        let active =
            place.env.get("VIRTUAL_ENV").filter(|_| manager != "uv" && manager != "pixi")?;
        Some(Path::new(active).join("bin/python")).filter(|program| is_program(program))
    };
    found.next().or_else(active).map_or(Named::Later, Named::Program)
}

fn is_python(name: &str) -> bool {
    let version = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    version.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// Returns the program that a shell in `wdir` starts for a word.
fn program(place: &Place<'_>, wdir: &Path, word: &str) -> Option<PathBuf> {
    if word.contains('/') {
        return Some(wdir.join(word)).filter(|program| is_program(program));
    }
    on_path(place, word)
}

fn on_path(place: &Place<'_>, name: &str) -> Option<PathBuf> {
    let path = place.env.get("PATH")?;
    std::env::split_paths(path).map(|dir| place.root.join(dir).join(name)).find(|at| is_program(at))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Returns the first line of a script; `None` for a program.
fn first_line(path: &Path) -> Option<String> {
    let mut head = [0; 256];
    let n = fs::File::open(path).ok()?.read(&mut head).ok()?;
    let line = head[..n].split(|byte| *byte == b'\n').next()?;
    line.starts_with(b"#!").then(|| String::from_utf8_lossy(line).into_owned())
}

/// Returns what an interpreter says of itself; `None` when it does not start, says something else, or is not to be started.
pub(super) fn ask(place: &Place<'_>, found: &Found) -> Option<Said> {
    let program = &found.program;
    if let Some(said) = told_by_files(program) {
        return Some(said);
    }
    let note = place.notes.join(format!("{}.json", key(place, program)?));
    let known = fs::read(&note).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if known.is_some() || !found.is_named {
        return known;
    }
    let said = start(place, program)?;
    if let Ok(bytes) = serde_json::to_vec(&said) {
        // Without the note it is asked again the next time.
        files::write(&note, &bytes).ok();
        super::forget_oldest(place.notes, KEPT_NOTES);
    }
    Some(said)
}

/// Returns what the files around the interpreter of an environment say of it.
fn told_by_files(program: &Path) -> Option<Said> {
    let prefix = program.parent()?.parent()?.to_path_buf();
    let version = if let Ok(text) = fs::read_to_string(prefix.join("pyvenv.cfg")) {
        let value = |key: &str| {
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            pairs.find_map(|(name, value)| (name.trim() == key).then(|| value.trim()))
        };
        if value("include-system-site-packages") == Some("true") {
            return None;
        }
        let version = value("version_info").or_else(|| value("version"))?;
        version.split('.').take(3).collect::<Vec<_>>().join(".")
    } else {
        let packages = names_in(&prefix.join("conda-meta"));
        packages.iter().filter_map(|name| conda(name)).find(|(name, _)| name == "python")?.1
    };
    let minor = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let site = |lib: &str| prefix.join(lib).join(format!("python{minor}/site-packages"));
    let path = vec![site("lib"), site("lib64")];
    Some(Said { version, prefix, path })
}

/// Returns what changes when an interpreter may give another answer.
fn key(place: &Place<'_>, program: &Path) -> Option<String> {
    let file = fs::metadata(program).ok()?;
    let mut text = format!(
        "{}\n{} {} {} {}\n",
        program.display(),
        file.dev(),
        file.ino(),
        file.size(),
        file.mtime_nsec() + file.mtime() * 1_000_000_000
    );
    let mut also = |path: &Path| {
        if let Ok(found) = fs::read(path) {
            text.push_str(&path.to_string_lossy());
            text.push('\n');
            text.push_str(&String::from_utf8_lossy(&found));
        }
    };
    let bin = program.parent()?;
    also(&bin.join("../pyvenv.cfg"));
    if first_line(program).is_some() {
        also(&bin.join("../version"));
        for dir in place.root.ancestors() {
            also(&dir.join(".python-version"));
            also(&dir.join(".tool-versions"));
        }
        text.push_str(place.env.text("PYENV_VERSION").unwrap_or_default());
    }
    Some(Digest::of(Algorithm::Sha256, text.as_bytes()).to_hex()[..32].to_owned())
}

fn start(place: &Place<'_>, program: &Path) -> Option<Said> {
    // Without the variables of Python, which may be others the next time; `PYTHONPATH` is looked at by itself.
    let mut child = Command::new(program)
        .args(["-E", "-c", QUESTION])
        .current_dir(place.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(2)),
            _ => {
                child.kill().ok();
                child.wait().ok();
                return None;
            }
        }
    };
    // The answer is shorter than what a pipe holds.
    let mut text = String::new();
    child.stdout.take()?.take(1 << 16).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    let version = lines.next().filter(|_| status.success())?.to_owned();
    let prefix = PathBuf::from(lines.next()?);
    Some(Said { version, prefix, path: lines.map(PathBuf::from).collect() })
}

/// Returns what is installed, versions by name. Of a name that is there twice the one counts that would be imported.
pub(super) fn packages(place: &Place<'_>, said: &Said) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let given = place.env.get("PYTHONPATH").into_iter().flat_map(std::env::split_paths);
    for dir in given.chain(said.path.iter().cloned()) {
        let names = names_in(&place.root.join(dir));
        for (name, version) in names.iter().filter_map(|name| distribution(name)) {
            found.entry(name).or_insert(version);
        }
    }
    for name in names_in(&said.prefix.join("conda-meta")) {
        if let Some((name, version)) = conda(&name) {
            found.entry(name).or_insert(version);
        }
    }
    found
}

/// Returns the names in a directory, sorted.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Reads `<name>-<version>.dist-info` and `<name>-<version>-py3.12.egg-info`.
fn distribution(file: &str) -> Option<(String, String)> {
    let stem = file.strip_suffix(".dist-info").or_else(|| file.strip_suffix(".egg-info"))?;
    let mut parts = stem.splitn(3, '-');
    Some((normal(parts.next()?), parts.next()?.to_owned()))
}

/// Reads `<name>-<version>-<build>.json`.
fn conda(file: &str) -> Option<(String, String)> {
    let mut parts = file.strip_suffix(".json")?.rsplitn(3, '-').skip(1);
    let version = parts.next()?.to_owned();
    Some((normal(parts.next()?), version))
}

/// Returns the name as package indexes compare it.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.', ' '], "-")
}

#[cfg(test)]
mod tests {
    use exp_core::{RelPath, StageId};

    use super::*;

    /// A directory with programs that say what they are asked as an interpreter would.
    struct Machine {
        dir: tempfile::TempDir,
        env: GitEnv,
    }

    impl Machine {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let env = GitEnv::default().with("PATH", dir.path().join("bin"));
            Self { dir, env }
        }

        fn place(&self) -> (PathBuf, PathBuf) {
            (self.dir.path().join("work"), self.dir.path().join("notes"))
        }

        fn program(&self, path: &str, text: &str) {
            let path = self.dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }

        #[track_caller]
        fn check(&self, lines: &[&str], expect: Option<&str>) {
            let (root, notes) = self.place();
            let place = Place { root: &root, env: &self.env, notes: &notes };
            let stages: Vec<Stage> = (lines.iter().enumerate())
                .map(|(n, line)| {
                    let id = StageId::named(RelPath::new("dvc.yaml").unwrap(), format!("s{n}"));
                    let mut stage = Stage::new(id);
                    stage.cmd = Some(exp_core::Command::Text((*line).to_owned()));
                    stage
                })
                .collect();
            let found = find(&place, stages.iter());
            let found =
                found.map(|at| at.program.strip_prefix(self.dir.path()).unwrap().to_path_buf());
            assert_eq!(found.as_deref(), expect.map(Path::new), "{lines:?}");
        }
    }

    #[test]
    fn the_interpreter_is_the_one_that_a_command_names() {
        let machine = Machine::new();
        machine.check(&["sh run.sh"], None);
        let here = machine.dir.path().display().to_string();
        for (path, text) in [
            ("bin/python3", "x"),
            ("bin/python3.12", "x"),
            ("bin/uv", "x"),
            ("venv/bin/python", "x"),
            ("bin/torchrun", &format!("#!{here}/venv/bin/python\n")),
            ("bin/tool", "#!/usr/bin/env python3.12\n"),
            ("bin/shell", "#!/bin/sh\n"),
            ("work/mine", "#!/usr/bin/env -S python3.12 -u\n"),
        ] {
            machine.program(path, text);
        }
        machine.check(&["sh run.sh"], Some("bin/python3"));
        machine.check(&["shell a", "A=1 exec python3.12 -u a.py"], Some("bin/python3.12"));
        machine.check(&["../venv/bin/python a.py"], Some("work/../venv/bin/python"));
        machine.check(&["torchrun --n 2 a.py"], Some("venv/bin/python"));
        machine.check(&["tool"], Some("bin/python3.12"));
        machine.check(&["./mine"], Some("bin/python3.12"));
        machine.check(&["uv run a.py"], None);
        machine.program("work/.venv/bin/python", "x");
        machine.check(&["uv run a.py"], Some("work/.venv/bin/python"));
        machine.check(&[""], Some("bin/python3"));
    }

    #[test]
    fn an_interpreter_is_asked_once_and_again_when_it_is_another() {
        let machine = Machine::new();
        let (root, notes) = machine.place();
        fs::create_dir_all(&root).unwrap();
        let place = Place { root: &root, env: &machine.env, notes: &notes };
        let site = machine.dir.path().join("site");
        let answer = |version: &str| {
            let asked = machine.dir.path().join("asked").display().to_string();
            format!(
                "#!/bin/sh\necho x >> {asked}\nprintf '{version}\\n/usr\\n{}\\n'\n",
                site.display()
            )
        };
        let n_asked = || {
            let asked = fs::read_to_string(machine.dir.path().join("asked"));
            asked.unwrap_or_default().lines().count()
        };
        machine.program("bin/python", &answer("3.12.3"));
        let named = |path: &str| Found { program: machine.dir.path().join(path), is_named: true };
        let program = named("bin/python");
        let other = Found { is_named: false, ..program.clone() };
        assert_eq!((ask(&place, &other), n_asked()), (None, 0), "nobody named it");
        for _ in 0..3 {
            let said = ask(&place, &program).unwrap();
            assert_eq!((said.version.as_str(), n_asked()), ("3.12.3", 1));
        }
        fs::write(root.join(".python-version"), "3.13\n").unwrap();
        ask(&place, &program).unwrap();
        assert_eq!(n_asked(), 2, "what chooses a version counts");
        machine.program("bin/python", &answer("3.13.0rc1"));
        assert_eq!(ask(&place, &program).unwrap().version, "3.13.0rc1");
        machine.program("bin/python", "#!/bin/sh\nexit 1\n");
        assert_eq!(ask(&place, &program), None);
        assert_eq!(ask(&place, &named("bin/none")), None);
    }

    #[test]
    fn environments_say_by_files_what_they_are() {
        let machine = Machine::new();
        let (root, notes) = machine.place();
        let place = Place { root: &root, env: &machine.env, notes: &notes };
        // It would say something else, and is not asked.
        machine.program("venv/bin/python", "#!/bin/sh\nexit 1\n");
        machine.program("conda/bin/python", "#!/bin/sh\nexit 1\n");
        let at = |path: &str| machine.dir.path().join(path);
        let found = |path: &str| Found { program: at(path), is_named: false };
        fs::create_dir_all(at("venv/lib/python3.12/site-packages/numpy-2.1.0.dist-info")).unwrap();
        fs::create_dir_all(at("conda/conda-meta")).unwrap();
        fs::write(at("conda/conda-meta/python-3.11.9-h955ad1f_0.json"), "").unwrap();
        for (cfg, expect) in [
            ("home = /usr/bin\nversion = 3.12.3\n", Some("3.12.3")),
            (
                "version_info = 3.12.3.final.0\ninclude-system-site-packages = false\n",
                Some("3.12.3"),
            ),
            ("version = 3.12.3\ninclude-system-site-packages = true\n", None),
        ] {
            fs::write(at("venv/pyvenv.cfg"), cfg).unwrap();
            let said = ask(&place, &found("venv/bin/python"));
            assert_eq!(said.as_ref().map(|said| said.version.as_str()), expect, "{cfg}");
            let packages = said.map(|said| packages(&place, &said)).unwrap_or_default();
            assert_eq!(packages.get("numpy").map(String::as_str), expect.map(|_| "2.1.0"));
        }
        let said = ask(&place, &found("conda/bin/python")).unwrap();
        assert_eq!(said.version, "3.11.9");
        assert!(packages(&place, &said).contains_key("python"));
    }

    #[test]
    fn packages_are_read_off_the_names_of_their_directories() {
        let machine = Machine::new();
        let (root, notes) = machine.place();
        let [site, system, given] =
            ["site", "system", "given"].map(|name| machine.dir.path().join(name));
        for path in [
            given.join("Mine-0.1.dist-info"),
            site.join("ruamel.yaml-0.18.6.dist-info"),
            site.join("typing_extensions-4.12.2.dist-info"),
            site.join("numpy-2.1.0.dist-info"),
            site.join("numpy"),
            system.join("numpy-1.26.4.dist-info"),
            system.join("PyYAML-6.0-py3.11.egg-info"),
            machine.dir.path().join("conda-meta/cuda-cudart-12.4.127-0.json"),
        ] {
            fs::create_dir_all(path).unwrap();
        }
        let env = machine.env.clone().with("PYTHONPATH", &given);
        let place = Place { root: &root, env: &env, notes: &notes };
        let said = Said {
            version: "3.12.3".into(),
            prefix: machine.dir.path().into(),
            path: vec![site, system, "/none.zip".into()],
        };
        let found: Vec<String> = packages(&place, &said)
            .iter()
            .map(|(name, version)| format!("{name} {version}"))
            .collect();
        assert_eq!(
            found,
            [
                "cuda-cudart 12.4.127",
                "mine 0.1",
                "numpy 2.1.0",
                "pyyaml 6.0",
                "ruamel-yaml 0.18.6",
                "typing-extensions 4.12.2"
            ]
        );
    }
}
