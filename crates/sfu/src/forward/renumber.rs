//! One outgoing stream made of many incoming ones: sequence numbers, timestamps and VP8 picture ids without gaps or
//! jumps, whatever the viewer is switched to.
//!
//! Late packets (reordered, or repaired by retransmission) get the numbers that belong to their place, which may be
//! before a later change; hence the log of changes rather than one offset.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use str0m::rtp::Vp8Patch;

use super::packet::Incoming;

/// Changes remembered. A packet older than all of them is dropped; at 30 dropped frames per second this is many
/// seconds, and retransmissions take one at most.
const LOG: usize = 256;

/// The numbers of an outgoing packet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Renumbered {
    /// Extended sequence number; starts below 65,536, since SRTP receivers assume rollover 0.
    pub(crate) seq: u64,
    /// RTP timestamp.
    pub(crate) time: u32,
    /// When the first packet with this timestamp came, as far as that is known: late ones must not shift the clock
    /// that sender reports tell.
    pub(crate) wall: Instant,
    /// New VP8 numbers, if the payload has any.
    pub(crate) patch: Option<Vp8Patch>,
}

/// The state of one outgoing stream.
#[derive(Debug)]
pub(crate) struct Renumber {
    /// Offsets by incoming sequence number, oldest first. Empty until the first switch.
    log: VecDeque<Offsets>,
    /// Highest incoming sequence number seen of the current layer, forwarded or skipped.
    newest_in: u64,
    /// The outgoing packet with the highest number.
    last: Last,
    /// Whether the stream was begun.
    started: bool,
    /// Whether a packet was sent since.
    sent: bool,
    /// Wall clock and outgoing RTP time that belong together, by the current layer's sender reports.
    anchor: Option<(SystemTime, u32)>,
}

/// What is added to the numbers of incoming packets from a certain one on.
#[derive(Debug, Clone, Copy, Default)]
struct Offsets {
    /// The first incoming sequence number it is for.
    from: u64,
    seq: i64,
    time: u32,
    picture: u16,
    tl0: u8,
    key: u8,
}

/// The newest numbers sent.
#[derive(Debug, Clone, Copy)]
struct Last {
    seq: u64,
    time: u32,
    at: Instant,
    picture: u16,
    tl0: u8,
    key: u8,
}

impl Renumber {
    /// A stream whose first packet will have the numbers that follow from `seed`.
    pub(crate) fn new(seed: u32, now: Instant) -> Renumber {
        let last = Last {
            seq: u64::from(seed & 0x3fff),
            time: seed,
            at: now,
            picture: (seed >> 8) as u16 & 0x7fff,
            tl0: seed as u8,
            key: seed as u8 & 0x1f,
        };
        Renumber { log: VecDeque::new(), newest_in: 0, last, started: false, sent: false, anchor: None }
    }

    /// Continues the stream with this packet, the first of another layer, of another encoding, or after a pause.
    pub(crate) fn switch_to(&mut self, packet: &Incoming) {
        let time = self.next_time(packet);
        let mut offsets = Offsets {
            from: packet.seq,
            seq: (self.last.seq + 1) as i64 - packet.seq as i64,
            time: time.wrapping_sub(packet.time),
            ..Offsets::default()
        };
        if let Some(vp8) = &packet.vp8 {
            let descriptor = &vp8.descriptor;
            offsets.picture = (self.last.picture + 1).wrapping_sub(descriptor.picture_id().unwrap_or(0));
            offsets.tl0 = self.last.tl0.wrapping_add(1).wrapping_sub(descriptor.tl0_pic_idx().unwrap_or(0));
            offsets.key = self.last.key.wrapping_add(1).wrapping_sub(descriptor.key_idx().unwrap_or(0));
        }
        self.log.clear();
        self.log.push_back(offsets);
        self.newest_in = packet.seq;
        self.started = true;
    }

    /// The numbers of a packet of the current layer. `None` if it belongs before what is remembered.
    pub(crate) fn map(&mut self, packet: &Incoming) -> Option<Renumbered> {
        let offsets = *self.log.iter().rev().find(|offsets| offsets.from <= packet.seq)?;
        let seq = u64::try_from(packet.seq as i64 + offsets.seq).ok()?;
        let time = packet.time.wrapping_add(offsets.time);
        let newest = packet.seq >= self.newest_in;
        if newest {
            self.newest_in = packet.seq;
            self.last.seq = seq;
            if self.last.time != time || !self.sent {
                self.last.time = time;
                self.last.at = packet.at;
            }
            self.sent = true;
            self.anchor = packet.report.map(|(wall, rtp)| (wall, rtp.wrapping_add(offsets.time)));
        }
        let wall = self.wall(time, packet.clock);
        Some(Renumbered { seq, time, wall, patch: self.patch(packet, offsets, newest) })
    }

