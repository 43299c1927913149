//! One WebRTC connection of a participant: `str0m`'s state machine and what the engine keeps beside it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use slotmap::new_key_type;
use str0m::bwe::Bitrate;
use str0m::change::SdpPendingOffer;
use str0m::config::DtlsCert;
use str0m::media::{Mid, Rid};
use str0m::rtp::Ssrc;
use str0m::{Candidate, Rtc, RtcConfig};

use crate::bandwidth::{Bandwidth, LOOK_INTERVAL};
use crate::command::{Codec, MediaKind};
use crate::config::Config;
use crate::data::Channels;
use crate::demux::Known;
use crate::event::{Target, TransportState};
use crate::ids::ParticipantId;
use crate::quality::Measured;
use crate::sdp::{Description, Formats};
use crate::slots::Slots;
use crate::timers::Timer;
use crate::track::TrackKey;

new_key_type! {
    /// A transport; never given twice.
    pub(crate) struct TransportKey;
}

/// H.264 as the protocol has it: baseline and constrained baseline, each with packetisation mode 1 and 0. The numbers
/// are payload types for it and its retransmission; a client's own replace them.
const H264: [(u8, u8, bool, u32); 4] = [
    (125, 107, true, 0x42_e0_1f),
    (108, 109, false, 0x42_e0_1f),
    (127, 121, true, 0x42_00_1f),
    (124, 120, false, 0x42_00_1f),
];

/// How long sent packets are kept for retransmission.
const RTX_AGE: Duration = Duration::from_secs(3);

/// The share of what is sent that may be retransmissions. `str0m`'s own 15 % stops repairing just when a bad network
/// loses, or only reorders, a little more than usual.
const RTX_SHARE: f32 = 0.5;

/// Data-channel bytes that may be in flight per connection; bounds throughput to this much per round trip.
const DATA_IN_FLIGHT: usize = 512 << 10;

/// A connection.
pub(crate) struct Transport {
    /// Whose it is.
    pub(crate) participant: ParticipantId,
    /// Which of theirs.
    pub(crate) target: Target,
    /// The state machine.
    pub(crate) rtc: Rtc,
    /// The addresses and the ufrag it is known by.
    pub(crate) known: Known,
    /// When it wants to be woken.
    pub(crate) timer: Timer,
    /// Whether it is in the list of those to poll.
    pub(crate) queued: bool,
    /// Whether ICE and DTLS have come up.
    pub(crate) connected: bool,
    /// The state last reported; `None` before it first came up.
    pub(crate) state: Option<TransportState>,
    /// When the client was last heard.
    pub(crate) last_heard: Instant,
    /// What payload types mean on it.
    pub(crate) formats: Formats,
    /// Publisher sections of the latest offer.
    pub(crate) sends: Vec<SendSection>,
    /// Where packets belong, by SSRC.
    pub(crate) uplinks: HashMap<Ssrc, (TrackKey, usize)>,
    /// Receive sections and the tracks they carry.
    pub(crate) slots: Slots<TrackKey>,
    /// Data channels.
    pub(crate) channels: Channels,
    /// Descriptions made so far, for the origin line.
    pub(crate) version: u64,
    /// Whether an offer of ours was answered, so that its data channels exist.
    pub(crate) negotiated: bool,
    /// Our own offer, until it is answered.
    pub(crate) pending: Option<PendingOffer>,
    /// Totals already counted, by stream and direction.
    pub(crate) counted: HashMap<(Mid, Option<Rid>, bool), Counted>,
    /// What was measured in this quality interval.
    pub(crate) measured: Measured,
    /// What it can carry to the client.
    pub(crate) bandwidth: Bandwidth,
    /// What was written to it and not given out by it.
    pub(crate) waiting: Waiting,
    /// Whether it gave out the last of what was written to it, and need not be asked for more.
    pub(crate) rests: bool,
    /// Whether its video is paced.
    paced: bool,
}

/// What was written to a connection and it has not given out. Only media counts: what else it gives out, as reports and
/// retransmissions, does not mean that less is waiting.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waiting {
    /// Media packets.
    packets: u32,
    /// Whether media was given out since it last came to rest, and nothing else that is sent like media.
    only_media: Option<bool>,
    /// What media is sent with: a few, asked for with every packet.
    ssrcs: Vec<u32>,
    /// Whether it gives out more only after it was told the time.
    gated: bool,
}

