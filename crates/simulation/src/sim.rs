//! What all parts of one play share: randomness, log, clock, faults, LiveKit and the store as they really are.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ::rooms::Rooms;
use ::rooms::simulated::SimulatedLiveKit;
use ::store::{EmbeddedStore, Store};
use domain::{Head, Identity, ParticipantSnapshot, RoomName, RoomSnapshot, Rules, StreamId, Timestamp};
use futures_util::FutureExt;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use crate::Summary;
use crate::instance::Instance;
use crate::invariants::Invariants;
use crate::log::Log;
use crate::profile::Profile;

/// Where simulated time begins.
const BEGINNING: i64 = 1_795_000_000_000;
/// Listings may be this old.
pub(crate) const LISTING_LAG: Duration = Duration::from_secs(5);
/// Every so many seeds instances get into each other's way more than usual.
const CROWDED: u64 = 4;
/// The streams of a play.
pub(crate) const STREAMS: [&str; 3] = ["gold", "silver", "iron"];

/// One play.
pub(crate) struct Sim {
    rng: Mutex<StdRng>,
    /// What happened.
    pub(crate) log: Log,
    /// The deployment's time rules.
    pub(crate) rules: Rules,
    /// The store, as it really is.
    pub(crate) store: Arc<EmbeddedStore>,
    /// LiveKit, as it really is.
    pub(crate) livekit: Arc<SimulatedLiveKit>,
    clock: Arc<StepClock>,
    faults: Mutex<Faults>,
    /// What must be true after every step.
    pub(crate) invariants: Mutex<Invariants>,
    /// The instances that run now.
    pub(crate) instances: Mutex<Vec<Arc<Instance>>>,
    /// What LiveKit was a moment ago, oldest first.
    past: Mutex<VecDeque<(Instant, Moment)>>,
    /// Webhooks that are still on their way.
    pub(crate) in_flight: AtomicI64,
    counts: Mutex<Counts>,
}

/// LiveKit's rooms and people at one moment.
#[derive(Clone, Default)]
pub(crate) struct Moment {
    pub(crate) rooms: Vec<RoomSnapshot>,
    pub(crate) people: BTreeMap<RoomName, Vec<ParticipantSnapshot>>,
}

struct Faults {
    on: bool,
    profile: Profile,
    store_away: Instant,
    livekit_away: Instant,
}

/// Time that passes with the runtime's, and jumps.
struct StepClock {
    start: Instant,
    step: AtomicI64,
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) commits: u64,
    pub(crate) webhooks: u64,
    pub(crate) crashes: u64,
    pub(crate) frames: u64,
}

/// What becomes of one call.
#[derive(Debug, Default)]
pub(crate) struct CallFate {
    pub(crate) before: Duration,
    pub(crate) after: Duration,
    pub(crate) fails_before: bool,
    pub(crate) fails_after: bool,
}

/// Which service is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Store,
    LiveKit,
}

