//! The API's JSON: one type per answer and per body, with its schema. Classic
//! members come first and in their classic order.

mod requests;
mod responses;

pub(crate) use requests::{
    CreateStreamBody, JoinStreamBody, LeaveStreamBody, MuteBody, PatchParticipantBody, PatchStreamBody,
};
pub(crate) use responses::{
    CreatedStream, HealthReport, JoinedStream, LobbySnapshot, PartReport, ParticipantEntry, People, Readiness,
    ReadinessReport, RemovedStream, StreamDetails, StreamState, StreamSummary,
};
