//! Reading what a tracer wrote. What cannot be read is left out: a trace advises and decides nothing.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use exp_core::RelPath;

use super::Accesses;

/// Where a command ran.
pub(super) struct Place<'p> {
    /// The root of the project.
    pub(super) root: &'p Path,
    /// The directory that it began in, absolute.
    pub(super) cwd: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
    List,
    Make,
}

impl Place<'_> {
    fn note(&self, cwd: &Path, path: &Path, what: Use, accesses: &mut Accesses) {
        let Some(path) = self.inside(&cwd.join(path)) else { return };
        let set = match what {
            Use::Read => &mut accesses.read,
            Use::Write => &mut accesses.written,
            Use::List => &mut accesses.listed,
            Use::Make => &mut accesses.made,
        };
        set.insert(path);
    }

    /// Returns where a path lies below the root; a compiled module of Python stands for its source.
    fn inside(&self, path: &Path) -> Option<RelPath> {
        let path = plain(path);
        let root = self.root.canonicalize().unwrap_or_else(|_| self.root.to_path_buf());
        let below = path.strip_prefix(self.root).or_else(|_| path.strip_prefix(&root)).ok()?;
        let below = RelPath::from_path(below).ok().filter(|path| !path.is_root())?;
        match source_of(&below) {
            Some(source) if source.under(self.root).exists() => Some(source),
            _ => Some(below),
        }
    }
}

/// Returns `a/x.py` for `a/__pycache__/x.cpython-311.pyc`.
fn source_of(path: &RelPath) -> Option<RelPath> {
    let name = path.file_name()?.strip_suffix(".pyc")?;
    let dir = path.parent()?;
    let above = dir.parent().filter(|_| dir.file_name() == Some("__pycache__"))?;
    above.join(&format!("{}.py", name.split('.').next()?)).ok()
}

/// Takes `.` and `..` out of a path.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            other => plain.push(other),
        }
    }
    plain
}

/// Reads what the hook in Python wrote: a letter, an absolute path, a zero byte.
pub(super) fn python(file: &Path, at: &Place<'_>, accesses: &mut Accesses) {
    let bytes = fs::read(file).unwrap_or_default();
    for record in bytes.split(|byte| *byte == 0).filter(|record| record.len() > 1) {
        let what = match record[0] {
            b'r' => Use::Read,
            b'w' => Use::Write,
            b'l' => Use::List,
            b'm' => Use::Make,
            _ => continue,
        };
        at.note(&at.cwd, &path_of(record[1..].to_vec()), what, accesses);
    }
}

/// Reads what `strace` wrote: a file for each process, named after `file`.
pub(super) fn strace(file: &Path, at: &Place<'_>, accesses: &mut Accesses) {
    let (Some(dir), Some(name)) = (file.parent(), file.file_name()) else { return };
    let prefix = format!("{}.", name.to_string_lossy());
    let listing = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in listing.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)) {
        let text = fs::read(entry.path()).unwrap_or_default();
        let mut cwd = at.cwd.clone();
        for line in text.split(|byte| *byte == b'\n') {
            call(line, at, &mut cwd, accesses);
        }
    }
}

/// Takes one line: a call that succeeded.
fn call(line: &[u8], at: &Place<'_>, cwd: &mut PathBuf, accesses: &mut Accesses) {
    let Some(open) = line.iter().position(|byte| *byte == b'(') else { return };
    let name = &line[..open];
    let (arguments, rest) = arguments(&line[open + 1..]);
    let result =
        rest.iter().rposition(|byte| *byte == b'=').map(|place| rest[place + 1..].trim_ascii());
    if result.is_none_or(|result| result.starts_with(b"-") || result.starts_with(b"?")) {
        return;
    }
    let text = |index: usize| match arguments.get(index) {
        Some(Argument::Text(bytes)) => Some(path_of(bytes.clone())),
        _ => None,
    };
    // A descriptor of a directory is written with its path.
    let dir = |index: usize, cwd: &PathBuf| match arguments.get(index) {
        Some(Argument::Word(word)) => {
            let start = word.iter().position(|byte| *byte == b'<');
            let path = start.and_then(|start| word[start + 1..].strip_suffix(b">"));
            path.map_or_else(|| cwd.clone(), |path| path_of(path.to_vec()))
        }
        _ => cwd.clone(),
    };
    let flags = |index: usize| match arguments.get(index) {
        Some(Argument::Word(word)) => String::from_utf8_lossy(word).into_owned(),
        _ => String::new(),
    };
    let opened = |flags: &str| {
        if flags.contains("O_WRONLY") || flags.contains("O_RDWR") || flags.contains("O_CREAT") {
            Use::Write
        } else if flags.contains("O_DIRECTORY") {
            Use::List
        } else {
            Use::Read
        }
    };
    let (base, path, what) = match name {
        b"openat" => (dir(0, cwd), text(1), opened(&flags(2))),
        b"open" => (cwd.clone(), text(0), opened(&flags(1))),
        b"creat" | b"mkdir" => {
            let what = if name == b"creat" { Use::Write } else { Use::Make };
            (cwd.clone(), text(0), what)
        }
        b"mkdirat" => (dir(0, cwd), text(1), Use::Make),
        b"rename" => (cwd.clone(), text(1), Use::Write),
        b"renameat" | b"renameat2" => (dir(2, cwd), text(3), Use::Write),
        b"execve" => (cwd.clone(), text(0), Use::Read),
        b"chdir" => {
            if let Some(path) = text(0) {
                *cwd = plain(&cwd.join(path));
            }
            return;
        }
        _ => return,
    };
    if let Some(path) = path {
        at.note(&base, &path, what, accesses);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Argument {
    /// In quotes, unescaped.
    Text(Vec<u8>),
    /// Anything else, as it stands.
    Word(Vec<u8>),
}

/// Reads the arguments of a call up to its closing parenthesis, and returns what follows.
fn arguments(line: &[u8]) -> (Vec<Argument>, &[u8]) {
    let mut found = Vec::new();
    let mut at = 0;
    let mut word = Vec::new();
    let mut depth = 0_usize;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b'"' => {
                let (text, used) = unquoted(&line[at..]);
                at += used;
                found.push(Argument::Text(text));
                word.clear();
            }
            b'[' | b'{' | b'(' => {
                depth += 1;
                word.push(byte);
            }
            b')' if depth == 0 => break,
            b']' | b'}' | b')' => {
                depth = depth.saturating_sub(1);
                word.push(byte);
            }
            b'<' => {
                let end = line[at..].iter().position(|byte| *byte == b'>').unwrap_or(0);
                word.extend_from_slice(&line[at - 1..=at + end]);
                at += end + 1;
            }
            b',' if depth == 0 => {
                if !word.trim_ascii().is_empty() {
                    found.push(Argument::Word(word.trim_ascii().to_vec()));
                }
                word.clear();
            }
            other => word.push(other),
        }
    }
    if !word.trim_ascii().is_empty() {
        found.push(Argument::Word(word.trim_ascii().to_vec()));
    }
    (found, line.get(at..).unwrap_or_default())
}

