//! The engine itself: owns all state, routes commands, datagrams and time to it, and collects what comes out.
//!
//! The parts, by what happens: `people` (who is there, what they publish and want), `answer` and `offer`
//! (negotiation, by who offers), `congestion` (what each viewer's connection carries), `drive` (polling transports), `media` (forwarding), `messages` (data channels),
//! `measure` (speakers, quality, counters).

mod answer;
mod congestion;
mod drive;
mod measure;
mod media;
mod messages;
mod offer;
mod people;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use slotmap::SlotMap;
use str0m::config::DtlsCert;
use str0m::crypto;

use crate::command::Command;
use crate::config::Config;
use crate::demux::Demux;
use crate::error::Error;
use crate::event::{Counters, Event, Output};
use crate::ids::{ParticipantId, RoomId, TrackId};
use crate::timers::Timers;
use crate::track::{Track, TrackKey};
use crate::transport::{Transport, TransportKey};
use people::{Participant, Room};

/// The forwarding engine. See the crate documentation for the loop around it.
///
/// After any number of calls of [`handle`](Engine::handle), [`receive`](Engine::receive) and
/// [`handle_timeout`](Engine::handle_timeout), [`poll`](Engine::poll) must be drained until it gives
/// [`Output::Timeout`]. Receiving a batch of datagrams before draining is cheaper than draining after each.
pub struct Engine {
    config: Config,
    /// One certificate for all connections: making one takes longer than all else in a join.
    certificate: Option<DtlsCert>,
    /// The latest time given.
    now: Instant,
    rooms: HashMap<RoomId, Room>,
    participants: HashMap<ParticipantId, Participant>,
    transports: SlotMap<TransportKey, Transport>,
    tracks: SlotMap<TrackKey, Track>,
    track_keys: HashMap<TrackId, TrackKey>,
    demux: Demux<TransportKey>,
    timers: Timers<Due>,
    /// Transports that were changed and must be polled until they have nothing more to say. The last comes first.
    dirty: Vec<TransportKey>,
    output: VecDeque<Output>,
    counters: Counters,
}

/// Whose deadline a timer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    /// `str0m`'s own, or a look at whether the client is still there.
    Transport(TransportKey),
    /// Key frames and starved layers.
    Track(TrackKey),
    /// What the connection can carry.
    Bandwidth(TransportKey),
    /// A negotiation to begin, or one that takes too long.
    Negotiation(ParticipantId),
    /// Connection quality.
    Quality(ParticipantId),
    /// Speakers.
    Speech(RoomId),
}

impl Engine {
    /// An engine without participants. `now` is any first time; later ones must not be earlier.
    pub fn new(config: Config, now: Instant) -> Engine {
        Engine {
            config,
            certificate: crypto::from_feature_flags().dtls_provider.generate_certificate(),
            now,
            rooms: HashMap::new(),
            participants: HashMap::new(),
            transports: SlotMap::with_key(),
            tracks: SlotMap::with_key(),
            track_keys: HashMap::new(),
            demux: Demux::new(),
            timers: Timers::new(),
            dirty: Vec::new(),
            output: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Applies a command.
    ///
    /// # Errors
    ///
    /// The command named something that does not exist, or carried an SDP that cannot be used. Nothing was changed,
    /// except that a connection whose SDP was understood but refused is of no further use.
    pub fn handle(&mut self, command: Command, now: Instant) -> Result<(), Error> {
        self.now = now;
        match command {
            Command::AddParticipant(new) => self.add_participant(new)?,
            Command::RemoveParticipant(participant) => self.remove_participant(participant),
            Command::Offer { participant, id, sdp } => self.accept_offer(participant, id, &sdp)?,
            Command::Answer { participant, id, sdp } => self.accept_answer(participant, id, &sdp)?,
            Command::Candidate { participant, .. } => drop(self.participant(participant)?),
            Command::AddTrack(new) => self.add_track(new)?,
            Command::AddTrackCid { track, cid } => self.add_track_cid(track, cid)?,
            Command::RemoveTrack(track) => self.remove_track_by_id(track),
            Command::SetTrackMuted { track, muted } => self.set_muted(track, muted)?,
            Command::Subscribe { participant, track } => self.subscribe(participant, track)?,
            Command::Unsubscribe { participant, track } => self.unsubscribe(participant, track)?,
            Command::SetTrackSettings { participant, track, settings } => {
                self.set_settings(participant, track, settings)?;
            }
            Command::RestartIce(participant) => self.restart_ice(participant)?,
            Command::Renegotiate(participant) => self.renegotiate(participant)?,
            Command::SendData { to, channel, payload } => self.send_data(&to, channel, &payload),
        }
        Ok(())
    }

    /// Takes a datagram that came from `source` to the advertised address `destination` at `now`. One that belongs to
    /// no transport is counted and dropped.
    pub fn receive(&mut self, source: SocketAddr, destination: SocketAddr, datagram: &[u8], now: Instant) {
        self.now = now;
        self.counters.datagrams_in += 1;
        self.counters.bytes_in += datagram.len() as u64;
        if !self.route(source, destination, datagram) {
            self.counters.datagrams_unknown += 1;
        }
    }

    /// Moves time forward, to a deadline or before it.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(entry) = self.timers.pop_due(now) {
            self.fire(entry);
        }
    }

