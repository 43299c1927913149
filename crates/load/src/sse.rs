//! Subscribers who watch while what they watch is changed: what each event costs, and how late it is.

use std::time::Duration;

use anyhow::ensure;
use serde::Serialize;

use crate::clock::{Clock, Mark};
use crate::crowd::Crowd;
use crate::figures::{Quantiles, each_us, percent};
use crate::paced::{self, Outcome, Pace};
use crate::process::{Held, Processes, held, own_cpu};
use crate::report::Lines;
use crate::stop::Stop;
use crate::subject::Subject;
use crate::target::Target;

/// Between the last connection and the look at the memory.
const SETTLE: Duration = Duration::from_secs(1);
/// Longest wait for the last events.
const GRACE: Duration = Duration::from_secs(5);
/// Files that this program has open besides the subscriptions.
const OTHER_FILES: usize = 64;
/// From here on the load itself may be what is late, in per cent of a core.
const BUSY: f64 = 85.0;

/// How many watch how much.
#[derive(Debug, Clone, Copy)]
pub struct SseLoad {
    /// Subscribers that read.
    pub connections: usize,
    /// Topics that they are spread over.
    pub topics: usize,
    /// Changes in a second, over all topics.
    pub rate: f64,
    /// How long changes are made.
    pub duration: Duration,
    /// Further subscribers that never read.
    pub stalled: usize,
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SseReport {
    /// Subscribers that read.
    pub connections: usize,
    /// Topics that they were spread over.
    pub topics: usize,
    /// Changes made.
    pub changes: u64,
    /// Changes in a second.
    pub rate: f64,
    /// Body bytes per event, framing of chunks taken off.
    pub bytes_per_event: f64,
    /// From the start of a connection to the head of its answer.
    pub opening: Quantiles,
    /// Events that there should be: changes times those who watch.
    pub expected: u64,
    /// Events that came.
    pub delivered: u64,
    /// Events that did not come because a newer state came instead.
    pub superseded: u64,
    /// Events that did not come, and nothing newer either.
    pub lost: u64,
    /// Events that came after a newer one.
    pub out_of_order: u64,
    /// Events with a change that had come before: somebody else has changed the topic too, or it was sent twice.
    pub repeated: u64,
    /// Subscriptions that the server ended.
    pub ended: usize,
    /// From sending a change to its arrival at a subscriber.
    pub delay: Quantiles,
    /// From sending a change to the answer to it.
    pub change: Quantiles,
    /// What the server used; unknown where its process can't be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUse>,
    /// CPU of this program while changes were made, in per cent of a core.
    pub own_cpu_percent: f64,
    /// Those that never read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stalled: Option<Held>,
}

/// What the server used.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerUse {
    /// Its processes.
    pub pids: Vec<u32>,
    /// CPU while changes were made, divided by the events delivered.
    pub cpu_us_per_event: f64,
    /// CPU while changes were made, in per cent of a core.
    pub cpu_percent: f64,
    /// CPU of accepting and answering one subscription.
    pub cpu_us_per_opening: f64,
    /// Resident memory before the first subscription, in KiB.
    pub resident_before_kib: f64,
    /// What it grew by with all idle subscriptions open, divided by them, in KiB.
    pub resident_kib_per_connection: f64,
}

/// Puts the load on `target`; ends early, with what there is, when asked to stop.
pub fn watch(
    target: &Target,
    subject: &dyn Subject,
    load: &SseLoad,
    server: &Processes,
    stop: &Stop,
) -> anyhow::Result<SseReport> {
    ensure_files(load.connections + load.stalled + OTHER_FILES)?;
    let clock = Clock::start();
    let mut crowd = Crowd::new(target.address, clock)?;
    let (cpu_before, resident_before) = (server.cpu(), server.resident());
    crowd.open(subject, load.connections, load.topics, stop)?;
    let opened = server.cpu();
    let settled = clock.now() + SETTLE.as_nanos() as u64;
    crowd.receive(|_| clock.now() >= settled || stop.is_asked())?;
    let resident = server.resident();
    crowd.open_stalled(subject, load.stalled, load.topics)?;

    let (cpu, own, begun) = (server.cpu(), own_cpu(), clock.now());
    crowd.seen.bytes = 0;
    let (changes, last) = change(target, subject, load, &mut crowd, clock, stop)?;
    let elapsed = Duration::from_nanos(clock.now() - begun);
    let used = server.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let own = own_cpu() - own;

    let ports = crowd.stalled_ports();
    let delivered = crowd.seen.delivered;
    let server_use = || {
        let grown = resident?.saturating_sub(resident_before?) as f64 / 1024.0;
        Some(ServerUse {
            pids: server.ids().to_vec(),
            cpu_us_per_event: each_us(used, delivered)?,
            cpu_percent: percent(used?, elapsed),
            cpu_us_per_opening: each_us(
                opened.zip(cpu_before).map(|(after, before)| after - before),
                load.connections as u64,
            )?,
            resident_before_kib: resident_before? as f64 / 1024.0,
            resident_kib_per_connection: grown / load.connections as f64,
        })
    };
    let (expected, reached) = crowd.progress(&last);
    Ok(SseReport {
        connections: load.connections,
        topics: load.topics,
        changes: changes.answered,
        rate: changes.answered as f64 / changes.elapsed.as_secs_f64().max(1e-9),
        bytes_per_event: crowd.seen.bytes as f64 / delivered.max(1) as f64,
        opening: crowd.seen.opening.quantiles(),
        expected,
        delivered,
        superseded: reached.saturating_sub(delivered),
        lost: expected.saturating_sub(reached),
        out_of_order: crowd.seen.out_of_order,
        repeated: crowd.seen.repeated,
        ended: crowd.seen.ended,
        delay: crowd.seen.delays.quantiles(),
        change: changes.times.quantiles(),
        server: if server.is_empty() { None } else { server_use() },
        own_cpu_percent: percent(own, elapsed),
        stalled: (load.stalled > 0).then(|| held(target.address.port(), &ports)),
    })
}

