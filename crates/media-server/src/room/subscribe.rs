//! Who receives which track.
//!
//! Everything that can change the answer (a join, a publication, a wish, a permission) ends in
//! [`Rooms::reconcile`], which compares what should be with what the engine was told.

use std::time::Duration;

use livekit_protocol as proto;
use livekit_protocol::signal_response::Message;
use livekit_protocol::{SubscriptionError, UpdateSubscription, UpdateTrackSettings};
use sfu::{ParticipantId, TrackId};

use super::publish::quality;
use super::{Now, Rooms};

/// How long a wish for an unknown track is remembered.
const WAIT_FOR_TRACK: Duration = Duration::from_secs(60);

/// Rules about its audience one publisher may have; further ones allow nothing.
const AUDIENCE: usize = 1_000;

/// Track sids one participant may have wishes about.
const SUBSCRIPTIONS: usize = 4_096;

impl Rooms {
    /// A new participant gets what is there.
    pub(super) fn subscribe_to_all(&mut self, viewer: ParticipantId) {
        for track in self.room_tracks(viewer) {
            self.reconcile(viewer, track);
        }
    }

    /// A new track goes to who is there.
    pub(super) fn offer_to_all(&mut self, track: TrackId) {
        let Some(owner) = self.tracks.get(&track).and_then(|t| self.participants.get(&t.owner)) else {
            return;
        };
        let viewers: Vec<_> = self.rooms[&owner.room].members.iter().copied().collect();
        for viewer in viewers {
            self.reconcile(viewer, track);
        }
    }

    /// A participant (or an administrator for it) asks for tracks or declines them.
    pub(super) fn update_subscription(&mut self, now: Now, viewer: ParticipantId, request: &UpdateSubscription) {
        let listed = request.participant_tracks.iter().flat_map(|p| &p.track_sids);
        let sids: std::collections::BTreeSet<_> = request.track_sids.iter().chain(listed).collect();
        for sid in sids {
            self.want(now, viewer, sid, request.subscribe);
        }
    }

    fn want(&mut self, now: Now, viewer: ParticipantId, sid: &str, wanted: bool) {
        let track = self.visible_track(viewer, sid);
        let Some(p) = self.participants.get_mut(&viewer) else {
            return;
        };
        if p.subscriptions.len() >= SUBSCRIPTIONS && !p.subscriptions.contains_key(sid) {
            return;
        }
        let entry = p.subscriptions.entry(sid.to_owned()).or_default();
        entry.wanted = Some(wanted);
        entry.give_up = (wanted && track.is_none()).then_some(now.at + WAIT_FOR_TRACK);
        p.waits_for_tracks |= entry.give_up.is_some();
        if let Some(track) = track {
            self.reconcile(viewer, track);
        }
    }

    /// How a participant shows tracks.
    pub(super) fn track_settings(&mut self, viewer: ParticipantId, request: &UpdateTrackSettings) {
        let settings = sfu::TrackSettings {
            disabled: request.disabled,
            quality: quality(request.quality()).unwrap_or(sfu::Quality::Low),
            width: request.width,
            height: request.height,
            fps: request.fps,
            // In the protocol 1 is the highest and 0 means unset.
            priority: request.priority.checked_sub(1).map_or(0, |rank| u32::MAX - rank),
        };
        for sid in &request.track_sids {
            let track = self.visible_track(viewer, sid);
            let Some(p) = self.participants.get_mut(&viewer) else {
                return;
            };
            if p.subscriptions.len() >= SUBSCRIPTIONS && !p.subscriptions.contains_key(sid) {
                continue;
            }
            p.subscriptions.entry(sid.clone()).or_default().settings = Some(settings);
            if let Some(track) = track {
                self.media(sfu::Command::SetTrackSettings { participant: viewer, track, settings });
            }
        }
    }

    /// A publisher says who may receive its tracks.
    pub(super) fn set_audience(&mut self, owner: ParticipantId, audience: proto::SubscriptionPermission) {
        let Some(p) = self.participants.get_mut(&owner) else {
            return;
        };
        p.audience = audience;
        p.audience.track_permissions.truncate(AUDIENCE);
        for track in p.tracks.clone() {
            self.offer_to_all(track);
        }
    }

