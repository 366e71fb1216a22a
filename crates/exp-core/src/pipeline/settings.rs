//! `meta: {exp: …}` of a stage -> [`StageSettings`].

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::path::{Location, RelPath};
use crate::select::is_pattern;
use crate::settings::{Cause, Claims, Extra, ExtraFile, Retry, StageSettings};
use crate::value::{Table, Value};

use super::error::{Broken, PipelineFault};
use super::schema::unknown;

/// Where paths of a stage are.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    pub(super) wdir: &'p RelPath,
    pub(super) root: &'p Path,
}

/// Reads what `meta` says to us; `meta` without `exp` is none of our business.
pub(super) fn settings(meta: &Value, place: Place<'_>) -> Result<StageSettings, Broken> {
    let Some(ours) = meta.child("exp") else { return Ok(StageSettings::default()) };
    let mut settings = StageSettings::default();
    let read =
        each(ours, &["timeout", "retry", "resources", "mutex", "env", "deps"], |key, value| {
            match key {
                "timeout" => settings.timeout = Some(duration(value)?),
                "retry" => settings.retry = retry(value)?,
                "resources" => resources(value, &mut settings.claims)?,
                "mutex" => settings.claims.mutex = names(value)?,
                "env" => environment(value, place, &mut settings.extras)?,
                _ => {
                    for (index, dep) in list(value)?.iter().enumerate() {
                        let extra = dependency(dep, place);
                        settings
                            .extras
                            .push(extra.map_err(|broken| broken.below(index.to_string()))?);
                    }
                }
            }
            Ok(())
        });
    read.map_err(|broken| broken.below("exp"))?;
    Ok(settings)
}

fn retry(value: &Value) -> Result<Retry, Broken> {
    let mut retry = Retry::default();
    if matches!(value, Value::Int(_)) {
        retry.max = count(value)?;
        return Ok(retry);
    }
    each(value, &["max", "backoff", "on"], |key, value| {
        match key {
            "max" => retry.max = count(value)?,
            "backoff" => retry.backoff = duration(value)?,
            _ => retry.on = one_or_more(value, cause)?,
        }
        Ok(())
    })?;
    if value.child("max").is_none() {
        return Err(PipelineFault::Missing { key: "max" }.into());
    }
    Ok(retry)
}

fn cause(value: &Value) -> Result<Cause, Broken> {
    let code = int(value).and_then(|code| i32::try_from(code).ok());
    match (code.filter(|code| (1..=255).contains(code)), value.as_text()) {
        (Some(code), _) => Ok(Cause::Code(code)),
        (_, Some("exit")) => Ok(Cause::Exit),
        (_, Some("signal")) => Ok(Cause::Signal),
        (_, Some("timeout")) => Ok(Cause::Timeout),
        _ => Err(setting(value, "`exit`, `signal`, `timeout` or an exit status")),
    }
}

fn resources(value: &Value, claims: &mut Claims) -> Result<(), Broken> {
    each(value, &["cpu", "mem", "gpu"], |key, value| {
        match key {
            "cpu" => claims.cpu = count(value)?,
            "mem" => claims.mem = size(value)?,
            _ => claims.gpu = count(value)?,
        }
        Ok(())
    })
}

fn environment(value: &Value, place: Place<'_>, extras: &mut Vec<Extra>) -> Result<(), Broken> {
    let variables = |value: &Value| -> Result<Vec<Extra>, Broken> {
        let is_name = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
        one_or_more(value, |name| match text(name)? {
            name if is_name(name) => Ok(Extra::Variable(name.to_owned())),
            _ => Err(setting(name, "the name of a variable")),
        })
    };
    if !matches!(value, Value::Table(_)) {
        extras.extend(variables(value)?);
        return Ok(());
    }
    each(value, &["variables", "interpreter", "lock"], |key, value| {
        match key {
            "variables" => extras.extend(variables(value)?),
            "interpreter" => extras.extend(one_or_more(value, |program| {
                Ok(Extra::Interpreter(text(program)?.to_owned()))
            })?),
            _ => extras
                .extend(one_or_more(value, |file| Ok(Extra::Packages(file_at(file, place)?)))?),
        }
        Ok(())
    })
}

