//! Who may do what: host keys, held identities and bans, and what must be true of them.
//!
//! What is *sure* of a ban is what the last acknowledged call said, unless another call about the same person
//! overlapped it, or one whose outcome nobody knows may still take effect.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ::store::Store;
use domain::{Identity, Role, StreamId, Timestamp};
use futures_util::FutureExt;
use orchestrator::{BanRequest, Created, Credential, HostKey, Joined, UseCaseError};
use parking_lot::Mutex;
use rand::RngExt;
use tokio::time::Instant;

use crate::instance::Instance;
use crate::sim::Sim;

/// A call that was cut short has taken effect by then, or never will.
const SURELY_OVER: Duration = Duration::from_secs(60);
/// A ban that ends sooner than this may be over already for an instance: the clock steps.
const SURELY_HOLDS: Duration = Duration::from_secs(120);
const DAY: u64 = 24 * 3_600_000;

/// What was given out and acknowledged so far.
#[derive(Default)]
pub(crate) struct Access(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// Host keys by stream, with the generation that each leads.
    keys: BTreeMap<StreamId, Vec<(u32, HostKey)>>,
    bans: BTreeMap<(StreamId, Identity), Calls>,
    /// Who was let in as host or speaker, by generation.
    held: BTreeSet<(StreamId, u32, Identity)>,
}

/// The calls that ban and let in one person.
#[derive(Default)]
struct Calls {
    begun: u64,
    pending: u32,
    overlapped: bool,
    /// Until when a call may still take effect.
    late: Option<Instant>,
    last: Sure,
}

/// What is sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sure {
    #[default]
    Free,
    Banned(Timestamp),
    Nothing,
}

/// How a call ended.
enum Outcome {
    Done(Sure),
    Refused,
    Unknown,
}

/// What was known before a join.
pub(crate) struct Before {
    begun: u64,
    sure: Sure,
    held: BTreeSet<u32>,
    /// The generation of the host key that is brought.
    key: Option<u32>,
    active: Option<u32>,
}

impl Calls {
    fn begin(&mut self) {
        self.begun += 1;
        self.overlapped |= self.pending > 0;
        self.pending += 1;
    }

    fn end(&mut self, outcome: Outcome) {
        self.pending -= 1;
        let late = self.late.is_some_and(|until| until > Instant::now());
        match outcome {
            Outcome::Unknown => (self.last, self.late) = (Sure::Nothing, Some(Instant::now() + SURELY_OVER)),
            Outcome::Done(sure) => self.last = if late || self.overlapped { Sure::Nothing } else { sure },
            Outcome::Refused if self.overlapped => self.last = Sure::Nothing,
            Outcome::Refused => {}
        }
        self.overlapped &= self.pending > 0;
    }

    fn sure(&self) -> Sure {
        if self.pending > 0 { Sure::Nothing } else { self.last }
    }
}

impl Access {
    /// A create was acknowledged.
    pub(crate) fn created(&self, id: &StreamId, created: &Created) {
        if let Some(key) = created.host_key.clone() {
            self.0.lock().keys.entry(id.clone()).or_default().push((created.head.generation, key));
        }
    }

    /// What somebody brings who wants to join, and as what: often nothing, or a host key of this generation or another.
    pub(crate) fn credential(&self, sim: &Sim, id: &StreamId) -> (Credential, Option<Role>, Option<u32>) {
        let keys = self.0.lock().keys.get(id).cloned().unwrap_or_default();
        match sim.draw(|rng| rng.random_range(0..10)) {
            0..5 => (Credential::Anybody, None, None),
            5..8 => (Credential::Nothing, None, None),
            _ => match sim.pick(&keys) {
                Some((generation, key)) => (Credential::HostKey(key), Some(Role::Host), Some(generation)),
                None => (Credential::Nothing, None, None),
            },
        }
    }

    /// What is known of somebody who is about to join.
    pub(crate) fn before(&self, sim: &Sim, id: &StreamId, identity: &Identity, key: Option<u32>) -> Before {
        let mut known = self.0.lock();
        let held = known.held.iter().filter(|(stream, _, who)| stream == id && who == identity);
        let held = held.map(|(_, generation, _)| *generation).collect();
        let calls = known.bans.entry((id.clone(), identity.clone())).or_default();
        Before { begun: calls.begun, sure: calls.sure(), held, key, active: active_generation(sim, id) }
    }

