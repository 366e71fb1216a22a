//! Markdown tables as DVC prints them.

use super::table::columns;

/// Writes a header, a rule and rows, cells padded to their column, and an empty line behind them.
pub(crate) fn table(header: &[String], rows: &[Vec<String>]) -> String {
    let n_columns = header.len();
    let widths: Vec<usize> = (0..n_columns)
        .map(|at| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.chain(&header[at..=at]).map(|cell| columns(cell)).max().unwrap_or(0)
        })
        .collect();
    // A heading is never narrower than two blanks more than its text, as DVC's table library has it.
    let widths: Vec<usize> =
        widths.iter().zip(header).map(|(width, head)| (*width).max(columns(head) + 2)).collect();
    let line = |cells: &[String]| {
        let mut text = String::from("|");
        for (at, width) in widths.iter().enumerate() {
            let cell = cells.get(at).map_or("", String::as_str);
            text.push_str(&format!(" {cell}{} |", " ".repeat(width - columns(cell))));
        }
        text.push('\n');
        text
    };
    let mut text = line(header);
    text.push('|');
    for width in &widths {
        text.push_str(&"-".repeat(width + 2));
        text.push('|');
    }
    text.push('\n');
    for row in rows {
        text.push_str(&line(row));
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_dvcs() {
        let header = ["Path", "lr"].map(str::to_owned);
        let rows = [["params.yaml", "0.1"].map(str::to_owned).to_vec()];
        assert_eq!(
            table(&header, &rows),
            "| Path        | lr   |\n|-------------|------|\n| params.yaml | 0.1  |\n\n"
        );
    }
}
