//! Reading and rewriting session descriptions as text.
//!
//! `str0m` negotiates transports, codecs and extensions; what LiveKit clients need beyond that (codec order per
//! section, msids that carry sids, slots without msid) is done here on its output, line by line. Nothing here
//! validates: that is `str0m`'s part.

mod rewrite;
mod text;

pub(crate) use text::{Description, Direction, Section};
