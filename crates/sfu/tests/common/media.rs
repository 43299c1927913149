//! Made-up media: frames that say what they are, so that what arrives can be judged.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::change::SdpApi;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Simulcast};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, VideoOrientation};

/// A stream that a client sends, or a slot on which it receives.
pub struct Stream {
    pub cid: String,
    pub mid: Option<Mid>,
    pub kind: MediaKind,
    pub layers: Vec<Layer>,
    /// Whether it sends; a muted camera does not.
    pub sending: bool,
    /// Audio level in -dBov.
    pub level: i8,
    pub ended: bool,
    pub orientation: Option<VideoOrientation>,
    /// VP8 unless changed.
    pub codec: Codec,
    simulcast: Option<Simulcast>,
    is_slot: bool,
    negotiated: bool,
    stopped: bool,
    next: Instant,
}

/// One layer of it.
#[derive(Debug, Clone)]
pub struct Layer {
    pub rid: Option<String>,
    /// Whether it flows.
    pub sending: bool,
    /// Key frames sent.
    pub keys: usize,
    /// Packets of a frame; a key frame has twice as many.
    pub parts: u8,
    /// Bytes of a packet that is not of a key frame.
    pub size: usize,
    number: u8,
    seq: u64,
    time: u32,
    picture: u16,
    tl0: u8,
    frame: u32,
    want_key: bool,
}

/// A frame as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub layer: u8,
    pub number: u32,
    pub key: bool,
}

/// A packet as received.
#[derive(Debug, Clone)]
pub struct Packet {
    pub at: Instant,
    pub ssrc: u32,
    pub seq: u64,
    pub time: u32,
    pub marker: bool,
    /// Whether its frame begins here.
    pub start: bool,
    pub picture: u16,
    pub tl0: u8,
    /// What it is a part of; audio has layer 0 and no key frames.
    pub frame: Frame,
    pub orientation: Option<VideoOrientation>,
}

impl Stream {
    pub fn new(cid: &str, kind: MediaKind, simulcast: Option<Simulcast>, rids: &[&str], now: Instant) -> Stream {
        let rids: Vec<Option<&str>> =
            if rids.is_empty() { vec![None] } else { rids.iter().copied().map(Some).collect() };
        let layers = rids.into_iter().enumerate().map(|(number, rid)| Layer::new(number as u8, rid)).collect();
        Stream {
            cid: cid.to_owned(),
            mid: None,
            kind,
            layers,
            sending: true,
            level: 127,
            ended: false,
            orientation: None,
            codec: if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 },
            simulcast,
            is_slot: false,
            negotiated: false,
            stopped: false,
            next: now,
        }
    }

    pub fn slot(kind: MediaKind, now: Instant) -> Stream {
        Stream { is_slot: true, sending: false, ..Stream::new("", kind, None, &[], now) }
    }

    /// Adds its section to an offer, or stops it.
    pub fn negotiate(&mut self, changes: &mut SdpApi<'_>, slots: &mut Vec<Mid>) {
        if !self.negotiated {
            self.negotiated = true;
            let direction = if self.is_slot { Direction::RecvOnly } else { Direction::SendOnly };
            let stream = (!self.is_slot).then(|| "stream".to_owned());
            let track = (!self.is_slot).then(|| self.cid.clone());
            let mid = changes.add_media(self.kind, direction, stream, track, self.simulcast.take());
            self.mid = Some(mid);
            if self.is_slot {
                slots.push(mid);
            }
        } else if self.ended && !self.stopped {
            self.stopped = true;
            changes.set_direction(self.mid.unwrap(), Direction::Inactive);
        }
    }

    /// A key frame is asked for.
    pub fn request_key(&mut self, rid: Option<&str>) {
        for layer in self.layers.iter_mut().filter(|layer| rid.is_none() || layer.rid.as_deref() == rid) {
            layer.want_key = true;
        }
    }

    /// Makes its three layers as large as those of a camera: 0.15, 0.5 and 1.7 Mbit/s.
    pub fn like_a_camera(&mut self) {
        for (layer, (parts, size)) in self.layers.iter_mut().zip([(1, 620), (2, 1035), (6, 1170)]) {
            (layer.parts, layer.size) = (parts, size);
        }
    }

    /// The layer with this rid.
    pub fn layer(&mut self, rid: &str) -> &mut Layer {
        self.layers.iter_mut().find(|layer| layer.rid.as_deref() == Some(rid)).unwrap()
    }

    /// Sends what is due.
    pub fn send(&mut self, rtc: &mut Rtc, now: Instant) {
        let Some(mid) = self.mid else { return };
        let ready = rtc.media(mid).is_some_and(|media| media.direction().is_sending());
        if !self.sending || self.ended || !ready || now < self.next {
            return;
        }
        let audio = self.kind == MediaKind::Audio;
        self.next = now + Duration::from_millis(if audio { 20 } else { 33 });
        for layer in self.layers.iter_mut().filter(|layer| layer.sending) {
            if audio {
                layer.send_audio(rtc, mid, self.level, now);
            } else {
                layer.send_video(rtc, mid, self.codec, self.orientation, now);
            }
        }
    }
}

