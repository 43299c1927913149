//! A world in virtual time: the engine, clients made of `str0m`, and a network between them with seeded loss, delay
//! and reordering. Nothing sleeps, nothing touches a socket, and every run is the same.
#![allow(dead_code, unreachable_pub, missing_docs, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::allow_attributes, reason = "what is unused differs by test file, so it cannot be expected")]

mod client;
mod media;

use std::collections::{BTreeMap, BinaryHeap};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sfu::{
    Command, Config, Engine, Event, NewParticipant, NewTrack, Output, ParticipantId, PeerMode, RoomId, Target, TrackId,
    TrackSettings,
};

pub use client::{Client, Pc};
pub use media::{Frame, Packet, Stream, judge_video, longest_stop, missing, shown};

/// The address of the engine.
pub const SERVER: &str = "192.0.2.1:7882";

/// The steps in which time passes, unless a test wants finer ones.
const STEP: Duration = Duration::from_millis(5);

/// A datagram on its way, ordered by arrival.
#[derive(Debug, PartialEq, Eq)]
struct Flying {
    at: Instant,
    order: u64,
    from: SocketAddr,
    to: SocketAddr,
    payload: Vec<u8>,
}

impl Ord for Flying {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // The heap gives the largest first; the earliest is wanted.
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Flying {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy)]
pub struct Network {
    /// Chance to lose a datagram to the engine.
    pub loss_up: f64,
    /// Chance to lose a datagram to a client.
    pub loss_down: f64,
    /// Least delay.
    pub delay: Duration,
    /// Further delay, chosen for each datagram, so that they overtake each other.
    pub jitter: Duration,
}

/// The end of a connection that carries only so much to a client.
#[derive(Debug, Clone, Copy)]
pub struct Narrow {
    /// Bits per second, headers included.
    pub rate: u64,
    /// How long a datagram may wait before it is dropped instead.
    pub queue: Duration,
    /// When it has sent what waits.
    busy_until: Instant,
}

impl Default for Network {
    fn default() -> Self {
        Network { loss_up: 0.0, loss_down: 0.0, delay: Duration::from_millis(10), jitter: Duration::ZERO }
    }
}

/// The world.
pub struct World {
    pub now: Instant,
    pub start: Instant,
    pub engine: Engine,
    pub network: Network,
    pub clients: BTreeMap<ParticipantId, Client>,
    /// All events so far, in order.
    pub events: Vec<Event>,
    /// Clients that are cut off.
    pub cut: Vec<ParticipantId>,
    /// Clients that get only so much.
    pub narrow: BTreeMap<ParticipantId, Narrow>,
    /// The steps in which time passes.
    pub step: Duration,
    deadline: Option<Instant>,
    flying: BinaryHeap<Flying>,
    order: u64,
    rng: StdRng,
    next_track: u64,
}

impl World {
    /// A world with nobody in it.
    pub fn new(seed: u64) -> World {
        World::with_config(seed, |_| {})
    }

    /// The same with other settings.
    pub fn with_config(seed: u64, change: impl FnOnce(&mut Config)) -> World {
        let now = Instant::now();
        let mut config = Config::new(vec![SERVER.parse().unwrap()]);
        change(&mut config);
        World {
            now,
            start: now,
            engine: Engine::new(config, now),
            network: Network::default(),
            clients: BTreeMap::new(),
            events: Vec::new(),
            cut: Vec::new(),
            narrow: BTreeMap::new(),
            step: STEP,
            deadline: None,
            flying: BinaryHeap::new(),
            order: 0,
            rng: StdRng::seed_from_u64(seed),
            next_track: 0,
        }
    }

    /// A client joins room 1.
    pub fn join(&mut self, id: u64, mode: PeerMode) -> ParticipantId {
        self.join_as(id, mode, |_| {})
    }

    /// The same as another kind of client.
    pub fn join_as(&mut self, id: u64, mode: PeerMode, change: impl FnOnce(&mut NewParticipant)) -> ParticipantId {
        let participant = ParticipantId(id);
        let mut new = NewParticipant {
            id: participant,
            room: RoomId(1),
            sid: format!("PA_{id}"),
            mode,
            can_subscribe: true,
            reuse_sections: true,
            allow_pause: true,
        };
        change(&mut new);
        self.clients.insert(participant, Client::new(id, mode, self.now));
        self.command(Command::AddParticipant(new));
        self.offer(participant);
        participant
    }

    /// A client joins and its connections come up.
    pub fn join_and_connect(&mut self, id: u64, mode: PeerMode) -> ParticipantId {
        let participant = self.join(id, mode);
        self.run_until("connected", |world| world.connected(participant));
        participant
    }

