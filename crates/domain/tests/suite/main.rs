//! The transition table row by row, and properties over random histories.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod properties;
mod support;
mod transitions;
