//! A client like LiveKit's, made of one or two `str0m` connections.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sfu::{DataChannel, PeerMode};
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Simulcast, SimulcastLayer};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc, RtcConfig};

use super::media::{Packet, Stream};

/// A datagram: from, to, bytes.
type Datagram = (SocketAddr, SocketAddr, Vec<u8>);

/// One connection of a client.
pub struct Pc {
    pub rtc: Rtc,
    pub address: SocketAddr,
    pub ice: Option<IceConnectionState>,
    /// Open channels.
    pub channels: HashMap<DataChannel, ChannelId>,
    /// Messages received, in order.
    pub messages: Vec<(DataChannel, Vec<u8>)>,
    /// Media received, by section.
    pub received: HashMap<Mid, Vec<Packet>>,
    timeout: Instant,
}

/// A client.
pub struct Client {
    pub mode: PeerMode,
    /// The connection it offers on.
    pub publisher: Pc,
    /// The connection it answers on.
    pub subscriber: Pc,
    /// What it sends.
    pub streams: Vec<Stream>,
    /// Tracks by section, as last told.
    pub tracks: Vec<(String, String)>,
    /// All descriptions it got, newest last.
    pub descriptions: Vec<String>,
    /// Whether it answers offers.
    pub answers: bool,
    /// Key-frame requests it got.
    pub key_requests: usize,
    slots: Vec<Mid>,
    pending: Option<(u32, SdpPendingOffer)>,
    dirty: bool,
    restart: bool,
    offers: u32,
    cids: u32,
    id: u64,
    sent: Vec<Datagram>,
    now: Instant,
}

impl Pc {
    fn new(address: SocketAddr, now: Instant) -> Pc {
        let mut rtc = RtcConfig::new()
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .enable_h264(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").unwrap());
        rtc.handle_input(Input::Timeout(now)).unwrap();
        Pc {
            rtc,
            address,
            ice: None,
            channels: HashMap::new(),
            messages: Vec::new(),
            received: HashMap::new(),
            timeout: now,
        }
    }

    /// Everything received of a section.
    pub fn packets(&self, mid: &str) -> &[Packet] {
        self.received.get(&Mid::from(mid)).map_or(&[], Vec::as_slice)
    }
}

impl Client {
    pub fn new(id: u64, mode: PeerMode, now: Instant) -> Client {
        let address = |port| SocketAddr::from(([198, 51, 100, id as u8], port));
        let mut client = Client {
            mode,
            publisher: Pc::new(address(1000), now),
            subscriber: Pc::new(address(2000), now),
            streams: Vec::new(),
            tracks: Vec::new(),
            descriptions: Vec::new(),
            answers: true,
            key_requests: 0,
            slots: Vec::new(),
            pending: None,
            dirty: true,
            restart: false,
            offers: 0,
            cids: 0,
            id,
            sent: Vec::new(),
            now,
        };
        if mode == PeerMode::Single {
            client.slots_wanted(3, 3);
        }
        client
    }

    /// The connection on which it receives.
    pub fn receiving(&mut self) -> &mut Pc {
        match self.mode {
            PeerMode::Single => &mut self.publisher,
            PeerMode::Dual => &mut self.subscriber,
        }
    }

    /// Packets received of a track, by its sid.
    pub fn packets(&self, sid: &str) -> &[Packet] {
        let pc = match self.mode {
            PeerMode::Single => &self.publisher,
            PeerMode::Dual => &self.subscriber,
        };
        let mid = self.tracks.iter().find(|(_, track)| track == sid).map_or("", |(mid, _)| mid.as_str());
        pc.packets(mid)
    }

    /// Forgets what was received.
    pub fn forget_packets(&mut self) {
        self.receiving().received.clear();
    }

    /// Adds a video section; returns the cid.
    pub fn add_video(&mut self, rids: &[&str], now: Instant) -> String {
        let mut simulcast = Simulcast::new();
        rids.iter().for_each(|rid| simulcast.add_send_layer(SimulcastLayer::new(rid)));
        self.add_stream(MediaKind::Video, (!rids.is_empty()).then_some(simulcast), rids, now)
    }

    /// Adds an audio section; returns the cid.
    pub fn add_audio(&mut self, now: Instant) -> String {
        self.add_stream(MediaKind::Audio, None, &[], now)
    }