    /// Whether every connection of a participant is up by the events.
    pub fn connected(&self, participant: ParticipantId) -> bool {
        let targets = match self.clients[&participant].mode {
            PeerMode::Single => vec![Target::Publisher],
            PeerMode::Dual => vec![Target::Publisher, Target::Subscriber],
        };
        targets.into_iter().all(|target| self.state(participant, target) == Some(sfu::TransportState::Connected))
    }

    /// The state of a connection last told.
    pub fn state(&self, participant: ParticipantId, target: Target) -> Option<sfu::TransportState> {
        self.events.iter().rev().find_map(|event| match event {
            Event::Transport { participant: p, target: t, state } if (*p, *t) == (participant, target) => Some(*state),
            _ => None,
        })
    }

    /// A client publishes simulcast or plain video: announces it and offers.
    pub fn publish_video(&mut self, publisher: ParticipantId, rids: &[&str]) -> TrackId {
        let stream = self.clients.get_mut(&publisher).unwrap().add_video(rids, self.now);
        self.announce(publisher, &stream, sfu::MediaKind::Video)
    }

    /// A client publishes audio.
    pub fn publish_audio(&mut self, publisher: ParticipantId) -> TrackId {
        let stream = self.clients.get_mut(&publisher).unwrap().add_audio(self.now);
        self.announce(publisher, &stream, sfu::MediaKind::Audio)
    }

    /// Announces a track and offers its section.
    fn announce(&mut self, publisher: ParticipantId, cid: &str, kind: sfu::MediaKind) -> TrackId {
        let id = TrackId(self.next_track);
        self.next_track += 1;
        let track = new_track(id, publisher, cid, kind);
        self.command(Command::AddTrack(track));
        self.offer(publisher);
        id
    }

    /// A client stops a track: its section becomes inactive.
    pub fn unpublish(&mut self, publisher: ParticipantId, cid: &str) {
        self.clients.get_mut(&publisher).unwrap().remove(cid);
        self.offer(publisher);
    }

    /// A client offers what it has, if nothing is under way.
    pub fn offer(&mut self, participant: ParticipantId) {
        let offer = self.clients.get_mut(&participant).unwrap().offer();
        if let Some((id, sdp)) = offer {
            self.command(Command::Offer { participant, id, sdp });
        }
    }

    /// A subscription.
    pub fn subscribe(&mut self, participant: ParticipantId, track: TrackId) {
        self.command(Command::Subscribe { participant, track });
    }

    /// Sets what a viewer wants of a track.
    pub fn want(&mut self, participant: ParticipantId, track: TrackId, settings: TrackSettings) {
        self.command(Command::SetTrackSettings { participant, track, settings });
    }

    /// A client.
    pub fn client(&mut self, id: ParticipantId) -> &mut Client {
        self.clients.get_mut(&id).unwrap()
    }

    /// The layer that a viewer got last of a track.
    pub fn layer(&self, viewer: ParticipantId, sid: &str) -> Option<u8> {
        self.clients[&viewer].packets(sid).last().map(|packet| packet.frame.layer)
    }

    /// Waits until a viewer gets this layer of a track.
    pub fn run_until_layer(&mut self, viewer: ParticipantId, sid: &str, layer: u8) {
        self.run_until("on that layer", |world| world.layer(viewer, sid) == Some(layer));
    }

    /// Two clients that are connected, the first publishing simulcast video that the second gets in full.
    pub fn with_video(seed: u64, mode: PeerMode) -> (World, ParticipantId, ParticipantId, TrackId) {
        World::new(seed).and_video(mode)
    }

    /// The same in this world.
    pub fn and_video(self, mode: PeerMode) -> (World, ParticipantId, ParticipantId, TrackId) {
        let mut world = self;
        let publisher = world.join_and_connect(1, mode);
        let viewer = world.join_and_connect(2, mode);
        let track = world.publish_video(publisher, &["q", "h", "f"]);
        world.subscribe(viewer, track);
        world.run_until_layer(viewer, "TR_0", 2);
        (world, publisher, viewer, track)
    }

    /// Gives a command that must be accepted.
    pub fn command(&mut self, command: Command) {
        self.engine.handle(command, self.now).unwrap();
        self.poll_engine();
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until something is so, at most 20 seconds.
    pub fn run_until(&mut self, what: &str, done: impl Fn(&World) -> bool) {
        let end = self.now + Duration::from_secs(20);
        while !done(self) {
            assert!(self.now < end, "never {what}; events: {:#?}", self.told());
            self.step();
        }
    }

    /// Lets milliseconds pass.
    pub fn run_ms(&mut self, ms: u64) {
        self.run(Duration::from_millis(ms));
    }

    /// The events, without long texts.
    pub fn told(&self) -> Vec<String> {
        self.events.iter().map(|event| format!("{event:?}").chars().take(160).collect()).collect()
    }

    /// How many events are so.
    pub fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }

