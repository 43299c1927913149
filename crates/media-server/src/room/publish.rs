//! Announcing, muting, changing and ending tracks.

use livekit_protocol as proto;
use livekit_protocol::request_response::{Reason, Request};
use livekit_protocol::signal_response::Message;
use livekit_protocol::video_layer::Mode;
use livekit_protocol::{AudioTrackFeature, TrackSource, TrackType};
use sfu::{Codec, MediaKind, ParticipantId, TrackId};

use super::model::Track;
use super::{Now, Rooms};
use crate::access::may_publish;

/// Announcements that may wait for their client id to become free, per participant.
const QUEUED_TRACKS: usize = 16;

impl Rooms {
    /// A participant announces a track.
    pub(super) fn add_track(&mut self, now: Now, id: ParticipantId, request: proto::AddTrackRequest) {
        if let Err((reason, why)) = self.check_track(id, &request) {
            return self.refuse(id, reason, why, Request::AddTrack(request));
        }
        if !request.sid.is_empty() {
            return self.add_codec(id, request);
        }
        if self.own_tracks(id).any(|t| t.cid == request.cid) {
            if let Some(p) = self.participants.get_mut(&id) {
                p.queued_tracks.push_back(request.clone());
            }
            return self.refuse(id, Reason::Queued, "the track is still published", Request::AddTrack(request));
        }
        self.create_track(now, id, request);
    }

