//! Tables of comma or tab separated values, as Python's `csv.DictReader` reads them.

use std::sync::Arc;

use exp_core::Value;
use indexmap::IndexMap;

use crate::fault::PlotFault;
use crate::frame::{Column, Frame, Texts};
use crate::points::PlotData;

/// Python's limit for one field.
const MAX_FIELD: usize = 131_072;

/// Reads a table. Every value is text.
///
/// Rows without anything are left out, what a row lacks is null, and of equal names the last column counts. What rows have
/// beyond the header stands in a column `null`, if the first row has such; else the table has no points, as in DVC.
/// Without a header the columns are called `0`, `1` and so on, as many as the first line has commas, whatever the
/// separator is: so does DVC.
pub fn parse_table(text: &str, separator: char, header: bool) -> Result<PlotData, PlotFault> {
    // Python opens files so that all ends of lines are one.
    let folded;
    let text = if text.contains('\r') {
        folded = text.replace("\r\n", "\n").replace('\r', "\n");
        &folded
    } else {
        text
    };
    let mut reader = Reader { rest: text, separator };
    let names: Vec<String> = if header {
        // An empty first line is a header of no names.
        reader.next().transpose()?.map(|row| row.into_fields(separator)).unwrap_or_default()
    } else {
        let first =
            Reader { rest: text, separator: ',' }.next().ok_or_else(PlotFault::no_first_line)??;
        (0..first.into_fields(',').len()).map(|at| at.to_string()).collect()
    };
    let mut table = Reading::new(names.len());
    for row in reader {
        match row? {
            Row::Empty => {}
            Row::Plain(line) => table.push(&mut line.split(separator)),
            Row::Fields(fields) => table.push(&mut fields.iter().map(String::as_str)),
        }
    }
    let Reading { columns, lacking, beyond, n_rows } = table;
    if n_rows == 0 {
        return Ok(PlotData::Nothing);
    }
    if beyond.first().is_some_and(|(row, _)| *row > 0) {
        return Ok(PlotData::Ragged { last: names.last().cloned().unwrap_or_default() });
    }
    let mut found: IndexMap<Arc<str>, Column> = IndexMap::new();
    for (at, (name, texts)) in names.into_iter().zip(columns).enumerate() {
        let lacking: Vec<usize> =
            lacking.iter().filter(|(column, _)| *column == at).map(|(_, row)| *row).collect();
        let column = if lacking.is_empty() {
            Column::Texts(Arc::new(texts))
        } else {
            let mut values: Vec<Option<Value>> =
                (0..n_rows).map(|row| Some(Value::from(texts.get(row)))).collect();
            for row in lacking {
                values[row] = Some(Value::Null);
            }
            Column::Values(Arc::new(values))
        };
        found.insert(Arc::from(name), column);
    }
    if beyond.is_empty() {
        return Ok(PlotData::Rows(Frame::new(found, n_rows)));
    }
    let mut rest = vec![None; n_rows];
    for (row, values) in beyond {
        rest[row] = Some(values);
    }
    found.insert(Arc::from("null"), Column::Values(Arc::new(rest)));
    Ok(PlotData::Unnamed(Frame::new(found, n_rows)))
}

/// A table while it is read.
struct Reading {
    columns: Vec<Texts>,
    /// Column and row of what is not there; most tables have none.
    lacking: Vec<(usize, usize)>,
    /// What rows have beyond the header, by row.
    beyond: Vec<(usize, Value)>,
    n_rows: usize,
}

impl Reading {
    fn new(n_columns: usize) -> Self {
        let columns = vec![Texts::default(); n_columns];
        Self { columns, lacking: Vec::new(), beyond: Vec::new(), n_rows: 0 }
    }

    fn push(&mut self, fields: &mut dyn Iterator<Item = &str>) {
        for (at, column) in self.columns.iter_mut().enumerate() {
            let field = fields.next();
            if field.is_none() {
                self.lacking.push((at, self.n_rows));
            }
            column.push(field.unwrap_or_default());
        }
        let rest: Vec<Value> = fields.map(Value::from).collect();
        if !rest.is_empty() {
            self.beyond.push((self.n_rows, Value::List(rest)));
        }
        self.n_rows += 1;
    }
}