    /// Leaves out a packet, so that later ones close up. `new_frame`: it is the first of its frame.
    pub(crate) fn skip(&mut self, packet: &Incoming, new_frame: bool) {
        // A late packet cannot be closed up any more: its successors have their numbers.
        if packet.seq <= self.newest_in {
            return;
        }
        let Some(mut offsets) = self.log.back().copied() else { return };
        self.newest_in = packet.seq;
        offsets.seq -= 1;
        offsets.picture = offsets.picture.wrapping_sub(u16::from(new_frame));
        let follows = offsets.from == packet.seq && self.log.len() > 1;
        offsets.from = packet.seq + 1;
        match self.log.back_mut() {
            // Nothing was sent between two skipped packets, so the older entry is needed by none.
            Some(back) if follows => *back = offsets,
            _ => self.log.push_back(offsets),
        }
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    /// The outgoing timestamp of the first packet after a switch: by the sender reports of both layers, else by the
    /// time that passed. Always later than the last one, since a decoder takes equal times for one frame.
    fn next_time(&self, packet: &Incoming) -> u32 {
        if !self.started {
            return self.last.time;
        }
        let elapsed = ticks(packet.at.saturating_duration_since(self.last.at), packet.clock);
        let by_report = self.time_by_report(packet).map(|time| time.wrapping_sub(self.last.time) as i32);
        // Reports may be wrong: believe them within a second of what the clock says.
        let tolerance = packet.clock as i32;
        let step =
            by_report.filter(|step| step.saturating_sub(elapsed).saturating_abs() < tolerance).unwrap_or(elapsed);
        self.last.time.wrapping_add(step.max(1) as u32)
    }

    /// The outgoing timestamp that the sender reports of the old and the new layer give.
    fn time_by_report(&self, packet: &Incoming) -> Option<u32> {
        let (anchor_wall, anchor_time) = self.anchor?;
        let (report_wall, report_time) = packet.report?;
        let since_report = packet.time.wrapping_sub(report_time);
        let between = match report_wall.duration_since(anchor_wall) {
            Ok(later) => ticks(later, packet.clock),
            Err(earlier) => -ticks(earlier.duration(), packet.clock),
        };
        Some(anchor_time.wrapping_add(between as u32).wrapping_add(since_report))
    }

    /// When a packet with this outgoing timestamp should have come, by the newest one.
    fn wall(&self, time: u32, clock: u32) -> Instant {
        let behind = self.last.time.wrapping_sub(time) as i32;
        let late = Duration::from_micros(u64::try_from(behind).unwrap_or(0) * 1_000_000 / u64::from(clock));
        self.last.at.checked_sub(late).unwrap_or(self.last.at)
    }

    /// The VP8 numbers of a packet.
    fn patch(&mut self, packet: &Incoming, offsets: Offsets, newest: bool) -> Option<Vp8Patch> {
        let vp8 = packet.vp8.as_ref()?;
        let descriptor = &vp8.descriptor;
        let mut patch = descriptor.patch();
        if let Some(picture) = descriptor.picture_id() {
            let mask = if vp8.long_picture_id { 0x7fff } else { 0x7f };
            let picture = picture.wrapping_add(offsets.picture) & mask;
            patch = patch.picture_id(picture);
            self.last.picture = if newest { picture } else { self.last.picture };
        }
        if let Some(tl0) = descriptor.tl0_pic_idx() {
            let tl0 = tl0.wrapping_add(offsets.tl0);
            patch = patch.tl0_pic_idx(tl0);
            self.last.tl0 = if newest { tl0 } else { self.last.tl0 };
        }
        if let Some(key) = descriptor.key_idx() {
            let key = key.wrapping_add(offsets.key) & 0x1f;
            patch = patch.key_idx(key);
            self.last.key = if newest { key } else { self.last.key };
        }
        patch.build().ok()
    }
}

/// A duration in ticks of a clock, at most what fits.
fn ticks(duration: Duration, clock: u32) -> i32 {
    let ticks = duration.as_micros().saturating_mul(u128::from(clock)) / 1_000_000;
    i32::try_from(ticks).unwrap_or(i32::MAX / 2)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::super::packet::Vp8;
    use super::*;

    /// A VP8 packet whose descriptor has every field.
    pub(super) fn vp8(seq: u64, time: u32, picture: u16, tl0: u8, at: Instant) -> Incoming {
        let payload: std::sync::Arc<[u8]> =
            vec![0x90, 0xf0, 0x80 | (picture >> 8) as u8, picture as u8, tl0, 3, 0].into();
        let descriptor = str0m::rtp::Vp8Descriptor::parse(&payload).unwrap();
        let vp8 = Vp8 { descriptor, long_picture_id: true, temporal: 0, sync: false };
        Incoming {
            layer: 0,
            seq,
            time,
            marker: true,
            pt: 96.into(),
            starts: false,
            vp8: Some(vp8),
            at,
            payload,
            clock: 90_000,
            report: None,
        }
    }

    #[test]
    fn the_first_number_needs_no_rollover_counter() {
        let now = Instant::now();
        let mut renumber = Renumber::new(u32::MAX, now);
        let packet = vp8(9_000_000, 1, 5, 5, now);
        renumber.switch_to(&packet);
        assert!(renumber.map(&packet).unwrap().seq < 65_536);
    }

    #[test]
    fn a_switch_continues_every_number() {
        let now = Instant::now();
        let mut renumber = Renumber::new(100, now);
        let first = vp8(500, 1000, 20, 30, now);
        renumber.switch_to(&first);
        let before = renumber.map(&first).unwrap();
        let other = vp8(90_000, 777_000, 9, 9, now + Duration::from_millis(100));
        renumber.switch_to(&other);
        let after = renumber.map(&other).unwrap();
        assert_eq!(after.seq, before.seq + 1);
        assert_eq!(after.time, before.time + 9000);
        assert_eq!(renumber.last.picture, 2, "the seed gives 0");
        assert_eq!(renumber.last.tl0, 102);
    }

    #[test]
    fn a_late_packet_of_the_old_layer_is_dropped() {
        let now = Instant::now();
        let mut renumber = Renumber::new(1, now);
        renumber.switch_to(&vp8(500, 0, 0, 0, now));
        assert_eq!(renumber.map(&vp8(499, 0, 0, 0, now)), None);
    }

    #[test]
    fn sender_reports_align_two_layers() {
        let now = Instant::now();
        let wall = UNIX_EPOCH + Duration::from_secs(1000);
        let mut renumber = Renumber::new(7, now);
        let mut first = vp8(1, 5000, 0, 0, now);
        first.report = Some((wall, 5000));
        renumber.switch_to(&first);
        let before = renumber.map(&first).unwrap();
        // Captured 40 ms later, but it took 90 ms to arrive.
        let mut other = vp8(70, 910_000, 0, 0, now + Duration::from_millis(90));
        other.report = Some((wall + Duration::from_secs(1), 910_000 + 90_000 - 3600));
        renumber.switch_to(&other);
        assert_eq!(renumber.map(&other).unwrap().time, before.time + 3600);
    }

    #[test]
    fn equal_capture_times_still_move_forward() {
        let now = Instant::now();
        let mut renumber = Renumber::new(7, now);
        renumber.switch_to(&vp8(1, 5000, 0, 0, now));
        let before = renumber.map(&vp8(1, 5000, 0, 0, now)).unwrap();
        renumber.switch_to(&vp8(50, 9, 0, 0, now));
        assert_eq!(renumber.map(&vp8(50, 9, 0, 0, now)).unwrap().time, before.time + 1);
    }

    #[test]
    fn a_late_packet_does_not_shift_the_clock() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let mut renumber = Renumber::new(7, now);
        renumber.switch_to(&vp8(1, 0, 0, 0, now));
        renumber.map(&vp8(1, 0, 0, 0, now)).unwrap();
        assert_eq!(renumber.map(&vp8(3, 9000, 0, 0, at(100))).unwrap().wall, at(100));
        assert_eq!(renumber.map(&vp8(4, 9000, 0, 0, at(130))).unwrap().wall, at(100), "of the same frame");
        assert_eq!(renumber.map(&vp8(2, 4500, 0, 0, at(300))).unwrap().wall, at(50), "repaired");
    }

