//! States as server-sent events.

use std::collections::BTreeSet;

use bytes::Bytes;
use domain::{Identity, StreamId, StreamView};
use hub::{Encoder, Shape};
use serde::Serialize;

use crate::api::{LobbySnapshot, People, RemovedStream, StreamState, StreamSummary};

/// Room for the frame around a state and its fixed members.
const USUAL_STATE: usize = 512;

/// The encoder to be given to the [`hub::Hub`] that this server reads from.
#[derive(Debug, Clone, Copy, Default)]
pub struct SseEncoder;

impl Encoder for SseEncoder {
    /// `id: <epoch>-<version>` and the JSON that `/state` answers, without an
    /// `event:` line: those are the classic bytes.
    fn state(&self, shape: Shape, view: &StreamView, people: &BTreeSet<Identity>) -> Bytes {
        let people = matches!(shape, Shape::Full).then_some(People::Set(people));
        let mut event = Vec::with_capacity(USUAL_STATE);
        event.extend_from_slice(b"id: ");
        event.extend_from_slice(view.epoch.as_str().as_bytes());
        event.extend_from_slice(format!("-{}\n", view.version).as_bytes());
        with_data(event, &StreamState::new(view, people))
    }

    fn lobby_snapshot(&self, streams: &[&StreamView], total: usize) -> Bytes {
        let streams = streams.iter().map(|view| StreamSummary::from(*view)).collect();
        with_data(b"event: snapshot\n".to_vec(), &LobbySnapshot { streams, total })
    }

    fn lobby_upsert(&self, view: &StreamView) -> Bytes {
        with_data(b"event: upsert\n".to_vec(), &StreamSummary::from(view))
    }

    fn lobby_remove(&self, stream_id: &StreamId) -> Bytes {
        with_data(b"event: remove\n".to_vec(), &RemovedStream { stream_id })
    }
}

/// Ends the event with its data. JSON has no line break, so one `data:` line is enough.
fn with_data(mut event: Vec<u8>, data: &impl Serialize) -> Bytes {
    event.extend_from_slice(b"data: ");
    if let Err(error) = serde_json::to_writer(&mut event, data) {
        // Writing to memory can't fail, and no type here refuses to be written.
        tracing::error!(%error, "an event can't be encoded");
    }
    event.extend_from_slice(b"\n\n");
    event.into()
}