fn dependency(value: &Value, place: Place<'_>) -> Result<Extra, Broken> {
    const KINDS: &[&str] = &["glob", "cmd", "lines", "regex", "url"];
    let mut found = None;
    each(value, KINDS, |key, value| {
        let extra = match key {
            "glob" => glob(value, place)?,
            "cmd" => Extra::Cmd(text(value)?.to_owned()),
            "lines" => lines(value, place)?,
            "regex" => regex(value, place)?,
            _ => Extra::Url(url(value)?),
        };
        match found.replace(extra) {
            None => Ok(()),
            Some(_) => Err(setting(
                &Value::from(key),
                "alone here: each dependency has an item of its own",
            )),
        }
    })?;
    found.ok_or_else(|| {
        Broken::wrong_type(value, "one of `glob`, `cmd`, `lines`, `regex` and `url`")
    })
}

fn glob(value: &Value, place: Place<'_>) -> Result<Extra, Broken> {
    let pattern = text(value)?;
    let is_open = |part: &String| part.contains(['*', '?', '[']);
    let all: Vec<String> =
        pattern.split('/').filter(|part| *part != ".").map(str::to_owned).collect();
    if !all.iter().all(|part| is_pattern(part)) {
        return Err(setting(value, "a pattern: a `[` in it has no `]`"));
    }
    // Without anything open, the directory of the one file.
    let n_plain = all.iter().position(is_open).unwrap_or(all.len().saturating_sub(1));
    let (plain, parts) = all.split_at(n_plain);
    let base = if plain.is_empty() { ".".to_owned() } else { plain.join("/") };
    let base = Location::resolve(&base, place.wdir, place.root);
    Ok(Extra::Glob { pattern: pattern.to_owned(), base, parts: parts.to_vec() })
}

fn lines(value: &Value, place: Place<'_>) -> Result<Extra, Broken> {
    let (mut file, mut from, mut to) = (None, 1, usize::MAX);
    each(value, &["file", "from", "to"], |key, value| {
        match key {
            "file" => file = Some(file_at(value, place)?),
            "from" => from = line_number(value)?,
            _ => to = line_number(value)?,
        }
        Ok(())
    })?;
    let file = file.ok_or(PipelineFault::Missing { key: "file" })?;
    if to == usize::MAX && value.child("to").is_none() && value.child("from").is_none() {
        return Err(PipelineFault::Missing { key: "from" }.into());
    }
    if from > to {
        let to = value.child("to").unwrap_or(&Value::Null);
        return Err(setting(to, "a line behind `from`").below("to"));
    }
    Ok(Extra::Lines { file, from, to })
}

fn regex(value: &Value, place: Place<'_>) -> Result<Extra, Broken> {
    let (mut file, mut pattern) = (None, None);
    each(value, &["file", "pattern"], |key, value| {
        if key == "file" {
            file = Some(file_at(value, place)?);
        } else {
            let found = text(value)?;
            regex::Regex::new(found).map_err(|_| setting(value, "a regular expression"))?;
            pattern = Some(found.to_owned());
        }
        Ok(())
    })?;
    let file = file.ok_or(PipelineFault::Missing { key: "file" })?;
    Ok(Extra::Regex { file, pattern: pattern.ok_or(PipelineFault::Missing { key: "pattern" })? })
}

fn url(value: &Value) -> Result<String, Broken> {
    let url = text(value)?;
    if url.split_once("://").is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty()) {
        return Ok(url.to_owned());
    }
    Err(setting(value, "a URL"))
}

fn file_at(value: &Value, place: Place<'_>) -> Result<ExtraFile, Broken> {
    let path = text(value)?.to_owned();
    let location = Location::resolve(&path, place.wdir, place.root);
    Ok(ExtraFile { path, location })
}

fn names(value: &Value) -> Result<BTreeSet<String>, Broken> {
    let names = one_or_more(value, |name| match text(name)? {
        "" => Err(setting(name, "a name")),
        name => Ok(name.to_owned()),
    })?;
    Ok(names.into_iter().collect())
}

/// Reads a length of time: a number of seconds, or a number with `ms`, `s`, `m`, `h` or `d`.
fn duration(value: &Value) -> Result<Duration, Broken> {
    let expected = "a length of time such as `90s`, `15m` or `2h`";
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    let seconds = measure(value, &units).ok_or_else(|| setting(value, expected))?;
    Duration::try_from_secs_f64(seconds).map_err(|_| setting(value, expected))
}

