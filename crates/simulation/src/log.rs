//! What happened, in order: a hash of all of it, and the last lines in words.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use parking_lot::Mutex;
use tokio::time::Instant;

const TAIL: usize = 120;

/// The log of one play.
pub(crate) struct Log {
    start: Instant,
    echo: bool,
    inner: Mutex<Inner>,
}

struct Inner {
    hasher: DefaultHasher,
    lines: u64,
    tail: VecDeque<String>,
}

impl Log {
    /// An empty log that begins now.
    pub(crate) fn new(echo: bool) -> Self {
        let inner = Inner { hasher: DefaultHasher::new(), lines: 0, tail: VecDeque::new() };
        Self { start: Instant::now(), echo, inner: Mutex::new(inner) }
    }

    /// Writes a line.
    #[expect(clippy::print_stderr, reason = "whoever replays a seed wants to read along")]
    pub(crate) fn write(&self, text: impl AsRef<str>) {
        let line = format!("{:9.3} {}", self.start.elapsed().as_secs_f64(), text.as_ref());
        if self.echo {
            eprintln!("{line}");
        }
        let mut inner = self.inner.lock();
        line.hash(&mut inner.hasher);
        inner.lines += 1;
        inner.tail.push_back(line);
        if inner.tail.len() > TAIL {
            inner.tail.pop_front();
        }
    }

    /// How much was written, and its hash.
    pub(crate) fn digest(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        (inner.lines, inner.hasher.finish())
    }

    /// The last lines.
    pub(crate) fn tail(&self) -> Vec<String> {
        self.inner.lock().tail.iter().cloned().collect()
    }
}
