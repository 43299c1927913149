//! Requests of one kind: how many a second, how long each takes, what each costs the server.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Clock;
use crate::figures::{Quantiles, each_us, percent};
use crate::paced::{self, Outcome, Pace, Write};
use crate::process::{Processes, own_cpu};
use crate::report::Lines;
use crate::stop::Stop;
use crate::target::Target;

/// How requests are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestLoad {
    /// Kept connections, each with one request at a time.
    pub(crate) connections: usize,
    /// In a second; `None`: as fast as they are answered.
    pub(crate) rate: Option<f64>,
    /// How long.
    pub(crate) duration: Duration,
}

/// What was seen.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestReport {
    /// Connections that sent them.
    pub(crate) connections: usize,
    /// Answered with success.
    pub(crate) answered: u64,
    /// In a second.
    pub(crate) rate: f64,
    /// Answered with 429 or 503.
    pub(crate) refused: u64,
    /// The first refusal, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refusal: Option<String>,
    /// Until the answer; with a rate from when the request was due.
    pub(crate) time: Quantiles,
    /// CPU of the server for each, all it did meanwhile included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_us_each: Option<f64>,
    /// CPU of the server, in per cent of a core.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server_cpu_percent: Option<f64>,
    /// CPU of this program, in per cent of a core.
    pub(crate) own_cpu_percent: f64,
}

/// Sends requests and watches what they cost.
pub(crate) fn send(
    target: &Target,
    load: RequestLoad,
    server: &Processes,
    stop: &Stop,
    write: Write<'_>,
) -> anyhow::Result<RequestReport> {
    let (cpu, own) = (server.cpu(), own_cpu());
    let outcome = paced::run(target.address, Clock::start(), load.pace(), stop, write)?;
    let used = server.cpu().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    let used = used.filter(|_| !server.is_empty());
    Ok(RequestReport {
        server_cpu_us_each: each_us(used, outcome.answered),
        server_cpu_percent: used.map(|used| percent(used, outcome.elapsed)),
        own_cpu_percent: percent(own_cpu() - own, outcome.elapsed),
        ..RequestReport::of(load.connections, outcome)
    })
}

impl RequestLoad {
    pub(crate) fn pace(self) -> Pace {
        Pace { rate: self.rate, connections: self.connections, duration: self.duration, most: u64::MAX }
    }
}

impl RequestReport {
    /// Without what processes used.
    pub(crate) fn of(connections: usize, outcome: Outcome) -> Self {
        Self {
            connections,
            answered: outcome.answered,
            rate: outcome.answered as f64 / outcome.elapsed.as_secs_f64().max(1e-9),
            refused: outcome.refused,
            refusal: outcome.refusal,
            time: outcome.times.quantiles(),
            server_cpu_us_each: None,
            server_cpu_percent: None,
            own_cpu_percent: 0.0,
        }
    }

    /// As lines of a table.
    pub(crate) fn lines(&self, what: &str) -> Lines {
        let mut lines = Lines::default();
        lines.add(what, format!("{} over {} connections, {:.1} a second", self.answered, self.connections, self.rate));
        lines.add("answered in", self.time);
        if let Some(refusal) = &self.refusal {
            lines.add("refused", format!("{}, the first: {refusal}", self.refused));
        }
        if let Some(each) = self.server_cpu_us_each {
            lines.add("server CPU for each", format!("{each:.1} µs"));
        }
        if let Some(percent) = self.server_cpu_percent {
            lines.add("server CPU", format!("{percent:.1} % of a core"));
        }
        if self.own_cpu_percent > 0.0 {
            lines.add("CPU of this program", format!("{:.1} % of a core", self.own_cpu_percent));
        }
        lines
    }
}
