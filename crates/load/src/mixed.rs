//! A day in small: subscribers on many streams that change, and joins, pages of the list and webhooks beside them.

use serde::Serialize;

use crate::clock::Clock;
use crate::paced;
use crate::process::Processes;
use crate::report::Lines;
use crate::requests::{RequestLoad, RequestReport};
use crate::sse::{SseLoad, SseReport, watch};
use crate::stop::Stop;
use crate::subject::Subject;
use crate::target::Target;

/// Requests of one kind, at a rate of their own.
pub(crate) struct Part<'a> {
    /// What they are, in the plural.
    pub(crate) what: &'static str,
    /// How they are sent.
    pub(crate) load: RequestLoad,
    /// Writes them.
    pub(crate) write: paced::Write<'a>,
}

/// What was seen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MixedReport {
    sse: SseReport,
    requests: Vec<PartReport>,
}

#[derive(Debug, Serialize)]
struct PartReport {
    what: &'static str,
    #[serde(flatten)]
    report: RequestReport,
}

/// Puts all of it on the server at once. The subscribers' part ends last, and its figures of the server are for everything.
pub(crate) fn run(
    target: &Target,
    subject: &dyn Subject,
    load: &SseLoad,
    parts: &[Part<'_>],
    server: &Processes,
    stop: &Stop,
) -> anyhow::Result<MixedReport> {
    std::thread::scope(|scope| {
        let send = |part: &Part<'_>| {
            let outcome = paced::run(target.address, Clock::start(), part.load.pace(), stop, part.write)?;
            anyhow::Ok(PartReport { what: part.what, report: RequestReport::of(part.load.connections, outcome) })
        };
        let sending: Vec<_> = parts.iter().map(|part| scope.spawn(move || send(part))).collect();
        let sse = watch(target, subject, load, server, stop);
        if sse.is_err() {
            stop.ask();
        }
        let panicked = || anyhow::anyhow!("a thread that sends requests has panicked");
        let requests = sending.into_iter().map(|part| part.join().map_err(|_| panicked())?);
        let requests: anyhow::Result<Vec<_>> = requests.collect();
        Ok(MixedReport { sse: sse?, requests: requests? })
    })
}

impl MixedReport {
    /// As lines of a table.
    pub(crate) fn lines(&self) -> Lines {
        let mut lines = Lines::default();
        lines.section("live updates (the server's figures are for everything)", self.sse.lines());
        for part in &self.requests {
            lines.section(part.what, part.report.lines("requests"));
        }
        lines
    }
}
