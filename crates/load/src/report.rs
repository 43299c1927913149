//! Figures as text: two columns for people.

use std::fmt;

use crate::figures::Quantiles;
use crate::process::Held;

/// Lines with a name and a value.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<(String, String)>);

impl Lines {
    /// Adds a line.
    pub(crate) fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// Adds the lines of another, under a heading.
    pub(crate) fn section(&mut self, heading: &str, other: Self) {
        self.0.push((heading.to_owned(), String::new()));
        self.0.extend(other.0.into_iter().map(|(name, value)| (format!("  {name}"), value)));
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.chars().count()).max();
        for (name, value) in &self.0 {
            let line = format!("{name:<width$}  {value}", width = width.unwrap_or_default());
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50_ms, p99_ms, max_ms, .. } = self;
        write!(f, "{p50_ms:.1} ms (median), {p99_ms:.1} ms (99 %), {max_ms:.1} ms (longest)")
    }
}

impl Held {
    /// How much of one reader's the kernel holds.
    pub(crate) fn in_words(&self) -> String {
        let queued = self.most_queued as f64 / 1024.0;
        match self.most_memory {
            Some(memory) => format!("{queued:.1} KiB queued, {:.1} KiB of memory", memory as f64 / 1024.0),
            None => format!("{queued:.1} KiB queued"),
        }
    }
}
