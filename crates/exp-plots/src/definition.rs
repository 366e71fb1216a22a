//! What a plot shows: columns of files, labels, a template.

use exp_core::{Table, Value};

/// Where the values of an axis come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Axis {
    /// Columns of the file that the plot is named after. One column, unless it is an empty or longer list.
    Columns(Vec<String>),
    /// Columns of files, in the order of the definition.
    Files(Vec<(String, Vec<String>)>),
}

impl Axis {
    /// Returns the axis that a value of a `dvc.yaml` means; `None` for a value that means none.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Table(table) => {
                let files = table.iter().map(|(file, columns)| (file.clone(), names(columns)));
                Some(Self::Files(files.collect()))
            }
            Value::Text(_) | Value::List(_) => Some(Self::Columns(names(value))),
            _ => None,
        }
    }

    /// Returns each file with each of its columns. Columns without a file are those of `id`.
    pub(crate) fn series<'a>(&'a self, id: &'a str) -> Vec<(&'a str, &'a str)> {
        match self {
            Self::Columns(columns) => columns.iter().map(|column| (id, column.as_str())).collect(),
            Self::Files(files) => files
                .iter()
                .flat_map(|(file, columns)| {
                    columns.iter().map(|column| (file.as_str(), column.as_str()))
                })
                .collect(),
        }
    }
}

fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Text(text) => vec![text.clone()],
        Value::List(items) => {
            items.iter().filter_map(|item| Some(item.as_text()?.to_owned())).collect()
        }
        _ => Vec::new(),
    }
}

/// What is said of a plot; whatever is `None` is found out from the data.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlotProps {
    /// The name or file of a template; `linear` by default.
    pub template: Option<String>,
    /// The horizontal axis; the number of the row by default.
    pub x: Option<Axis>,
    /// The vertical axis; the last column by default.
    pub y: Option<Axis>,
    /// What the horizontal axis is called.
    pub x_label: Option<String>,
    /// What the vertical axis is called.
    pub y_label: Option<String>,
    /// What the plot is called; by default as its id.
    pub title: Option<String>,
    /// Whether the first line of a table has the names of its columns, as it does by default.
    pub header: Option<bool>,
}

impl PlotProps {
    /// Reads what a `dvc.yaml` says of a plot. What is no property of plots is left out.
    pub fn of(table: &Table) -> Self {
        let text = |key: &str| Some(table.get(key)?.as_text()?.to_owned());
        Self {
            template: text("template"),
            x: table.get("x").and_then(Axis::of),
            y: table.get("y").and_then(Axis::of),
            x_label: text("x_label"),
            y_label: text("y_label"),
            title: text("title"),
            header: match table.get("header") {
                Some(Value::Bool(header)) => Some(*header),
                _ => None,
            },
        }
    }

    /// Returns these properties, with those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            template: self.template.or_else(|| other.template.clone()),
            x: self.x.or_else(|| other.x.clone()),
            y: self.y.or_else(|| other.y.clone()),
            x_label: self.x_label.or_else(|| other.x_label.clone()),
            y_label: self.y_label.or_else(|| other.y_label.clone()),
            title: self.title.or_else(|| other.title.clone()),
            header: self.header.or(other.header),
        }
    }

    /// Returns whether a property is set, by its name in a `dvc.yaml`.
    pub fn has(table: &Table, name: &str) -> bool {
        const NAMES: [&str; 7] = ["template", "x", "y", "x_label", "y_label", "title", "header"];
        NAMES.contains(&name) && table.contains_key(name)
    }

    /// Returns these properties with the files of their axes named by `rename`.
    #[must_use]
    pub fn with_files(self, rename: impl Fn(&str) -> String) -> Self {
        let renamed = |axis: Option<Axis>| match axis {
            Some(Axis::Files(files)) => {
                let files = files.into_iter().map(|(file, columns)| (rename(&file), columns));
                Some(Axis::Files(files.collect()))
            }
            axis => axis,
        };
        Self { x: renamed(self.x), y: renamed(self.y), ..self }
    }

    /// Returns whether the plot is of the file that it is named after.
    pub fn id_is_path(&self) -> bool {
        !matches!(self.y, Some(Axis::Files(_)))
    }

    /// Returns the files that the plot `id` reads, each once: those of `y`, else the one that it is named after, and the
    /// first of `x`.
    pub fn sources(&self, id: &str) -> Vec<String> {
        let mut sources: Vec<String> = match &self.y {
            Some(Axis::Files(files)) => files.iter().map(|(file, _)| file.clone()).collect(),
            _ => vec![id.to_owned()],
        };
        if let Some(Axis::Files(files)) = &self.x
            && let Some((first, _)) = files.first()
            && !sources.contains(first)
        {
            sources.push(first.clone());
        }
        sources
    }
}

/// Returns whether a file is an image by its ending, as DVC tells: `.jpg`, `.jpeg`, `.gif`, `.png` or `.svg`, in small
/// letters.
pub fn is_image(path: &str) -> bool {
    matches!(extension(path), ".jpg" | ".jpeg" | ".gif" | ".png" | ".svg")
}

/// Returns the ending of a file with its point; empty for a file without one, or whose name begins with its only point.
pub fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.rfind('.') {
        Some(at) if !name[..at].trim_start_matches('.').is_empty() => &name[at..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_told_as_python_tells_them() {
        for (path, expect) in [
            ("a.csv", ".csv"),
            ("d.x/a", ""),
            ("d/.png", ""),
            ("..png", ""),
            ("a.tar.gz", ".gz"),
            ("a.", "."),
        ] {
            assert_eq!(extension(path), expect, "{path}");
        }
        assert!(is_image("d/1.svg"));
        assert!(!is_image("d/1.PNG"));
    }

    #[test]
    fn a_plot_names_its_sources() {
        let files = |pairs: &[(&str, &str)]| {
            let pairs =
                pairs.iter().map(|(file, column)| ((*file).to_owned(), vec![(*column).to_owned()]));
            Some(Axis::Files(pairs.collect()))
        };
        let of = |x, y| PlotProps { x, y, ..PlotProps::default() }.sources("id");
        assert_eq!(of(None, None), ["id"]);
        assert_eq!(of(None, files(&[("a", "l"), ("b", "l")])), ["a", "b"]);
        assert_eq!(
            of(files(&[("c", "s"), ("d", "s")]), files(&[("a", "l"), ("b", "l")])),
            ["a", "b", "c"]
        );
        assert_eq!(of(files(&[("a", "s")]), files(&[("a", "l")])), ["a"]);
    }
}
