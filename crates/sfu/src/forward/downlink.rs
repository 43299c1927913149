//! One viewer of one track: what it gets of it.

use std::time::Instant;

use str0m::media::{Mid, Pt};
use str0m::rtp::Ssrc;

use super::layers::LayerTable;
use super::packet::Incoming;
use super::renumber::{Renumber, Renumbered};
use crate::command::TrackSettings;
use crate::ids::ParticipantId;

/// A subscription. `K` names the viewer's transport.
#[derive(Debug)]
pub(crate) struct Downlink<K> {
    /// The viewer.
    pub(crate) viewer: ParticipantId,
    /// Where its packets go; `None` until a section is negotiated.
    pub(crate) sink: Option<Sink<K>>,
    /// The viewer's wishes.
    settings: TrackSettings,
    /// What the viewer's connection can carry of it.
    limit: Limit,
    /// The layer that should be sent: the wished one, or the best that flows. `None`: nothing should.
    target: Option<usize>,
    /// The layer that is being sent, since one of its key frames.
    current: Option<usize>,
    /// The highest VP8 temporal layer being sent.
    temporal: u8,
    /// RTP time of the frame in which something was last skipped, to count frames rather than packets.
    skipped_frame: Option<u32>,
    /// The outgoing numbers; made anew with every SSRC.
    renumber: Renumber,
}

/// What a connection can carry of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// It was not asked yet.
    Unknown,
    /// Everything.
    None,
    /// Layers up to this rank.
    Rank(usize),
    /// Nothing.
    Paused,
}

/// A negotiated section of the viewer's connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sink<K> {
    /// The connection.
    pub(crate) transport: K,
    /// The section.
    pub(crate) mid: Mid,
    /// The outgoing SSRC.
    pub(crate) ssrc: Ssrc,
    /// The publisher's payload type and the viewer's for the same codec, once looked up. The viewer's is `None` if it
    /// cannot decode it.
    pub(crate) types: Option<(Pt, Option<Pt>)>,
    /// Whether the connection is up. Before, packets would be lost, and with them the key frame.
    pub(crate) connected: bool,
}

impl<K> Downlink<K> {
    /// A subscription without a section. `seed` chooses the outgoing numbers.
    pub(crate) fn new(viewer: ParticipantId, settings: TrackSettings, seed: u32, now: Instant) -> Downlink<K> {
        Downlink {
            viewer,
            sink: None,
            settings,
            limit: Limit::Unknown,
            target: None,
            current: None,
            temporal: u8::MAX,
            skipped_frame: None,
            renumber: Renumber::new(seed, now),
        }
    }

    /// Gives it a section, or takes it away. A new section has a new SSRC, so its numbers start anew.
    pub(crate) fn set_sink(&mut self, sink: Option<Sink<K>>, seed: u32, now: Instant) {
        self.sink = sink;
        self.current = None;
        self.renumber = Renumber::new(seed, now);
    }

    /// Changes the viewer's wishes. [`Downlink::retarget`] must follow.
    pub(crate) fn set_settings(&mut self, settings: TrackSettings) {
        self.settings = settings;
    }

    /// Chooses the layer to send. Returns the one whose key frame it now waits for.
    pub(crate) fn retarget(&mut self, layers: &LayerTable, muted: bool) -> Option<usize> {
        if !self.is_open(muted) || self.limit == Limit::Paused {
            self.target = None;
            self.current = None;
            return None;
        }
        let wanted = layers.wanted(&self.settings);
        self.target = layers.best_live(match self.limit {
            Limit::Rank(rank) => wanted.min(rank),
            _ => wanted,
        });
        self.waits_for()
    }

    /// Whether its viewer could be sent something, as far as it is up to the two of them.
    pub(crate) fn is_open(&self, muted: bool) -> bool {
        !muted && !self.settings.disabled && self.sink.as_ref().is_some_and(|sink| sink.connected)
    }

    /// The rank its viewer wants; `None`: nothing.
    pub(crate) fn wanted(&self, layers: &LayerTable) -> Option<usize> {
        (!self.settings.disabled).then(|| layers.wanted(&self.settings))
    }

    /// How important it is to its viewer beside others.
    pub(crate) fn priority(&self) -> u32 {
        self.settings.priority
    }