    fn check_track(&self, id: ParticipantId, request: &proto::AddTrackRequest) -> Result<(), (Reason, &'static str)> {
        let p = &self.participants[&id];
        if !may_publish(&p.permission, request.source()) {
            return Err((Reason::NotAllowed, "no permission to publish this source"));
        }
        if !matches!(TrackType::try_from(request.r#type), Ok(TrackType::Audio | TrackType::Video)) {
            return Err((Reason::UnsupportedType, "only audio and video can be published"));
        }
        let full = p.tracks.len() >= self.settings.limits.tracks_per_participant;
        if full || p.queued_tracks.len() >= QUEUED_TRACKS {
            return Err((Reason::LimitExceeded, "too many tracks"));
        }
        if request.name.len() > self.settings.limits.name_bytes || request.cid.len() > self.settings.limits.name_bytes {
            return Err((Reason::LimitExceeded, "track name or id is too long"));
        }
        Ok(())
    }

    /// Another codec of a track that exists: only its client id is of interest.
    fn add_codec(&mut self, id: ParticipantId, request: proto::AddTrackRequest) {
        let Some(track) = self.own_track(id, &request.sid) else {
            return self.refuse(id, Reason::NotFound, "no such track", Request::AddTrack(request));
        };
        let info = self.tracks[&track].info.clone();
        for codec in &request.simulcast_codecs {
            self.media(sfu::Command::AddTrackCid { track, cid: codec.cid.clone() });
        }
        self.send(id, Message::TrackPublished(proto::TrackPublishedResponse { cid: request.cid, track: Some(info) }));
    }

    fn create_track(&mut self, now: Now, id: ParticipantId, request: proto::AddTrackRequest) {
        let track = TrackId(self.next_id());
        let sid = self.ids.random(sid_prefix(&request));
        let info = track_info(now, sid.clone(), &request);
        self.media(sfu::Command::AddTrack(engine_track(track, id, &info, &request)));
        self.track_sids.insert(sid, track);
        let entry = Track {
            owner: id,
            info: info.clone(),
            cid: request.cid.clone(),
            published: false,
            told_subscribed: false,
            viewers: Default::default(),
        };
        self.tracks.insert(track, entry);
        if let Some(p) = self.participants.get_mut(&id) {
            p.tracks.push(track);
        }
        self.send(id, Message::TrackPublished(proto::TrackPublishedResponse { cid: request.cid, track: Some(info) }));
    }

    /// Sets the mute flag of a track and tells everybody, the publisher included.
    pub(super) fn set_muted(&mut self, now: Now, track: TrackId, muted: bool) {
        let Some(entry) = self.tracks.get_mut(&track) else {
            return;
        };
        let owner = entry.owner;
        if entry.info.muted != muted {
            entry.info.muted = muted;
            self.media(sfu::Command::SetTrackMuted { track, muted });
            self.touch(owner);
        }
        self.announce_now(now, owner);
    }

    /// A participant mutes or unmutes a track of its own.
    pub(super) fn mute_own(&mut self, now: Now, id: ParticipantId, request: proto::MuteTrackRequest) {
        match self.own_track(id, &request.sid) {
            Some(track) => self.set_muted(now, track, request.muted),
            None => self.refuse(id, Reason::NotFound, "no such track", Request::Mute(request)),
        }
    }

    /// New features of an audio track.
    pub(super) fn update_audio(&mut self, now: Now, id: ParticipantId, request: proto::UpdateLocalAudioTrack) {
        let Some(track) = self.own_track(id, &request.track_sid) else {
            return self.refuse(id, Reason::NotFound, "no such track", Request::UpdateAudioTrack(request));
        };
        self.patch(now, id, track, |info| info.audio_features = request.features);
    }

    /// New dimensions of a video track.
    pub(super) fn update_video(&mut self, now: Now, id: ParticipantId, request: proto::UpdateLocalVideoTrack) {
        let Some(track) = self.own_track(id, &request.track_sid) else {
            return self.refuse(id, Reason::NotFound, "no such track", Request::UpdateVideoTrack(request));
        };
        self.patch(now, id, track, |info| (info.width, info.height) = (request.width, request.height));
    }

    fn patch(&mut self, now: Now, id: ParticipantId, track: TrackId, change: impl FnOnce(&mut proto::TrackInfo)) {
        if let Some(entry) = self.tracks.get_mut(&track) {
            change(&mut entry.info);
            self.touch(id);
            self.announce_now(now, id);
        }
    }

    /// A track ends, whoever decided it. The caller announces the participant.
    pub(super) fn remove_track(&mut self, now: Now, track: TrackId) {
        let Some(entry) = self.tracks.remove(&track) else {
            return;
        };
        self.track_sids.remove(&entry.info.sid);
        self.media(sfu::Command::RemoveTrack(track));
        for viewer in &entry.viewers {
            if let Some(viewer) = self.participants.get_mut(viewer) {
                viewer.subscriptions.remove(&entry.info.sid);
            }
        }
        let Some(owner) = self.participants.get_mut(&entry.owner) else {
            return;
        };
        owner.tracks.retain(|t| *t != track);
        owner.version += 1;
        let room = owner.room;
        if entry.published {
            let (sid, identity) = (owner.sid.clone(), owner.identity.clone());
            self.recount(now, room);
            self.track_webhook(now, room, "track_unpublished", sid, identity, entry.info);
        }
    }

    /// Ends a track of a participant that stays, and tells the room; its own client too if the
    /// server decided it.
    pub(super) fn unpublish(&mut self, now: Now, track: TrackId, tell_owner: bool) {
        let Some(entry) = self.tracks.get(&track) else {
            return;
        };
        let (owner, cid, track_sid) = (entry.owner, entry.cid.clone(), entry.info.sid.clone());
        self.remove_track(now, track);
        if tell_owner {
            self.send(owner, Message::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid }));
        }
        self.announce_now(now, owner);
        self.publish_queued(now, owner, &cid);
    }

    /// Answers an announcement that waited for this client id.
    fn publish_queued(&mut self, now: Now, id: ParticipantId, cid: &str) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        if let Some(at) = p.queued_tracks.iter().position(|r| r.cid == cid)
            && let Some(request) = p.queued_tracks.remove(at)
        {
            self.add_track(now, id, request);
        }
    }

    /// Media of a track arrived for the first time: now it exists for others.
    pub(super) fn publish(&mut self, now: Now, track: TrackId) {
        let Some(entry) = self.tracks.get_mut(&track) else {
            return;
        };
        entry.published = true;
        let (owner, info) = (entry.owner, entry.info.clone());
        let Some(p) = self.participants.get_mut(&owner) else {
            return;
        };
        p.has_published = true;
        let (room, sid, identity) = (p.room, p.sid.clone(), p.identity.clone());
        self.recount(now, room);
        self.announce_now(now, owner);
        self.track_webhook(now, room, "track_published", sid, identity, info);
        self.offer_to_all(track);
    }

    fn track_webhook(
        &mut self,
        now: Now,
        room: sfu::RoomId,
        event: &str,
        sid: String,
        identity: String,
        track: proto::TrackInfo,
    ) {
        self.webhook(now, room, event, |e| {
            // LiveKit's track events name room and participant and say no more of them.
            e.room = e.room.take().map(|r| proto::Room { sid: r.sid, name: r.name, ..Default::default() });
            e.participant = Some(proto::ParticipantInfo { sid, identity, ..Default::default() });
            e.track = Some(track);
        });
    }

    /// A track of this participant by its sid.
    pub(super) fn own_track(&self, id: ParticipantId, sid: &str) -> Option<TrackId> {
        self.track_sids.get(sid).copied().filter(|t| self.tracks.get(t).is_some_and(|t| t.owner == id))
    }

    fn own_tracks(&self, id: ParticipantId) -> impl Iterator<Item = &Track> {
        self.participants[&id].tracks.iter().filter_map(|t| self.tracks.get(t))
    }

    /// Tells a participant that a request was not carried out.
    pub(super) fn refuse(&mut self, id: ParticipantId, reason: Reason, message: &str, request: Request) {
        self.send(
            id,
            Message::RequestResponse(proto::RequestResponse {
                request_id: 0,
                reason: reason.into(),
                message: message.to_owned(),
                request: Some(request),
            }),
        );
    }
}

/// The sid prefix that tells kind and source, as LiveKit's do.
fn sid_prefix(request: &proto::AddTrackRequest) -> &'static str {
    match (request.r#type(), request.source()) {
        (TrackType::Video, TrackSource::Camera) => "TR_VC",
        (TrackType::Video, TrackSource::ScreenShare) => "TR_VS",
        (TrackType::Video, _) => "TR_VU",
        (_, TrackSource::Microphone) => "TR_AM",
        (_, TrackSource::ScreenShareAudio) => "TR_AS",
        _ => "TR_AU",
    }
}

