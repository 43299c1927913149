//! Those who take part: they get tokens, connect, publish, go, and come back when LiveKit was restarted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ::rooms::RoomSpec;
use ::rooms::simulated::Guest;
use domain::{DeploymentId, Identity, Kind, Mark, OnDuplicate, RoomName, StreamId, TrackSid};
use orchestrator::JoinStream;
use parking_lot::Mutex;
use rand::RngExt;

use crate::access::Access;
use crate::instance::{DEPLOYMENT, Instance};
use crate::sim::Sim;

pub(crate) const PEOPLE: [&str; 5] = ["ann", "bob", "cleo", "dan", "eve"];
/// LiveKit's own timeouts come so much later than ours.
const BACKSTOP: Duration = Duration::from_secs(30);
/// LiveKit's clients try so long to come back; some people do it by hand, later (milliseconds).
const COME_BACK_WITHIN: [u64; 4] = [2_000, 45_000, 45_000, 120_000];

/// What a join answer lets somebody do.
#[derive(Debug, Clone)]
struct Pass {
    guest: Guest,
    spec: RoomSpec,
}

/// All who take part.
#[derive(Default)]
pub(crate) struct Clients {
    /// Tokens given out, newest last.
    passes: Mutex<Vec<Pass>>,
    /// Host keys, bans and held identities.
    pub(crate) access: Access,
    /// Who came into which room with what, to come back with it.
    inside: Mutex<BTreeMap<(RoomName, Identity), Pass>>,
}

impl Clients {
    /// Somebody asks for a token and connects a moment later.
    pub(crate) async fn join(&self, sim: &Arc<Sim>, instance: &Instance, id: &StreamId) {
        let Some(identity) = sim.pick(&PEOPLE).and_then(|name| Identity::parse(name).ok()) else { return };
        let (credential, role, key) = self.access.credential(sim, id);
        let before = self.access.before(sim, id, &identity, key);
        let request = JoinStream {
            identity: identity.clone(),
            role,
            name: None,
            metadata: None,
            credential: credential.clone(),
            on_duplicate: OnDuplicate::Replace,
        };
        let Some(result) = instance.alive(instance.orchestrator.join_stream(id, request)).await else { return };
        self.access.joined(sim, (id, &identity), &credential, &before, &result);
        let Ok(joined) = result else { return };
        let kind = match sim.draw(|rng| rng.random_range(0..12)) {
            0 => Kind::Ingress,
            1 => Kind::Agent,
            _ => Kind::Standard,
        };
        // Programs have identities of their own.
        let identity = if kind == Kind::Standard { identity } else { Identity::reported(&format!("{identity}-bot")) };
        let pass = Pass { guest: Guest { identity, name: String::new(), kind }, spec: spec(sim, id, &joined.room) };
        self.passes.lock().push(pass.clone());
        tokio::time::sleep(sim.millis(2_000)).await;
        self.enter(sim, &pass).await;
    }

    /// Somebody uses an old token, maybe of a stream that has ended.
    pub(crate) async fn come_late(&self, sim: &Arc<Sim>) {
        let passes = self.passes.lock().clone();
        if let Some(pass) = sim.pick(&passes) {
            self.enter(sim, &pass).await;
        }
    }

    /// Everybody who is banned tries again with every token from before.
    pub(crate) async fn bring_the_banned_back(self: &Arc<Self>, sim: &Arc<Sim>) {
        let banned = self.access.banned(sim);
        let passes = self.passes.lock().clone();
        for pass in passes {
            let id = pass.spec.name.stream().map(|(id, _)| id);
            if id.is_some_and(|id| banned.contains(&(id, pass.guest.identity.clone()))) {
                self.enter(sim, &pass).await;
            }
        }
    }