/// One line of a table, or several that quotes hold together.
enum Row<'t> {
    Empty,
    /// A line without quotes.
    Plain(&'t str),
    Fields(Vec<String>),
}

impl Row<'_> {
    fn into_fields(self, separator: char) -> Vec<String> {
        match self {
            Self::Empty => Vec::new(),
            Self::Plain(line) => line.split(separator).map(str::to_owned).collect(),
            Self::Fields(fields) => fields,
        }
    }
}

/// Gives out the rows of a text.
struct Reader<'t> {
    rest: &'t str,
    separator: char,
}

impl<'t> Iterator for Reader<'t> {
    type Item = Result<Row<'t>, PlotFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        if line.contains('"') {
            return Some(self.quoted().map(Row::Fields));
        }
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        if line.is_empty() {
            return Some(Ok(Row::Empty));
        }
        if line.len() > MAX_FIELD && line.split(self.separator).any(is_too_long) {
            return Some(Err(PlotFault::field_limit(MAX_FIELD)));
        }
        Some(Ok(Row::Plain(line)))
    }
}

impl Reader<'_> {
    /// Reads a line in which quotes hold separators, quotes and ends of lines.
    fn quoted(&mut self) -> Result<Vec<String>, PlotFault> {
        let mut fields = vec![String::new()];
        let mut is_quoted = false;
        let mut is_start = true;
        let mut chars = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            let Some(field) = fields.last_mut() else { break };
            match c {
                '"' if is_quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    chars.next();
                    field.push('"');
                }
                '"' if is_quoted => is_quoted = false,
                '"' if is_start => is_quoted = true,
                c if c == self.separator && !is_quoted => {
                    fields.push(String::new());
                    is_start = true;
                    continue;
                }
                '\n' if !is_quoted => {
                    end = at + 1;
                    break;
                }
                c => field.push(c),
            }
            is_start = false;
        }
        self.rest = &self.rest[end..];
        if fields.iter().any(|field| is_too_long(field)) {
            return Err(PlotFault::field_limit(MAX_FIELD));
        }
        Ok(fields)
    }
}

fn is_too_long(field: &str) -> bool {
    field.len() > MAX_FIELD && field.chars().count() > MAX_FIELD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: &str) {
        let json = match parse_table(text, ',', true) {
            Ok(PlotData::Rows(frame)) => {
                let mut out = String::new();
                frame.write_json(&mut out, &mut false, crate::frame::Spelling::Python);
                out
            }
            other => format!("{other:?}"),
        };
        assert_eq!(json, expect);
    }

    #[test]
    fn tables_are_read_as_python_reads_them() {
        check("a,b\n1,2\n\n3,4\n", r#"{"a": "1", "b": "2"}, {"a": "3", "b": "4"}"#);
        check("a,b\r\n1,2\r\n3", r#"{"a": "1", "b": "2"}, {"a": "3", "b": null}"#);
        check("a,a\n1,2\n", r#"{"a": "2"}"#);
        check("a\n\"x,\"\"y\"\"\nz\"\n", r#"{"a": "x,\"y\"\nz"}"#);
        check("a\nx\"y\"\n\"q\"r\n", r#"{"a": "x\"y\""}, {"a": "qr"}"#);
        check("\u{feff}a\n\u{e9}\n", "{\"\\ufeffa\": \"\\u00e9\"}");
        check("", "Ok(Nothing)");
        check("a,b\n", "Ok(Nothing)");
        check("a\n1\n2,3\n", r#"Ok(Ragged { last: "a" })"#);
    }

    #[test]
    fn columns_without_a_header_are_counted_by_commas() {
        let read = |text, separator| match parse_table(text, separator, false) {
            Ok(PlotData::Rows(frame)) => frame.names().map(str::to_owned).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(read("1,2\n3,4\n", ','), ["0", "1"]);
        assert!(parse_table("", ',', false).is_err());
        let Ok(PlotData::Unnamed(frame)) = parse_table("1\t2\n", '\t', false) else { panic!() };
        assert_eq!(frame.names().collect::<Vec<_>>(), ["0", "null"]);
    }

    #[test]
    fn a_field_without_an_end_is_refused() {
        let long = format!("a\n{}\n", "x".repeat(MAX_FIELD + 1));
        assert!(parse_table(&long, ',', true).is_err());
    }
}