#[expect(deprecated, reason = "clients still read the old fields")]
fn track_info(now: Now, sid: String, request: &proto::AddTrackRequest) -> proto::TrackInfo {
    let stream = match (request.stream.as_str(), request.source()) {
        ("", TrackSource::Camera | TrackSource::Microphone) => "camera",
        ("", TrackSource::ScreenShare | TrackSource::ScreenShareAudio) => "screen",
        (named, _) => named,
    };
    let mut codecs: Vec<_> = request.simulcast_codecs.iter().map(|c| codec_info(c, request)).collect();
    if codecs.is_empty() {
        let only = proto::SimulcastCodec { cid: request.cid.clone(), ..Default::default() };
        codecs.push(codec_info(&only, request));
    }
    proto::TrackInfo {
        sid,
        r#type: request.r#type,
        name: request.name.clone(),
        muted: request.muted,
        width: request.width,
        height: request.height,
        simulcast: request.layers.len() > 1 || request.simulcast_codecs.iter().any(|c| c.layers.len() > 1),
        disable_dtx: request.disable_dtx,
        source: request.source,
        layers: request.layers.clone(),
        mime_type: codecs.first().map(|c| c.mime_type.clone()).unwrap_or_default(),
        codecs,
        stereo: request.stereo,
        disable_red: request.disable_red,
        encryption: request.encryption,
        stream: stream.to_owned(),
        audio_features: audio_features(request),
        version: Some(proto::TimedVersion { unix_micro: now.ms * 1000, ticks: 0 }),
        backup_codec_policy: request.backup_codec_policy,
        ..proto::TrackInfo::default()
    }
}

/// One codec of a track. Layers are sent as separate streams unless the client says otherwise.
fn codec_info(codec: &proto::SimulcastCodec, request: &proto::AddTrackRequest) -> proto::SimulcastCodecInfo {
    let kind = if request.r#type() == TrackType::Video { "video" } else { "audio" };
    let mime_type = match Codec::parse(&codec.codec) {
        Some(known) => known.mime().to_owned(),
        None if codec.codec.is_empty() => String::new(),
        None => format!("{kind}/{}", codec.codec),
    };
    proto::SimulcastCodecInfo {
        mime_type,
        cid: codec.cid.clone(),
        layers: if codec.layers.is_empty() { request.layers.clone() } else { codec.layers.clone() },
        video_layer_mode: match codec.video_layer_mode() {
            Mode::Unused => Mode::OneSpatialLayerPerStream.into(),
            said => said.into(),
        },
        ..proto::SimulcastCodecInfo::default()
    }
}

/// The announced features and those said by older flags.
#[expect(deprecated, reason = "older clients send these flags")]
fn audio_features(request: &proto::AddTrackRequest) -> Vec<i32> {
    let mut features = request.audio_features.clone();
    let flags = [
        (request.stereo, AudioTrackFeature::TfStereo),
        (request.disable_dtx && request.r#type() == TrackType::Audio, AudioTrackFeature::TfNoDtx),
    ];
    for (set, feature) in flags {
        if set && !features.contains(&feature.into()) {
            features.push(feature.into());
        }
    }
    features
}

fn engine_track(
    id: TrackId,
    participant: ParticipantId,
    info: &proto::TrackInfo,
    request: &proto::AddTrackRequest,
) -> sfu::NewTrack {
    let first = request.simulcast_codecs.first();
    let layers = first.map(|c| &c.layers).filter(|l| !l.is_empty()).unwrap_or(&request.layers);
    let has = |feature: AudioTrackFeature| info.audio_features.contains(&feature.into());
    sfu::NewTrack {
        id,
        participant,
        sid: info.sid.clone(),
        cid: first.map(|c| &c.cid).filter(|cid| !cid.is_empty()).unwrap_or(&request.cid).clone(),
        kind: if request.r#type() == TrackType::Video { MediaKind::Video } else { MediaKind::Audio },
        codec: first.and_then(|c| Codec::parse(&c.codec)),
        layers: layers.iter().filter_map(engine_layer).collect(),
        width: request.width,
        height: request.height,
        muted: request.muted,
        stereo: has(AudioTrackFeature::TfStereo),
        no_dtx: has(AudioTrackFeature::TfNoDtx),
    }
}

fn engine_layer(layer: &proto::VideoLayer) -> Option<sfu::Layer> {
    quality(layer.quality()).map(|quality| sfu::Layer { quality, width: layer.width, height: layer.height })
}

/// LiveKit's quality as the engine's; `None` for "off".
pub(super) fn quality(quality: proto::VideoQuality) -> Option<sfu::Quality> {
    match quality {
        proto::VideoQuality::Low => Some(sfu::Quality::Low),
        proto::VideoQuality::Medium => Some(sfu::Quality::Medium),
        proto::VideoQuality::High => Some(sfu::Quality::High),
        proto::VideoQuality::Off => None,
    }
}
