//! Takes out of an answer what may differ between two runs of one program: commits, times, and the twin's own path.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use regex::{Captures, Regex};
use serde_json::Value;

use crate::sandbox::git;

/// Length of the shortest commit id that commands print.
const SHORT: usize = 7;

/// The words that stand for the commits of one repository, and its path.
#[derive(Clone, Debug)]
pub struct Normalizer {
    commits: BTreeMap<String, String>,
    roots: Vec<String>,
    id: Regex,
    time: Regex,
}

impl Normalizer {
    /// Reads the experiments of the repository at `dir`, which lies in the twin `root`.
    ///
    /// A directory without a repository has no commits to rename.
    pub fn new(root: &Path, dir: &Path, env: &BTreeMap<String, String>) -> io::Result<Normalizer> {
        let format = "--format=%(objectname) %(refname)";
        let listed = git(dir, env, &["for-each-ref", format, "refs/exps/"]).unwrap_or_default();
        let mut commits = BTreeMap::new();
        for line in listed.lines() {
            let Some((id, name)) = line.split_once(' ') else { continue };
            if let [_, _, _, _, name] = name.split('/').collect::<Vec<_>>()[..] {
                commits.insert(id.to_owned(), format!("<{name}>"));
            }
        }
        let regex = |pattern: &str| Regex::new(pattern).map_err(io::Error::other);
        Ok(Normalizer {
            commits,
            roots: vec![root.to_string_lossy().into_owned()],
            id: regex(r"\b[0-9a-f]{7,40}\b")?,
            time: regex(
                r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?|\b\d\d:\d\d [AP]M\b|\b[A-Z][a-z]{2} \d\d, \d{4}\b",
            )?,
        })
    }

    /// Normalizes a text.
    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for root in &self.roots {
            text = text.replace(root.as_str(), "<root>");
        }
        let text = self.time.replace_all(&text, "<time>");
        let named = |found: &Captures<'_>| {
            let id = &found[0];
            let known = self.commits.iter().find(|(commit, _)| commit.starts_with(id));
            match known {
                Some((_, name)) if id.len() == SHORT || id.len() == 40 => name.clone(),
                _ => id.to_owned(),
            }
        };
        self.id.replace_all(&text, named).into_owned()
    }

    /// Flattens a JSON document into pairs of a path and a normalized scalar; the order of keys does not count.
    ///
    /// Lists of experiments are put in the order of their names, since runs of one second have none.
    pub fn json(&self, text: &str) -> Result<BTreeMap<String, String>, String> {
        let plain = text
            .replace("NaN", "\"NaN\"")
            .replace("-Infinity", "\"-inf\"")
            .replace("Infinity", "\"inf\"");
        let value: Value =
            serde_json::from_str(&plain).map_err(|err| format!("no JSON ({err}): {text}"))?;
        let mut pairs = BTreeMap::new();
        self.flatten(String::new(), &value, &mut pairs);
        Ok(pairs)
    }

    fn flatten(&self, path: String, value: &Value, pairs: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(map) if map.is_empty() => drop(pairs.insert(path, "{}".into())),
            Value::Array(list) if list.is_empty() => drop(pairs.insert(path, "[]".into())),
            Value::Object(map) => {
                for (key, value) in map {
                    self.flatten(format!("{path}/{}", self.text(key)), value, pairs);
                }
            }
            Value::Array(list) => {
                let mut items: Vec<&Value> = list.iter().collect();
                items.sort_by_key(|item| order(item));
                for (index, value) in items.into_iter().enumerate() {
                    self.flatten(format!("{path}/{index}"), value, pairs);
                }
            }
            Value::String(text) => drop(pairs.insert(path, format!("{:?}", self.text(text)))),
            Value::Number(number) => drop(pairs.insert(path, number.to_string())),
            Value::Bool(_) | Value::Null => drop(pairs.insert(path, value.to_string())),
        }
    }
}

/// Experiments go by name, paths of data by themselves, everything else stays where it is.
fn order(item: &Value) -> String {
    let is_range = item.get("revs").is_some();
    let name = if is_range { item.get("name") } else { item.get("path") };
    name.map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalizer() -> io::Result<Normalizer> {
        let mut made = Normalizer::new(Path::new("/tmp/twin"), Path::new("/"), &BTreeMap::new())?;
        made.commits.insert("15b7e4cf6862b90452907ad5234d592b88a413a8".into(), "<e1>".into());
        Ok(made)
    }

    #[test]
    fn commits_times_and_paths_get_words_and_digests_stay() -> io::Result<()> {
        let text =
            "/tmp/twin/repo 15b7e4c [e1] 05:00 AM 24bd36314e8f0872119e81411a50d17f.dir 15b7e4cf";
        let expected = "<root>/repo <e1> [e1] <time> 24bd36314e8f0872119e81411a50d17f.dir 15b7e4cf";
        assert_eq!(normalizer()?.text(text), expected);
        Ok(())
    }

    #[test]
    fn json_is_compared_without_the_order_of_keys_and_experiments()
    -> Result<(), Box<dyn std::error::Error>> {
        let one = r#"[{"revs": [], "name": "a", "x": NaN}, {"name": "b", "revs": []}]"#;
        let two = r#"[{"name": "b", "revs": []}, {"x": NaN, "name": "a", "revs": []}]"#;
        let made = normalizer()?;
        assert_eq!(made.json(one)?, made.json(two)?);
        assert_ne!(made.json("[1, 2]")?, made.json("[2, 1]")?);
        assert_ne!(made.json("1")?, made.json("1.0")?);
        Ok(())
    }
}
