//! What the forwarding engine reports, as signal messages and changes of state.

use std::collections::HashMap;
use std::sync::Arc;

use livekit_protocol as proto;
use livekit_protocol::DisconnectReason;
use livekit_protocol::leave_request::Action;
use livekit_protocol::participant_info::State;
use livekit_protocol::signal_response::Message;
use sfu::{Event, ParticipantId, RoomId, TrackId, TransportState};

use super::joining::leave;
use super::publish::quality;
use super::{Now, Output, Rooms};
use crate::signal::Frame;

impl Rooms {
    /// Something happened in the engine.
    pub(crate) fn media_event(&mut self, now: Now, event: Event) {
        match event {
            Event::Answer { participant, id, sdp, tracks } => {
                let answer = description("answer", id, sdp, tracks);
                self.send(participant, Message::Answer(answer));
            }
            Event::Offer { participant, id, sdp, tracks } => {
                let offer = description("offer", id, sdp, tracks);
                self.send(participant, Message::Offer(offer));
            }
            Event::MediaSectionsRequirement { participant, audios, videos } => {
                let need = proto::MediaSectionsRequirement { num_audios: audios, num_videos: videos };
                self.send(participant, Message::MediaSectionsRequirement(need));
            }
            Event::NegotiationFailed { participant } | Event::DataOverflow { participant } => {
                self.remove(now, participant, DisconnectReason::MediaFailure, Some(Action::Reconnect));
            }
            Event::Transport { participant, target, state } => self.transport(now, participant, target, state),
            Event::TrackBound { track, mid } => {
                if let Some(entry) = self.tracks.get_mut(&track) {
                    entry.info.mid = mid;
                }
            }
            Event::TrackStarted { track, mid, codec, layers } => self.track_started(now, track, mid, codec, &layers),
            Event::TrackUnpublished { track } => self.unpublish(now, track, false),
            Event::Subscribed { track, .. } => self.subscribed(track),
            Event::StreamPaused { participant, track, paused } => self.stream_paused(participant, track, paused),
            Event::Demand { track, quality } => self.demand(track, quality),
            Event::Data { participant, channel, payload } => self.data(participant, channel, &payload),
            // Messages wait in the engine until the channels are open.
            Event::DataReady { .. } => {}
            Event::Speakers { room, speakers } => self.speakers(room, &speakers),
            Event::Quality { participant, quality, score, .. } => self.quality(participant, quality, score),
        }
    }

    /// The engine refused a command of this participant, which can only be its SDP.
    pub(crate) fn media_refused(&mut self, now: Now, participant: ParticipantId) {
        self.remove(now, participant, DisconnectReason::MediaFailure, Some(Action::Reconnect));
    }

    fn transport(&mut self, now: Now, id: ParticipantId, target: sfu::Target, state: TransportState) {
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        match state {
            TransportState::Connected if target == p.primary() => {
                p.deadline = None;
                if !p.was_active() {
                    self.activate(now, id);
                }
            }
            TransportState::Failed | TransportState::Closed if p.was_active() => self.ask_to_resume(now, id),
            _ => {}
        }
    }

    /// The media connection works: from now on the participant is really there.
    fn activate(&mut self, now: Now, id: ParticipantId) {
        self.set_state(id, State::Active);
        let (room, info) = (self.participants[&id].room, self.info(id));
        self.announce(now, id);
        self.webhook(now, room, "participant_joined", |e| e.participant = Some(info));
        let members = self.rooms[&room].members.iter();
        let updates: Vec<_> = members.filter_map(|m| self.participants[m].quality.clone()).collect();
        if !updates.is_empty() {
            self.send(id, Message::ConnectionQuality(proto::ConnectionQualityUpdate { updates }));
        }
    }

