//! Measuring: who speaks, how good connections are, and totals for metrics.

use std::time::Duration;

use str0m::stats::{MediaEgressStats, MediaIngressStats, PeerStats};

use super::{Due, Engine};
use crate::event::{ConnectionQuality, Event, LinkStats, TransportState};
use crate::ids::{ParticipantId, RoomId};
use crate::quality::judge;
use crate::track::TrackKey;
use crate::transport::TransportKey;

/// RTP ticks per second, for jitter: streams with retransmissions are video.
const VIDEO_CLOCK: f64 = 90_000.0;

/// The same of audio.
const AUDIO_CLOCK: f64 = 48_000.0;

impl Engine {
    /// Notes the level in a packet, 0 to -127 dBov.
    pub(super) fn on_level(&mut self, key: TrackKey, level: i8, time: u32) {
        let Some(track) = self.tracks.get(key) else { return };
        let Some(room) = self.rooms.get_mut(&track.room) else { return };
        if room.speech.is_idle() {
            let at = self.now + self.config.speaker_interval;
            self.timers.arm(&mut room.timer, Due::Speech(track.room), Some(at));
        }
        room.speech.heard(track.publisher, track.id, level.unsigned_abs(), time);
    }

    /// Ends a window of speech in a room. Goes on as long as there is anything to hear.
    pub(super) fn end_speech_window(&mut self, id: RoomId) {
        let interval = self.config.speaker_interval;
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let speakers = room.speech.end_window(interval.as_millis() as u32);
        let next = (!room.speech.is_idle()).then(|| self.now + interval);
        self.timers.arm(&mut room.timer, Due::Speech(id), next);
        if !speakers.is_empty() {
            self.tell(Event::Speakers { room: id, speakers });
        }
    }

    /// Begins to judge the connection of a participant.
    pub(super) fn start_quality(&mut self, id: ParticipantId) {
        let at = self.now + self.config.quality_interval;
        if let Some(participant) = self.participants.get_mut(&id) {
            self.timers.arm_by(&mut participant.quality_timer, Due::Quality(id), at);
        }
    }

    /// Judges the connection of a participant and tells of a change.
    pub(super) fn judge_quality(&mut self, id: ParticipantId) {
        self.start_quality(id);
        let Some(participant) = self.participants.get(&id) else { return };
        let mut link = LinkStats::default();
        let mut lost = false;
        for key in participant.publisher.into_iter().chain(participant.subscriber) {
            let Some(transport) = self.transports.get_mut(key) else { continue };
            let measured = transport.measured.take();
            link.loss_down = link.loss_down.max(measured.loss_down);
            link.loss_up = link.loss_up.max(measured.loss_up);
            link.rtt = link.rtt.max(measured.rtt);
            link.jitter = link.jitter.max(measured.jitter);
            lost |= !matches!(transport.state, None | Some(TransportState::Connected));
        }
        let (quality, score) = if lost { (ConnectionQuality::Lost, 0.0) } else { judge(&link) };
        let Some(participant) = self.participants.get_mut(&id) else { return };
        if participant.quality.replace(quality) != Some(quality) {
            self.tell(Event::Quality { participant: id, quality, score, link });
        }
    }

    /// Statistics of a stream that a publisher sends.
    pub(super) fn on_ingress(&mut self, key: TransportKey, stats: &MediaIngressStats) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let counted = transport.counted.entry((stats.mid, stats.rid, true)).or_default();
        let nacks = stats.nacks.saturating_sub(counted.nacks);
        let packets = stats.packets.saturating_sub(counted.packets);
        self.counters.nacks_out += nacks;
        (counted.nacks, counted.packets) = (stats.nacks, stats.packets);
        // Reported loss is what is left after repair; what had to be asked for again was lost as well.
        let asked_again = if packets > 0 { (nacks as f32 / packets as f32).min(1.0) } else { 0.0 };
        let video = transport.rtc.media(stats.mid).is_some_and(|media| media.kind().is_video());
        let clock = if video { VIDEO_CLOCK } else { AUDIO_CLOCK };
        transport
            .measured
            .up(stats.loss.unwrap_or(0.0).max(asked_again), Duration::from_secs_f64(f64::from(stats.jitter) / clock));
    }

    /// Statistics of a stream that a viewer gets.
    pub(super) fn on_egress(&mut self, key: TransportKey, stats: &MediaEgressStats) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let lost = stats.remote.as_ref().map_or(0, |remote| remote.packets_lost);
        let counted = transport.counted.entry((stats.mid, stats.rid, false)).or_default();
        self.counters.nacks_in += stats.nacks.saturating_sub(counted.nacks);
        self.counters.packets_lost += lost.saturating_sub(counted.lost);
        (counted.nacks, counted.lost) = (stats.nacks, lost);
        transport.measured.down(stats.loss, stats.rtt);
    }

    /// Statistics of a connection.
    pub(super) fn on_peer_stats(&mut self, key: TransportKey, stats: &PeerStats) {
        if let Some(transport) = self.transports.get_mut(key) {
            transport.measured.down(None, stats.rtt);
        }
        self.on_measured(key, stats);
    }
}
