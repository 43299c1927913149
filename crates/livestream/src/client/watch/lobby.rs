//! All streams of a server, as the lobby's events tell of them.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Picture;
use crate::client::model::Summary;
use crate::client::show::{styled, table};
use crate::client::terminal::{BOLD, DIM};

/// The streams that are known.
#[derive(Default)]
pub(super) struct Lobby {
    streams: HashMap<String, Summary>,
    /// How many there are in all; a snapshot may hold fewer.
    total: usize,
    is_known: bool,
}

impl Lobby {
    /// Of one epoch the higher version counts; another epoch replaces what is known.
    fn upsert(&mut self, stream: Summary) {
        let known = self.streams.get(&stream.stream_id);
        if known.is_some_and(|known| known.epoch == stream.epoch && known.version >= stream.version) {
            return;
        }
        self.streams.insert(stream.stream_id.clone(), stream);
        self.total = self.total.max(self.streams.len());
    }

    /// Live ones first, ended ones last, the newest of each first.
    fn sorted(&self) -> Vec<Summary> {
        let rank = |phase: &str| match phase {
            "live" | "reconnecting" => 0,
            "ended" => 2,
            _ => 1,
        };
        let mut streams: Vec<_> = self.streams.values().cloned().collect();
        streams.sort_by(|a, b| {
            (rank(&a.phase), &b.started_at, &a.stream_id).cmp(&(rank(&b.phase), &a.started_at, &b.stream_id))
        });
        streams
    }
}

impl Picture for Lobby {
    fn apply(&mut self, name: &str, data: Value) -> bool {
        match name {
            "snapshot" => {
                let streams = serde_json::from_value::<Vec<Summary>>(data["streams"].clone()).unwrap_or_default();
                self.streams = streams.into_iter().map(|stream| (stream.stream_id.clone(), stream)).collect();
                self.total = data["total"].as_u64().and_then(|total| usize::try_from(total).ok()).unwrap_or(0);
                self.is_known = true;
            }
            "upsert" => {
                if let Ok(stream) = serde_json::from_value(data) {
                    self.upsert(stream);
                }
            }
            "remove" => {
                let removed = self.streams.remove(data["streamId"].as_str().unwrap_or_default());
                self.total -= usize::from(removed.is_some()).min(self.total);
            }
            _ => {}
        }
        true
    }

    fn json(name: &str, data: &Value) -> Value {
        json!({ "event": name, "data": data })
    }

    fn is_known(&self) -> bool {
        self.is_known
    }

    fn lines(&self, now: Timestamp, width: usize, height: usize) -> Vec<String> {
        let streams = self.sorted();
        let live = streams.iter().filter(|stream| stream.phase == "live").count();
        let active = streams.iter().filter(|stream| stream.status == "active");
        let people: u64 = active.map(|stream| stream.participant_count).sum();
        let total = self.total.max(streams.len());
        let (streams_word, people_word) =
            (if total == 1 { "stream" } else { "streams" }, if people == 1 { "person" } else { "people" });
        let mut lines =
            vec![styled(&format!("{total} {streams_word}, {live} live, {people} {people_word}"), BOLD), String::new()];
        if !self.is_known {
            lines[0] = styled("…", DIM);
            return lines;
        }
        // Two lines of heading, one for the columns' names, one for what is left out.
        let shown = height.saturating_sub(4).min(streams.len());
        lines.extend(table(&streams[..shown], now).lines(width));
        if shown < total {
            lines.push(styled(&format!("… and {} more", total - shown), DIM));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(id: &str, phase: &str, version: u64) -> Value {
        json!({ "streamId": id, "phase": phase, "status": "active", "startedAt": "2026-01-01T00:00:00.000Z",
            "participantCount": 2, "epoch": "e", "version": version })
    }

    #[test]
    fn an_older_version_changes_nothing() {
        let mut lobby = Lobby::default();
        lobby
            .apply("snapshot", json!({ "streams": [summary("a", "waiting", 3), summary("b", "live", 1)], "total": 9 }));
        lobby.apply("upsert", summary("a", "live", 2));
        assert_eq!(lobby.sorted().iter().map(|one| one.phase.as_str()).collect::<Vec<_>>(), ["live", "waiting"]);
        lobby.apply("upsert", summary("a", "live", 4));
        lobby.apply("remove", json!({ "streamId": "b" }));
        assert_eq!((lobby.sorted()[0].version, lobby.streams.len(), lobby.total), (4, 1, 8));
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let mut lobby = Lobby::default();
        let streams: Vec<_> = (0..10).map(|at| summary(&format!("s{at}"), "live", 1)).collect();
        lobby.apply("snapshot", json!({ "streams": streams, "total": 10 }));
        let lines = lobby.lines("2026-01-01T00:01:00Z".parse().unwrap(), 80, 8);
        assert!(lines.len() <= 8 && lines.last().unwrap().contains("6 more"), "{lines:#?}");
        assert!(lines[0].contains("10 streams, 10 live, 20 people"), "{lines:#?}");
    }
}
