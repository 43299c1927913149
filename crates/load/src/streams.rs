//! The streams of a run: created before it, removed after it whatever happened in between.

use std::time::Duration;

use anyhow::ensure;
use serde_json::json;

use crate::client::Client;
use crate::clock::Clock;
use crate::paced::{self, Pace};
use crate::stop::Stop;
use crate::subject::{Requests, path_of};
use crate::target::Target;

/// Connections that create and remove.
const CONNECTIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(300);

/// Streams that live as long as this.
pub(crate) struct Streams<'a> {
    target: &'a Target,
    requests: Requests,
    ids: Vec<String>,
}

impl<'a> Streams<'a> {
    /// Creates `count` streams with names of their own.
    pub(crate) fn create(target: &'a Target, requests: &Requests, count: usize, stop: &Stop) -> anyhow::Result<Self> {
        let run: u32 = rand::random();
        let ids: Vec<String> = (0..count).map(|number| format!("bench-{run:08x}-{number}")).collect();
        let body = |id: &str| json!({ "name": id, "title": "livestream bench" });
        // The first alone: what is wrong with all of them is told once, and clearly.
        let mut client = Client::new(target.address);
        client.expect("create a stream", &requests.json("POST", "/streams", &body(&ids[0])))?;
        let streams = Self { target, requests: requests.clone(), ids };
        let write = |number: u64, _: u64| requests.json("POST", "/streams", &body(&streams.ids[number as usize + 1]));
        let created = paced::run(target.address, Clock::start(), all_of(count - 1), stop, &write)?;
        let refusal = created.refusal.unwrap_or_default();
        ensure!(created.refused == 0, "{} of {count} streams can't be created: {refusal}", created.refused);
        Ok(streams)
    }

    /// Their ids.
    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }
}

impl Drop for Streams<'_> {
    fn drop(&mut self) {
        let remove = |number: u64, _: u64| {
            self.requests.plain("DELETE", &format!("/streams/{}", path_of(&self.ids[number as usize])))
        };
        // Also after being asked to stop; what can't be removed now ends by itself, as nobody ever joined it.
        let _ = paced::run(self.target.address, Clock::start(), all_of(self.ids.len()), &Stop::default(), &remove);
    }
}

fn all_of(count: usize) -> Pace {
    Pace { rate: None, connections: CONNECTIONS.min(count), duration: PATIENCE, most: count as u64 }
}