    /// Somebody's join was answered.
    pub(crate) fn joined(
        &self,
        sim: &Sim,
        (id, identity): (&StreamId, &Identity),
        credential: &Credential,
        before: &Before,
        result: &Result<Joined, UseCaseError>,
    ) {
        let known = &mut *self.0.lock();
        let undisturbed =
            known.bans.get(&(id.clone(), identity.clone())).is_some_and(|calls| calls.begun == before.begun);
        let sure = if undisturbed { before.sure } else { Sure::Nothing };
        let broken = match result {
            Ok(joined) => {
                let generation = joined.room.stream().map_or(0, |(_, generation)| generation);
                let stranger = matches!(credential, Credential::Nothing);
                if matches!(credential, Credential::HostKey(_)) && undisturbed && joined.role.may_publish() {
                    known.held.insert((id.clone(), generation, identity.clone()));
                }
                match sure {
                    Sure::Banned(until) if holds(sim, until) => Some("is banned, and was let in".to_owned()),
                    _ if before.key.is_some_and(|key| key != generation) => {
                        Some(format!("led generation {generation} with a host key of {:?}", before.key))
                    }
                    _ if stranger && undisturbed && before.held.contains(&generation) => {
                        Some(format!("is held by a host of generation {generation}, and was given to a stranger"))
                    }
                    _ => None,
                }
            }
            Err(UseCaseError::Banned) if sure == Sure::Free => {
                Some("is not banned, and was refused as such".to_owned())
            }
            Err(UseCaseError::NotFound | UseCaseError::Forbidden(_) | UseCaseError::RoleNotAllowed)
                if before.key.is_some() && before.active == before.key && active_generation(sim, id) == before.key =>
            {
                Some("was refused with the host key of this generation".to_owned())
            }
            Err(_) => None,
        };
        if let Some(what) = broken {
            sim.fail(format!("{id}: {identity} {what}"));
        }
    }

    /// A host bans somebody, for a day or for a minute or two.
    pub(crate) async fn ban(&self, sim: &Arc<Sim>, instance: &Instance, id: &StreamId, identity: &Identity) {
        let lasts = if sim.chance(0.3) { sim.millis(150_000) } else { Duration::from_millis(DAY) };
        let request = BanRequest { identity: identity.clone(), until: sim.store.now() + lasts, reason: None };
        self.begin(id, identity);
        let result = instance.alive(instance.orchestrator.ban(id, &request)).await;
        sim.log.write(format!("ban {identity} from {id} for {lasts:?}: {:?}", result.as_ref().map(Result::is_ok)));
        self.end(sim, id, identity, result.map(|result| result.map(|ban| Sure::Banned(ban.until))));
    }

    /// A host lets somebody in again.
    pub(crate) async fn lift(&self, sim: &Arc<Sim>, instance: &Instance, id: &StreamId, identity: &Identity) {
        self.begin(id, identity);
        let result = instance.alive(instance.orchestrator.lift_ban(id, identity)).await;
        sim.log.write(format!("let {identity} into {id} again: {:?}", result.as_ref().map(Result::is_ok)));
        self.end(sim, id, identity, result.map(|result| result.map(|()| Sure::Free)));
    }

    fn begin(&self, id: &StreamId, identity: &Identity) {
        let mut known = self.0.lock();
        known.bans.entry((id.clone(), identity.clone())).or_default().begin();
        // A ban takes the place too.
        known.held.retain(|(stream, _, who)| stream != id || who != identity);
    }

    fn end(&self, sim: &Sim, id: &StreamId, identity: &Identity, result: Option<Result<Sure, UseCaseError>>) {
        let outcome = match result {
            Some(Ok(sure)) => Outcome::Done(sure),
            // What is refused may have been done before, by a try whose answer was lost.
            Some(Err(UseCaseError::NotFound | UseCaseError::Finished)) if sim.profile().store_after == 0.0 => {
                Outcome::Refused
            }
            _ => Outcome::Unknown,
        };
        self.0.lock().bans.entry((id.clone(), identity.clone())).or_default().end(outcome);
    }

    /// Everybody who is surely banned now, and from what.
    pub(crate) fn banned(&self, sim: &Sim) -> Vec<(StreamId, Identity)> {
        let known = self.0.lock();
        let sure =
            known.bans.iter().filter(|(_, calls)| matches!(calls.sure(), Sure::Banned(until) if holds(sim, until)));
        sure.map(|(place, _)| place.clone()).collect()
    }

    /// What was acknowledged is stored, and whoever is banned is outside.
    pub(crate) fn check(&self, sim: &Sim) -> Result<(), String> {
        for ((id, identity), calls) in &self.0.lock().bans {
            let stored = sim.store.bans(id).now_or_never().and_then(Result::ok).unwrap_or_default();
            let now = sim.store.now();
            let holding = stored.iter().any(|(who, ban)| who == identity && ban.holds(now));
            match calls.sure() {
                Sure::Banned(until) if holds(sim, until) && !holding => {
                    return Err(format!("{id}: the ban of {identity} is lost"));
                }
                Sure::Free if holding => return Err(format!("{id}: the ban of {identity} was lifted, and is there")),
                _ => {}
            }
        }
        for (id, identity) in self.banned(sim) {
            let Some((head, _)) = sim.stored(&id).filter(|(head, _)| head.phase.is_active()) else { continue };
            if sim.people_in(&head.room.name).iter().any(|person| person.identity == identity) {
                return Err(format!("{id}: {identity} is banned, and is there"));
            }
        }
        Ok(())
    }
}

fn holds(sim: &Sim, until: Timestamp) -> bool {
    until > sim.store.now() + SURELY_HOLDS
}

fn active_generation(sim: &Sim, id: &StreamId) -> Option<u32> {
    sim.stored(id).filter(|(head, _)| head.phase.is_active()).map(|(head, _)| head.generation)
}