    /// One step of time.
    fn step(&mut self) {
        self.now += self.step;
        while self.flying.peek().is_some_and(|flying| flying.at <= self.now) {
            let flying = self.flying.pop().unwrap();
            self.deliver(flying);
        }
        if self.deadline.is_some_and(|deadline| deadline <= self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.poll_engine();
        let ids: Vec<ParticipantId> = self.clients.keys().copied().collect();
        for id in ids {
            let client = self.clients.get_mut(&id).unwrap();
            client.advance(self.now);
            let sent = client.take_sent();
            for (from, to, payload) in sent {
                self.send(from, to, payload);
            }
            self.send_signals(id);
        }
    }

    /// Sends the offers that became possible or necessary at a client.
    fn send_signals(&mut self, id: ParticipantId) {
        if self.clients[&id].wants_offer() {
            self.offer(id);
        }
    }

    /// A datagram arrives.
    fn deliver(&mut self, flying: Flying) {
        let server: SocketAddr = SERVER.parse().unwrap();
        if flying.to == server {
            self.engine.receive(flying.from, flying.to, &flying.payload, self.now);
            return;
        }
        let client = self.clients.values_mut().find(|client| client.owns(flying.to));
        if let Some(client) = client {
            client.receive(flying.from, flying.to, &flying.payload, self.now);
        }
    }

    /// Takes everything out of the engine.
    fn poll_engine(&mut self) {
        loop {
            match self.engine.poll() {
                Output::Transmit(transmit) => self.send(transmit.source, transmit.destination, transmit.payload),
                Output::Event(event) => {
                    self.events.push(event.clone());
                    self.on_event(event);
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    /// Does what the signalling side does.
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Answer { participant, id, sdp, tracks } => {
                if let Some(client) = self.clients.get_mut(&participant) {
                    client.on_answer(id, &sdp, tracks);
                }
            }
            Event::Offer { participant, id, sdp, tracks } => {
                let Some(client) = self.clients.get_mut(&participant) else { return };
                if let Some(answer) = client.on_offer(id, &sdp, tracks) {
                    self.engine.handle(Command::Answer { participant, id, sdp: answer }, self.now).unwrap();
                }
            }
            Event::MediaSectionsRequirement { participant, audios, videos } => {
                if let Some(client) = self.clients.get_mut(&participant) {
                    client.add_slots(audios, videos);
                }
            }
            _ => {}
        }
    }

    /// A client gets at most this many bits per second from now on; what would wait longer is lost. 0: no limit.
    pub fn narrow(&mut self, id: ParticipantId, rate: u64, queue: Duration) {
        self.narrow.remove(&id);
        if rate > 0 {
            self.narrow.insert(id, Narrow { rate, queue, busy_until: self.now });
        }
    }

    /// When a datagram has passed the narrow end of its way; `None`: it is dropped before it.
    fn squeeze(&mut self, to: SocketAddr, length: usize) -> Option<Instant> {
        let id = self.clients.iter().find(|(_, client)| client.owns(to)).map(|(id, _)| *id);
        let Some(narrow) = id.and_then(|id| self.narrow.get_mut(&id)) else { return Some(self.now) };
        let from = narrow.busy_until.max(self.now);
        if from > self.now + narrow.queue {
            return None;
        }
        // With the headers of UDP and IP.
        let bits = (length as u64 + 28) * 8;
        narrow.busy_until = from + Duration::from_nanos(bits * 1_000_000_000 / narrow.rate);
        Some(narrow.busy_until)
    }

    /// Puts a datagram on the network.
    fn send(&mut self, from: SocketAddr, to: SocketAddr, payload: Vec<u8>) {
        let server: SocketAddr = SERVER.parse().unwrap();
        let loss = if to == server { self.network.loss_up } else { self.network.loss_down };
        let end = if to == server { from } else { to };
        let is_cut = self.cut.iter().any(|id| self.clients.get(id).is_some_and(|client| client.owns(end)));
        // Chance first, so that the sequence of random numbers does not depend on the payloads.
        let lost = self.rng.random_bool(loss);
        let jitter = self.network.jitter.mul_f64(self.rng.random::<f64>());
        if lost || is_cut {
            return;
        }
        let Some(sent) = self.squeeze(to, payload.len()) else { return };
        self.order += 1;
        let at = sent + self.network.delay + jitter;
        self.flying.push(Flying { at, order: self.order, from, to, payload });
    }
}

/// An announced track with the usual values.
pub fn new_track(id: TrackId, participant: ParticipantId, cid: &str, kind: sfu::MediaKind) -> NewTrack {
    NewTrack {
        id,
        participant,
        sid: format!("TR_{}", id.0),
        cid: cid.to_owned(),
        kind,
        codec: None,
        layers: Vec::new(),
        width: 1280,
        height: 720,
        muted: false,
        stereo: false,
        no_dtx: false,
    }
}
