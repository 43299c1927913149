//! Forwarding one track to its viewers: choosing layers, waiting for key frames, renumbering packets.
//!
//! Pure decisions over parsed packets: nothing here knows transports, sockets or negotiation.

mod downlink;
mod layers;
mod packet;
mod rate;
mod renumber;

pub(crate) use downlink::{Downlink, Limit, Sink};
pub(crate) use layers::{LayerTable, rank_rids};
pub(crate) use packet::Incoming;
pub(crate) use renumber::Renumbered;
