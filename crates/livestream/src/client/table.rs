//! Columns of text for a terminal, each as wide as its widest cell.

use anstyle::Style;

use super::terminal::{BOLD, PLAIN, clean, columns, shortened};

/// Between two columns.
const GAP: usize = 2;
/// No cell is wider than this.
const WIDEST: usize = 48;

/// One cell.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Text in a style; control characters are taken out.
    pub(crate) fn styled(text: &str, style: Style) -> Self {
        Self { text: shortened(&clean(text), WIDEST), style }
    }

    fn columns(&self) -> usize {
        self.text.chars().map(columns).sum()
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, PLAIN)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// Rows under a heading.
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these headings and no row.
    pub(crate) fn new<const N: usize>(headings: [&str; N]) -> Self {
        Self { rows: vec![headings.map(|text| Cell::styled(text, BOLD)).into()] }
    }

    /// Adds a row, which must have as many cells as there are headings.
    pub(crate) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The lines, none of them wider than `width`: what does not fit is left out cell by cell.
    pub(crate) fn lines(&self, width: usize) -> Vec<String> {
        let count = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<_> =
            (0..count).map(|at| self.rows.iter().filter_map(|row| row.get(at)).map(Cell::columns).max()).collect();
        self.rows.iter().map(|row| line(row, &widths, width)).collect()
    }
}

fn line(row: &[Cell], widths: &[Option<usize>], width: usize) -> String {
    let mut line = String::new();
    let mut left = width;
    for (at, cell) in row.iter().enumerate() {
        let text = shortened(&cell.text, left);
        let taken: usize = text.chars().map(columns).sum();
        line.push_str(&format!("{}{text}{:#}", cell.style, cell.style));
        left = left.saturating_sub(taken);
        if at + 1 < row.len() {
            let padding = (widths[at].unwrap_or(0).saturating_sub(taken) + GAP).min(left);
            line.extend(std::iter::repeat_n(' ', padding));
            left -= padding;
        }
        if left == 0 {
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &Table, width: usize) -> Vec<String> {
        table.lines(width).iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["A", "BB"]);
        table.row(["日本".into(), Cell::from("x")]);
        table.row(["a".into(), Cell::from("y")]);
        assert_eq!(shown(&table, 80), ["A     BB", "日本  x", "a     y"]);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut table = Table::new(["A", "B"]);
        table.row(["aaaa".into(), Cell::from("bbbb")]);
        assert_eq!(shown(&table, 8)[1], "aaaa  b…");
        assert_eq!(shown(&table, 3)[1], "aa…");
    }
}