    /// What its viewer's connection can carry of it.
    pub(crate) fn limit(&self) -> Limit {
        self.limit
    }

    /// Sets what its viewer's connection can carry of it. [`Downlink::retarget`] must follow. What is above is stopped
    /// at once rather than with the key frame of the layer below: until that came the connection would be overloaded,
    /// and sound with it.
    pub(crate) fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
        if let (Limit::Rank(rank), Some(current)) = (limit, self.current)
            && current > rank
        {
            self.current = None;
        }
    }

    /// The layer whose key frame it waits for.
    pub(crate) fn waits_for(&self) -> Option<usize> {
        self.target.filter(|target| self.current != Some(*target))
    }

    /// The layers whose key frames would help it: the one it should get, and while it gets nothing any below.
    fn may_start_on(&self, layer: usize) -> bool {
        match (self.current, self.target) {
            (None, Some(target)) => layer <= target,
            (Some(current), Some(target)) => layer == target && current != target,
            _ => false,
        }
    }

    /// The lowest layer, while it gets nothing: its key frames are small and may be asked for more often, so that a
    /// viewer sees something before the layer it should get begins.
    pub(crate) fn starts_on(&self, layers: &LayerTable) -> Option<usize> {
        let target = self.target.filter(|_| self.current.is_none())?;
        (0..target).find(|rank| layers.is_live(*rank))
    }

    /// The layer it should get.
    pub(crate) fn target(&self) -> Option<usize> {
        self.target
    }

    /// The layer it gets.
    pub(crate) fn current(&self) -> Option<usize> {
        self.current
    }

    /// A layer starts again with other numbers, after its encoder did: what it gets must begin with a key frame.
    pub(crate) fn restart(&mut self, layer: usize) {
        if self.current == Some(layer) {
            self.current = None;
        }
    }

    /// Decides about a packet: the numbers to forward it with, or not at all.
    pub(crate) fn forward(&mut self, packet: &Incoming, layers: &LayerTable) -> Option<Renumbered> {
        if packet.starts && self.may_start_on(packet.layer) {
            self.current = Some(packet.layer);
            self.temporal = u8::MAX;
            self.renumber.switch_to(packet);
        }
        if self.current != Some(packet.layer) {
            return None;
        }
        if !self.wants_temporal(packet, layers) {
            let new_frame = self.skipped_frame.replace(packet.time) != Some(packet.time);
            self.renumber.skip(packet, new_frame);
            return None;
        }
        self.renumber.map(packet)
    }

    /// Whether the packet's VP8 temporal layer is wanted. Going up waits for a frame that allows it.
    fn wants_temporal(&mut self, packet: &Incoming, layers: &LayerTable) -> bool {
        let (Some(vp8), true) = (&packet.vp8, self.settings.fps > 0 || self.temporal != u8::MAX) else { return true };
        let highest =
            layers.get(packet.layer).map_or(u8::MAX, |layer| layer.frames.highest_temporal(self.settings.fps));
        if highest < self.temporal || vp8.sync || packet.starts {
            self.temporal = highest;
        }
        vp8.temporal <= self.temporal
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::layers::rank_rids;
    use super::*;
    use crate::command::Quality;

    fn packet(layer: usize, seq: u64, starts: bool, now: Instant) -> Incoming {
        Incoming {
            layer,
            seq,
            time: seq as u32 * 3000,
            marker: true,
            pt: 96.into(),
            starts,
            vp8: None,
            at: now,
            payload: Arc::from([0u8; 4]),
            clock: 90_000,
            report: None,
        }
    }

    fn live_table(now: Instant) -> LayerTable {
        let mut table = LayerTable::new(rank_rids(vec!["q".into(), "h".into(), "f".into()]), &[], (0, 0));
        for rank in 0..3 {
            table.heard(rank, now);
        }
        table
    }

    fn viewer(now: Instant) -> Downlink<u8> {
        let mut viewer = Downlink::new(ParticipantId(1), TrackSettings::default(), 1, now);
        let sink = Sink { transport: 0, mid: "a".into(), ssrc: 1.into(), types: None, connected: true };
        viewer.set_sink(Some(sink), 1, now);
        viewer
    }

    #[test]
    fn switches_only_on_a_key_frame_and_keeps_the_old_layer_until_then() {
        let now = Instant::now();
        let (table, mut viewer) = (live_table(now), viewer(now));
        assert_eq!(viewer.retarget(&table, false), Some(2));
        assert!(viewer.forward(&packet(2, 10, false, now), &table).is_none());
        let first = viewer.forward(&packet(2, 11, true, now), &table).unwrap();
        viewer.set_settings(TrackSettings { quality: Quality::Low, ..TrackSettings::default() });
        assert_eq!(viewer.retarget(&table, false), Some(0));
        assert!(viewer.forward(&packet(0, 900, false, now), &table).is_none());
        assert_eq!(viewer.forward(&packet(2, 12, false, now), &table).unwrap().seq, first.seq + 1);
        assert_eq!(viewer.forward(&packet(0, 901, true, now), &table).unwrap().seq, first.seq + 2);
        assert!(viewer.forward(&packet(2, 13, false, now), &table).is_none());
    }

    #[test]
    fn falls_back_to_what_flows_and_returns() {
        let now = Instant::now();
        let (mut table, mut viewer) = (live_table(now), viewer(now));
        viewer.retarget(&table, false);
        viewer.forward(&packet(2, 1, true, now), &table).unwrap();
        let later = now + Duration::from_secs(2);
        for rank in 0..2 {
            table.heard(rank, later);
        }
        table.expire(Duration::from_millis(1500), later);
        assert_eq!(viewer.retarget(&table, false), Some(1));
        viewer.forward(&packet(1, 50, true, later), &table).unwrap();
        table.heard(2, later);
        assert_eq!(viewer.retarget(&table, false), Some(2));
    }

    #[test]
    fn disabled_muted_or_unconnected_viewers_get_nothing() {
        let now = Instant::now();
        let (table, mut viewer) = (live_table(now), viewer(now));
        assert_eq!(viewer.retarget(&table, true), None);
        assert!(viewer.forward(&packet(2, 1, true, now), &table).is_none());
        viewer.set_settings(TrackSettings { disabled: true, ..TrackSettings::default() });
        assert_eq!(viewer.retarget(&table, false), None);
        viewer.set_settings(TrackSettings::default());
        viewer.sink.as_mut().unwrap().connected = false;
        assert_eq!(viewer.retarget(&table, false), None);
    }

    #[test]
    fn an_encoder_that_restarts_must_begin_with_a_key_frame() {
        let now = Instant::now();
        let (table, mut viewer) = (live_table(now), viewer(now));
        viewer.retarget(&table, false);
        viewer.forward(&packet(2, 1, true, now), &table).unwrap();
        viewer.restart(2);
        assert!(viewer.forward(&packet(2, 60_000, false, now), &table).is_none());
        assert!(viewer.forward(&packet(2, 60_001, true, now), &table).is_some());
    }

    #[test]
    fn fewer_frames_per_second_leave_out_temporal_layers_without_gaps() {
        let now = Instant::now();
        let (mut table, mut viewer) = (live_table(now), viewer(now));
        viewer.set_settings(TrackSettings { fps: 15, ..TrackSettings::default() });
        viewer.retarget(&table, false);
        // Temporal layers 0, 2, 1, 2 at 30 frames per second, in frames of two packets.
        let temporal = |frame: u64| [0u8, 2, 1, 2][(frame % 4) as usize];
        let (mut seqs, mut got) = (Vec::new(), Vec::new());
        for frame in 0..120u64 {
            let at = now + Duration::from_millis(frame * 33);
            for part in 0..2 {
                let mut packet = packet(2, frame * 2 + part, frame == 0 && part == 0, at);
                packet.time = frame as u32 * 3000 + 1;
                let picture = frame as u8 & 0x7f;
                packet.payload =
                    Arc::from([if part == 0 { 0x90 } else { 0x80 }, 0xa0, picture, temporal(frame) << 6, 0]);
                packet.vp8 = super::super::packet::Vp8::read(&packet.payload);
                table.get_mut(2).unwrap().frames.count(packet.time, temporal(frame), at);
                if let Some(numbers) = viewer.forward(&packet, &table) {
                    seqs.push(numbers.seq);
                    got.push(temporal(frame));
                }
            }
        }
        assert!(got[..60].contains(&2), "the rate must be measured first");
        assert!(!got[70..].contains(&2), "{got:?}");
        assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1));
    }
}