/// Reads a number of bytes, or a number with a unit: `512MB`, `16GiB`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is checked to be in range, and parts of a byte do not matter"
)]
fn size(value: &Value) -> Result<u64, Broken> {
    const LARGEST: f64 = 1e18;
    let units = [
        ("kB", 1e3),
        ("KB", 1e3),
        ("MB", 1e6),
        ("GB", 1e9),
        ("TB", 1e12),
        ("KiB", 1024.0),
        ("MiB", 1_048_576.0),
        ("GiB", 1_073_741_824.0),
        ("TiB", 1_099_511_627_776.0),
        ("B", 1.0),
    ];
    match measure(value, &units) {
        Some(bytes) if bytes <= LARGEST => Ok(bytes as u64),
        _ => Err(setting(value, "a size such as `512MB` or `16GiB`")),
    }
}

/// Returns a number that is not negative, times its unit.
fn measure(value: &Value, units: &[(&str, f64)]) -> Option<f64> {
    let number = match value {
        Value::Int(_) | Value::Float(_) => value.as_f64()?,
        Value::Text(text) => {
            let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            let (number, unit) = text.split_at(end);
            let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim())?;
            number.parse::<f64>().ok()? * factor
        }
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

fn count(value: &Value) -> Result<u32, Broken> {
    let count = int(value).and_then(|count| u32::try_from(count).ok());
    count.ok_or_else(|| setting(value, "a number of at least 0"))
}

fn line_number(value: &Value) -> Result<usize, Broken> {
    let number = int(value).and_then(|number| usize::try_from(number).ok());
    number.filter(|number| *number > 0).ok_or_else(|| setting(value, "a line, from 1"))
}

/// Reads a list, or a single item without brackets.
fn one_or_more<T>(
    value: &Value,
    read: impl Fn(&Value) -> Result<T, Broken>,
) -> Result<Vec<T>, Broken> {
    let Value::List(items) = value else { return Ok(vec![read(value)?]) };
    let items = items.iter().enumerate();
    items.map(|(at, item)| read(item).map_err(|broken| broken.below(at.to_string()))).collect()
}

fn each(
    value: &Value,
    known: &[&str],
    mut read: impl FnMut(&str, &Value) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let table: &Table = value.as_table().ok_or_else(|| Broken::wrong_type(value, "a map"))?;
    for (key, value) in table {
        let read =
            if known.contains(&key.as_str()) { read(key, value) } else { Err(unknown(key, known)) };
        read.map_err(|broken| broken.below(key.as_str()))?;
    }
    Ok(())
}

fn list(value: &Value) -> Result<&[Value], Broken> {
    value.as_list().ok_or_else(|| Broken::wrong_type(value, "a list"))
}

fn int(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Result<&str, Broken> {
    value.as_text().ok_or_else(|| Broken::wrong_type(value, "text"))
}

fn setting(value: &Value, expected: &'static str) -> Broken {
    let text = super::template::to_text(value).into_owned();
    PipelineFault::Setting { text, expected }.into()
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{PipelineError, PipelineFile, VarsSource};
    use crate::port::PortError;

    use super::*;

    struct NoFiles;

    impl VarsSource for NoFiles {
        fn load(&self, _: &RelPath) -> Result<Option<Value>, PortError> {
            Ok(None)
        }
    }

    fn parsed(meta: &str) -> Result<StageSettings, PipelineError> {
        let text = format!(
            "stages:\n  s:\n    cmd: x\n    wdir: sub\n    meta:\n      mine: 1\n      exp:\n{meta}"
        );
        let file = RelPath::new("dvc.yaml").expect("a path");
        let parsed = PipelineFile::parse(&file, &text, Path::new("/w"), &NoFiles);
        parsed.map(|mut file| file.stages.remove(0).settings)
    }

    #[test]
    fn every_setting_is_read() -> Result<(), PipelineError> {
        let settings = parsed(
            "        timeout: 1.5h
        retry: {max: 3, backoff: 500ms, on: [75, timeout, signal]}
        resources: {cpu: 4, mem: 16GiB, gpu: 1}
        mutex: [db, license]
        env:
          variables: LANG
          interpreter: python3
          lock: ../uv.lock
        deps:
        - glob: data/**/*.csv
        - cmd: git rev-parse HEAD
        - lines: {file: conf.txt, from: 3, to: 5}
        - regex: {file: conf.txt, pattern: '^v=(.*)$'}
        - url: https://example.com/x
",
        )?;
        assert_eq!(settings.timeout, Some(Duration::from_mins(90)));
        let on = vec![Cause::Code(75), Cause::Timeout, Cause::Signal];
        assert_eq!(settings.retry, Retry { max: 3, backoff: Duration::from_millis(500), on });
        let mutex = ["db", "license"].map(str::to_owned).into();
        assert_eq!(settings.claims, Claims { cpu: 4, mem: 16 << 30, gpu: 1, mutex });
        let keys: Vec<String> = settings.extras.iter().map(Extra::key).collect();
        assert_eq!(
            keys,
            [
                "env LANG",
                "interpreter python3",
                "lock ../uv.lock",
                "glob data/**/*.csv",
                "cmd git rev-parse HEAD",
                "lines 3-5 of conf.txt",
                "regex ^v=(.*)$ in conf.txt",
                "url https://example.com/x"
            ]
        );
        let file = settings.extras[2].file().map(|file| file.location.to_string());
        assert_eq!(file.as_deref(), Some("uv.lock"));
        let Extra::Glob { base, parts, .. } = &settings.extras[3] else { panic!("{settings:?}") };
        assert_eq!((base.to_string(), parts.join("/")), ("sub/data".into(), "**/*.csv".into()));
        assert_eq!(parsed("        retry: 2\n        env: [A, B]\n")?.retry.max, 2);
        assert!(parsed("        mutex: db\n")?.claims.mutex.contains("db"));
        Ok(())
    }

    #[test]
    fn what_means_nothing_is_told_with_its_place() {
        for (meta, expect) in [
            ("timeot: 3", "8:9: unknown key `timeot` at `stages.s.meta.exp.timeot`"),
            (
                "timeout: soon",
                "8:9: `soon` is not a length of time such as `90s`, `15m` or `2h` at `stages.s.meta.exp.timeout`",
            ),
            (
                "timeout: -1",
                "8:9: `-1` is not a length of time such as `90s`, `15m` or `2h` at `stages.s.meta.exp.timeout`",
            ),
            ("retry: {backoff: 1s}", "8:9: `max` is missing at `stages.s.meta.exp.retry`"),
            (
                "retry: {max: 1, on: [exit, 0]}",
                "8:36: `0` is not `exit`, `signal`, `timeout` or an exit status at `stages.s.meta.exp.retry.on.1`",
            ),
            (
                "resources: {gpus: 1}",
                "8:21: unknown key `gpus` at `stages.s.meta.exp.resources.gpus`",
            ),
            (
                "resources: {mem: 1 XB}",
                "8:21: `1 XB` is not a size such as `512MB` or `16GiB` at `stages.s.meta.exp.resources.mem`",
            ),
            (
                "env: {variables: ['A=B']}",
                "8:27: `A=B` is not the name of a variable at `stages.s.meta.exp.env.variables.0`",
            ),
            (
                "deps: [{glob: a, cmd: b}]",
                "8:26: `cmd` is not alone here: each dependency has an item of its own at `stages.s.meta.exp.deps.0.cmd`",
            ),
            ("deps: [x]", "8:16: expected a map, found text at `stages.s.meta.exp.deps.0`"),
            (
                "deps: [{regex: {file: a, pattern: '('}}]",
                "8:34: `(` is not a regular expression at `stages.s.meta.exp.deps.0.regex.pattern`",
            ),
            (
                "deps: [{lines: {file: a, from: 9, to: 3}}]",
                "8:43: `3` is not a line behind `from` at `stages.s.meta.exp.deps.0.lines.to`",
            ),
            (
                "deps: [{glob: 'data/[a'}]",
                "8:17: `data/[a` is not a pattern: a `[` in it has no `]` at `stages.s.meta.exp.deps.0.glob`",
            ),
            (
                "deps: [{url: data.csv}]",
                "8:17: `data.csv` is not a URL at `stages.s.meta.exp.deps.0.url`",
            ),
        ] {
            let error = parsed(&format!("        {meta}\n")).expect_err(meta);
            assert_eq!(error.to_string(), format!("dvc.yaml:{expect}"));
        }
        let error = parsed("        mutx: a\n").expect_err("a slip");
        assert_eq!(error.did_you_mean(), Some("mutex"));
    }
}
