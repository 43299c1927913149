//! What forwarding must know of a packet, read once however many viewers it goes to.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use str0m::media::Pt;
use str0m::rtp::{RtpPacket, Vp8Descriptor};

use crate::command::Codec;

/// A packet of a publisher.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Rank of its layer.
    pub(crate) layer: usize,
    /// Extended sequence number.
    pub(crate) seq: u64,
    /// RTP timestamp.
    pub(crate) time: u32,
    /// End of a frame, or start of a talk spurt.
    pub(crate) marker: bool,
    /// The publisher's payload type.
    pub(crate) pt: Pt,
    /// Whether a decoder can start here.
    pub(crate) starts: bool,
    /// The VP8 descriptor, if it is VP8 and well-formed.
    pub(crate) vp8: Option<Vp8>,
    /// When it arrived.
    pub(crate) at: Instant,
    /// The payload, shared by all viewers.
    pub(crate) payload: Arc<[u8]>,
    /// Clock rate of the codec.
    pub(crate) clock: u32,
    /// The latest sender report of its layer: wall clock and the RTP time that belongs to it.
    pub(crate) report: Option<(SystemTime, u32)>,
}

/// What is read from a VP8 payload descriptor (RFC 7741, 4.2).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vp8 {
    /// For building patches of the same payload.
    pub(crate) descriptor: Vp8Descriptor,
    /// Whether the picture id has 15 bits rather than 7.
    pub(crate) long_picture_id: bool,
    /// Temporal layer; 0 without layers.
    pub(crate) temporal: u8,
    /// Whether this frame needs only the base layer, so that its layer may be joined here.
    pub(crate) sync: bool,
}

impl Incoming {
    /// Reads a packet.
    pub(crate) fn read(packet: RtpPacket, codec: Codec, layer: usize) -> Incoming {
        let payload = packet.payload;
        let vp8 = if codec == Codec::Vp8 { Vp8::read(&payload) } else { None };
        let starts = match codec {
            Codec::Opus => true,
            Codec::Vp8 => vp8.is_some_and(|vp8| vp8.descriptor.starts_keyframe(&payload)),
            Codec::H264 => h264_starts(&payload),
        };
        let report = packet.last_sender_info.map(|info| (info.ntp_time, info.rtp_time.numer() as u32));
        Incoming {
            layer,
            seq: *packet.seq_no,
            time: packet.header.timestamp,
            marker: packet.header.marker,
            pt: packet.header.payload_type,
            starts,
            vp8,
            at: packet.timestamp,
            payload,
            clock: if codec == Codec::Opus { 48_000 } else { 90_000 },
            report,
        }
    }
}

impl Vp8 {
    /// Reads the descriptor of a payload. `None` if it is malformed.
    pub(super) fn read(payload: &[u8]) -> Option<Vp8> {
        let descriptor = Vp8Descriptor::parse(payload).ok()?;
        let mut vp8 = Vp8 { descriptor, long_picture_id: false, temporal: 0, sync: false };
        if payload[0] & 0x80 == 0 {
            return Some(vp8);
        }
        let flags = *payload.get(1)?;
        let mut offset = 2;
        if flags & 0x80 != 0 {
            vp8.long_picture_id = payload.get(offset)? & 0x80 != 0;
            offset += if vp8.long_picture_id { 2 } else { 1 };
        }
        if flags & 0x40 != 0 {
            offset += 1;
        }
        if flags & 0x20 != 0 {
            let byte = payload.get(offset)?;
            vp8.temporal = byte >> 6;
            vp8.sync = byte & 0x20 != 0;
        }
        Some(vp8)
    }
}

/// Whether an H.264 payload begins a key frame: it carries a sequence parameter set, alone or aggregated, or the
/// start of an IDR slice for encoders that send their parameter sets rarely (RFC 6184, 5.2).
fn h264_starts(payload: &[u8]) -> bool {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let Some(first) = payload.first() else { return false };
    match first & 0x1f {
        IDR | SPS => true,
        STAP_A => aggregated(&payload[1..]).any(|unit| matches!(unit & 0x1f, IDR | SPS)),
        FU_A => payload.get(1).is_some_and(|header| header & 0x80 != 0 && header & 0x1f == IDR),
        _ => false,
    }
}

/// The first byte of each unit in an aggregation packet.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (size, units) = rest.split_first_chunk::<2>()?;
        let unit = *units.first()?;
        rest = units.get(usize::from(u16::from_be_bytes(*size))..)?;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_key_frames_are_found_in_every_packing() {
        assert!(h264_starts(&[0x67, 1]), "a parameter set alone");
        assert!(h264_starts(&[0x78, 0, 2, 0x67, 1, 0, 1, 0x68]), "aggregated");
        assert!(h264_starts(&[0x7c, 0x85]), "the start of a fragmented IDR slice");
        assert!(!h264_starts(&[0x7c, 0x05]), "its continuation");
        assert!(!h264_starts(&[0x61, 1]), "another slice");
        assert!(!h264_starts(&[0x78, 0, 9, 0x61]), "a truncated aggregation");
        assert!(!h264_starts(&[]), "nothing");
    }

    #[test]
    fn vp8_layers_are_read_behind_both_picture_id_widths() {
        let long = Vp8::read(&[0x90, 0xe0, 0x81, 0x02, 7, 0b1010_0000, 0]).unwrap();
        assert_eq!((long.long_picture_id, long.temporal, long.sync), (true, 2, true));
        let short = Vp8::read(&[0x90, 0xe0, 0x05, 7, 0b0100_0000, 0]).unwrap();
        assert_eq!((short.long_picture_id, short.temporal, short.sync), (false, 1, false));
        assert!(Vp8::read(&[0x90]).is_none());
    }
}
