//! What the signalling side tells the engine. Every command is applied at once or refused with an
//! [`Error`](crate::Error) and then changes nothing; what follows from it comes as events.

use bytes::Bytes;

use crate::ids::{ParticipantId, RoomId, TrackId};

/// One instruction to the engine, see [`Engine::handle`](crate::Engine::handle).
#[derive(Debug, Clone)]
pub enum Command {
    /// A participant joins. With [`PeerMode::Dual`] and `can_subscribe` the first
    /// [`Event::Offer`](crate::Event::Offer), which carries the data channels, follows at once.
    AddParticipant(NewParticipant),

    /// A participant leaves: its transports are closed, its tracks end, no event about it follows. Unknown: no effect.
    RemoveParticipant(ParticipantId),

    /// A `SessionDescription` of type offer from the client (its publisher or only connection). Answered by
    /// [`Event::Answer`](crate::Event::Answer) in the same poll. ICE restarts are offers with a new ufrag.
    Offer {
        /// Who sent it.
        participant: ParticipantId,
        /// `SessionDescription.id`, echoed in the answer.
        id: u32,
        /// The SDP text.
        sdp: String,
    },

    /// A `SessionDescription` of type answer to the latest [`Event::Offer`](crate::Event::Offer). An answer to an older
    /// offer is ignored, as the client ignores such ones of ours.
    Answer {
        /// Who sent it.
        participant: ParticipantId,
        /// The id it echoes; 0 (older clients) means the latest.
        id: u32,
        /// The SDP text.
        sdp: String,
    },

    /// A `TrickleRequest` candidate, the plain `candidate:...` line. Names the engine cannot use (`.local`, TCP) are
    /// ignored: the client's checks arrive as peer-reflexive.
    Candidate {
        /// Who sent it.
        participant: ParticipantId,
        /// The connection it belongs to; ignored with [`PeerMode::Single`].
        target: crate::event::Target,
        /// `RTCIceCandidateInit.candidate`.
        candidate: String,
    },

    /// A participant announced a track (`AddTrackRequest`). It is bound to the section of its offer whose msid names
    /// the `cid`, whichever of the two comes first.
    AddTrack(NewTrack),

    /// Another codec of an existing track (`AddTrackRequest` with `sid`): an additional cid for the same track. Only
    /// recorded for matching, so that its section binds to no other track; the engine forwards the first codec.
    AddTrackCid {
        /// The track.
        track: TrackId,
        /// The additional client track id.
        cid: String,
    },

    /// A track ends by decision of the server (permission, removal, `track_unpublished`). Unknown: no effect.
    RemoveTrack(TrackId),

    /// The mute flag of a track. While muted nothing of it is forwarded and it does not speak.
    SetTrackMuted {
        /// The track.
        track: TrackId,
        /// The new state.
        muted: bool,
    },

    /// A participant wants a track. Idempotent. The track must exist and be of the same room.
    Subscribe {
        /// The viewer.
        participant: ParticipantId,
        /// What it wants to see.
        track: TrackId,
    },

    /// A participant no longer wants a track. Idempotent.
    Unsubscribe {
        /// The viewer.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
    },

    /// `UpdateTrackSettings`. Last write wins; may precede the subscription and survives until the track ends.
    SetTrackSettings {
        /// The viewer.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// What the viewer wants of it.
        settings: TrackSettings,
    },

    /// Restart ICE on the server-offered connection (a resume with [`PeerMode::Dual`]): an unanswered offer is
    /// forgotten and a new [`Event::Offer`](crate::Event::Offer) with new credentials follows. No effect with
    /// [`PeerMode::Single`], where the client restarts by its own offer.
    RestartIce(ParticipantId),

    /// What a resume needs in either mode, since an offer, an answer or a request may have been lost with the signal
    /// connection: with [`PeerMode::Dual`] the same as [`Command::RestartIce`], with [`PeerMode::Single`] another
    /// [`Event::MediaSectionsRequirement`](crate::Event::MediaSectionsRequirement) if one is due.
    Renegotiate(ParticipantId),

    /// Send one message to each of several participants over the channel of that name. The payload is shared.
    SendData {
        /// The receivers; unknown ones are skipped.
        to: Vec<ParticipantId>,
        /// Which channel.
        channel: DataChannel,
        /// A serialised `DataPacket`.
        payload: Bytes,
    },
}

/// How a client splits its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerMode {
    /// `/rtc/v1`: one connection, only the client offers.
    Single,
    /// `/rtc`: a publisher connection offered by the client and a subscriber connection offered by the engine.
    Dual,
}

/// A participant that joins.
#[derive(Debug, Clone)]
pub struct NewParticipant {
    /// Its key, not in use.
    pub id: ParticipantId,
    /// The room it is in.
    pub room: RoomId,
    /// `PA_...`, the stream part of downlink msids of its tracks.
    pub sid: String,
    /// Which signalling path it took.
    pub mode: PeerMode,
    /// Whether a server-offered connection is made at once ([`PeerMode::Dual`] only). Without it the connection is
    /// made at the first subscription or message.
    pub can_subscribe: bool,
    /// Whether a section freed by one track may carry another later. False for Safari, whose SDP therefore grows.
    pub reuse_sections: bool,
    /// Whether its videos may be paused when its connection cannot carry them (`subscriber_allow_pause`). If not, the
    /// lowest layer is sent all the same.
    pub allow_pause: bool,
}

