//! What is printed: tables for people, a JSON object a line for programs, and nothing that garbles a terminal.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ColumnConstraint, ContentArrangement, Row, Table, Width};
use serde::Serialize;

/// Standard output, buffered: a store of a million events is printed in large writes.
pub(crate) struct Show {
    out: BufWriter<Stdout>,
    json: bool,
    /// Columns of the terminal; `None` if it is none, and then nothing is cut.
    width: Option<u16>,
}

impl Show {
    pub(crate) fn new(json: bool) -> Show {
        let width = if io::stdout().is_terminal() { Table::new().width() } else { None };
        Show { out: BufWriter::with_capacity(1 << 16, io::stdout()), json, width }
    }

    /// Whether a program reads it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// A text that must not push others off the terminal: cut to a quarter of its width.
    pub(crate) fn quarter(&self, text: &str) -> String {
        let Some(room) = self.width.map(|width| usize::from(width / 4).max(8)) else {
            return text.to_owned();
        };
        if text.chars().count() <= room {
            return text.to_owned();
        }
        text.chars().take(room - 1).chain(['…']).collect()
    }

    /// A date and time: on a terminal without its fraction of a second.
    pub(crate) fn moment(&self, text: String) -> String {
        match (self.width, text.split_once('.')) {
            (Some(_), Some((whole, rest))) => {
                format!("{whole}{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit()))
            }
            _ => text,
        }
    }

    /// A line for people. It may hold names from the store.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{}", safe(text))
    }

    /// A line as it is, byte for byte.
    pub(crate) fn verbatim(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// A line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value)?;
        self.verbatim(&safe_json(&text))
    }

    /// A small table, whole.
    pub(crate) fn table(
        &mut self,
        header: &'static [&'static str],
        rows: Vec<Vec<String>>,
    ) -> io::Result<()> {
        self.rows(&mut Listing::new(header), rows)
    }

    /// The next rows of a listing. Where a terminal is too narrow, the last column is cut.
    pub(crate) fn rows(&mut self, listing: &mut Listing, rows: Vec<Vec<String>>) -> io::Result<()> {
        let table = listing.lay_out(rows, self.width);
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A table that is printed in parts: its columns never get narrower, and it has one header.
#[derive(Debug)]
pub(crate) struct Listing {
    header: &'static [&'static str],
    widths: Vec<u16>,
    begun: bool,
}

/// Between columns.
const GAP: u16 = 2;

impl Listing {
    pub(crate) fn new(header: &'static [&'static str]) -> Listing {
        Listing { header, widths: vec![0; header.len()], begun: false }
    }

    fn lay_out(&mut self, rows: Vec<Vec<String>>, width: Option<u16>) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING).set_truncation_indicator("…");
        if !self.begun {
            let mut header = Row::from(self.header.to_vec());
            header.max_height(1);
            table.set_header(header);
            self.begun = true;
        }
        for cells in rows {
            // Far more than any terminal is wide, and far less than the largest event.
            let cut = |cell: String| match width {
                Some(width) => safe(&cell).chars().take(usize::from(width) * 2).collect(),
                None => safe(&cell).into_owned(),
            };
            let mut row = Row::from(cells.into_iter().map(cut).collect::<Vec<String>>());
            if width.is_some() {
                row.max_height(1);
            }
            table.add_row(row);
        }
        self.fix_columns(&mut table, width);
        table
    }

    fn fix_columns(&mut self, table: &mut Table, width: Option<u16>) {
        let found = table.column_max_content_widths();
        for (widest, found) in self.widths.iter_mut().zip(found) {
            *widest = found.max(*widest);
        }
        if let Some(width) = width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        let last = self.header.len().saturating_sub(1);
        for (index, (column, widest)) in table.column_iter_mut().zip(&self.widths).enumerate() {
            if index < last {
                column.set_padding((0, GAP));
                column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(widest.saturating_add(GAP))));
            } else {
                column.set_padding((0, 0));
            }
        }
    }
}

/// Text that a terminal shows as text: control characters, and those that are invisible or turn the direction of
/// what follows, are written as escapes.
pub(crate) fn safe(text: &str) -> Cow<'_, str> {
    if !text.contains(garbles) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if garbles(character) {
            safe.extend(character.escape_debug());
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

/// The same for JSON, where such a character can only stand in a string; the value stays the same.
fn safe_json(json: &str) -> Cow<'_, str> {
    if !json.contains(garbles) {
        return Cow::Borrowed(json);
    }
    let mut safe = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if garbles(character) {
            // All of them lie in the basic plane: one escape each.
            safe.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            safe.push(character);
        }
    }
    Cow::Owned(safe)
}

fn garbles(character: char) -> bool {
    character.is_control()
        || matches!(u32::from(character), 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x2069 | 0xFEFF)
}

/// JSON without the white space between its tokens, so that it fits a line.
pub(crate) fn compact_json(json: &str) -> String {
    let (mut compact, mut in_string, mut escaped) = (String::with_capacity(json.len()), false, false);
    for character in json.chars() {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
        } else if character.is_ascii_whitespace() {
            continue;
        } else {
            in_string = character == '"';
        }
        compact.push(character);
    }
    compact
}

/// A span of time in a person's units.
pub(crate) fn span(milliseconds: u64) -> String {
    let seconds = milliseconds / 1_000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{}.{} s", seconds, milliseconds % 1_000 / 100),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// A number of bytes in a person's units.
pub(crate) fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", tenths(1 << 10)),
        1_048_576..1_073_741_824 => format!("{} MiB", tenths(1 << 20)),
        _ => format!("{} GiB", tenths(1 << 30)),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_garbles_a_terminal_gets_through() {
        assert_eq!(safe("plain 😀 'é'"), "plain 😀 'é'");
        assert_eq!(safe("a\u{1b}[31m\n\u{202e}\u{9b}"), "a\\u{1b}[31m\\n\\u{202e}\\u{9b}");
        assert_eq!(safe_json("\"\u{9b}\u{7f}\""), "\"\\u009b\\u007f\"");
    }

    #[test]
    fn compact_json_keeps_what_stands_in_strings() {
        let json = "{\n  \"a b\" : [1, 2.50 ],\t\"c\\\" d\": \"\\\\\" , \"e\": \" \"}";
        assert_eq!(compact_json(json), "{\"a b\":[1,2.50],\"c\\\" d\":\"\\\\\",\"e\":\" \"}");
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(
            (grouped(0), grouped(999), grouped(1_234_567)),
            ("0".into(), "999".into(), "1,234,567".into())
        );
        assert_eq!(
            (span(7), span(2_340), span(252_000)),
            ("7 ms".into(), "2.3 s".into(), "4 min 12 s".into())
        );
        assert_eq!(
            (bytes(100), bytes(1_536), bytes(5 << 20)),
            ("100 B".into(), "1.5 KiB".into(), "5.0 MiB".into())
        );
    }
}