    fn add_stream(&mut self, kind: MediaKind, simulcast: Option<Simulcast>, rids: &[&str], now: Instant) -> String {
        self.cids += 1;
        let cid = format!("cid-{}-{}", self.id, self.cids);
        self.streams.push(Stream::new(&cid, kind, simulcast, rids, now));
        self.dirty = true;
        cid
    }

    /// The stream with this cid.
    pub fn stream(&mut self, cid: &str) -> &mut Stream {
        self.streams.iter_mut().find(|stream| stream.cid == cid).unwrap()
    }

    /// The stream added last.
    pub fn last_stream(&mut self) -> &mut Stream {
        self.streams.last_mut().unwrap()
    }

    /// Makes a section inactive.
    pub fn remove(&mut self, cid: &str) {
        self.stream(cid).ended = true;
        self.dirty = true;
    }

    /// Adds receive sections with the next offer.
    pub fn add_slots(&mut self, audios: u32, videos: u32) {
        self.slots_wanted(audios, videos);
        self.dirty = true;
    }

    fn slots_wanted(&mut self, audios: u32, videos: u32) {
        // A slot gets its mid with the offer that adds it.
        self.streams.extend((0..audios).map(|_| Stream::slot(MediaKind::Audio, self.now)));
        self.streams.extend((0..videos).map(|_| Stream::slot(MediaKind::Video, self.now)));
    }

    /// Asks for an ICE restart with the next offer.
    pub fn restart_ice(&mut self) {
        self.restart = true;
        self.dirty = true;
    }

    /// Whether it should offer.
    pub fn wants_offer(&self) -> bool {
        self.dirty && self.pending.is_none()
    }

    /// Makes an offer.
    pub fn offer(&mut self) -> Option<(u32, String)> {
        if !self.wants_offer() {
            return None;
        }
        self.dirty = false;
        let first = self.offers == 0;
        let mut changes = self.publisher.rtc.sdp_api();
        if first {
            for channel in DataChannel::ALL {
                changes.add_channel_with_config(channel_config(channel));
            }
        }
        for stream in &mut self.streams {
            stream.negotiate(&mut changes, &mut self.slots);
        }
        for mid in &self.slots {
            // Twice, since an offer without any change would not be made.
            changes.set_direction(*mid, Direction::Inactive);
            changes.set_direction(*mid, Direction::RecvOnly);
        }
        if std::mem::take(&mut self.restart) {
            changes.ice_restart(true);
        }
        let (offer, pending) = changes.apply()?;
        self.offers += 1;
        self.pending = Some((self.offers, pending));
        self.poll();
        Some((self.offers, offer.to_sdp_string()))
    }

    /// Applies an answer.
    pub fn on_answer(&mut self, id: u32, sdp: &str, tracks: Vec<(String, String)>) {
        let (_, pending) = self.pending.take_if(|(latest, _)| *latest == id).expect("an answer to the latest offer");
        self.descriptions.push(sdp.to_owned());
        if self.mode == PeerMode::Single {
            self.tracks = tracks;
        }
        let answer = SdpAnswer::from_sdp_string(sdp).unwrap();
        self.publisher.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        self.poll();
    }

    /// Answers an offer.
    pub fn on_offer(&mut self, _id: u32, sdp: &str, tracks: Vec<(String, String)>) -> Option<String> {
        if !self.answers {
            return None;
        }
        self.descriptions.push(sdp.to_owned());
        self.tracks = tracks;
        let offer = SdpOffer::from_sdp_string(sdp).unwrap();
        let answer = self.subscriber.rtc.sdp_api().accept_offer(offer).unwrap();
        self.poll();
        Some(answer.to_sdp_string())
    }

    /// Sends a message. In the older mode it goes over the connection that the client offers.
    pub fn send(&mut self, channel: DataChannel, payload: &[u8]) -> bool {
        let id = self.publisher.channels[&channel];
        let written = self.publisher.rtc.channel(id).unwrap().write(true, payload).unwrap();
        self.poll();
        written
    }