/// Reads a text up to its closing quote, as C escapes it, and returns how many bytes that took.
fn unquoted(line: &[u8]) -> (Vec<u8>, usize) {
    let mut text = Vec::new();
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b'"' => break,
            b'\\' => {
                let escape = line.get(at).copied().unwrap_or(b'\\');
                at += 1;
                match escape {
                    b'n' => text.push(b'\n'),
                    b't' => text.push(b'\t'),
                    b'r' => text.push(b'\r'),
                    b'v' => text.push(0x0b),
                    b'f' => text.push(0x0c),
                    b'0'..=b'7' => {
                        let mut value = u32::from(escape - b'0');
                        for _ in 0..2 {
                            let Some(digit @ b'0'..=b'7') = line.get(at) else { break };
                            value = value * 8 + u32::from(digit - b'0');
                            at += 1;
                        }
                        text.push(u8::try_from(value & 0xff).unwrap_or(b'?'));
                    }
                    other => text.push(other),
                }
            }
            other => text.push(other),
        }
    }
    (text, at)
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Outcome = Result<(), Box<dyn std::error::Error>>;

    fn seen(lines: &str) -> Result<Accesses, Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("t.17"), lines)?;
        let at = Place { root: Path::new("/p"), cwd: PathBuf::from("/p/sub") };
        let mut accesses = Accesses::default();
        strace(&dir.path().join("t"), &at, &mut accesses);
        Ok(accesses)
    }

    fn names(paths: &std::collections::BTreeSet<RelPath>) -> Vec<&str> {
        paths.iter().map(RelPath::as_str).collect()
    }

    #[test]
    fn calls_that_succeeded_are_read_relative_to_where_they_were_made() -> Outcome {
        let seen = seen(
            "execve(\"../run.sh\", [\"../run.sh\", \"(x)\"], 0x7f /* 3 vars */) = 0\n\
             openat(AT_FDCWD</p/sub>, \"../data/a, b.txt\", O_RDONLY|O_CLOEXEC) = 3</p/data/a, b.txt>\n\
             openat(AT_FDCWD</p/sub>, \"none\", O_RDONLY) = -1 ENOENT (No such file or directory)\n\
             openat(5</p/data>, \"caf\\303\\251 \\\"q\\\"\", O_RDONLY) = 3</p/data/x>\n\
             openat(AT_FDCWD</p>, \"list\", O_RDONLY|O_NONBLOCK|O_CLOEXEC|O_DIRECTORY) = 3</p/list>\n\
             openat(AT_FDCWD</p/sub>, \"out.tmp\", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3</p/sub/out.tmp>\n\
             rename(\"out.tmp\", \"out\") = 0\n\
             chdir(\"/p\") = 0\n\
             open(\"after\", O_RDWR) = 4</p/after>\n\
             mkdir(\"made\", 0777) = 0\n\
             open(\"/etc/passwd\", O_RDONLY) = 4</etc/passwd>\n",
        )?;
        assert_eq!(names(&seen.read), ["data/a, b.txt", "data/café \"q\"", "run.sh"]);
        assert_eq!(names(&seen.written), ["after", "sub/out", "sub/out.tmp"]);
        assert_eq!((names(&seen.listed), names(&seen.made)), (vec!["list"], vec!["made"]));
        Ok(())
    }

    #[test]
    fn a_compiled_module_is_its_source() -> Outcome {
        let path = RelPath::new("src/__pycache__/util.cpython-311.pyc")?;
        assert_eq!(source_of(&path), Some(RelPath::new("src/util.py")?));
        assert_eq!(source_of(&RelPath::new("src/util.pyc")?), None);
        Ok(())
    }

    #[test]
    fn damaged_lines_are_left_out() -> Outcome {
        let text =
            "openat(AT_FDCWD</p, \"x\nopenat(\n)\n= 3\nopenat(AT_FDCWD, \"y\\\nrename(\"a\") = 0\n";
        assert_eq!(seen(text)?, Accesses::default());
        Ok(())
    }
}
