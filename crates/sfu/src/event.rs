//! What the engine gives out: datagrams, events for the signalling side, deadlines and counters.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::command::{Codec, DataChannel, Quality};
use crate::ids::{ParticipantId, RoomId, TrackId};

/// One result of [`Engine::poll`](crate::Engine::poll).
#[derive(Debug)]
pub enum Output {
    /// A datagram to send.
    Transmit(Transmit),
    /// Something to tell the signalling side.
    Event(Event),
    /// Nothing more for now: call [`Engine::handle_timeout`](crate::Engine::handle_timeout) at this time, or earlier
    /// with other input. `None`: nothing is scheduled.
    Timeout(Option<Instant>),
}

/// A UDP datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// The advertised address to send it from.
    pub source: SocketAddr,
    /// The client.
    pub destination: SocketAddr,
    /// The bytes, at most about 1,400.
    pub payload: Vec<u8>,
}

/// Which connection of a participant, as in `SignalTarget`. With one connection it is always the publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// The connection on which the client offers.
    Publisher,
    /// The connection on which the engine offers.
    Subscriber,
}

/// `mid_to_track_id`: every section of a description that carries a track to the client, and the sid of that track.
pub type MidMap = Vec<(String, String)>;

/// Something that happened in the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Send `answer{id, sdp, mid_to_track_id}`.
    Answer {
        /// To whom.
        participant: ParticipantId,
        /// The id of the offer.
        id: u32,
        /// The SDP text, candidates included.
        sdp: String,
        /// The tracks it delivers (single connection only).
        tracks: MidMap,
    },

    /// Send `offer{id, sdp, mid_to_track_id}` for the subscriber connection.
    Offer {
        /// To whom.
        participant: ParticipantId,
        /// Its id, growing per participant.
        id: u32,
        /// The SDP text, candidates included.
        sdp: String,
        /// The tracks it delivers.
        tracks: MidMap,
    },

    /// Send `media_sections_requirement`: ask the client to offer again with that many *extra* receive sections. Both
    /// may be 0, which only asks for an offer.
    MediaSectionsRequirement {
        /// To whom.
        participant: ParticipantId,
        /// Extra audio sections.
        audios: u32,
        /// Extra video sections.
        videos: u32,
    },

    /// An offer of the engine was not answered in time, or with an answer that does not fit: the client should
    /// reconnect in full.
    NegotiationFailed {
        /// Who it was for.
        participant: ParticipantId,
    },

    /// A connection changed its state.
    Transport {
        /// Whose.
        participant: ParticipantId,
        /// Which.
        target: Target,
        /// The new state.
        state: TransportState,
    },

    /// A track was found in the publisher's offer: its section is known, the answer accepts it.
    TrackBound {
        /// The track.
        track: TrackId,
        /// The section of the publisher's connection (`TrackInfo.mid`).
        mid: String,
    },

    /// The first packet of a track arrived, or the first of one more of its layers: the fields are the whole truth so
    /// far and replace those of an earlier event.
    TrackStarted {
        /// The track.
        track: TrackId,
        /// The section of the publisher's connection.
        mid: String,
        /// The codec that really flows.
        codec: Codec,
        /// The layers seen so far, lowest first. Audio and plain video have one without rid.
        layers: Vec<LayerInfo>,
    },

    /// The publisher took the track out of its offer. The engine has dropped it and its subscriptions already.
    TrackUnpublished {
        /// The track.
        track: TrackId,
    },

    /// A viewer's connection can deliver the track from now on: its section is negotiated. Once per subscription.
    Subscribed {
        /// The viewer.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
    },

    /// A video was paused for a viewer because its connection cannot carry it, or flows again
    /// (`stream_state_update`). Only changes are told; a video begins active.
    StreamPaused {
        /// The viewer.
        participant: ParticipantId,
        /// The track.
        track: TrackId,
        /// Whether it is paused now.
        paused: bool,
    },

    /// The best layer that anybody wants of a video changed (`subscribed_quality_update`): more is told at once, less
    /// after [`Config::demand_patience`](crate::Config::demand_patience).
    Demand {
        /// The track.
        track: TrackId,
        /// The best quality wanted; those below it are wanted too. `None`: nobody wants any.
        quality: Option<Quality>,
    },

    /// A message came on a data channel.
    Data {
        /// From whom.
        participant: ParticipantId,
        /// On which channel.
        channel: DataChannel,
        /// A serialised `DataPacket`, not looked at.
        payload: Bytes,
    },

    /// The reliable and the lossy data channel on which the participant receives are open.
    DataReady {
        /// Whose.
        participant: ParticipantId,
    },

    /// Reliable messages for a participant no longer fit the queue: some are lost and it cannot go on. Sent once;
    /// make it reconnect.
    DataOverflow {
        /// The slow reader.
        participant: ParticipantId,
    },

    /// Speakers of a room whose level or state changed since the last time. A stopped one comes once with level 0.
    Speakers {
        /// The room.
        room: RoomId,
        /// Only the changed ones.
        speakers: Vec<Speaker>,
    },

    /// The connection quality of a participant changed (`ConnectionQualityInfo`).
    Quality {
        /// Whose.
        participant: ParticipantId,
        /// The verdict.
        quality: ConnectionQuality,
        /// 0 to 5.
        score: f32,
        /// What it was computed from.
        link: LinkStats,
    },
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportState {
    /// ICE and DTLS are up. Also after a disconnection that healed.
    Connected,
    /// Nothing was heard for [`Config::disconnected_after`](crate::Config::disconnected_after).
    Disconnected,
    /// Nothing was heard for [`Config::failed_after`](crate::Config::failed_after), or the transport broke. It may
    /// still come back by an ICE restart.
    Failed,
    /// The client closed it.
    Closed,
}

