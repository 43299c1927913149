//! What each viewer's connection carries: estimates from `str0m`, shared among the videos; and who wants which layer.

use std::time::Duration;

use str0m::Input;
use str0m::bwe::{Bitrate, BweKind};

use super::{Due, Engine};
use crate::allocate::{Wish, share};
use crate::command::MediaKind;
use crate::event::Event;
use crate::forward::Limit;
use crate::ids::ParticipantId;
use crate::track::{Track, TrackKey};
use crate::transport::TransportKey;

/// Changes that come together are acted upon together.
const GATHER: Duration = Duration::from_millis(20);

/// How much more than is wanted a connection is measured for, in percent: layers vary, and a layer is only taken with
/// room to spare.
const MEASURE: u64 = 130;

/// What of the measuring goal is asked for before it is raised, in percent: only a raise makes `str0m` measure anew.
const LOWERED: u64 = 10;

/// Where measuring begins anew while a video is paused, in bits per second: less than any video takes.
const RESTART: u64 = 80_000;

/// Videos of one viewer, with what it gets of each.
struct Demanded {
    track: TrackKey,
    wish: Wish,
    /// What the wanted layer takes, whether it flows or not.
    ideal: u64,
}

impl Engine {
    /// A new estimate of what a connection carries.
    pub(super) fn on_estimate(&mut self, key: TransportKey, estimate: &BweKind) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let estimate = match estimate {
            BweKind::Twcc { estimate, can_probe: true } => Some(estimate.as_u64()),
            BweKind::Twcc { can_probe: false, .. } => None,
            _ => return,
        };
        if transport.bandwidth.set_estimate(estimate) {
            transport.pace();
            self.reallocate_on(key);
        }
    }

    /// Packets wait too long in front of a connection.
    pub(super) fn on_backlog(&mut self, key: TransportKey) {
        let now = self.now;
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.bandwidth.is_too_much(now) {
            self.reallocate_on(key);
        }
    }

    /// Shares a viewer's connection anew, soon.
    pub(super) fn reallocate_soon(&mut self, viewer: ParticipantId) {
        if let Some(key) = self.receiving(viewer) {
            self.reallocate_on(key);
        }
    }

    /// Shares a connection anew, soon.
    pub(super) fn reallocate_on(&mut self, key: TransportKey) {
        let at = self.now + GATHER;
        if let Some(transport) = self.transports.get_mut(key) {
            self.timers.arm_by(&mut transport.bandwidth.timer, Due::Bandwidth(key), at);
        }
    }

    /// Shares a connection among the videos that its client wants.
    pub(super) fn reallocate(&mut self, key: TransportKey) {
        let now = self.now;
        let Some(transport) = self.transports.get(key) else { return };
        let viewer = transport.participant;
        let (budget, known) = (transport.bandwidth.budget(now), transport.bandwidth.known());
        let videos = self.demanded(key);
        let sound = self.sound_rate(key);
        let wishes: Vec<Wish> = videos.iter().map(|video| video.wish.clone()).collect();
        let granted = budget.map(|budget| share(budget.saturating_sub(sound), &wishes));
        let bearable = known.map(|known| share(known.saturating_sub(sound), &wishes));
        let allowed = self.participants.get(&viewer).is_some_and(|participant| participant.allow_pause);
        let (mut lacking, mut given, mut paused) = (false, sound, false);
        for (index, video) in videos.iter().enumerate() {
            let limit = match &granted {
                None => Limit::None,
                Some(granted) => {
                    let hopeless = bearable.as_ref().is_some_and(|bearable| bearable[index].is_none());
                    limit(granted[index], &video.wish, allowed && hopeless)
                }
            };
            lacking |= limit != Limit::None;
            match limit {
                Limit::None => given += video.ideal,
                Limit::Rank(rank) => given += video.wish.costs.get(rank).copied().flatten().unwrap_or(0),
                Limit::Paused => paused = true,
            }
            self.set_limit(video.track, viewer, limit);
        }
        let wanted: u64 = videos.iter().map(|video| video.ideal).sum();
        self.measure_for(key, if videos.is_empty() { 0 } else { (wanted + sound) * MEASURE / 100 });
        if let Some(transport) = self.transports.get_mut(key) {
            transport.bandwidth.given = given;
        }
        self.probe_if_lacking(key, lacking && budget.is_some(), paused);
    }

    /// Tells the publisher of a video, if need be, which of its layers are wanted.
    pub(super) fn weigh_demand(&mut self, key: TrackKey) {
        let now = self.now;
        let Some(track) = self.tracks.get_mut(key) else { return };
        if track.kind == MediaKind::Audio || track.source.is_none() {
            return;
        }
        let wanted = track.downlinks.iter().filter_map(|downlink| downlink.wanted(&track.layers)).max();
        let told = track.demand.update(wanted, now);
        if let Some(due) = track.demand.due() {
            self.timers.arm_by(&mut track.timer, Due::Track(key), due);
        }
        if let Some(rank) = told {
            let quality = rank.map(|rank| track.layers.quality(rank));
            let track = track.id;
            self.tell(Event::Demand { track, quality });
        }
    }

    /// The videos that a connection's client wants and that flow at all.
    fn demanded(&self, key: TransportKey) -> Vec<Demanded> {
        let Some(transport) = self.transports.get(key) else { return Vec::new() };
        let viewer = transport.participant;
        let carried = transport.slots.iter().filter_map(|slot| slot.track());
        let wish = |track_key: TrackKey| {
            let track = self.tracks.get(track_key).filter(|track| track.kind == MediaKind::Video)?;
            let downlink = track.downlinks.iter().find(|downlink| downlink.viewer == viewer)?;
            if !downlink.is_open(track.muted) {
                return None;
            }
            let wanted = downlink.wanted(&track.layers)?;
            let costs = |rank: usize| track.layers.is_live(rank).then(|| track.layers.cost(rank));
            let held = match downlink.limit() {
                Limit::None => downlink.target(),
                Limit::Rank(rank) => Some(rank),
                Limit::Paused => None,
            };
            let costs: Vec<Option<u64>> = (0..=wanted).map(costs).collect();
            // Where only layers above the wanted one flow, the lowest of them is sent.
            let costs = if costs.iter().any(Option::is_some) { costs } else { only_above(track, wanted) };
            let wish = Wish { costs, held, priority: downlink.priority(), pixels: track.layers.pixels(wanted) };
            Some(Demanded { track: track_key, wish, ideal: track.layers.cost(wanted) })
        };
        carried.filter_map(wish).collect()
    }

    /// What the sound on a connection takes.
    fn sound_rate(&self, key: TransportKey) -> u64 {
        let Some(transport) = self.transports.get(key) else { return 0 };
        let carried = transport.slots.iter().filter_map(|slot| self.tracks.get(slot.track()?));
        let sounding = carried.filter(|track| track.kind == MediaKind::Audio && !track.muted);
        sounding.map(|track| track.layers.get(0).and_then(|layer| layer.rate.bits()).unwrap_or(USUAL_SOUND)).sum()
    }

    /// Sets what a viewer may get of a track, and tells of a pause.
    fn set_limit(&mut self, key: TrackKey, viewer: ParticipantId, limit: Limit) {
        let Some(track) = self.tracks.get_mut(key) else { return };
        let Some(downlink) = track.downlinks.iter_mut().find(|downlink| downlink.viewer == viewer) else { return };
        let before = downlink.limit();
        if before == limit {
            return;
        }
        let (target, current) = (downlink.target(), downlink.current());
        downlink.set_limit(limit);
        downlink.retarget(&track.layers, track.muted);
        let stopped = current.is_some() && downlink.current().is_none();
        if let Some(sink) = downlink.sink.filter(|_| stopped)
            && let Some(transport) = self.transports.get_mut(sink.transport)
        {
            transport.purge(sink.mid, &sink.ssrc, self.now);
        }
        self.counters.layers_lowered += u64::from(downlink.target() < target);
        let (id, paused) = (track.id, limit == Limit::Paused);
        if paused != (before == Limit::Paused) {
            self.counters.videos_paused += u64::from(paused);
            self.tell(Event::StreamPaused { participant: viewer, track: id, paused });
        }
        self.ask_for_keys(key);
    }

    /// Says what a connection should be able to carry.
    fn measure_for(&mut self, key: TransportKey, desired: u64) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let told = transport.bandwidth.desired;
        // Layers vary all the time; only what matters is told.
        if desired == told || (desired > 0 && desired.abs_diff(told) * 10 <= told) {
            return;
        }
        transport.bandwidth.desired = desired;
        transport.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(desired));
        self.mark(key);
    }

    /// Tries from time to time whether a connection that carried too little carries more by now.
    fn probe_if_lacking(&mut self, key: TransportKey, lacking: bool, paused: bool) {
        let now = self.now;
        let Some(transport) = self.transports.get_mut(key) else { return };
        if transport.bandwidth.should_probe(lacking, paused, now) {
            let desired = transport.bandwidth.desired;
            if paused {
                // After loss an estimate does not exceed what is sent by much, and that is sound alone: it would take
                // half a minute to grow. Begun anew, it is measured as that of a new connection.
                let from = transport.bandwidth.budget(now).unwrap_or(0).max(RESTART);
                transport.rtc.bwe().reset(Bitrate::bps(from));
            }
            for wanted in [desired * LOWERED / 100, desired] {
                transport.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(wanted));
                let result = transport.rtc.handle_input(Input::Timeout(now));
                if let Err(error) = result {
                    tracing::debug!(%error, "connection could not be measured");
                }
            }
            self.mark(key);
        }
        let Some(transport) = self.transports.get_mut(key) else { return };
        let due = transport.bandwidth.due(now);
        self.timers.arm(&mut transport.bandwidth.timer, Due::Bandwidth(key), due);
    }
}

/// What sound takes before it was measured, in bits per second.
const USUAL_SOUND: u64 = 40_000;

/// The layer that is sent where none up to the wanted one flows.
fn only_above(track: &Track, wanted: usize) -> Vec<Option<u64>> {
    let Some(rank) = track.layers.best_live(wanted) else { return vec![None; wanted + 1] };
    let mut costs = vec![None; rank];
    costs.push(Some(track.layers.cost(rank)));
    costs
}

/// What a grant means for a video: no limit if it is all that was wished for.
fn limit(granted: Option<usize>, wish: &Wish, may_pause: bool) -> Limit {
    let best = wish.costs.iter().rposition(Option::is_some);
    match granted {
        _ if best.is_none() || granted == best => Limit::None,
        Some(rank) => Limit::Rank(rank),
        None if may_pause => Limit::Paused,
        None => Limit::Rank(wish.costs.iter().position(Option::is_some).unwrap_or(0)),
    }
}