    /// Asks for a key frame of a section.
    pub fn request_key(&mut self, mid: &str) {
        let pc = self.receiving();
        let ssrc = pc.received[&Mid::from(mid)].last().unwrap().ssrc;
        pc.rtc.direct_api().stream_rx(&ssrc.into()).unwrap().request_keyframe(KeyframeRequestKind::Pli);
        self.poll();
    }

    /// Whether an address is its own.
    pub fn owns(&self, address: SocketAddr) -> bool {
        address == self.publisher.address || address == self.subscriber.address
    }

    /// Moves to other addresses with its next ICE restart: what it sends comes from there.
    pub fn receive(&mut self, from: SocketAddr, to: SocketAddr, payload: &[u8], now: Instant) {
        self.now = now;
        let pc = if to == self.publisher.address { &mut self.publisher } else { &mut self.subscriber };
        let Ok(received) = Receive::new(Protocol::Udp, from, to, payload) else { return };
        pc.rtc.handle_input(Input::Receive(now, received)).unwrap();
        self.poll();
    }

    /// Lets time pass: timeouts and new media.
    pub fn advance(&mut self, now: Instant) {
        self.now = now;
        if self.publisher.rtc.is_connected() {
            let mut requests = Vec::new();
            for stream in &mut self.streams {
                stream.send(&mut self.publisher.rtc, now);
                poll_pc(&mut self.publisher, &mut self.sent, now, &mut requests);
            }
            self.on_requests(requests);
        }
        for pc in [&mut self.publisher, &mut self.subscriber] {
            if pc.timeout <= now {
                pc.rtc.handle_input(Input::Timeout(now)).unwrap();
            }
        }
        self.poll();
    }

    /// What it has sent since the last time.
    pub fn take_sent(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.sent)
    }

    fn poll(&mut self) {
        let mut requests = Vec::new();
        for pc in [&mut self.publisher, &mut self.subscriber] {
            poll_pc(pc, &mut self.sent, self.now, &mut requests);
        }
        self.on_requests(requests);
    }

    fn on_requests(&mut self, requests: Vec<(Mid, Option<String>)>) {
        for (mid, rid) in requests {
            self.key_requests += 1;
            if let Some(stream) = self.streams.iter_mut().find(|stream| stream.mid == Some(mid)) {
                stream.request_key(rid.as_deref());
            }
        }
    }
}

/// Takes everything out of a connection.
fn poll_pc(pc: &mut Pc, sent: &mut Vec<Datagram>, now: Instant, requests: &mut Vec<(Mid, Option<String>)>) {
    let mut timeouts = 0;
    loop {
        match pc.rtc.poll_output().unwrap() {
            Output::Timeout(at) => {
                if at > now || timeouts > 10 {
                    pc.timeout = at.max(now + Duration::from_millis(1));
                    return;
                }
                timeouts += 1;
                pc.rtc.handle_input(Input::Timeout(now)).unwrap();
            }
            Output::Transmit(transmit) => {
                sent.push((transmit.source, transmit.destination, transmit.contents.to_vec()))
            }
            Output::Event(event) => on_event(pc, event, now, requests),
        }
    }
}

fn on_event(pc: &mut Pc, event: Event, now: Instant, requests: &mut Vec<(Mid, Option<String>)>) {
    match event {
        Event::IceConnectionStateChange(state) => pc.ice = Some(state),
        Event::ChannelOpen(id, label) => {
            pc.channels.insert(DataChannel::from_label(&label).unwrap(), id);
        }
        Event::ChannelData(data) => {
            let channel = *pc.channels.iter().find(|(_, id)| **id == data.id).unwrap().0;
            pc.messages.push((channel, data.data));
        }
        Event::KeyframeRequest(request) => requests.push((request.mid, request.rid.map(|rid| rid.to_string()))),
        Event::RtpPacket(packet) => {
            let mid = pc.rtc.direct_api().stream_rx(&packet.header.ssrc).unwrap().mid();
            pc.received.entry(mid).or_default().push(Packet::read(&packet, now));
        }
        _ => {}
    }
}

fn channel_config(channel: DataChannel) -> ChannelConfig {
    let reliable = channel == DataChannel::Reliable;
    ChannelConfig {
        label: channel.label().to_owned(),
        ordered: reliable,
        reliability: if reliable { Reliability::Reliable } else { Reliability::MaxRetransmits { retransmits: 0 } },
        ..ChannelConfig::default()
    }
}