    async fn enter(&self, sim: &Arc<Sim>, pass: &Pass) {
        let (room, guest) = (&pass.spec.name, &pass.guest);
        sim.log.write(format!("{} enters {room}", guest.identity));
        self.inside.lock().insert((room.clone(), guest.identity.clone()), pass.clone());
        if !sim.chance(0.2) {
            if let Ok(joined) = sim.livekit.join_as(room, guest, Some(&pass.spec), sim.true_now()) {
                sim.send_events(joined.events);
            }
            return;
        }
        let begun = sim.livekit.begin_joining(room, guest, Some(&pass.spec), sim.true_now());
        sim.send_events(begun.map(|joined| joined.events).unwrap_or_default());
        tokio::time::sleep(sim.millis(3_000)).await;
        sim.send_events(sim.livekit.finish_joining(room, &guest.identity, sim.true_now()));
    }

    /// Somebody who is there goes.
    pub(crate) fn leave(&self, sim: &Arc<Sim>) {
        if let Some((room, identity, _)) = somebody(sim) {
            sim.log.write(format!("{identity} leaves {room}"));
            self.inside.lock().remove(&(room.clone(), identity.clone()));
            sim.send_events(sim.livekit.leave(&room, &identity, sim.true_now()));
        }
    }

    /// Somebody publishes a track.
    pub(crate) fn publish(&self, sim: &Arc<Sim>) {
        if let Some((room, identity, _)) = somebody(sim)
            && let Some((track, events)) = sim.livekit.publish(&room, &identity, sim.true_now())
        {
            sim.log.write(format!("{identity} publishes {track} in {room}"));
            sim.send_events(events);
        }
    }

    /// Somebody takes a track back.
    pub(crate) fn unpublish(&self, sim: &Arc<Sim>) {
        if let Some((room, identity, tracks)) = somebody(sim)
            && let Some(track) = sim.pick(&tracks)
        {
            sim.log.write(format!("{identity} unpublishes {track} in {room}"));
            sim.send_events(sim.livekit.unpublish(&room, &identity, &track, sim.true_now()));
        }
    }

    /// LiveKit was restarted: most of those who were inside come back, each when it pleases.
    pub(crate) fn restart_livekit(self: &Arc<Self>, sim: &Arc<Sim>) {
        sim.log.write("LiveKit is restarted and knows nothing");
        let there = sim.moment().people;
        sim.livekit.restart_empty();
        let all_go = sim.chance(0.3);
        for (room, people) in there {
            for person in people {
                let pass = self.inside.lock().get(&(room.clone(), person.identity.clone())).cloned();
                let Some(pass) = pass.filter(|_| !all_go && sim.chance(0.7)) else { continue };
                let (this, sim, wait) =
                    (self.clone(), sim.clone(), sim.millis(sim.pick(&COME_BACK_WITHIN).unwrap_or(0)));
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    this.enter(&sim, &pass).await;
                    if !person.tracks.is_empty() {
                        let again = sim.livekit.publish(&pass.spec.name, &person.identity, sim.true_now());
                        sim.send_events(again.map(|(_, events)| events).unwrap_or_default());
                    }
                });
            }
        }
    }
}

/// Somebody who is in some room now.
fn somebody(sim: &Sim) -> Option<(RoomName, Identity, Vec<TrackSid>)> {
    let people = sim.moment().people;
    let all: Vec<_> = people
        .iter()
        .flat_map(|(room, people)| people.iter().map(|p| (room.clone(), p.identity.clone(), p.tracks.clone())))
        .collect();
    sim.pick(&all)
}

/// The `roomConfig` of a token: the mark, and LiveKit's own timeouts.
fn spec(sim: &Sim, id: &StreamId, room: &RoomName) -> RoomSpec {
    let generation = room.stream().map_or(1, |(_, generation)| generation);
    let mark = Mark { deployment: DeploymentId(DEPLOYMENT.to_owned()), id: id.clone(), generation };
    RoomSpec {
        name: room.clone(),
        metadata: mark.metadata(&serde_json::Map::new()),
        empty_timeout: sim.rules.empty_timeout + BACKSTOP,
        departure_timeout: sim.rules.departure_timeout + BACKSTOP,
        max_participants: 0,
    }
}