    /// The media connection broke: the client should resume, and has a moment to do so.
    fn ask_to_resume(&mut self, now: Now, id: ParticipantId) {
        let resume = self.settings.timeouts.resume;
        let Some(p) = self.participants.get_mut(&id).filter(|p| p.deadline.is_none()) else {
            return;
        };
        p.deadline = Some((now.at + resume, DisconnectReason::ConnectionTimeout));
        let Some(conn) = p.conn.take() else {
            return;
        };
        self.conns.remove(&conn);
        let message = Message::Leave(leave(DisconnectReason::ConnectionTimeout, Action::Resume));
        self.out.push_back(Output::Signal(conn, Frame::new(message)));
        self.out.push_back(Output::Close(conn));
    }

    fn track_started(&mut self, now: Now, track: TrackId, mid: String, codec: sfu::Codec, layers: &[sfu::LayerInfo]) {
        let Some(entry) = self.tracks.get_mut(&track) else {
            return;
        };
        let (owner, first) = (entry.owner, !entry.published);
        describe_media(&mut entry.info, mid, codec, layers);
        self.touch(owner);
        if first {
            self.publish(now, track);
        } else {
            self.announce_now(now, owner);
        }
    }

    fn subscribed(&mut self, track: TrackId) {
        if let Some(entry) = self.tracks.get_mut(&track).filter(|t| !t.told_subscribed) {
            entry.told_subscribed = true;
            let (owner, track_sid) = (entry.owner, entry.info.sid.clone());
            self.send(owner, Message::TrackSubscribed(proto::TrackSubscribed { track_sid }));
        }
    }

    /// Tells a viewer that a video pauses because its connection cannot carry it, or goes on.
    fn stream_paused(&mut self, viewer: ParticipantId, track: TrackId, paused: bool) {
        let Some(entry) = self.tracks.get(&track) else {
            return;
        };
        let Some(owner) = self.participants.get(&entry.owner) else {
            return;
        };
        let state = if paused { proto::StreamState::Paused } else { proto::StreamState::Active };
        let info = proto::StreamStateInfo {
            participant_sid: owner.sid.clone(),
            track_sid: entry.info.sid.clone(),
            state: state.into(),
        };
        self.send(viewer, Message::StreamStateUpdate(proto::StreamStateUpdate { stream_states: vec![info] }));
    }

    /// Tells a publisher which layers of a video anybody wants.
    fn demand(&mut self, track: TrackId, best: Option<sfu::Quality>) {
        let Some(entry) = self.tracks.get(&track) else {
            return;
        };
        let update = demand(&entry.info, best);
        self.send(entry.owner, Message::SubscribedQualityUpdate(update));
    }

    /// Tells each participant about the speakers it hears, and itself.
    fn speakers(&mut self, room: RoomId, speakers: &[sfu::Speaker]) {
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        // Most receivers hear the same speakers, so each different list is encoded once.
        let mut frames: HashMap<Vec<usize>, Arc<Frame>> = HashMap::new();
        let mut out = Vec::new();
        for member in &entry.members {
            let heard: Vec<usize> =
                (0..speakers.len()).filter(|&i| self.hears(*member, speakers[i].participant)).collect();
            let Some(conn) = self.participants.get(member).and_then(|p| p.conn).filter(|_| !heard.is_empty()) else {
                continue;
            };
            let frame = frames.entry(heard).or_insert_with_key(|heard| self.speakers_frame(speakers, heard));
            out.push(Output::Signal(conn, frame.clone()));
        }
        self.out.extend(out);
    }

    fn speakers_frame(&self, speakers: &[sfu::Speaker], which: &[usize]) -> Arc<Frame> {
        let speakers = which.iter().filter_map(|&i| {
            let speaker = &speakers[i];
            let sid = self.participants.get(&speaker.participant)?.sid.clone();
            Some(proto::SpeakerInfo { sid, level: speaker.level, active: speaker.active })
        });
        Frame::new(Message::SpeakersChanged(proto::SpeakersChanged { speakers: speakers.collect() }))
    }

