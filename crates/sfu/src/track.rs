//! A published track: what was announced, where it comes in, and who gets it.

use slotmap::new_key_type;
use str0m::format::PayloadParams;

use crate::command::{Codec, Layer, MediaKind, NewTrack};
use crate::config::Config;
use crate::demand::Demand;
use crate::forward::{Downlink, LayerTable};
use crate::ids::{ParticipantId, RoomId, TrackId};
use crate::timers::Timer;
use crate::transport::{SendSection, TransportKey};

new_key_type! {
    /// A track; never given twice.
    pub(crate) struct TrackKey;
}

/// A track.
#[derive(Debug)]
pub(crate) struct Track {
    /// The caller's key.
    pub(crate) id: TrackId,
    /// `TR_...`.
    pub(crate) sid: String,
    /// The publisher.
    pub(crate) publisher: ParticipantId,
    /// `PA_...` of the publisher.
    pub(crate) publisher_sid: String,
    /// The room of both.
    pub(crate) room: RoomId,
    /// The client's ids for it; one per codec.
    pub(crate) cids: Vec<String>,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// The codec announced.
    pub(crate) announced: Option<Codec>,
    /// The codec that flows; before, the one announced.
    pub(crate) codec: Option<Codec>,
    /// What was announced of its layers.
    announced_layers: Vec<Layer>,
    /// Dimensions of the highest layer, 0 where unknown.
    size: (u32, u32),
    /// Whether nothing of it is forwarded.
    pub(crate) muted: bool,
    /// Whether stereo is asked for.
    pub(crate) stereo: bool,
    /// Whether discontinuous transmission is refused.
    pub(crate) no_dtx: bool,
    /// Where it comes in.
    pub(crate) source: Option<Source>,
    /// Its layers.
    pub(crate) layers: LayerTable,
    /// The format of its latest packet, as its publisher negotiated it.
    pub(crate) format: Option<PayloadParams>,
    /// Who gets it.
    pub(crate) downlinks: Vec<Downlink<TransportKey>>,
    /// What its publisher was told about who wants it.
    pub(crate) demand: Demand,
    /// When to look after its layers.
    pub(crate) timer: Timer,
}

/// The section in which a track comes in.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// The publisher's connection.
    pub(crate) transport: TransportKey,
    /// The section.
    pub(crate) mid: String,
}

impl Track {
    /// A track that was announced but not found in an offer.
    pub(crate) fn new(new: NewTrack, publisher_sid: String, room: RoomId, config: &Config) -> Track {
        Track {
            id: new.id,
            sid: new.sid,
            publisher: new.participant,
            publisher_sid,
            room,
            cids: vec![new.cid],
            kind: new.kind,
            announced: new.codec,
            codec: new.codec,
            announced_layers: new.layers,
            size: (new.width, new.height),
            muted: new.muted,
            stereo: new.stereo,
            no_dtx: new.no_dtx,
            source: None,
            layers: LayerTable::default(),
            format: None,
            downlinks: Vec::new(),
            demand: Demand::new(config.demand_patience, config.first_demand_patience),
            timer: Timer::default(),
        }
    }

    /// Binds it to a section.
    pub(crate) fn bind(&mut self, transport: TransportKey, section: &SendSection) {
        let rids = crate::forward::rank_rids(section.rids.clone());
        self.layers = LayerTable::new(rids, &self.announced_layers, self.size);
        self.source = Some(Source { transport, mid: section.mid.clone() });
    }

    /// The stream part of its msid at viewers. Clients split it at the first `|`; with the track's sid in it the
    /// track is found even where the browser invents track ids or keeps old ones.
    pub(crate) fn stream(&self) -> String {
        format!("{}|{}", self.publisher_sid, self.sid)
    }

    /// Whether a section may be its own, when no cid tells.
    pub(crate) fn could_be(&self, section: &SendSection) -> bool {
        self.kind == section.kind && self.announced.is_none_or(|codec| section.codecs.contains(&codec))
    }
}
