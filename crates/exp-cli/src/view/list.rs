//! What is in a repository or at an address, as lines, a table, a tree or JSON.

use exp_engine::core::Value;
use exp_engine::{DiskUsage, RepoEntry, TreeNode, UrlEntry};

use super::json::object;
use super::table::columns;

/// What a line shows besides a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Show {
    /// Sizes.
    pub(crate) size: bool,
    /// Digests.
    pub(crate) hash: bool,
    /// Colours of directories and programs.
    pub(crate) colour: bool,
}

/// An entry with the name that it is shown under.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    name: String,
    size: Option<u64>,
    hash: Option<String>,
    is_dir: bool,
    is_exec: bool,
}

impl Row {
    /// Makes a row of an entry of a repository.
    pub(crate) fn of_repo(name: &str, entry: &RepoEntry) -> Self {
        Self {
            name: name.to_owned(),
            size: entry.size,
            hash: entry.id.map(|id| id.to_string()),
            is_dir: entry.is_dir,
            is_exec: entry.is_exec,
        }
    }

    /// Makes a row of an entry at an address. `size` is that of a directory.
    pub(crate) fn of_url(name: &str, entry: &UrlEntry, size: Option<u64>) -> Self {
        let size = entry.size.or(size);
        Self { name: name.to_owned(), size, hash: None, is_dir: entry.is_dir, is_exec: false }
    }

    /// Makes the row of a single file at an address.
    pub(crate) fn of_address(name: &str) -> Self {
        Self { name: name.to_owned(), size: None, hash: None, is_dir: false, is_exec: false }
    }

    fn shown(&self, show: Show) -> String {
        match (show.colour, self.is_dir, self.is_exec) {
            (true, true, _) => format!("\x1b[01;34m{}\x1b[0m", self.name),
            (true, _, true) => format!("\x1b[01;32m{}\x1b[0m", self.name),
            _ => self.name.clone(),
        }
    }
}

/// Returns rows as lines; in columns when more than names is shown.
pub(crate) fn lines(rows: &[(String, Row)], show: Show) -> String {
    let size_of = |row: &Row| match row.size {
        Some(0) if row.is_dir => String::new(),
        Some(size) => natural(size),
        None => String::new(),
    };
    let sizes: Vec<String> = rows.iter().map(|(_, row)| size_of(row)).collect();
    let hashes: Vec<&str> =
        rows.iter().map(|(_, row)| row.hash.as_deref().unwrap_or("-")).collect();
    let width = |cells: &mut dyn Iterator<Item = usize>| cells.max().unwrap_or(0);
    let size_width = width(&mut sizes.iter().map(|size| columns(size)));
    let hash_width = width(&mut hashes.iter().map(|hash| hash.len()));
    let mut text = String::new();
    for ((prefix, row), (size, hash)) in rows.iter().zip(sizes.iter().zip(&hashes)) {
        let mut line = String::new();
        if show.size {
            line.push_str(&format!("{size:>size_width$}  "));
        }
        if show.hash {
            line.push_str(&format!("{hash:<hash_width$}  "));
        }
        line.push_str(prefix);
        line.push_str(&row.shown(show));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the rows of a tree, each with the lines that lead to it in front.
pub(crate) fn tree<T>(
    (root, nodes): (Row, &[TreeNode<T>]),
    row: &dyn Fn(&T) -> Row,
) -> Vec<(String, Row)> {
    let mut rows = vec![(String::new(), root)];
    branch(nodes, "", row, &mut rows);
    rows
}

fn branch<T>(
    nodes: &[TreeNode<T>],
    prefix: &str,
    row: &dyn Fn(&T) -> Row,
    rows: &mut Vec<(String, Row)>,
) {
    for (at, node) in nodes.iter().enumerate() {
        let (corner, below) =
            if at + 1 == nodes.len() { ("└── ", "    ") } else { ("├── ", "│   ") };
        rows.push((format!("{prefix}{corner}"), row(&node.entry)));
        branch(&node.children, &format!("{prefix}{below}"), row, rows);
    }
}

/// Returns the JSON of a listing of a repository, as DVC has it.
pub(crate) fn repo_json(entries: &[(String, RepoEntry)]) -> Value {
    let rows = entries.iter().map(|(path, entry)| {
        object([
            ("isout", Value::Bool(entry.is_out)),
            ("isdir", Value::Bool(entry.is_dir)),
            ("isexec", Value::Bool(entry.is_exec)),
            ("size", entry.size.map_or(Value::Null, Value::from)),
            ("md5", entry.id.map_or(Value::Null, |id| Value::from(id.to_string().as_str()))),
            ("path", Value::from(path.as_str())),
        ])
    });
    Value::List(rows.collect())
}

/// Returns the JSON of a listing of an address.
pub(crate) fn url_json(entries: &[UrlEntry]) -> Value {
    let rows = entries.iter().map(|entry| {
        object([
            ("path", Value::from(entry.path.as_str())),
            ("isdir", Value::Bool(entry.is_dir)),
            ("size", entry.size.map_or(Value::Null, Value::from)),
        ])
    });
    Value::List(rows.collect())
}

/// Returns sizes and paths, one a line.
pub(crate) fn usage(usage: &[DiskUsage]) -> String {
    let sizes: Vec<String> = usage.iter().map(|one| natural(one.size)).collect();
    let width = sizes.iter().map(String::len).max().unwrap_or(0);
    let lines = usage.iter().zip(&sizes).map(|(one, size)| {
        let line = format!("{size:<width$}  {}", one.path.as_str());
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

/// Writes a size as DVC does: whole bytes, then three digits and a letter for powers of 1024.
fn natural(size: u64) -> String {
    const UNITS: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
    if size < 1024 {
        return size.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut number = size as f64;
    for unit in UNITS {
        if number < 9.995 {
            return format!("{number:.2}{unit}");
        }
        if number < 99.95 {
            return format!("{number:.1}{unit}");
        }
        if number < 999.5 {
            return format!("{number:.0}{unit}");
        }
        number /= 1024.0;
    }
    format!("{number:.1}Y")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_dvcs() {
        let shown = [0, 999, 1000, 1023, 1024, 4096, 123_456, 5_000_000].map(natural);
        assert_eq!(shown, ["0", "999", "1000", "1023", "1.00k", "4.00k", "121k", "4.77M"]);
    }
}