    /// The next datagram or event, or when nothing is left the next deadline.
    pub fn poll(&mut self) -> Output {
        loop {
            if let Some(output) = self.output.pop_front() {
                return output;
            }
            let Some(key) = self.dirty.pop() else { return Output::Timeout(self.timers.next()) };
            if let Some(transport) = self.transports.get_mut(key) {
                transport.queued = false;
            }
            if let Some(output) = self.step(key) {
                queue(&mut self.transports, &mut self.dirty, key);
                return output;
            }
        }
    }

    /// Totals for metrics.
    pub fn counters(&self) -> Counters {
        let delivering = |track: &Track| track.downlinks.iter().filter(|downlink| downlink.sink.is_some()).count();
        Counters {
            participants: self.participants.len() as u64,
            tracks: self.tracks.len() as u64,
            subscriptions: self.tracks.values().map(delivering).sum::<usize>() as u64,
            ..self.counters
        }
    }

    /// Acts on a heap entry that has come up.
    fn fire(&mut self, entry: (Instant, Due)) {
        let now = self.now;
        let timer = match entry.1 {
            Due::Transport(key) => self.transports.get_mut(key).map(|transport| &mut transport.timer),
            Due::Bandwidth(key) => self.transports.get_mut(key).map(|transport| &mut transport.bandwidth.timer),
            Due::Track(key) => self.tracks.get_mut(key).map(|track| &mut track.timer),
            Due::Negotiation(id) => self.participants.get_mut(&id).map(|participant| &mut participant.negotiation),
            Due::Quality(id) => self.participants.get_mut(&id).map(|participant| &mut participant.quality_timer),
            Due::Speech(id) => self.rooms.get_mut(&id).map(|room| &mut room.timer),
        };
        // What is gone has no deadline.
        if !timer.is_some_and(|timer| self.timers.fire(timer, entry, now)) {
            return;
        }
        match entry.1 {
            Due::Transport(key) => self.wake(key),
            Due::Bandwidth(key) => self.reallocate(key),
            Due::Track(key) => self.look_after(key),
            Due::Negotiation(id) => self.negotiate(id),
            Due::Quality(id) => self.judge_quality(id),
            Due::Speech(id) => self.end_speech_window(id),
        }
    }

    /// Gives out an event.
    fn tell(&mut self, event: Event) {
        self.output.push_back(Output::Event(event));
    }

    /// The participant.
    fn participant(&mut self, id: ParticipantId) -> Result<&mut Participant, Error> {
        self.participants.get_mut(&id).ok_or(Error::UnknownParticipant(id))
    }

    /// The key of a track.
    fn track_key(&self, id: TrackId) -> Result<TrackKey, Error> {
        self.track_keys.get(&id).copied().ok_or(Error::UnknownTrack(id))
    }

    /// Notes that a transport was changed and must be polled.
    fn mark(&mut self, key: TransportKey) {
        mark(&mut self.transports, &mut self.dirty, key);
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("config", &self.config)
            .field("counters", &self.counters())
            .finish_non_exhaustive()
    }
}

/// Notes that a transport was changed, for callers that hold other parts of the engine.
fn mark(transports: &mut SlotMap<TransportKey, Transport>, dirty: &mut Vec<TransportKey>, key: TransportKey) {
    if let Some(transport) = transports.get_mut(key) {
        transport.rests = false;
    }
    queue(transports, dirty, key);
}

/// Notes that a transport must be polled.
fn queue(transports: &mut SlotMap<TransportKey, Transport>, dirty: &mut Vec<TransportKey>, key: TransportKey) {
    if let Some(transport) = transports.get_mut(key).filter(|transport| !transport.queued) {
        transport.queued = true;
        dirty.push(key);
    }
}
