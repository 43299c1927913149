//! What each viewer's connection carries: estimates from `str0m`, shared among the videos; and who wants which layer.

use std::time::Duration;

use str0m::Input;
use str0m::bwe::{Bitrate, BweKind};
use str0m::stats::PeerStats;

use super::{Due, Engine};
use crate::allocate::{Wish, share};
use crate::bandwidth::{Budget, Probe, Sample};
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

/// Videos of one viewer, with what it gets of each.
struct Demanded {
    track: TrackKey,
    wish: Wish,
    /// What the wanted layer takes, whether it flows or not.
    ideal: u64,
    /// Whether it is paused.
    paused: bool,
}

impl Demanded {
    /// What a rank takes.
    fn cost_of(&self, rank: Option<usize>) -> u64 {
        rank.and_then(|rank| self.wish.costs.get(rank).copied().flatten()).unwrap_or(0)
    }

    /// The lowest rank that flows.
    fn lowest(&self) -> Option<usize> {
        self.wish.costs.iter().position(Option::is_some)
    }

    /// The highest rank that flows, of those wanted.
    fn best(&self) -> Option<usize> {
        self.wish.costs.iter().rposition(Option::is_some)
    }

    /// What it takes within a limit.
    fn cost(&self, limit: Limit) -> u64 {
        match limit {
            Limit::None | Limit::Unknown => self.cost_of(self.best()),
            Limit::Rank(rank) => self.cost_of(Some(rank)),
            Limit::Paused => 0,
        }
    }
}

/// What sound and videos take together, in bits per second.
struct Sums {
    /// As they are sent.
    held: u64,
    /// With the lowest layer of every video that is not paused.
    least: u64,
    /// With all that is wanted.
    wanted: u64,
}

impl Sums {
    /// Adds them up.
    fn of(videos: &[Demanded], sound: u64) -> Sums {
        let sum = |cost: fn(&Demanded) -> u64| sound + videos.iter().map(cost).sum::<u64>();
        Sums {
            held: sum(|video| video.cost_of(video.wish.held)),
            least: sum(|video| if video.paused { 0 } else { video.cost_of(video.lowest()) }),
            wanted: sum(|video| video.ideal),
        }
    }

    /// What would be sent if the cheapest of the paused videos went on; `None`: none is paused.
    fn resumed(&self, videos: &[Demanded]) -> Option<u64> {
        let paused = videos.iter().filter(|video| video.paused);
        paused.map(|video| video.cost_of(video.lowest())).min().map(|cost| self.held + cost)
    }
}

impl Engine {
    /// A connection can be measured, or can no longer.
    pub(super) fn on_estimate(&mut self, key: TransportKey, estimate: &BweKind) {
        let now = self.now;
        let Some(transport) = self.transports.get_mut(key) else { return };
        let BweKind::Twcc { estimate, can_probe } = estimate else { return };
        if transport.bandwidth.set_measures(*can_probe, estimate.as_u64()) {
            transport.pace(now);
            self.reallocate_on(key);
        }
    }