/// Changes topics by turns while the crowd receives; gives what became of the changes and the last one of each topic.
fn change(
    target: &Target,
    subject: &dyn Subject,
    load: &SseLoad,
    crowd: &mut Crowd,
    clock: Clock,
    stop: &Stop,
) -> anyhow::Result<(Outcome, Vec<u32>)> {
    let topics = load.topics as u64;
    let write = |number: u64, now: u64| {
        let mark = Mark { number: (number / topics) as u32 + 1, sent: now };
        subject.change((number % topics) as usize, mark)
    };
    // One connection: changes of a topic must not overtake each other on their way to the server.
    let pace = Pace { rate: Some(load.rate), connections: 1, duration: load.duration, most: u64::MAX };
    let changes = std::thread::scope(|scope| {
        let changing = scope.spawn(|| paced::run(target.address, clock, pace, stop, &write));
        crowd.receive(|_| changing.is_finished())?;
        changing.join().map_err(|_| anyhow::anyhow!("the thread that makes changes has panicked"))?
    })?;
    let refusal = changes.refusal.as_deref().unwrap_or_default();
    ensure!(changes.refused == 0, "{} changes were refused: {refusal}", changes.refused);
    let last: Vec<u32> =
        (0..topics).map(|topic| changes.answered.saturating_sub(topic).div_ceil(topics) as u32).collect();
    let patience = clock.now() + GRACE.as_nanos() as u64;
    crowd.receive(|crowd| crowd.is_up_to_date(&last) || clock.now() > patience || stop.is_asked())?;
    Ok((changes, last))
}

/// Raises the limit of open files as far as it goes; fails if that is not far enough.
fn ensure_files(needed: usize) -> anyhow::Result<()> {
    let limit = rlimit::increase_nofile_limit(u64::MAX).unwrap_or_default();
    ensure!(
        limit >= needed as u64,
        "{needed} open files are needed and {limit} are allowed: raise the hard limit (`ulimit -Hn`), or use fewer connections"
    );
    Ok(())
}

impl SseReport {
    /// As lines of a table.
    pub(crate) fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.add("subscribers", format!("{} on {} streams", self.connections, self.topics));
        lines.add("opened in", self.opening);
        lines.add("changes", format!("{}, {:.1} a second, each answered in {}", self.changes, self.rate, self.change));
        lines.add("events expected", self.expected);
        lines.add("delivered", format!("{}, of {:.0} bytes", self.delivered, self.bytes_per_event));
        lines.add("superseded by a newer state", self.superseded);
        lines.add("lost", self.lost);
        lines.add("out of order", self.out_of_order);
        if self.repeated > 0 {
            lines.add("with other changes", self.repeated);
        }
        lines.add("ended by the server", self.ended);
        lines.add("delay until an event is there", self.delay);
        match &self.server {
            Some(server) => server.lines(&mut lines),
            None => lines.add("server", "its process can't be seen: give --pid, or run as its user"),
        }
        if let Some(held) = &self.stalled {
            lines.add("readers that never read", held.readers);
            lines.add("  held by the kernel, at most", held.in_words());
        }
        let busy = if self.own_cpu_percent > BUSY { ": this program was busy, delays are its own too" } else { "" };
        lines.add("CPU of this program", format!("{:.1} % of a core{busy}", self.own_cpu_percent));
        lines
    }
}

impl ServerUse {
    fn lines(&self, lines: &mut Lines) {
        lines.add("server CPU per event", format!("{:.2} µs", self.cpu_us_per_event));
        lines.add("server CPU", format!("{:.1} % of a core", self.cpu_percent));
        lines.add("server CPU per opening", format!("{:.1} µs", self.cpu_us_per_opening));
        let before = self.resident_before_kib / 1024.0;
        let each = self.resident_kib_per_connection;
        lines.add("server memory per subscriber", format!("{each:.2} KiB, on top of {before:.1} MiB"));
    }
}
