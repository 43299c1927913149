//! What is counted of handed-over sockets. No label holds a stream id.

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// The reader went.
    Reader,
    /// The stream's record is gone.
    Over,
    /// It was open for its time.
    Age,
    /// Shutdown.
    Drain,
    /// The reader took nothing for too long.
    Stalled,
    /// The reader sent what nobody asked for.
    Input,
    /// Trouble on our side.
    Failed,
}

impl Reason {
    const ALL: [(Self, &'static str); 7] = [
        (Self::Reader, "reader"),
        (Self::Over, "over"),
        (Self::Age, "age"),
        (Self::Drain, "drain"),
        (Self::Stalled, "stalled"),
        (Self::Input, "input"),
        (Self::Failed, "failed"),
    ];
}

/// The handles of one kind of topic.
pub(super) struct KindMeters {
    pub(super) connections: Gauge,
    pub(super) events: Counter,
    closed: Vec<(Reason, Counter)>,
}

/// Handles that are registered once and then only added to.
pub(super) struct Meters {
    streams: KindMeters,
    lobby: KindMeters,
    /// Writes of which the kernel took a part.
    pub(super) partial: Counter,
    /// Writes of which it took nothing.
    pub(super) refused: Counter,
    /// States that a slow reader was not sent, because there was a newer one.
    pub(super) skipped: Counter,
    pub(super) heartbeats: Counter,
    /// Seconds of a turn, during which nobody else is served.
    pub(super) turns: Histogram,
    pub(super) panics: Counter,
}

impl KindMeters {
    fn new(topic: &'static str) -> Self {
        let closed = |reason: &'static str| counter!("livestream_sse_closed_total", "topic" => topic, "path" => "handed_over", "reason" => reason);
        Self {
            connections: gauge!("livestream_sse_connections", "topic" => topic, "path" => "handed_over"),
            events: counter!("livestream_sse_events_total", "topic" => topic, "path" => "handed_over"),
            closed: Reason::ALL.map(|(reason, name)| (reason, closed(name))).into(),
        }
    }

    pub(super) fn closed(&self, reason: Reason) {
        self.connections.decrement(1.0);
        if let Some((_, counter)) = self.closed.iter().find(|(known, _)| *known == reason) {
            counter.increment(1);
        }
    }
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            streams: KindMeters::new("stream"),
            lobby: KindMeters::new("lobby"),
            partial: counter!("livestream_sse_writes_total", "outcome" => "partial"),
            refused: counter!("livestream_sse_writes_total", "outcome" => "refused"),
            skipped: counter!("livestream_sse_skipped_states_total"),
            heartbeats: counter!("livestream_sse_heartbeats_total"),
            turns: histogram!("livestream_sse_turn_duration_seconds"),
            panics: counter!("livestream_sse_panics_total"),
        }
    }

    pub(super) fn kind(&self, is_lobby: bool) -> &KindMeters {
        if is_lobby { &self.lobby } else { &self.streams }
    }
}