    /// Makes the engine deliver a track, or stop, as wishes and permissions now say.
    pub(super) fn reconcile(&mut self, viewer: ParticipantId, track: TrackId) {
        let Some((wanted, admitted)) = self.judge(viewer, track) else {
            return;
        };
        let Some(entry) = self.tracks.get_mut(&track) else {
            return;
        };
        let (sid, owner) = (entry.info.sid.clone(), entry.owner);
        let Some(p) = self.participants.get_mut(&viewer) else {
            return;
        };
        let subscription = p.subscriptions.entry(sid.clone()).or_default();
        subscription.give_up = None;
        let was = std::mem::replace(&mut subscription.active, wanted && admitted);
        let refused = std::mem::replace(&mut subscription.refused, wanted && !admitted);
        let settings = subscription.settings;
        match (was, wanted && admitted) {
            (false, true) => {
                entry.viewers.insert(viewer);
                self.media(sfu::Command::Subscribe { participant: viewer, track });
                if let Some(settings) = settings {
                    self.media(sfu::Command::SetTrackSettings { participant: viewer, track, settings });
                }
            }
            (true, false) => {
                entry.viewers.remove(&viewer);
                self.media(sfu::Command::Unsubscribe { participant: viewer, track });
            }
            _ => {}
        }
        if refused != (wanted && !admitted) {
            self.tell_admission(viewer, owner, sid, admitted);
        }
    }

    /// Whether the viewer wants this published track of another one in its room, and whether the
    /// publisher lets it.
    fn judge(&self, viewer: ParticipantId, track: TrackId) -> Option<(bool, bool)> {
        let entry = self.tracks.get(&track).filter(|t| t.published && t.owner != viewer)?;
        let p = self.participants.get(&viewer)?;
        let owner = self.participants.get(&entry.owner).filter(|o| o.room == p.room && !o.permission.hidden)?;
        let asked = p.subscriptions.get(&entry.info.sid).and_then(|s| s.wanted).unwrap_or(p.auto_subscribe);
        Some((asked && p.permission.can_subscribe, owner.admits(p, &entry.info.sid)))
    }

    fn tell_admission(&mut self, viewer: ParticipantId, owner: ParticipantId, track_sid: String, allowed: bool) {
        let participant_sid = self.participants.get(&owner).map(|o| o.sid.clone()).unwrap_or_default();
        self.send(
            viewer,
            Message::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid,
                track_sid,
                allowed,
            }),
        );
    }

    /// Wishes for tracks that did not appear in time.
    pub(super) fn give_up_waiting(&mut self, now: Now, viewer: ParticipantId) {
        let Some(p) = self.participants.get_mut(&viewer).filter(|p| p.waits_for_tracks) else {
            return;
        };
        p.waits_for_tracks = p.subscriptions.values().any(|s| s.give_up.is_some_and(|at| now.at < at));
        let late = |s: &super::model::Subscription| s.give_up.is_some_and(|at| now.at >= at);
        let lost: Vec<_> = p.subscriptions.iter().filter(|(_, s)| late(s)).map(|(sid, _)| sid.clone()).collect();
        for track_sid in lost {
            if let Some(p) = self.participants.get_mut(&viewer) {
                p.subscriptions.remove(&track_sid);
            }
            let err = SubscriptionError::SeTrackNotfound.into();
            self.send(viewer, Message::SubscriptionResponse(proto::SubscriptionResponse { track_sid, err }));
        }
    }

    /// Forgets a leaving participant as a viewer.
    pub(super) fn drop_subscriptions(&mut self, viewer: ParticipantId) {
        let sids: Vec<_> = self.participants[&viewer].subscriptions.keys().cloned().collect();
        for sid in sids {
            if let Some(track) = self.track_sids.get(&sid).and_then(|t| self.tracks.get_mut(t)) {
                track.viewers.remove(&viewer);
            }
        }
    }

    /// Published tracks of the room a participant is in.
    fn room_tracks(&self, of: ParticipantId) -> Vec<TrackId> {
        let room = &self.rooms[&self.participants[&of].room];
        room.members.iter().flat_map(|m| &self.participants[m].tracks).copied().collect()
    }

    /// A published track by sid, if it is in the viewer's room.
    fn visible_track(&self, viewer: ParticipantId, sid: &str) -> Option<TrackId> {
        let track = *self.track_sids.get(sid)?;
        let entry = self.tracks.get(&track).filter(|t| t.published)?;
        let room = |p: &ParticipantId| self.participants.get(p).map(|p| p.room);
        (room(&entry.owner)? == room(&viewer)?).then_some(track)
    }
}
