//! The end of a play: nothing goes wrong any more, time passes, and everything has to be right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ::store::{ListQuery, Store};
use domain::{DeploymentId, Head, Ownership, Participant, ParticipantSid, Phase, RoomSnapshot, StreamId, TrackSid};
use tokio::time::sleep;

use crate::driver::Cast;
use crate::instance::DEPLOYMENT;
use crate::invariants::{describe, visible};
use crate::sim::{Moment, STREAMS, Sim, stream};

/// After this everything is right, whatever was lost: several sweeps, and every timer of the rules.
const LONG_ENOUGH: Duration = Duration::from_secs(330);
/// A banned person who came in is out again by LiveKit's own report, not only by the next sweep.
const OUT_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// A minute after a `DELETE` its room is gone.
const CLOSED_WITHIN: Duration = Duration::from_secs(30);

/// Lets everything come to rest and compares.
pub(crate) async fn check(sim: &Arc<Sim>, cast: &mut Cast) -> Result<(), String> {
    sim.log.write("nothing goes wrong any more");
    sim.calm_down();
    while sim.in_flight.load(Ordering::Relaxed) > 0 {
        sleep(Duration::from_secs(1)).await;
    }
    let running = sim.instances.lock().len();
    for _ in running..cast.wanted() {
        cast.start_instance(sim, Duration::ZERO);
    }
    sleep(LONG_ENOUGH).await;
    sim.log.write("everything has to be right now");
    compare(sim)?;
    compare_subscribers(sim, cast).await?;
    cast.clients.access.check(sim)?;
    cast.clients.bring_the_banned_back(sim).await;
    sleep(OUT_AGAIN_WITHIN).await;
    cast.clients.access.check(sim)?;
    end_everything(sim).await?;
    sleep(CLOSED_WITHIN).await;
    let rooms = marked_rooms(&sim.moment());
    if let Some((room, _)) = rooms.first() {
        return Err(format!("room {} is there although every stream has ended", room.name));
    }
    compare(sim)?;
    compare_subscribers(sim, cast).await?;
    sleep(sim.rules.retention + CLOSED_WITHIN).await;
    if let Some(record) = streams().find_map(|id| sim.stored(&id)) {
        return Err(format!("a record outlives its retention: {}", describe(Some(&record))));
    }
    compare_subscribers(sim, cast).await?;
    sim.broken().map_or(Ok(()), Err)
}

fn streams() -> impl Iterator<Item = StreamId> {
    STREAMS.iter().filter_map(|name| stream(name))
}

fn compare(sim: &Sim) -> Result<(), String> {
    sim.broken().map_or(Ok(()), Err)?;
    let moment = sim.moment();
    for id in streams() {
        if let Some((head, people)) = sim.stored(&id) {
            compare_stream(&head, &people, &moment)
                .map_err(|what| format!("{id}: {what}: {}", describe(Some(&(head, people)))))?;
        }
    }
    for (room, generation) in marked_rooms(&moment) {
        let head = room.name.stream().and_then(|(id, _)| sim.stored(&id)).map(|(head, _)| head);
        let known = head.is_some_and(|head| head.phase.is_active() && head.room.name == room.name);
        if !known {
            return Err(format!("room {} (generation {generation}) is an orphan", room.name));
        }
    }
    Ok(())
}

fn compare_stream(head: &Head, people: &[Participant], moment: &Moment) -> Result<(), String> {
    if !head.intents.is_empty() {
        return Err("an intent is left".to_owned());
    }
    let room = moment.rooms.iter().find(|room| room.name == head.room.name);
    match head.phase {
        Phase::Reserved => Err("a reservation is left".to_owned()),
        Phase::Ended if head.closing() => Err("it is still closing".to_owned()),
        Phase::Ended => Ok(()),
        Phase::Waiting | Phase::Live | Phase::Reconnecting => {
            let room = room.ok_or("its room is not there")?;
            if Some(&room.sid) != head.room.sid.as_ref() {
                return Err(format!("its room is {}", room.sid));
            }
            compare_metadata(head, room)?;
            compare_people(head, people, moment)
        }
    }
}

/// The room carries the mark and what the user gave.
fn compare_metadata(head: &Head, room: &RoomSnapshot) -> Result<(), String> {
    if head.room.unmarked {
        return Ok(());
    }
    let mark = domain::Mark {
        deployment: DeploymentId(DEPLOYMENT.to_owned()),
        id: head.id.clone(),
        generation: head.generation,
    };
    let wanted = mark.metadata(&head.settings.metadata);
    if room.metadata == wanted { Ok(()) } else { Err(format!("its room says {}, not {wanted}", room.metadata)) }
}

fn compare_people(head: &Head, people: &[Participant], moment: &Moment) -> Result<(), String> {
    type Rows = BTreeMap<ParticipantSid, BTreeSet<TrackSid>>;
    let listed = moment.people.get(&head.room.name).map(Vec::as_slice).unwrap_or_default();
    let really: Rows = listed
        .iter()
        .filter(|person| person.active)
        .map(|person| (person.sid.clone(), person.tracks.iter().cloned().collect()))
        .collect();
    let ours: Rows = people.iter().map(|person| (person.sid.clone(), person.tracks.clone())).collect();
    if really != ours {
        return Err(format!("in its room are {really:?}"));
    }
    if head.keepers == 0 {
        return Err("nobody has been there for long, and it is still active".to_owned());
    }
    if (head.tracks > 0) != (head.phase == Phase::Live) {
        return Err(format!("it has {} tracks", head.tracks));
    }
    Ok(())
}

fn marked_rooms(moment: &Moment) -> Vec<(RoomSnapshot, u32)> {
    let own = DeploymentId(DEPLOYMENT.to_owned());
    let marked = moment.rooms.iter().filter_map(|room| match Ownership::of(&room.metadata, &own) {
        Ownership::Ours(mark) => Some((room.clone(), mark.generation)),
        Ownership::Foreign | Ownership::Unmarked => None,
    });
    marked.collect()
}

async fn compare_subscribers(sim: &Sim, cast: &Cast) -> Result<(), String> {
    for (number, watcher) in cast.watchers.iter().enumerate() {
        let shown = watcher.shown.lock().clone();
        let stored = sim.stored(&watcher.id).as_ref().and_then(visible);
        if shown != stored {
            return Err(format!("w{number} sees of {}: {shown:?}, but it is {stored:?}", watcher.id));
        }
    }
    let query = ListQuery { phases: Phase::LISTED.to_vec(), limit: 500, cursor: None, hidden: false };
    let page = sim.store.list(&query).await.map_err(|error| error.to_string())?;
    let listed: BTreeMap<_, _> = page.items.iter().map(|head| (head.id.clone(), head.into())).collect();
    let shown = cast.lobby.shown.lock().clone();
    if shown == listed { Ok(()) } else { Err(format!("the lobby shows {shown:?}, but it is {listed:?}")) }
}

async fn end_everything(sim: &Arc<Sim>) -> Result<(), String> {
    for id in streams() {
        let instance = sim.any_instance().ok_or("no instance runs")?;
        instance.orchestrator.end_stream(&id).await.map_err(|error| format!("{id} can't be ended: {error}"))?;
    }
    Ok(())
}
