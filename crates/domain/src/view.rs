//! What the outside may see of a stream, and the notice that says it changed.

use serde::{Deserialize, Serialize};

use crate::{EndReason, Epoch, Head, Identity, Phase, StreamId, Timestamp, Visibility};

/// The visible part of a head: the state without the list of people.
///
/// A commit raises the version exactly when this, or the list, differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamView {
    /// The stream.
    pub id: StreamId,
    /// The creator's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Who finds it.
    #[serde(default, skip_serializing_if = "Visibility::is_public")]
    pub visibility: Visibility,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when it is in this phase.
    pub phase_since: Timestamp,
    /// When the phase ends by itself, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase_until: Option<Timestamp>,
    /// When this generation was opened.
    pub started_at: Timestamp,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// The room is still to be removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closing: bool,
    /// Distinct people now.
    pub people: u32,
    /// Most people at once.
    pub peak: u32,
    /// Connections of people, all told.
    pub joins: u64,
    /// Versions compare within it.
    pub epoch: Epoch,
    /// Of this state.
    pub version: u64,
}

impl From<&Head> for StreamView {
    fn from(head: &Head) -> Self {
        Self {
            id: head.id.clone(),
            title: head.settings.title.clone(),
            visibility: head.settings.visibility,
            phase: head.phase,
            phase_since: head.phase_since,
            phase_until: head.phase_until,
            started_at: head.started_at,
            ended_at: head.ended_at,
            end_reason: head.end_reason,
            closing: head.closing(),
            people: head.people,
            peak: head.peak,
            joins: head.joins,
            epoch: head.epoch.clone(),
            version: head.version,
        }
    }
}

impl StreamView {
    /// `"<epoch>-<version>"`, the ETag and SSE id (without the quotes).
    pub fn tag(&self) -> String {
        format!("{}-{}", self.epoch, self.version)
    }
}

/// Published with a commit to everybody who watches the stream or the lobby.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Which stream.
    pub id: StreamId,
    /// What became of it.
    #[serde(flatten)]
    pub body: NoticeBody,
}

/// What a notice says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum NoticeBody {
    /// The next version. A receiver whose version is not `view.version - 1` of
    /// the same epoch has missed something and reads the stream again.
    Changed {
        /// The new visible state.
        view: Box<StreamView>,
        /// People who came.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        joined: Vec<Identity>,
        /// People who went.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left: Vec<Identity>,
        /// Everybody went; `left` does not name them.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cleared: bool,
    },
    /// The record is gone: retention is over.
    Removed {
        /// Epoch of the record that went.
        epoch: Epoch,
        /// Its last version.
        version: u64,
    },
}
