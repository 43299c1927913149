//! What was found, as lines for people.

use std::io::Write;

use anstyle::Style;

use crate::client::terminal::{BAD, DIM, GOOD, Progress, WARNING};

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    Warning,
    Broken,
    Skipped,
}

/// What was found out about a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    state: State,
    said: String,
    /// What to do.
    advice: Option<String>,
}

impl Finding {
    /// Nothing to be done.
    pub(super) fn well(said: impl Into<String>) -> Self {
        Self { state: State::Well, said: said.into(), advice: None }
    }

    /// It works, with a risk or a cost.
    pub(super) fn warning(said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Warning, said: said.into(), advice: Some(advice.into()) }
    }

    /// It does not work.
    pub(super) fn broken(said: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Broken, said: said.into(), advice: Some(advice.into()) }
    }

    /// It was not looked at.
    pub(super) fn skipped(said: impl Into<String>) -> Self {
        Self { state: State::Skipped, said: said.into(), advice: None }
    }

    fn mark(&self) -> (&'static str, Style) {
        match self.state {
            State::Well => ("ok  ", GOOD),
            State::Warning => ("warn", WARNING),
            State::Broken => ("FAIL", BAD),
            State::Skipped => ("skip", DIM),
        }
    }
}

/// All that was found.
#[derive(Default)]
pub(super) struct Report {
    findings: Vec<Finding>,
    progress: Option<Progress>,
}

impl Report {
    /// Says what is looked at now, where somebody looks.
    pub(super) fn begin(&mut self, what: &str) {
        let progress = self.progress.get_or_insert_with(Progress::begin);
        progress.say(&format!("looking at {what} …"));
    }

    /// Prints what was found out about `part`.
    pub(super) fn add(&mut self, part: &str, finding: Finding) -> anyhow::Result<()> {
        // The line of progress must be gone before another is printed.
        self.progress = None;
        let mut out = anstream::stdout().lock();
        let (mark, style) = finding.mark();
        writeln!(out, "{style}{mark}{style:#}  {part:<15} {}", finding.said)?;
        if let Some(advice) = &finding.advice {
            writeln!(out, "      {:<15} {DIM}to do:{DIM:#} {advice}", "")?;
        }
        out.flush()?;
        self.findings.push(finding);
        Ok(())
    }

    /// Prints the sum; whether nothing is broken.
    pub(super) fn end(self) -> anyhow::Result<bool> {
        let count = |state| self.findings.iter().filter(|finding| finding.state == state).count();
        let (broken, warnings) = (count(State::Broken), count(State::Warning));
        let mut out = anstream::stdout().lock();
        match (broken, warnings) {
            (0, 0) => writeln!(out, "\nall is well")?,
            (0, warnings) => writeln!(out, "\nit works, with {warnings} warnings")?,
            (broken, _) => writeln!(out, "\n{broken} of {} do not work", self.findings.len())?,
        }
        Ok(broken == 0)
    }
}
