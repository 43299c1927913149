//! The members of the server's answers that are shown to people. What else an answer holds is passed on as JSON.

use serde::Deserialize;

/// A stream in a list or in the lobby.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Summary {
    pub(crate) stream_id: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) phase: String,
    pub(crate) participant_count: u64,
    pub(crate) started_at: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) end_reason: Option<String>,
    /// In lists of finished streams, as the next two are.
    pub(crate) peak_participants: Option<u64>,
    pub(crate) total_joins: Option<u64>,
    pub(crate) epoch: String,
    pub(crate) version: u64,
}

/// The state of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct State {
    pub(crate) stream_id: String,
    pub(crate) title: Option<String>,
    pub(crate) status: String,
    pub(crate) phase: String,
    pub(crate) phase_since: String,
    pub(crate) participants: Vec<String>,
    pub(crate) peak_participants: u64,
    pub(crate) total_joins: u64,
    pub(crate) started_at: String,
    pub(crate) end_reason: Option<String>,
    pub(crate) closing: bool,
    pub(crate) epoch: String,
    pub(crate) version: u64,
}

impl State {
    /// Over, and its room is gone: nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        self.status == "finished" && !self.closing
    }
}
