//! CSV as Python's `csv` module writes it: CRLF, quotes only where needed.

/// Writes one row with its line end.
pub(crate) fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| field(cell, cells.len())).collect();
    format!("{}\r\n", cells.join(","))
}

fn field(text: &str, n_cells: usize) -> String {
    // A row of one empty cell would be an empty line.
    let alone = text.is_empty() && n_cells == 1;
    if alone || text.contains([',', '"', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_needed() {
        let cells = ["a", "[1, 2]", "say \"x\"", "", " b"].map(str::to_owned);
        assert_eq!(row(&cells), "a,\"[1, 2]\",\"say \"\"x\"\"\",, b\r\n");
        assert_eq!(row(&[String::new()]), "\"\"\r\n");
    }
}