impl Waiting {
    /// Counts what is sent with an SSRC as media.
    fn add(&mut self, ssrc: u32) {
        if !self.ssrcs.contains(&ssrc) {
            self.ssrcs.push(ssrc);
        }
    }

    /// A packet was written.
    pub(crate) fn written(&mut self) {
        self.packets += 1;
        self.gated = true;
    }

    /// A datagram was given out. Returns whether it was media.
    pub(crate) fn gave_out(&mut self, datagram: &[u8]) -> bool {
        let Some(ssrc) = rtp_ssrc(datagram) else { return false };
        let media = self.ssrcs.contains(&ssrc);
        self.packets = self.packets.saturating_sub(u32::from(media));
        self.only_media = Some(media && self.only_media != Some(false));
        self.gated |= media && self.packets > 0;
        media
    }

    /// Whether it has to be told the time before it is asked: after a packet was written, and between two, `str0m`
    /// would answer nothing else than that, and asking costs as much as sending. Says so once.
    pub(crate) fn is_gated(&mut self) -> bool {
        std::mem::take(&mut self.gated)
    }

    /// Whether all that was written was given out and there is no sign of anything else to give out.
    pub(crate) fn is_done(&self) -> bool {
        self.packets == 0 && self.only_media == Some(true)
    }

    /// Whether nothing waits to be given out.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// It has come to rest.
    pub(crate) fn rest(&mut self) {
        self.only_media = None;
    }
}

/// The SSRC of a datagram that is RTP (RFC 5761, 4, and RFC 7983).
fn rtp_ssrc(datagram: &[u8]) -> Option<u32> {
    let [first, second, ..] = *datagram else { return None };
    let is_rtp = (128..192).contains(&first) && !(64..96).contains(&(second & 0x7f));
    let ssrc = datagram.get(8..12).filter(|_| is_rtp)?;
    Some(u32::from_be_bytes(ssrc.try_into().ok()?))
}

/// A section on which the client means to send.
#[derive(Debug, Clone)]
pub(crate) struct SendSection {
    /// Its mid.
    pub(crate) mid: String,
    /// The client's track id in its msid; empty if it has none.
    pub(crate) cid: String,
    /// Audio or video.
    pub(crate) kind: MediaKind,
    /// The codecs it offers.
    pub(crate) codecs: Vec<Codec>,
    /// Its rids as offered.
    pub(crate) rids: Vec<String>,
    /// The track it carries.
    pub(crate) track: Option<TrackKey>,
    /// Whether the server ended the track it carried: then it belongs to no other, until its cid changes.
    pub(crate) spent: bool,
}

/// An offer of ours that waits for its answer.
pub(crate) struct PendingOffer {
    /// Its id.
    pub(crate) id: u32,
    /// What `str0m` needs to apply the answer. Taken when it is.
    pub(crate) token: SdpPendingOffer,
    /// When it was made.
    pub(crate) at: Instant,
    /// Whether its lateness was reported.
    pub(crate) reported: bool,
    /// Whether it restarts ICE.
    pub(crate) restart: bool,
    /// Sections it adds.
    pub(crate) added: Vec<String>,
    /// Idle sections it uses again.
    pub(crate) reused: Vec<String>,
    /// Sections it makes inactive.
    pub(crate) freed: Vec<String>,
}

/// Statistics totals of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counted {
    /// NACKs.
    pub(crate) nacks: u64,
    /// Packets.
    pub(crate) packets: u64,
    /// Packets lost.
    pub(crate) lost: u64,
}

impl Transport {
    /// A connection without any section.
    pub(crate) fn new(
        participant: ParticipantId,
        target: Target,
        receives: bool,
        reuse_sections: bool,
        config: &Config,
        certificate: Option<&DtlsCert>,
        now: Instant,
    ) -> Transport {
        Transport {
            participant,
            target,
            rtc: rtc(config, receives, certificate, now),
            known: Known::default(),
            timer: Timer::default(),
            queued: false,
            connected: false,
            state: None,
            last_heard: now,
            formats: Formats::default(),
            sends: Vec::new(),
            uplinks: HashMap::new(),
            slots: Slots::new(reuse_sections),
            channels: Channels::default(),
            version: 0,
            negotiated: false,
            pending: None,
            counted: HashMap::new(),
            measured: Measured::default(),
            bandwidth: Bandwidth::default(),
            waiting: Waiting::default(),
            rests: false,
            paced: false,
        }
    }

