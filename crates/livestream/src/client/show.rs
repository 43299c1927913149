//! Streams as text for people.

use std::io::Write;

use anstyle::Style;
use jiff::Timestamp;
use serde_json::Value;

use super::error::ClientError;
use super::model::Summary;
use super::table::{Cell, Table};
use super::terminal::{BOLD, DIM, ago, clean, style_of};

/// Prints a line.
pub(crate) fn print(line: &str) -> Result<(), ClientError> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Prints JSON for people and programs: indented on a terminal, else in one line.
pub(crate) fn print_json(value: &Value) -> Result<(), ClientError> {
    if super::terminal::is_watched() { print(&format!("{value:#}")) } else { print(&value.to_string()) }
}

/// Prints a remark, which is no part of the output.
pub(crate) fn remark(text: &str) {
    // A remark that nobody can read is no reason to fail.
    drop(writeln!(anstream::stderr(), "{DIM}livestream: {text}{DIM:#}"));
}

/// Streams as a table.
pub(crate) fn table(streams: &[Summary], now: Timestamp) -> Table {
    let mut table = Table::new(["STREAM", "PHASE", "PEOPLE", "STARTED", "TITLE"]);
    for stream in streams {
        table.row([
            Cell::from(stream.stream_id.as_str()),
            Cell::styled(&phase(stream), style_of(&stream.phase)),
            Cell::from(stream.participant_count.to_string()),
            Cell::from(format!("{} ago", ago(&stream.started_at, now))),
            Cell::from(stream.title.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

/// Streams that are over, each time they were on, as a table.
pub(crate) fn history(streams: &[Summary], now: Timestamp) -> Table {
    let mut table = Table::new(["STREAM", "ENDED", "WHY", "LASTED", "PEAK", "JOINS", "TITLE"]);
    let number = |number: Option<u64>| number.map_or_else(|| "–".to_owned(), |number| number.to_string());
    for stream in streams {
        let end = stream.ended_at.as_deref().unwrap_or_default();
        let lasted = end.parse().map_or_else(|_| "–".to_owned(), |end| ago(&stream.started_at, end));
        table.row([
            Cell::from(stream.stream_id.as_str()),
            Cell::from(format!("{} ago", ago(end, now))),
            Cell::from(stream.end_reason.as_deref().unwrap_or_default()),
            Cell::from(lasted),
            Cell::from(number(stream.peak_participants)),
            Cell::from(number(stream.total_joins)),
            Cell::from(stream.title.as_deref().unwrap_or_default()),
        ]);
    }
    table
}

fn phase(stream: &Summary) -> String {
    match &stream.end_reason {
        Some(reason) => format!("ended: {reason}"),
        None => stream.phase.clone(),
    }
}

/// The members of `details`, one per line, those that are there.
pub(crate) fn details(details: &Value) -> Vec<String> {
    const NAMES: [(&str, &str); 21] = [
        ("title", "title"),
        ("status", "status"),
        ("phase", "phase"),
        ("phaseSince", "since"),
        ("endReason", "end reason"),
        ("closing", "closing"),
        ("participants", "people"),
        ("participantCount", "count"),
        ("peakParticipants", "peak"),
        ("totalJoins", "joins"),
        ("startedAt", "started"),
        ("endedAt", "ended"),
        ("room", "room"),
        ("generation", "generation"),
        ("defaultRole", "default role"),
        ("maxParticipants", "most people"),
        ("emptyTimeout", "empty timeout"),
        ("maxDuration", "longest"),
        ("endWithoutPublisher", "without publisher"),
        ("metadata", "metadata"),
        ("version", "version"),
    ];
    let id = details["streamId"].as_str().unwrap_or_default();
    let mut lines = vec![styled(&clean(id), BOLD)];
    for (member, name) in NAMES {
        if let Some(value) = details.get(member) {
            lines.push(format!("{}{}", styled(&format!("  {name:<19}"), DIM), plain(value)));
        }
    }
    lines
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => clean(text),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        // What serde_json writes has its control characters escaped already.
        other => clean(&other.to_string()),
    }
}

pub(crate) fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}
