//! Rows of the table in `docs/reliability.md`, one file each; `scripts/reliability` puts them together.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::scene::Seen;

/// Writes the row of one fault; `place` is its place in the table.
pub(crate) fn row(place: u32, fault: &str, seen: &Seen) {
    let Seen { callers, slowest, subscribers, right, acknowledged } = seen;
    let row = format!(
        "| {fault} | {callers} | {} | {subscribers} | {} | {acknowledged}, 0 |\n",
        seconds(*slowest),
        seconds(*right)
    );
    write(&format!("{place:02}.md"), &row);
    eprint!("{row}");
}

/// Writes the row of one way in which a store file is damaged, or can't be used.
pub(crate) fn refusal(place: u32, what: &str, said: &str) {
    write(&format!("refusal-{place:02}.md"), &format!("| {what} | {} |\n", said.replace('|', "\\|")));
}

/// Writes the row of banned people who came back and were taken out, after these times.
pub(crate) fn ejections(place: u32, by: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let [median, slowest] = [times[times.len() / 2], times[times.len() - 1]].map(|time| time.as_secs_f64() * 1e3);
    let row = format!("| {by} | {} | {median:.0} ms | {slowest:.0} ms |\n", times.len());
    write(&format!("ejection-{place:02}.md"), &row);
    eprint!("{row}");
}

/// Keeps what the instances logged, to be read as an operator would.
pub(crate) fn log(place: u32, text: &str) {
    write(&format!("{place:02}.log"), text);
}

fn write(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reliability");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
