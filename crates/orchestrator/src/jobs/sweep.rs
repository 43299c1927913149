//! The sweep: LiveKit's lists against ours, so that the state is right even
//! when every webhook is lost.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use domain::{Drift, Head, Phase, RoomName, RoomSnapshot, StreamId, SweepMemory, Timestamp};
use store::{Cursor, Fence, ListQuery, Partition};
use tokio::time::Instant;

use super::leases::Leases;
use crate::{Orchestrator, UseCaseError};

const PAGE: usize = 500;
/// After a sweep that found drift the interval is this much shorter …
const HURRY: u32 = 6;
/// … until so many in a row found nothing.
const CALM: u32 = 3;
/// Above the limit of full sweeps, every room's turn comes once in so many sweeps.
const ROTATION: u64 = 10;
const ORPHAN_MISSES: u32 = 2;
/// So many streams in a row that can't be compared mean that nobody answers.
const MOST_FAILURES: u32 = 10;

/// What is remembered from sweep to sweep.
#[derive(Default)]
struct Memory {
    streams: HashMap<StreamId, SweepMemory>,
    orphans: HashMap<RoomName, u32>,
    round: u64,
}

/// What one sweep did.
#[derive(Default)]
struct Report {
    compared: usize,
    drift: Vec<Drift>,
}

pub(super) async fn run(orchestrator: Orchestrator, leases: Arc<Leases>) {
    let mut memory = Memory::default();
    let mut calm = CALM;
    loop {
        let interval = orchestrator.inner.jobs.sweep_interval;
        let interval = if calm < CALM { interval / HURRY } else { interval };
        if !orchestrator.pause(interval).await {
            return;
        }
        match sweep(&orchestrator, &leases.fences(), &mut memory).await {
            Ok(report) => {
                calm = if report.drift.is_empty() { calm.saturating_add(1) } else { 0 };
                publish(&orchestrator, &report);
            }
            // A sweep that was not answered counts for nothing.
            Err(error) => {
                metrics::counter!("livestream_sweeps_total", "outcome" => "failed").increment(1);
                tracing::debug!(%error, "a sweep was not answered");
            }
        }
    }
}

async fn sweep(orchestrator: &Orchestrator, fences: &[Fence], memory: &mut Memory) -> Result<Report, UseCaseError> {
    let fences: HashMap<Partition, Fence> = fences.iter().map(|fence| (fence.partition, *fence)).collect();
    if fences.is_empty() {
        *memory = Memory::default();
        return Ok(Report::default());
    }
    memory.round += 1;
    let started = Instant::now();
    // Our own list is read first: a room that is made in between is not missed.
    let heads = active_heads(orchestrator, &fences).await?;
    let rooms = list_rooms(orchestrator).await?;
    let by_name: HashMap<&RoomName, &RoomSnapshot> = rooms.iter().map(|room| (&room.name, room)).collect();
    let mut report = Report { compared: heads.len(), drift: Vec::new() };
    let plan = Plan::new(orchestrator, &heads, &by_name, memory.round);
    let known: HashSet<StreamId> = heads.iter().map(|head| head.id.clone()).collect();
    memory.streams.retain(|id, _| known.contains(id));
    let mut failures = 0;
    for head in &heads {
        let Some(fence) = fences.get(&Partition::of(&head.id)).copied() else { continue };
        let room = by_name.get(&head.room.name).copied();
        match compare(orchestrator, head, room, &plan, memory, fence).await {
            Ok(drift) => {
                failures = 0;
                report.drift.extend(drift);
            }
            // One room that LiveKit can't tell about must not keep all others from being looked at.
            Err(error) => {
                failures += 1;
                tracing::debug!(stream = %head.id, %error, "a stream could not be compared");
                if failures >= MOST_FAILURES {
                    return Err(error);
                }
            }
        }
    }
    let active: HashSet<&RoomName> = heads.iter().map(|head| &head.room.name).collect();
    let others = rooms.iter().filter(|room| !active.contains(&room.name));
    sweep_orphans(orchestrator, others, &fences, memory).await;
    metrics::histogram!("livestream_sweep_seconds").record(started.elapsed().as_secs_f64());
    metrics::gauge!("livestream_sweep_bound_seconds").set(plan.bound(orchestrator).as_secs_f64());
    Ok(report)
}

async fn list_rooms(orchestrator: &Orchestrator) -> Result<Vec<RoomSnapshot>, UseCaseError> {
    match orchestrator.inner.rooms.list_rooms().await {
        Ok(rooms) => {
            orchestrator.inner.health.livekit_answered();
            Ok(rooms)
        }
        Err(error) => {
            orchestrator.inner.health.livekit_failed(&error);
            Err(error.into())
        }
    }
}

async fn active_heads(
    orchestrator: &Orchestrator,
    fences: &HashMap<Partition, Fence>,
) -> Result<Vec<Head>, UseCaseError> {
    let mut heads = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let query = ListQuery { phases: Phase::ACTIVE.to_vec(), limit: PAGE, cursor: cursor.take(), hidden: true };
        let page = orchestrator.inner.store.list(&query).await?;
        heads.extend(page.items.into_iter().filter(|head| fences.contains_key(&Partition::of(&head.id))));
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(heads),
        }
    }
}

/// Of which streams the participants are listed in this sweep.
struct Plan {
    busy: usize,
    full: bool,
    round: u64,
    pace: Duration,
    now: Timestamp,
}