    /// Whether `receiver` is `other` or receives a track of it.
    fn hears(&self, receiver: ParticipantId, other: ParticipantId) -> bool {
        receiver == other
            || self.participants.get(&other).is_some_and(|p| {
                p.tracks.iter().filter_map(|t| self.tracks.get(t)).any(|t| t.viewers.contains(&receiver))
            })
    }

    fn quality(&mut self, id: ParticipantId, quality: sfu::ConnectionQuality, score: f32) {
        let quality = match quality {
            sfu::ConnectionQuality::Poor => proto::ConnectionQuality::Poor,
            sfu::ConnectionQuality::Good => proto::ConnectionQuality::Good,
            sfu::ConnectionQuality::Excellent => proto::ConnectionQuality::Excellent,
            sfu::ConnectionQuality::Lost => proto::ConnectionQuality::Lost,
        };
        let Some(p) = self.participants.get_mut(&id) else {
            return;
        };
        let info = proto::ConnectionQualityInfo { participant_sid: p.sid.clone(), quality: quality.into(), score };
        p.quality = Some(info.clone());
        let room = p.room;
        let frame = Frame::new(Message::ConnectionQuality(proto::ConnectionQualityUpdate { updates: vec![info] }));
        let receivers = self.rooms[&room].members.iter().filter(|m| self.hears(**m, id));
        let conns: Vec<_> = receivers.filter_map(|m| self.participants.get(m)?.conn).collect();
        self.out.extend(conns.into_iter().map(|conn| Output::Signal(conn, frame.clone())));
    }
}

/// The qualities wanted of a track, up to the best one. Newer clients read them by codec, older ones the plain list.
#[expect(deprecated, reason = "older clients read the old field")]
fn demand(info: &proto::TrackInfo, best: Option<sfu::Quality>) -> proto::SubscribedQualityUpdate {
    let all = [proto::VideoQuality::Low, proto::VideoQuality::Medium, proto::VideoQuality::High];
    let wanted = |q: proto::VideoQuality| best.is_some_and(|best| quality(q).is_some_and(|q| q <= best));
    let qualities: Vec<_> =
        all.map(|q| proto::SubscribedQuality { quality: q.into(), enabled: wanted(q) }).into_iter().collect();
    let codec = info.mime_type.rsplit('/').next().unwrap_or_default().to_lowercase();
    proto::SubscribedQualityUpdate {
        track_sid: info.sid.clone(),
        subscribed_qualities: qualities.clone(),
        subscribed_codecs: vec![proto::SubscribedCodec { codec, qualities }],
    }
}

fn description(kind: &str, id: u32, sdp: String, tracks: sfu::MidMap) -> proto::SessionDescription {
    proto::SessionDescription { r#type: kind.to_owned(), sdp, id, mid_to_track_id: tracks.into_iter().collect() }
}

/// Writes what really flows into the announcement.
#[expect(deprecated, reason = "clients still read the old field of layers")]
fn describe_media(info: &mut proto::TrackInfo, mid: String, codec: sfu::Codec, layers: &[sfu::LayerInfo]) {
    codec.mime().clone_into(&mut info.mime_type);
    info.mid.clone_from(&mid);
    if let Some(first) = info.codecs.first_mut() {
        codec.mime().clone_into(&mut first.mime_type);
        first.mid = mid;
        describe_layers(&mut first.layers, layers);
    }
    describe_layers(&mut info.layers, layers);
}

fn describe_layers(announced: &mut [proto::VideoLayer], flowing: &[sfu::LayerInfo]) {
    for layer in announced {
        let same = |f: &&sfu::LayerInfo| quality(layer.quality()) == Some(f.quality);
        if let Some(flow) = flowing.iter().find(same) {
            layer.rid = flow.rid.clone().unwrap_or_default();
            layer.ssrc = flow.ssrc;
            layer.spatial_layer = i32::try_from(flow.spatial).unwrap_or_default();
        }
    }
}
