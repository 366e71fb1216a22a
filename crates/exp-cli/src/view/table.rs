//! Tables for people: DVC's plain ones, and ours, which fits the width and names what does not fit.

/// Returns how many columns of a terminal a text takes.
pub(crate) fn columns(text: &str) -> usize {
    // What tables are mostly made of takes one column a character.
    let is_narrow = |c: char| {
        let is_sign = matches!(c, '±' | '–' | '…' | '↑' | '→' | '↓' | '▲' | '◆' | '★' | '✗');
        is_sign || matches!(c, ' '..='~' | 'À'..='ɏ' | '─'..='╿')
    };
    if text.chars().all(is_narrow) {
        return text.chars().count();
    }
    tabled::grid::util::string::get_text_width(text)
}

/// Cuts a text that takes more than `width` columns, so that it ends in `…`.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    for c in text.chars() {
        cut.push(c);
        if columns(&cut) >= width {
            cut.pop();
            break;
        }
    }
    cut.push('…');
    cut
}

/// Writes a plain table as DVC does: columns left-aligned and two blanks apart, a column never narrower than its heading
/// and two blanks more, no rule, no blanks at the end of a line.
pub(crate) fn plain(header: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (header.iter().enumerate())
        .map(|(at, head)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| columns(cell));
            cells.max().unwrap_or(0).max(columns(head) + 2)
        })
        .collect();
    let mut text = String::new();
    for row in std::iter::once(header).chain(rows.iter().map(Vec::as_slice)) {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width.saturating_sub(columns(cell)) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A column of our own table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// The heading.
    pub(crate) title: String,
    /// One cell a row.
    pub(crate) cells: Vec<String>,
    /// Whether cells are numbers and stand at the right.
    pub(crate) right: bool,
    /// Whether it must be shown whatever the width.
    pub(crate) pinned: bool,
}

/// Our own table, fitted to a width.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fitted {
    /// The lines of the table.
    pub(crate) text: String,
    /// The headings of the columns that did not fit, in their order.
    pub(crate) hidden: Vec<String>,
}

/// Lays columns out in `width`, two blanks between them; from the right, those that do not fit are left out, but never
/// a pinned one.
pub(crate) fn fitted(all: &[Column], width: usize) -> Fitted {
    let takes: Vec<usize> = (all.iter())
        .map(|column| {
            let cells = column.cells.iter().map(|cell| columns(cell));
            cells.chain([columns(&column.title)]).max().unwrap_or(0)
        })
        .collect();
    let gap = 2;
    let mut free = (all.iter().zip(&takes))
        .filter(|(column, _)| column.pinned)
        .fold(width, |free, (_, takes)| free.saturating_sub(takes + gap));
    let mut closed = false;
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for (column, takes) in all.iter().zip(&takes) {
        let needs = takes + gap;
        if column.pinned {
            shown.push((column, *takes));
        } else if !closed && needs <= free + gap {
            free = free.saturating_sub(needs);
            shown.push((column, *takes));
        } else {
            closed = true;
            hidden.push(column.title.clone());
        }
    }
    let n_rows = all.first().map_or(0, |column| column.cells.len());
    let mut text = String::new();
    // The title is the row in front of the first.
    for row in 0..=n_rows {
        let start = text.len();
        for (column, takes) in &shown {
            let cell = match row.checked_sub(1) {
                None => column.title.as_str(),
                Some(at) => column.cells.get(at).map_or("", String::as_str),
            };
            let blanks = takes.saturating_sub(columns(cell));
            let (before, behind) = if column.right { (blanks, 0) } else { (0, blanks) };
            text.extend(std::iter::repeat_n(' ', before));
            text.push_str(cell);
            text.extend(std::iter::repeat_n(' ', behind + gap));
        }
        text.truncate(start + text[start..].trim_end().len());
        text.push('\n');
    }
    Fitted { text, hidden }
}

/// Says which columns were left out, as the last line below a table; empty when none was.
pub(crate) fn hidden_note(hidden: &[String]) -> String {
    match hidden {
        [] => String::new(),
        [one] => format!(" 1 column hidden ({one}): --cols all"),
        many => format!(" {} columns hidden ({}): --cols all", many.len(), many.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<const N: usize>(cells: [&str; N]) -> Vec<String> {
        cells.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_plain_table_is_dvcs() {
        let text = plain(
            &texts(["Path", "lr", "seed"]),
            &[texts(["params.yaml", "0.1", "1"]), texts(["p", "-", "12345"])],
        );
        assert_eq!(
            text,
            "Path         lr    seed\nparams.yaml  0.1   1\np            -     12345\n"
        );
    }

    #[test]
    fn the_short_way_to_a_width_is_right() {
        for text in ["ab", " ├ é ▲", "x ± 1 × 2 – … → ↑↓ ★◆✗ └", "ɏÀ╿"]
        {
            assert_eq!(columns(text), tabled::grid::util::string::get_text_width(text), "{text}");
        }
        assert_eq!(columns("日本"), 4);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let column = |title: &str, cell: &str, right, pinned| Column {
            title: title.to_owned(),
            cells: vec![cell.to_owned(), "-".to_owned()],
            right,
            pinned,
        };
        let all = [
            column("experiment", "└ bold-yak", false, true),
            column("acc", "0.9471", true, false),
            column("loss", "0.05", true, false),
            column("lr", "0.5", true, false),
        ];
        let wide = fitted(&all, 80);
        assert_eq!(
            wide.text,
            "experiment     acc  loss   lr\n└ bold-yak  0.9471  0.05  0.5\n-                -     -    -\n"
        );
        assert!(wide.hidden.is_empty());
        let narrow = fitted(&all, 20);
        assert_eq!(narrow.hidden, ["loss", "lr"]);
        assert!(narrow.text.lines().all(|line| columns(line) <= 20), "{}", narrow.text);
        assert_eq!(hidden_note(&narrow.hidden), " 2 columns hidden (loss, lr): --cols all");
        let exact = fitted(&all, 29);
        assert!(exact.hidden.is_empty(), "{:?}", exact.hidden);
    }
}