impl Layer {
    fn new(number: u8, rid: Option<&str>) -> Layer {
        Layer {
            rid: rid.map(str::to_owned),
            sending: true,
            keys: 0,
            parts: 2,
            size: 200,
            number,
            // Each layer has its own numbers, as in browsers.
            seq: 1000 * (u64::from(number) + 1),
            time: 5_000_000 * (u32::from(number) + 1),
            picture: 300 * (u16::from(number) + 1),
            tl0: 70 * (number + 1),
            frame: 0,
            want_key: true,
        }
    }

    fn send_audio(&mut self, rtc: &mut Rtc, mid: Mid, level: i8, now: Instant) {
        self.time = self.time.wrapping_add(960);
        let ext = ExtensionValues { audio_level: Some(-level), voice_activity: Some(level < 50), ..Default::default() };
        self.write(rtc, mid, Codec::Opus, self.payload(0, false), true, ext, now);
        self.frame += 1;
    }

    fn send_video(
        &mut self,
        rtc: &mut Rtc,
        mid: Mid,
        codec: Codec,
        orientation: Option<VideoOrientation>,
        now: Instant,
    ) {
        let key = std::mem::take(&mut self.want_key);
        self.keys += usize::from(key);
        self.time = self.time.wrapping_add(2970);
        self.picture = (self.picture + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        let parts = if key { self.parts * 2 } else { self.parts };
        for part in 0..parts {
            let ext = ExtensionValues { video_orientation: orientation, ..Default::default() };
            let last = part + 1 == parts;
            let mut payload = self.payload(part, key);
            if codec == Codec::H264 {
                // A parameter set starts a key frame; what follows need not be decodable here.
                payload[0] = if key && part == 0 { 0x67 } else { 0x61 };
            }
            self.write(rtc, mid, codec, payload, last, ext, now);
        }
        self.frame += 1;
    }

    /// A VP8 descriptor (or as many bytes before audio), then what it is.
    fn payload(&self, part: u8, key: bool) -> Vec<u8> {
        let start = if part == 0 { 0x90 } else { 0x80 };
        let mut payload = vec![start, 0xe0, 0x80 | (self.picture >> 8) as u8, self.picture as u8, self.tl0, 0x20];
        payload.push(u8::from(!key));
        payload.push(self.number);
        payload.extend(self.frame.to_be_bytes());
        payload.resize(if key { self.size.max(900) } else { self.size }, 0);
        payload
    }

    #[expect(clippy::too_many_arguments, reason = "a packet has that many parts")]
    fn write(
        &mut self,
        rtc: &mut Rtc,
        mid: Mid,
        codec: Codec,
        payload: Vec<u8>,
        marker: bool,
        ext: ExtensionValues,
        now: Instant,
    ) {
        let pts = rtc.media(mid).unwrap().remote_pts().to_vec();
        let config = rtc.codec_config();
        let pt = config.iter().find(|p| p.spec().codec == codec && pts.contains(&p.pt())).unwrap().pt();
        let rid = self.rid.as_deref().map(Into::into);
        let mut api = rtc.direct_api();
        let stream = api.stream_tx_by_mid(mid, rid).unwrap();
        let rtp =
            RtpWrite::new(pt, self.seq.into(), self.time, now, payload).marker(marker).ext_vals(ext).nackable(true);
        stream.write_rtp(rtp);
        self.seq += 1;
    }
}

impl Packet {
    pub fn read(packet: &RtpPacket, at: Instant) -> Packet {
        // What a hostile publisher sends may be shorter than what is read here.
        let mut payload = packet.payload.to_vec();
        payload.resize(payload.len().max(12), 0);
        Packet {
            at,
            ssrc: *packet.header.ssrc,
            seq: *packet.seq_no,
            time: packet.header.timestamp,
            marker: packet.header.marker,
            start: payload[0] & 0x10 != 0,
            picture: u16::from_be_bytes([payload[2] & 0x7f, payload[3]]),
            tl0: payload[4],
            frame: Frame {
                layer: payload[7],
                number: u32::from_be_bytes(payload[8..12].try_into().unwrap()),
                key: payload[6] == 0,
            },
            orientation: packet.header.ext_vals.video_orientation,
        }
    }
}

/// Checks a video as received: no number missing or twice, time and picture ids going forward frame by frame, and a
/// key frame at the start of every layer. Returns the layers in the order in which they came.
pub fn judge_video(packets: &[Packet], vp8: bool) -> Vec<u8> {
    let mut sorted: Vec<&Packet> = packets.iter().collect();
    sorted.sort_by_key(|packet| packet.seq);
    let mut layers: Vec<u8> = Vec::new();
    let mut previous: Option<&Packet> = None;
    for packet in sorted {
        if layers.last() != Some(&packet.frame.layer) {
            assert!(packet.frame.key, "layer {} begins without a key frame", packet.frame.layer);
            layers.push(packet.frame.layer);
        }
        if let Some(previous) = previous {
            assert_eq!(packet.seq, previous.seq + 1, "numbers are not in a row");
            let same_frame = packet.frame == previous.frame;
            let passed = packet.time.wrapping_sub(previous.time) as i32;
            assert!(
                if same_frame { passed == 0 } else { passed > 0 },
                "time goes {passed} from {previous:?} to {packet:?}"
            );
            if vp8 {
                let pictures = packet.picture.wrapping_sub(previous.picture) & 0x7fff;
                assert_eq!(pictures, u16::from(!same_frame), "from {previous:?} to {packet:?}");
                assert_eq!(packet.tl0.wrapping_sub(previous.tl0), u8::from(!same_frame));
            }
        }
        previous = Some(packet);
    }
    layers
}

/// How many numbers are missing between the first and the last packet.
pub fn missing(packets: &[Packet]) -> u64 {
    let seqs: std::collections::BTreeSet<u64> = packets.iter().map(|packet| packet.seq).collect();
    let range = seqs.last().unwrap() - seqs.first().unwrap() + 1;
    range - seqs.len() as u64
}

/// When a decoder that waits for what is missing could show frames: those that came whole and follow on one that was
/// shown, or are key frames.
pub fn shown(packets: &[Packet]) -> Vec<Instant> {
    let mut sorted: Vec<&Packet> = packets.iter().collect();
    sorted.sort_by_key(|packet| packet.seq);
    sorted.dedup_by_key(|packet| packet.seq);
    let mut shown: Vec<Instant> = Vec::new();
    let mut last: Option<&Frame> = None;
    for parts in sorted.chunk_by(|a, b| a.frame == b.frame) {
        let (first, end) = (parts[0], parts[parts.len() - 1]);
        let whole = first.start && end.marker && end.seq - first.seq + 1 == parts.len() as u64;
        let follows = |last: &Frame| (last.layer, last.number + 1) == (first.frame.layer, first.frame.number);
        if whole && (first.frame.key || last.is_some_and(follows)) {
            last = Some(&first.frame);
            let came = parts.iter().map(|part| part.at).max().unwrap();
            shown.push(shown.last().map_or(came, |before| came.max(*before)));
        }
    }
    shown
}

/// The longest time within a span for which a picture stood still.
pub fn longest_stop(packets: &[Packet], from: Instant, to: Instant) -> Duration {
    let inside = shown(packets).into_iter().filter(|at| (from..to).contains(at));
    let times: Vec<Instant> = std::iter::once(from).chain(inside).chain([to]).collect();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
}