/// A track that a participant announced.
#[derive(Debug, Clone)]
pub struct NewTrack {
    /// Its key, not in use.
    pub id: TrackId,
    /// The publisher.
    pub participant: ParticipantId,
    /// `TR_...`, the id in downlink msids and mid maps.
    pub sid: String,
    /// `AddTrackRequest.cid`, the client's own track id; `simulcast_codecs[0].cid` where that is set.
    pub cid: String,
    /// Audio or video.
    pub kind: MediaKind,
    /// The codec that the client means to send (`simulcast_codecs[0].codec`), put first in the answer. `None`: any.
    pub codec: Option<Codec>,
    /// `AddTrackRequest.layers`, in any order. Used to choose a layer by dimensions.
    pub layers: Vec<Layer>,
    /// Width of the highest layer in pixels; 0: unknown.
    pub width: u32,
    /// Height of the highest layer in pixels; 0: unknown.
    pub height: u32,
    /// Its mute flag at the start.
    pub muted: bool,
    /// Audio: stereo is asked for (`TF_STEREO`).
    pub stereo: bool,
    /// Audio: discontinuous transmission is refused (`TF_NO_DTX`, `disable_dtx`).
    pub no_dtx: bool,
}

/// Audio or video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// A microphone or screen-share audio.
    Audio,
    /// A camera or a screen.
    Video,
}

/// A codec that the engine forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Opus, 48 kHz.
    Opus,
    /// VP8.
    Vp8,
    /// H.264, constrained baseline or baseline.
    H264,
}

impl Codec {
    /// The codec of a LiveKit name: `vp8`, `video/VP8`, `H264`, `audio/opus`, in any case. `None` for others.
    pub fn parse(name: &str) -> Option<Codec> {
        let name = name.rsplit('/').next().unwrap_or(name);
        [("opus", Codec::Opus), ("vp8", Codec::Vp8), ("h264", Codec::H264)]
            .into_iter()
            .find(|(known, _)| name.eq_ignore_ascii_case(known))
            .map(|(_, codec)| codec)
    }

    /// The MIME type as LiveKit writes it: `audio/opus`, `video/VP8`, `video/H264`.
    pub fn mime(self) -> &'static str {
        match self {
            Codec::Opus => "audio/opus",
            Codec::Vp8 => "video/VP8",
            Codec::H264 => "video/H264",
        }
    }

    /// Whether it carries audio or video.
    pub fn kind(self) -> MediaKind {
        match self {
            Codec::Opus => MediaKind::Audio,
            Codec::Vp8 | Codec::H264 => MediaKind::Video,
        }
    }
}

/// `VideoQuality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Quality {
    /// The lowest layer.
    Low,
    /// The middle layer.
    Medium,
    /// The highest layer.
    High,
}

/// One announced simulcast layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Its quality.
    pub quality: Quality,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// What a viewer wants of a track (`UpdateTrackSettings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackSettings {
    /// Stop forwarding; the subscription stays.
    pub disabled: bool,
    /// The highest layer wanted, unless `width` is set.
    pub quality: Quality,
    /// Width of the element it is shown in, in pixels; above 0 it overrides `quality`: the lowest layer at least that
    /// large is sent.
    pub width: u32,
    /// Height of the element in pixels.
    pub height: u32,
    /// The most frames per second wanted; 0: all. Honoured by dropping VP8 temporal layers where there are any.
    pub fps: u32,
    /// Which videos are served first where the connection cannot carry all: the higher.
    pub priority: u32,
}

impl Default for TrackSettings {
    fn default() -> Self {
        TrackSettings { disabled: false, quality: Quality::High, width: 0, height: 0, fps: 0, priority: 0 }
    }
}

/// The data channels of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataChannel {
    /// `_reliable`: ordered, retransmitted.
    Reliable,
    /// `_lossy`: unordered, never retransmitted.
    Lossy,
    /// `_data_track`: as lossy.
    DataTrack,
}

impl DataChannel {
    /// All three, in the order in which the engine opens them.
    pub const ALL: [DataChannel; 3] = [DataChannel::Reliable, DataChannel::Lossy, DataChannel::DataTrack];

    /// The label of the channel.
    pub fn label(self) -> &'static str {
        match self {
            DataChannel::Reliable => "_reliable",
            DataChannel::Lossy => "_lossy",
            DataChannel::DataTrack => "_data_track",
        }
    }

    /// The channel with this label.
    pub fn from_label(label: &str) -> Option<DataChannel> {
        DataChannel::ALL.into_iter().find(|channel| channel.label() == label)
    }
}
