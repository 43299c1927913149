//! What was attacked and what came of it, as rows of the table in `docs/security.md`.
//!
//! The document is made by the tests: each writes its own row when `UPDATE_SNAPSHOTS` is
//! set, and otherwise fails when the row there is another.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

const BEGIN: &str = "<!-- attacks: begin (UPDATE_SNAPSHOTS=1 cargo test writes this) -->";
const END: &str = "<!-- attacks: end -->";
const HEAD: [&str; 2] = ["| Attack | Tried | What comes of it | Test |", "|---|---:|---|---|"];

/// What one test has tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attack {
    /// What is attacked, and how.
    pub what: &'static str,
    /// How many different inputs were tried.
    pub tried: usize,
    /// What came of each of them.
    pub outcome: &'static str,
}

impl Attack {
    /// Compares with the row of `test` in the document, or writes it.
    #[track_caller]
    pub fn check(&self, test: &str) {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let row = format!("| {} | {} | {} | `{test}` |", self.what, self.tried, self.outcome);
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, mut rows, after) = document();
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            rows.retain(|known| !is_of(known, test));
            rows.push(row);
            rows.sort();
            fs::write(path(), format!("{before}{BEGIN}\n{}\n{}\n{END}{after}", HEAD.join("\n"), rows.join("\n")))
                .expect("docs/security.md can be written");
            return;
        }
        assert!(
            rows.contains(&row),
            "docs/security.md tells something else of {test} (UPDATE_SNAPSHOTS=1 writes):\n{row}"
        );
    }
}

/// Fails when the document tells of tests that are not among `tests`, whose names all begin with `start`.
#[track_caller]
pub fn check_names(start: &str, tests: &[&str]) {
    let known: BTreeSet<String> = tests.iter().map(|test| format!("{start}{test}")).collect();
    let (_, rows, _) = document();
    let told: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| Some(row.rsplit('`').nth(1)?.to_owned()))
        .filter(|name| name.starts_with(start))
        .collect();
    let gone: Vec<_> = told.difference(&known).collect();
    assert!(gone.is_empty(), "docs/security.md tells of tests that are not there: {gone:?}");
}

fn is_of(row: &str, test: &str) -> bool {
    row.ends_with(&format!("| `{test}` |"))
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "..", "docs", "security.md"].iter().collect()
}

/// What stands before the table, its rows, and what stands after it.
fn document() -> (String, Vec<String>, String) {
    let text = fs::read_to_string(path()).expect("docs/security.md");
    let (before, rest) = text.split_once(BEGIN).expect("the start of the table");
    let (table, after) = rest.split_once(END).expect("the end of the table");
    let rows = table.lines().filter(|line| line.starts_with("| ") && !HEAD.contains(line)).map(str::to_owned);
    (before.to_owned(), rows.collect(), after.to_owned())
}