impl Plan {
    fn new(orchestrator: &Orchestrator, heads: &[Head], rooms: &HashMap<&RoomName, &RoomSnapshot>, round: u64) -> Self {
        let now = orchestrator.now();
        let busy = heads.iter().filter(|head| is_busy(head, rooms.get(&head.room.name).copied(), now)).count();
        let jobs = &orchestrator.inner.jobs;
        let full = busy <= jobs.sweep_full_rooms;
        let pace = if full { Duration::ZERO } else { Duration::from_secs(1) / jobs.sweep_calls_per_second.max(1) };
        Self { busy, full, round, pace, now }
    }

    fn lists(&self, head: &Head, room: &RoomSnapshot) -> bool {
        if !is_busy(head, Some(room), self.now) {
            return false;
        }
        // LiveKit's count is late, but a difference is worth a look.
        let differs = head.keepers != room.num_participants || head.room.sid.as_ref() != Some(&room.sid);
        let turn = head.started_at.as_millis().rem_euclid(ROTATION.cast_signed()).cast_unsigned();
        self.full || differs || head.may_have_bans(self.now) || turn == self.round % ROTATION
    }

    /// The state equals LiveKit's this long after the first sweep that finds a difference.
    fn bound(&self, orchestrator: &Orchestrator) -> Duration {
        let interval = orchestrator.inner.jobs.sweep_interval;
        if self.full {
            return interval * 2 + Duration::from_secs(5);
        }
        let calls = u32::try_from(self.busy).unwrap_or(u32::MAX);
        interval * u32::try_from(ROTATION).unwrap_or(10) + self.pace.saturating_mul(calls)
    }
}

/// Somebody may be there. Where somebody is banned LiveKit's count is not believed: it is up to five seconds late, and
/// for so long nobody would look who has come into an empty room.
fn is_busy(head: &Head, room: Option<&RoomSnapshot>, now: Timestamp) -> bool {
    head.keepers > 0 || head.people > 0 || room.is_some_and(|room| room.num_participants > 0 || head.may_have_bans(now))
}

async fn compare(
    orchestrator: &Orchestrator,
    head: &Head,
    room: Option<&RoomSnapshot>,
    plan: &Plan,
    memory: &mut Memory,
    fence: Fence,
) -> Result<Vec<Drift>, UseCaseError> {
    if let Some(room) = room {
        orchestrator.correct_metadata(head, room, fence).await?;
    }
    let before = memory.streams.get(&head.id).cloned().unwrap_or_default();
    let list = room.is_some_and(|room| plan.lists(head, room));
    if room.is_some() && !list && before.is_empty() && room.map(|r| &r.sid) == head.room.sid.as_ref() {
        return Ok(Vec::new());
    }
    if list && !plan.pace.is_zero() {
        tokio::time::sleep(plan.pace).await;
    }
    let room = match room {
        Some(room) if Some(&room.sid) != head.room.sid.as_ref() && orchestrator.may_adopt(room) => {
            if !orchestrator.adopt_room(&head.id, room, Some(fence)).await? {
                // Somebody was faster, or the list is old. The room is there: it must not count as missed.
                return Ok(Vec::new());
            }
            Some(room)
        }
        Some(room) if Some(&room.sid) != head.room.sid.as_ref() => None,
        room => room,
    };
    let mut after = before;
    let drift = orchestrator.reconcile(&head.id, room, list, &mut after, Some(fence)).await?;
    if after.is_empty() {
        memory.streams.remove(&head.id);
    } else {
        memory.streams.insert(head.id.clone(), after);
    }
    Ok(drift)
}

/// Rooms with our mark that no stream has, seen in two sweeps.
async fn sweep_orphans(
    orchestrator: &Orchestrator,
    rooms: impl Iterator<Item = &RoomSnapshot>,
    fences: &HashMap<Partition, Fence>,
    memory: &mut Memory,
) {
    let former = std::mem::take(&mut memory.orphans);
    for room in rooms {
        let Some(mark) = orchestrator.own_mark(&room.metadata) else { continue };
        if !fences.contains_key(&Partition::of(&mark.id)) || !orchestrator.is_orphan(room, &mark).await {
            continue;
        }
        let seen = former.get(&room.name).map_or(1, |n| n + 1);
        if seen < ORPHAN_MISSES {
            memory.orphans.insert(room.name.clone(), seen);
        } else if let Err(error) = orchestrator.remove_orphan(room).await {
            tracing::warn!(room = %room.name, %error, "an orphan room could not be removed yet");
            memory.orphans.insert(room.name.clone(), seen);
        }
    }
}

fn publish(orchestrator: &Orchestrator, report: &Report) {
    metrics::counter!("livestream_sweeps_total", "outcome" => "ok").increment(1);
    let now = orchestrator.now();
    for drift in &report.drift {
        metrics::counter!("livestream_sweep_drift_total", "kind" => drift.kind.as_str()).increment(1);
        if let Some(since) = drift.since {
            let seconds = now.since(since).as_secs_f64();
            metrics::histogram!("livestream_convergence_seconds", "kind" => drift.kind.as_str()).record(seconds);
        }
    }
    if !report.drift.is_empty() {
        tracing::info!(
            streams = report.compared,
            drift = report.drift.len(),
            "the sweep found what no webhook had reported"
        );
    }
}