    /// The SSRC pair that a section sends with, if it has one.
    pub(crate) fn ssrcs(&mut self, mid: &str) -> Option<(Ssrc, Option<Ssrc>)> {
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid.into(), None)?;
        Some((stream.ssrc(), stream.rtx()))
    }

    /// Makes a section's stream ready to send `packets` again, and gives its SSRC.
    pub(crate) fn start_stream(&mut self, mid: &str, packets: usize, now: Instant) -> Option<Ssrc> {
        let paced = self.bandwidth.is_paced(now);
        let mut api = self.rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid.into(), None)?;
        if stream.rtx().is_some() {
            stream.set_rtx_cache(packets, RTX_AGE, Some(RTX_SHARE));
            stream.set_unpaced(!paced);
        }
        self.waiting.add(*stream.ssrc());
        Some(stream.ssrc())
    }

    /// Sends nothing again of what a section has sent so far.
    pub(crate) fn forget_sent(&mut self, ssrc: &Ssrc, packets: usize) {
        if let Some(stream) = self.rtc.direct_api().stream_tx(ssrc).filter(|stream| stream.rtx().is_some()) {
            stream.set_rtx_cache(packets, RTX_AGE, Some(RTX_SHARE));
        }
    }

    /// Sends video evenly, as fast as the connection carries it, if that is known, else as it comes.
    pub(crate) fn pace(&mut self, now: Instant) {
        let paced = self.bandwidth.is_paced(now);
        if std::mem::replace(&mut self.paced, paced) == paced {
            return;
        }
        for slot in self.slots.iter().filter(|slot| slot.kind == MediaKind::Video) {
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(slot.mid.as_str().into(), None) {
                stream.set_unpaced(!paced);
            }
        }
    }

    /// Counts anew what waits, after it came to rest: what was dropped was not given out.
    pub(crate) fn recount(&mut self) {
        if self.waiting.packets == 0 {
            return;
        }
        let mut api = self.rtc.direct_api();
        let waits = |ssrc: &u32| {
            let stream = api.stream_tx(&(*ssrc).into())?;
            Some(stream.queue_info()?.packet_count())
        };
        self.waiting.packets = self.waiting.ssrcs.iter().filter_map(waits).sum::<usize>() as u32;
    }

    /// Gives a section a new SSRC pair: with the old one a client decodes the new track but shows nothing. The stream
    /// is made anew rather than reset, since `str0m` would go on finding a reset one by its old SSRC only.
    pub(crate) fn renew_ssrcs(&mut self, mid: &str) {
        let Some((ssrc, rtx)) = self.ssrcs(mid) else { return };
        let mut api = self.rtc.direct_api();
        let (new, new_rtx) = (api.new_ssrc(), rtx.map(|_| api.new_ssrc()));
        api.remove_stream_tx(ssrc);
        self.waiting.ssrcs.retain(|known| *known != *ssrc);
        api.declare_stream_tx(new, new_rtx, mid.into(), None);
    }

    /// Renders a description of ours with the next version.
    pub(crate) fn render(&mut self, mut description: Description) -> String {
        self.version += 1;
        description.set_version(self.version + 1);
        description.to_string()
    }
}

/// A state machine with the engine's codecs.
fn rtc(config: &Config, receives: bool, certificate: Option<&DtlsCert>, now: Instant) -> Rtc {
    let measures = receives && config.congestion_control;
    let mut builder = RtcConfig::new()
        .set_ice_lite(true)
        .set_rtp_mode(true)
        .clear_codecs()
        .enable_opus(true, false)
        .enable_vp8(true)
        .set_stats_interval(Some(if measures { LOOK_INTERVAL } else { config.quality_interval / 2 }))
        .set_send_buffer_video(config.rtx_packets)
        .set_sctp_max_message_size(config.max_message_size)
        .set_sctp_max_buffered_amount(DATA_IN_FLIGHT);
    for (pt, rtx, mode, profile) in H264 {
        builder.codec_config().add_h264(pt.into(), Some(rtx.into()), mode, profile);
    }
    if measures {
        builder = builder.enable_bwe(Some(Bitrate::bps(config.initial_bandwidth)));
    }
    if let Some(certificate) = certificate {
        builder = builder.set_dtls_cert(certificate.clone());
    }
    let mut rtc = builder.build(now);
    for address in &config.candidates {
        match Candidate::host(*address, "udp") {
            Ok(candidate) => drop(rtc.add_local_candidate(candidate)),
            Err(error) => tracing::warn!(%address, %error, "address cannot be offered to clients"),
        }
    }
    rtc
}
