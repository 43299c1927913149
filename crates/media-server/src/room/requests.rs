//! What clients say on their signalling connection.

use std::collections::HashMap;

use livekit_protocol as proto;
use livekit_protocol::DisconnectReason;
use livekit_protocol::leave_request::Action;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::signal_request::Message as Asked;
use livekit_protocol::signal_response::Message;
use serde::Deserialize;
use sfu::{ParticipantId, Target};

use super::{ConnId, Now, Rooms};

/// Clients from this protocol on expect an answer to a metadata change that succeeded.
const PROTOCOL_WITH_OK: i32 = 15;

/// The one field of `RTCIceCandidateInit` that matters.
#[derive(Deserialize)]
struct CandidateInit {
    #[serde(default)]
    candidate: String,
}

impl Rooms {
    /// One message of a client. Unknown ones are counted and change nothing.
    pub(crate) fn signal(&mut self, now: Now, conn: ConnId, request: proto::SignalRequest) {
        let Some(&id) = self.conns.get(&conn) else {
            return;
        };
        let Some(message) = request.message else {
            metrics::counter!("media_signal_ignored_total").increment(1);
            return;
        };
        match message {
            Asked::Offer(d) => {
                self.release_offer(id);
                self.media(sfu::Command::Offer { participant: id, id: d.id, sdp: d.sdp });
            }
            Asked::Answer(d) => self.media(sfu::Command::Answer { participant: id, id: d.id, sdp: d.sdp }),
            Asked::Trickle(trickle) => self.trickle(id, &trickle),
            Asked::AddTrack(request) => self.add_track(now, id, request),
            Asked::Mute(request) => self.mute_own(now, id, request),
            Asked::Subscription(request) => self.update_subscription(now, id, &request),
            Asked::TrackSetting(request) => self.track_settings(id, &request),
            Asked::Leave(_) => {
                self.remove(now, id, DisconnectReason::ClientInitiated, Some(Action::Disconnect));
            }
            Asked::SubscriptionPermission(audience) => self.set_audience(id, audience),
            Asked::SyncState(state) => self.sync_state(now, id, state),
            Asked::Ping(_) => self.send(id, Message::Pong(now.ms)),
            Asked::PingReq(ping) => {
                let pong = proto::Pong { last_ping_timestamp: ping.timestamp, timestamp: now.ms };
                self.send(id, Message::PongResp(pong));
            }
            Asked::UpdateMetadata(request) => self.update_own_metadata(now, id, request),
            Asked::UpdateAudioTrack(request) => self.update_audio(now, id, request),
            Asked::UpdateVideoTrack(request) => self.update_video(now, id, request),
            other => self.decline(id, other),
        }
    }

    /// Requests for features this server does not have.
    fn decline(&mut self, id: ParticipantId, message: Asked) {
        metrics::counter!("media_signal_ignored_total").increment(1);
        let why = "data tracks are not supported by this server";
        match message {
            Asked::PublishDataTrackRequest(r) => {
                self.refuse(id, Reason::NotAllowed, why, Request::PublishDataTrack(r));
            }
            Asked::UnpublishDataTrackRequest(r) => {
                self.refuse(id, Reason::NotAllowed, why, Request::UnpublishDataTrack(r));
            }
            _ => {}
        }
    }

    fn trickle(&mut self, id: ParticipantId, trickle: &proto::TrickleRequest) {
        let Ok(init) = serde_json::from_str::<CandidateInit>(&trickle.candidate_init) else {
            return;
        };
        if init.candidate.is_empty() {
            return;
        }
        let target = match trickle.target() {
            proto::SignalTarget::Publisher => Target::Publisher,
            proto::SignalTarget::Subscriber => Target::Subscriber,
        };
        self.media(sfu::Command::Candidate { participant: id, target, candidate: init.candidate });
    }

    /// What a resumed client has: wishes we may have missed, tracks we may not know.
    pub(super) fn sync_state(&mut self, now: Now, id: ParticipantId, state: proto::SyncState) {
        let known = |t: &proto::TrackPublishedResponse| {
            t.track.as_ref().is_none_or(|info| self.own_track(id, &info.sid).is_some())
        };
        if !state.publish_tracks.iter().all(known) {
            return self.remove(now, id, DisconnectReason::StateMismatch, Some(Action::Reconnect));
        }
        if let Some(subscription) = state.subscription {
            self.update_subscription(now, id, &subscription);
        }
        for sid in state.track_sids_disabled {
            let settings = proto::UpdateTrackSettings { track_sids: vec![sid], disabled: true, ..Default::default() };
            self.track_settings(id, &settings);
        }
    }

    fn update_own_metadata(&mut self, now: Now, id: ParticipantId, request: proto::UpdateParticipantMetadata) {
        let Some(p) = self.participants.get(&id) else {
            return;
        };
        let (reason, message) = if !p.permission.can_update_metadata {
            (Reason::NotAllowed, "does not have permission to update own metadata".to_owned())
        } else if let Err(why) = self.check_metadata(id, &request.name, &request.metadata, &request.attributes) {
            (Reason::LimitExceeded, why)
        } else {
            (Reason::Ok, String::new())
        };
        let answers_success = p.client.protocol >= PROTOCOL_WITH_OK;
        let request_id = request.request_id;
        if reason == Reason::Ok {
            self.set_metadata(now, id, request.name.clone(), request.metadata.clone(), request.attributes.clone());
        }
        if reason != Reason::Ok || answers_success {
            self.send(
                id,
                Message::RequestResponse(proto::RequestResponse {
                    request_id,
                    reason: reason.into(),
                    message,
                    request: Some(Request::UpdateMetadata(request)),
                }),
            );
        }
    }

    /// Whether these values fit the limits once they are set.
    pub(super) fn check_metadata(
        &self,
        id: ParticipantId,
        name: &str,
        metadata: &str,
        attributes: &HashMap<String, String>,
    ) -> Result<(), String> {
        let limits = &self.settings.limits;
        if name.len() > limits.name_bytes {
            return Err(format!("name exceeds the limit of {} bytes", limits.name_bytes));
        }
        if metadata.len() > limits.metadata_bytes {
            return Err(format!("metadata exceeds the limit of {} bytes", limits.metadata_bytes));
        }
        let old = self.participants.get(&id).map(|p| &p.claims.attributes);
        let kept = old.into_iter().flatten().filter(|(k, _)| !attributes.contains_key(*k));
        let size: usize = kept.chain(attributes).map(|(k, v)| k.len() + v.len()).sum();
        if size > limits.attributes_bytes {
            return Err(format!("attributes exceed the limit of {} bytes", limits.attributes_bytes));
        }
        Ok(())
    }

    /// Sets what is not empty; an attribute with an empty value is removed. Everybody is told.
    pub(super) fn set_metadata(
        &mut self,
        now: Now,
        id: ParticipantId,
        name: String,
        metadata: String,
        attributes: HashMap<String, String>,
    ) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        if !name.is_empty() {
            p.claims.name = name;
        }
        if !metadata.is_empty() {
            p.claims.metadata = metadata;
        }
        for (key, value) in attributes {
            if value.is_empty() {
                p.claims.attributes.remove(&key);
            } else {
                p.claims.attributes.insert(key, value);
            }
        }
        p.version += 1;
        self.announce_now(now, id);
        self.refresh_token(now, id);
    }
}
