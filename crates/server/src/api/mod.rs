//! The API's JSON: one type per answer and per body, with its schema. Classic
//! members come first and in their classic order.

mod requests;
mod responses;

pub(crate) use requests::{
    BanBody, CreateStreamBody, InviteBody, JoinStreamBody, LeaveStreamBody, MuteBody, PatchParticipantBody,
    PatchStreamBody,
};
pub(crate) use responses::{
    BannedPerson, CreatedStream, HealthReport, IssuedInvite, IssuedTicket, JoinedStream, KeyEntry, LobbySnapshot,
    PartReport, ParticipantEntry, People, Readiness, ReadinessReport, RemovedStream, StreamDetails, StreamState,
    StreamSummary,
};