    #[test]
    fn skipped_frames_leave_no_gap_and_late_packets_keep_their_place() {
        let now = Instant::now();
        let mut renumber = Renumber::new(0, now);
        let packet = |seq: u64| vp8(seq, 0, seq as u16, 0, now);
        renumber.switch_to(&packet(10));
        let base = renumber.map(&packet(10)).unwrap().seq;
        // 11 is late, 12 and 13 are skipped, 14 is sent.
        renumber.skip(&packet(12), true);
        renumber.skip(&packet(13), true);
        assert_eq!(renumber.map(&packet(14)).unwrap().seq, base + 2);
        assert_eq!(renumber.last.picture, 1 + 2);
        assert_eq!(renumber.map(&packet(11)).unwrap().seq, base + 1);
    }

    proptest! {
        /// Whatever is skipped, and in whatever order neighbours arrive, no two packets share a number.
        #[test]
        fn numbers_are_never_given_twice(skips in prop::collection::vec(any::<bool>(), 2..200), swap in 1usize..4) {
            let now = Instant::now();
            let mut renumber = Renumber::new(3, now);
            let mut order: Vec<usize> = (1..skips.len()).collect();
            for chunk in order.chunks_mut(swap) {
                chunk.reverse();
            }
            let first = vp8(1000, 0, 0, 0, now);
            renumber.switch_to(&first);
            let mut seen = std::collections::HashSet::from([renumber.map(&first).unwrap().seq]);
            for index in order {
                let packet = vp8(1000 + index as u64, 0, index as u16, 0, now);
                if skips[index] {
                    renumber.skip(&packet, true);
                } else if let Some(numbers) = renumber.map(&packet) {
                    prop_assert!(seen.insert(numbers.seq));
                }
            }
        }
    }
}