    /// A connection was measured.
    pub(super) fn on_measured(&mut self, key: TransportKey, stats: &PeerStats) {
        let now = self.now;
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(estimate) = stats.bwe_tx.filter(|_| transport.bandwidth.is_measured()) else { return };
        let loss = stats.egress_loss_fraction.unwrap_or(0.0);
        transport.bandwidth.note(Sample { estimate: estimate.as_u64(), loss, rtt: stats.rtt }, now);
        self.reallocate(key);
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
        let (videos, sound) = (self.demanded(key), self.sound_rate(key));
        let Some(transport) = self.transports.get_mut(key) else { return };
        let viewer = transport.participant;
        let sums = Sums::of(&videos, sound);
        let budget = transport.bandwidth.budget(sums.held, sums.least, now);
        let allowed = self.participants.get(&viewer).is_some_and(|participant| participant.allow_pause);
        let limits = limits(budget, sound, &videos, allowed);
        let given = sound + videos.iter().zip(&limits).map(|(video, limit)| video.cost(*limit)).sum::<u64>();
        for (video, limit) in videos.iter().zip(&limits) {
            self.set_limit(video.track, viewer, *limit);
            if *limit == Limit::Paused {
                self.forget_sent(video.track, viewer);
            }
        }
        if let Some(transport) = self.transports.get_mut(key) {
            transport.bandwidth.give(given, sums.held, now);
            transport.pace(now);
        }
        self.measure_for(key, if videos.is_empty() { 0 } else { sums.wanted * MEASURE / 100 });
        let lacking = budget.is_some() && limits.iter().any(|limit| *limit != Limit::None);
        self.probe_if_lacking(key, lacking, sums.resumed(&videos));
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
                Limit::Rank(rank) => track.layers.best_live(rank.min(wanted)),
                Limit::Paused | Limit::Unknown => None,
            };
            let costs: Vec<Option<u64>> = (0..=wanted).map(costs).collect();
            // Where only layers above the wanted one flow, the lowest of them is sent.
            let costs = if costs.iter().any(Option::is_some) { costs } else { only_above(track, wanted) };
            let wish = Wish { costs, held, priority: downlink.priority(), pixels: track.layers.pixels(wanted) };
            let paused = downlink.limit() == Limit::Paused;
            Some(Demanded { track: track_key, wish, ideal: track.layers.cost(wanted), paused })
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
        let target = downlink.target();
        downlink.set_limit(limit);
        downlink.retarget(&track.layers, track.muted);
        self.counters.layers_lowered += u64::from(downlink.target() < target);
        let (id, paused) = (track.id, limit == Limit::Paused);
        if paused != (before == Limit::Paused) {
            self.counters.videos_paused += u64::from(paused);
            self.tell(Event::StreamPaused { participant: viewer, track: id, paused });
        }
        self.ask_for_keys(key);
    }

    /// Sends nothing again of what a viewer was sent of a track: it was stopped because it is too much, and what is missing
    /// of it would be asked for again and again and keep what comes next waiting. What is missing ends with the key
    /// frame that follows.
    pub(super) fn forget_sent(&mut self, key: TrackKey, viewer: ParticipantId) {
        let Some(track) = self.tracks.get(key) else { return };
        let Some(downlink) = track.downlinks.iter().find(|downlink| downlink.viewer == viewer) else { return };
        let Some(sink) = downlink.sink else { return };
        if let Some(transport) = self.transports.get_mut(sink.transport) {
            transport.forget_sent(&sink.ssrc, self.config.rtx_packets);
        }
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
    /// `resumed`: what would be sent if a video that is paused went on.
    fn probe_if_lacking(&mut self, key: TransportKey, lacking: bool, resumed: Option<u64>) {
        let now = self.now;
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(probe) = transport.bandwidth.probe(lacking, resumed.is_some(), now) else { return };
        if probe == Probe::Restart {
            let from = transport.bandwidth.restart(resumed);
            transport.rtc.bwe().reset(Bitrate::bps(from));
        }
        let desired = transport.bandwidth.desired;
        for wanted in [desired * LOWERED / 100, desired] {
            transport.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::bps(wanted));
            let result = transport.rtc.handle_input(Input::Timeout(now));
            if let Err(error) = result {
                tracing::debug!(%error, "connection could not be measured");
            }
        }
        self.mark(key);
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

/// What each video may have, in their order.
fn limits(budget: Option<Budget>, sound: u64, videos: &[Demanded], pauses: bool) -> Vec<Limit> {
    let Some(Budget { bits, may_pause }) = budget else { return vec![Limit::None; videos.len()] };
    let wishes: Vec<Wish> = videos.iter().map(|video| video.wish.clone()).collect();
    let granted = share(bits.saturating_sub(sound), &wishes);
    let limit = |(video, granted)| limit(video, granted, pauses && (may_pause || video.paused));
    videos.iter().zip(granted).map(limit).collect()
}

/// What a grant means for a video: no limit if it is all that was wished for.
fn limit(video: &Demanded, granted: Option<usize>, may_pause: bool) -> Limit {
    match granted {
        _ if video.best().is_none() || granted == video.best() => Limit::None,
        Some(rank) => Limit::Rank(rank),
        None if may_pause => Limit::Paused,
        None if video.lowest() == video.best() => Limit::None,
        None => Limit::Rank(video.lowest().unwrap_or(0)),
    }
}