impl Sim {
    /// A play that begins now.
    pub(crate) fn new(seed: u64, echo: bool) -> Arc<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut profile = Profile::draw(&mut rng);
        if seed.is_multiple_of(CROWDED) {
            profile = profile.crowded(&mut rng);
        }
        let now = Instant::now();
        let clock = Arc::new(StepClock { start: now, step: AtomicI64::new(0) });
        let wall = clock.clone();
        let sim = Arc::new(Self {
            rng: Mutex::new(rng),
            log: Log::new(echo),
            rules: rules(),
            store: Arc::new(EmbeddedStore::in_memory_with_clock(move || wall.stepped())),
            livekit: Arc::new(SimulatedLiveKit::new(seed, clock.steady())),
            clock,
            faults: Mutex::new(Faults { on: true, profile, store_away: now, livekit_away: now }),
            invariants: Mutex::default(),
            instances: Mutex::default(),
            past: Mutex::default(),
            in_flight: AtomicI64::new(0),
            counts: Mutex::default(),
        });
        sim.log.write(format!("{:?}", sim.profile()));
        sim
    }

    /// Draws from the seed.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock())
    }

    /// `true` with this probability.
    pub(crate) fn chance(&self, probability: f64) -> bool {
        probability > 0.0 && self.draw(|rng| rng.random_bool(probability))
    }

    /// So many milliseconds at most.
    pub(crate) fn millis(&self, most: u64) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.random_range(0..=most)))
    }

    /// One of them; `None` of none.
    pub(crate) fn pick<T: Clone>(&self, all: &[T]) -> Option<T> {
        if all.is_empty() { None } else { Some(all[self.draw(|rng| rng.random_range(0..all.len()))].clone()) }
    }

    /// The time that passes evenly: LiveKit's own.
    pub(crate) fn true_now(&self) -> Timestamp {
        self.clock.steady()
    }

    /// Lets the store's wall clock jump.
    pub(crate) fn step_clock(&self, millis: i64) {
        self.clock.step.fetch_add(millis, Ordering::Relaxed);
    }

    /// What goes wrong; nothing when the faults are off.
    pub(crate) fn profile(&self) -> Profile {
        let faults = self.faults.lock();
        if faults.on { faults.profile.clone() } else { Profile::default() }
    }

    /// No more faults.
    pub(crate) fn calm_down(&self) {
        let mut faults = self.faults.lock();
        faults.on = false;
        faults.store_away = Instant::now();
        faults.livekit_away = Instant::now();
    }

    /// The service can't be reached for this long.
    pub(crate) fn send_away(&self, service: Service, time: Duration) {
        let mut faults = self.faults.lock();
        match service {
            Service::Store => faults.store_away = Instant::now() + time,
            Service::LiveKit => faults.livekit_away = Instant::now() + time,
        }
    }

    /// What is to become of a call, which takes up to `usual` milliseconds each way.
    pub(crate) fn fate(&self, service: Service, usual: u64) -> CallFate {
        let (profile, away) = {
            let faults = self.faults.lock();
            let until = if service == Service::Store { faults.store_away } else { faults.livekit_away };
            (if faults.on { faults.profile.clone() } else { Profile::default() }, until > Instant::now())
        };
        let (before, after, slow) = match service {
            Service::Store => (profile.store_before, profile.store_after, profile.store_slow),
            Service::LiveKit => (profile.rooms_before, profile.rooms_after, profile.rooms_slow),
        };
        let latency = || match usual {
            _ if self.chance(slow) => self.millis(950),
            0 => Duration::ZERO,
            most => self.millis(most),
        };
        CallFate {
            before: latency(),
            after: latency(),
            fails_before: away || self.chance(before),
            fails_after: self.chance(after),
        }
    }

    /// Remembers what LiveKit is now, for listings that lag.
    pub(crate) fn remember_moment(&self) {
        let now = Instant::now();
        let moment = self.moment();
        let mut past = self.past.lock();
        past.push_back((now, moment));
        while past.front().is_some_and(|(at, _)| now.duration_since(*at) > LISTING_LAG) {
            past.pop_front();
        }
    }

    /// What a listing shows: what is, or what was a moment ago.
    pub(crate) fn listed(&self) -> Moment {
        let lag = self.profile().lag;
        if !self.chance(lag) {
            return self.moment();
        }
        let now = Instant::now();
        let past = self.past.lock();
        let recent: Vec<_> = past.iter().filter(|(at, _)| now.duration_since(*at) <= LISTING_LAG).collect();
        self.pick(&recent).map_or_else(|| self.moment(), |(_, moment)| moment.clone())
    }

    /// What LiveKit really is.
    pub(crate) fn moment(&self) -> Moment {
        let rooms = self.livekit.list_rooms().now_or_never().and_then(Result::ok).unwrap_or_default();
        let people = rooms.iter().map(|room| (room.name.clone(), self.people_in(&room.name))).collect();
        Moment { rooms, people }
    }

    /// Who is really in a room.
    pub(crate) fn people_in(&self, room: &RoomName) -> Vec<ParticipantSnapshot> {
        self.livekit.list_participants(room).now_or_never().and_then(Result::ok).unwrap_or_default()
    }

    /// What the store really has of a stream.
    pub(crate) fn stored(&self, id: &StreamId) -> Option<(Head, Vec<domain::Participant>)> {
        self.store.load_full(id).now_or_never().and_then(Result::ok).flatten()
    }

    /// One of the instances that run now.
    pub(crate) fn any_instance(&self) -> Option<Arc<Instance>> {
        let instances = self.instances.lock().clone();
        self.pick(&instances)
    }

    /// A promise was broken.
    pub(crate) fn fail(&self, what: impl AsRef<str>) {
        self.log.write(format!("BROKEN: {}", what.as_ref()));
        self.invariants.lock().fail(what.as_ref());
    }

    /// The first broken promise.
    pub(crate) fn broken(&self) -> Option<String> {
        self.invariants.lock().broken()
    }

    /// Counts something.
    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock());
    }

    /// What the play was.
    pub(crate) fn summary(&self, seed: u64) -> Summary {
        let (lines, hash) = self.log.digest();
        let counts = self.counts.lock();
        let Counts { commits, webhooks, crashes, frames } = *counts;
        Summary { seed, hash, lines, commits, webhooks, crashes, frames }
    }
}

impl StepClock {
    fn steady(&self) -> Timestamp {
        Timestamp::from_millis(BEGINNING) + self.start.elapsed()
    }

    fn stepped(&self) -> Timestamp {
        Timestamp::from_millis(self.steady().as_millis() + self.step.load(Ordering::Relaxed))
    }
}

/// The default rules, with less patience for what nobody watches in a test.
fn rules() -> Rules {
    Rules {
        empty_timeout: Duration::from_secs(120),
        retention: Duration::from_secs(60),
        max_retention: Duration::from_secs(3600),
        tombstone: Duration::from_secs(24 * 3600),
        ..Rules::default()
    }
}

/// A stream of the play.
pub(crate) fn stream(name: &str) -> Option<StreamId> {
    StreamId::parse(name).ok()
}

/// What a subscriber sees of a stream, as text that can be read back.
pub(crate) fn encode(view: &domain::StreamView, people: &BTreeSet<Identity>) -> String {
    serde_json::to_string(&(view, people)).unwrap_or_default()
}
