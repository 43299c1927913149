//! One monotonic clock for all threads of a run, and the marks that carry its time through the server.
//!
//! A mark is put into a change (a stream's title, say) and looked for in what
//! subscribers are sent, whatever is around it there.

use std::fmt;
use std::time::{Duration, Instant};

use memchr::memmem;

/// What a mark begins with.
const BEGIN: &[u8] = b"mark~";

/// Time since the run began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(self) -> u64 {
        // 584 years fit.
        self.0.elapsed().as_nanos() as u64
    }

    /// The moment `since_start`.
    pub(crate) fn at(self, since_start: Duration) -> Instant {
        self.0 + since_start
    }
}

/// Which change of a topic this is, and when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// From 1, per topic.
    pub number: u32,
    /// Nanoseconds on the run's clock.
    pub sent: u64,
}

impl Mark {
    /// The first mark in `text`.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let begin = memmem::find(text, BEGIN)? + BEGIN.len();
        let (number, rest) = digits(&text[begin..])?;
        let (sent, rest) = digits(rest.strip_prefix(b".")?)?;
        rest.starts_with(b"~").then_some(())?;
        Some(Self { number: u32::try_from(number).ok()?, sent })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mark~{}.{}~", self.number, self.sent)
    }
}

fn digits(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    let value = std::str::from_utf8(&text[..end]).ok()?.parse().ok()?;
    Some((value, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_wherever_it_is() {
        let mark = Mark { number: 12, sent: 3_456 };
        assert_eq!(Mark::find(format!("data: {{\"title\":\"{mark}xxx\"}}\n\n").as_bytes()), Some(mark));
        for not_one in ["", "mark~", "mark~1", "mark~1.2", "mark~1.2 ", "mark~.2~", "mark~99999999999.2~"] {
            assert_eq!(Mark::find(not_one.as_bytes()), None, "{not_one}");
        }
    }
}
