//! Memos: small values that end by themselves, found by a key. What is in them
//! and what they are for is their owner's business.

use std::time::Duration;

/// A value that ends by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memo {
    /// What is kept; at most [`Memo::MAX_BYTES`].
    pub value: Vec<u8>,
    /// For how long; at most [`Memo::MAX_LIFE`], and then it is as if it had never been.
    pub life: Duration,
}

impl Memo {
    /// Most bytes of a value; a longer one is refused.
    pub const MAX_BYTES: usize = 8 * 1024;
    /// Most memos of a deployment; above that the one that was written longest ago goes.
    pub const MAX_COUNT: usize = 20_000;
    /// Longest life; a longer one is cut to it.
    pub const MAX_LIFE: Duration = Duration::from_secs(24 * 3600);
}

/// What became of a swap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoSwap {
    /// It is stored (durably, in the embedded store), or removed.
    Done,
    /// Something else than expected is there, and stays: its value, or nothing.
    Found(Option<Vec<u8>>),
}
