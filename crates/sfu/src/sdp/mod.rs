//! Reading and rewriting session descriptions as text.
//!
//! `str0m` negotiates transports, codecs and extensions; what LiveKit clients need beyond that (codec order per
//! section, msids that carry sids, slots without msid) is done here on its output, line by line. Nothing here
//! validates but `check`, which keeps from `str0m` what it would panic about.

mod check;
mod rewrite;
mod text;

pub(crate) use check::Formats;
pub(crate) use text::{Description, Direction, Section};
