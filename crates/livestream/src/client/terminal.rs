//! What a terminal is shown: styles, widths, and text that can't take it over.

use std::io::{IsTerminal, Write, stderr, stdout};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, Unit};
use terminal_size::terminal_size;
use unicode_width::UnicodeWidthChar;

/// Columns where nobody says how many there are.
const USUAL_WIDTH: usize = 100;
const USUAL_HEIGHT: usize = 30;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const PLAIN: Style = Style::new();
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// The style a phase is shown in.
pub(crate) fn style_of(phase: &str) -> Style {
    match phase {
        "live" => GOOD,
        "reconnecting" => WARNING,
        "ended" => DIM,
        _ => PLAIN,
    }
}

/// Whether somebody looks at the output.
pub(crate) fn is_watched() -> bool {
    stdout().is_terminal()
}

/// Columns and rows of the terminal.
pub(crate) fn size() -> (usize, usize) {
    terminal_size().map_or((USUAL_WIDTH, USUAL_HEIGHT), |(width, height)| (width.0.into(), height.0.into()))
}

/// `text` without what a terminal would act upon: titles and names are other people's.
pub(crate) fn clean(text: &str) -> String {
    let harmless = |c: char| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c };
    text.chars().map(harmless).collect()
}

/// Marks that turn the direction of the text after them.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `width` columns of `text`, with `…` where something is missing.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    let all: usize = text.chars().map(columns).sum();
    if all <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let mut short: String = text
        .chars()
        .take_while(|c| {
            let fits = columns(*c) <= left;
            left = if fits { left - columns(*c) } else { 0 };
            fits
        })
        .collect();
    short.push('…');
    short
}

/// Columns that `c` takes.
pub(crate) fn columns(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// A line that says what is being done, in place; gone when dropped. Only where somebody looks.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(crate) fn begin() -> Self {
        Self { is_shown: stderr().is_terminal() }
    }

    /// Replaces the line. Progress that can't be shown is no reason to fail.
    pub(crate) fn say(&self, text: &str) {
        if self.is_shown {
            let text = shortened(&clean(text), size().0.saturating_sub(1));
            drop(write!(anstream::stderr(), "\r\x1b[2K{DIM}{text}{DIM:#}"));
            drop(stderr().flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            drop(write!(stderr(), "\r\x1b[2K"));
            drop(stderr().flush());
        }
    }
}

/// How long ago `time` (ISO 8601) was, in the two largest units; empty for what is no time.
pub(crate) fn ago(time: &str, now: Timestamp) -> String {
    let Ok(time) = time.parse::<Timestamp>() else { return String::new() };
    let seconds = now.since((Unit::Second, time)).map_or(0, |span| span.get_seconds()).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {:02} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes:02} min"),
        (days, hours, _) => format!("{days} d {hours:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_not_take_over_the_terminal() {
        assert_eq!(clean("a\x1b[2Jb\n\u{202e}c"), "a\u{fffd}[2Jb\u{fffd}\u{fffd}c");
    }

    #[test]
    fn text_is_shortened_to_columns() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
        assert_eq!(shortened("日本語", 5), "日本…");
        assert_eq!(shortened("日本語", 4), "日…");
    }

    #[test]
    fn ages_are_two_units() {
        let now = "2026-01-02T12:00:00Z".parse().unwrap();
        let check = |time: &str, expected: &str| assert_eq!(ago(time, now), expected);
        check("2026-01-02T11:59:58.500Z", "1 s");
        check("2026-01-02T11:55:00Z", "5 min 00 s");
        check("2026-01-02T09:55:00Z", "2 h 05 min");
        check("2025-12-31T11:00:00Z", "2 d 01 h");
        check("2026-01-02T12:00:05Z", "0 s");
        check("soon", "");
    }
}