/// One layer of a track that flows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerInfo {
    /// `q`, `h`, `f`; `None` without simulcast.
    pub rid: Option<String>,
    /// Its quality, by rank among the layers offered. With one layer: [`Quality::High`].
    pub quality: Quality,
    /// Its rank, 0 the lowest (`VideoLayer.spatial_layer`).
    pub spatial: u32,
    /// The publisher's SSRC.
    pub ssrc: u32,
}

/// One changed speaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speaker {
    /// Who.
    pub participant: ParticipantId,
    /// 0 to 1, in eighths.
    pub level: f32,
    /// Whether they speak.
    pub active: bool,
}

/// `ConnectionQuality`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionQuality {
    /// Noticeably bad.
    Poor,
    /// Some loss or delay.
    Good,
    /// Nothing to complain about.
    Excellent,
    /// Nothing is heard from the participant.
    Lost,
}

/// What is known about the connection of a participant, over one quality interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LinkStats {
    /// Fraction of the packets we sent that were lost, 0 to 1.
    pub loss_down: f32,
    /// Fraction of the packets it sent that were lost, 0 to 1.
    pub loss_up: f32,
    /// Round trip, if measured.
    pub rtt: Option<Duration>,
    /// Interarrival jitter of what it sent, the worst stream.
    pub jitter: Duration,
}

/// Totals since the engine was made, for metrics. All grow forever; gauges are named as such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Gauge: participants.
    pub participants: u64,
    /// Gauge: published tracks.
    pub tracks: u64,
    /// Gauge: subscriptions that can deliver.
    pub subscriptions: u64,
    /// Datagrams received, of any kind.
    pub datagrams_in: u64,
    /// Datagrams given out, of any kind.
    pub datagrams_out: u64,
    /// Datagrams received that belong to no transport.
    pub datagrams_unknown: u64,
    /// Bytes of datagrams received.
    pub bytes_in: u64,
    /// Bytes of datagrams given out.
    pub bytes_out: u64,
    /// Media packets received from publishers.
    pub packets_in: u64,
    /// Media packets forwarded to viewers.
    pub packets_out: u64,
    /// Media packets that viewers reported lost.
    pub packets_lost: u64,
    /// NACKs received from viewers.
    pub nacks_in: u64,
    /// NACKs sent to publishers.
    pub nacks_out: u64,
    /// PLI and FIR received from viewers.
    pub plis_in: u64,
    /// PLI sent to publishers.
    pub plis_out: u64,
    /// Times a video was paused because a viewer's connection could not carry it.
    pub videos_paused: u64,
    /// Times a viewer was moved to a lower layer for the same reason.
    pub layers_lowered: u64,
    /// Data messages received.
    pub data_in: u64,
    /// Data messages sent.
    pub data_out: u64,
    /// Data messages dropped because the receiver was too slow or not connected.
    pub data_dropped: u64,
}
