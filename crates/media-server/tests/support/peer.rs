//! A small WebRTC peer on the single-connection path: data channels and a silent microphone.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::mpsc as std_mpsc;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use livekit_protocol::signal_request::Message as Ask;
use livekit_protocol::signal_response::Message;
use prost::Message as _;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::media::{Direction, MediaKind, MediaTime, Mid};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};
use tokio::sync::mpsc;

use super::PATIENCE;
use super::client::{Client, join_request};
use super::server::Server;

/// A participant with signalling and media.
pub(crate) struct Peer {
    /// Its signalling.
    pub(crate) client: Client,
    /// What it was told when it joined.
    pub(crate) join: proto::JoinResponse,
    /// Its microphone's track, if it has one.
    pub(crate) track: Option<proto::TrackInfo>,
    commands: std_mpsc::Sender<Command>,
    events: mpsc::UnboundedReceiver<Happened>,
}

enum Command {
    Answer(String),
    Send(&'static str, Vec<u8>),
}

/// What the media thread of a peer reports.
#[derive(Debug)]
pub(crate) enum Happened {
    /// ICE and DTLS are up.
    Connected,
    /// A data channel is open.
    Open(String),
    /// A message came.
    Data(String, Vec<u8>),
}

impl Peer {
    /// Joins and waits until media and data channels work.
    pub(crate) async fn enter(server: &Server, token: &str) -> Self {
        Self::start(server, token, false).await
    }

    /// The same with a microphone.
    pub(crate) async fn speak(server: &Server, token: &str) -> Self {
        Self::start(server, token, true).await
    }

    /// The same with a microphone that it never announced.
    pub(crate) async fn intrude(server: &Server, token: &str) -> Self {
        Self::begin(server, token, true, false).await
    }

    async fn start(server: &Server, token: &str, microphone: bool) -> Self {
        Self::begin(server, token, microphone, microphone).await
    }

    async fn begin(server: &Server, token: &str, microphone: bool, announced: bool) -> Self {
        let (offer, commands, events) = spawn(microphone);
        let mut request = join_request();
        request.publisher_offer =
            Some(proto::SessionDescription { r#type: "offer".into(), sdp: offer, id: 1, ..Default::default() });
        let mut client = Client::v1(server, token, request).await.unwrap();
        let join = client.joined().await;
        let mut peer = Self { client, join, track: None, commands, events };
        if announced {
            peer.announce().await;
        }
        let find = |m: &Message| if let Message::Answer(a) = m { Some(a.sdp.clone()) } else { None };
        let earlier = peer.client.seen.iter().find_map(find);
        let answer = match earlier {
            Some(answer) => answer,
            None => peer.client.until("answer", find).await,
        };
        peer.commands.send(Command::Answer(answer)).unwrap();
        peer.happens("connected", |h| matches!(h, Happened::Connected).then_some(())).await;
        peer.happens("open", |h| matches!(h, Happened::Open(label) if label == "_reliable").then_some(())).await;
        peer
    }

    async fn announce(&mut self) {
        let request = proto::AddTrackRequest {
            cid: CID.into(),
            name: "mic".into(),
            r#type: proto::TrackType::Audio.into(),
            source: proto::TrackSource::Microphone.into(),
            ..Default::default()
        };
        self.client.send(Ask::AddTrack(request)).await;
        let track = self.client.until("track_published", |m| match m {
            Message::TrackPublished(p) if p.cid == CID => p.track.clone(),
            _ => None,
        });
        self.track = Some(track.await);
    }

    /// Sends a data packet.
    pub(crate) fn send(&self, channel: &'static str, packet: &proto::DataPacket) {
        self.commands.send(Command::Send(channel, packet.encode_to_vec())).unwrap();
    }

    /// The next data packet, with the channel it came on.
    pub(crate) async fn packet(&mut self) -> (String, proto::DataPacket) {
        self.happens("data", |h| match h {
            Happened::Data(label, bytes) => Some((label.clone(), proto::DataPacket::decode(bytes.as_slice()).unwrap())),
            _ => None,
        })
        .await
    }

    async fn happens<T>(&mut self, what: &str, mut take: impl FnMut(&Happened) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.recv().await.expect("the peer runs");
                if let Some(found) = take(&event) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
    }

    /// Says goodbye.
    pub(crate) async fn leave(&mut self) {
        let leave =
            proto::LeaveRequest { reason: proto::DisconnectReason::ClientInitiated.into(), ..Default::default() };
        self.client.send(Ask::Leave(leave)).await;
    }
}

/// The microphone's id on the client's side.
const CID: &str = "test-microphone";

/// One frame of silence in opus.
const SILENCE: [u8; 3] = [0xf8, 0xff, 0xfe];

type Spawned = (String, std_mpsc::Sender<Command>, mpsc::UnboundedReceiver<Happened>);

/// Starts the media thread; gives the first offer.
fn spawn(microphone: bool) -> Spawned {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut rtc = RtcConfig::new().build(Instant::now());
    rtc.add_local_candidate(Candidate::host(socket.local_addr().unwrap(), "udp").unwrap());
    let mut change = rtc.sdp_api();
    let lossy = Reliability::MaxRetransmits { retransmits: 0 };
    for (label, ordered, reliability) in
        [("_reliable", true, Reliability::Reliable), ("_lossy", false, lossy), ("_data_track", false, lossy)]
    {
        change.add_channel_with_config(ChannelConfig {
            label: label.into(),
            ordered,
            reliability,
            ..Default::default()
        });
    }
    let mid = microphone.then(|| {
        change.add_media(MediaKind::Audio, Direction::SendOnly, Some("stream".into()), Some(CID.into()), None)
    });
    let (offer, pending) = change.apply().unwrap();
    let (commands, received) = std_mpsc::channel();
    let (happened, events) = mpsc::unbounded_channel();
    let media = Media {
        rtc,
        socket,
        pending: Some(pending),
        mid,
        channels: HashMap::new(),
        happened,
        frame: 0,
        connected: None,
    };
    std::thread::spawn(move || media.run(&received));
    (offer.to_sdp_string(), commands, events)
}

struct Media {
    rtc: Rtc,
    socket: UdpSocket,
    pending: Option<SdpPendingOffer>,
    mid: Option<Mid>,
    channels: HashMap<ChannelId, String>,
    happened: mpsc::UnboundedSender<Happened>,
    frame: u64,
    connected: Option<Instant>,
}

impl Media {
    /// Until the test drops its end.
    fn run(mut self, commands: &std_mpsc::Receiver<Command>) {
        let mut buffer = vec![0; 2000];
        loop {
            match commands.try_recv() {
                Ok(command) => self.command(command),
                Err(std_mpsc::TryRecvError::Disconnected) => return,
                Err(std_mpsc::TryRecvError::Empty) => {}
            }
            self.speak();
            let Some(deadline) = self.drain() else {
                return;
            };
            let wait = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(5));
            self.socket.set_read_timeout(Some(wait.max(Duration::from_millis(1)))).unwrap();
            let received = self.socket.recv_from(&mut buffer);
            let now = Instant::now();
            let input = match &received {
                Ok((length, source)) => Input::Receive(
                    now,
                    Receive {
                        proto: Protocol::Udp,
                        source: *source,
                        destination: self.socket.local_addr().unwrap(),
                        contents: buffer[..*length].try_into().unwrap(),
                    },
                ),
                Err(_) => Input::Timeout(now),
            };
            if self.rtc.handle_input(input).is_err() {
                return;
            }
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Answer(sdp) => {
                let answer = SdpAnswer::from_sdp_string(&sdp).unwrap();
                self.rtc.sdp_api().accept_answer(self.pending.take().unwrap(), answer).unwrap();
            }
            Command::Send(label, bytes) => {
                let id = *self.channels.iter().find(|(_, l)| *l == label).unwrap().0;
                assert!(self.rtc.channel(id).unwrap().write(true, &bytes).unwrap());
            }
        }
    }

    /// A frame of silence every 20 ms once connected.
    fn speak(&mut self) {
        let (Some(mid), Some(since)) = (self.mid, self.connected) else {
            return;
        };
        let now = Instant::now();
        if now < since + Duration::from_millis(20) * u32::try_from(self.frame).unwrap() {
            return;
        }
        let time = MediaTime::new(self.frame * 960, str0m::media::Frequency::FORTY_EIGHT_KHZ);
        self.frame += 1;
        if let Some(writer) = self.rtc.writer(mid) {
            let pt = writer.payload_params().find(|p| p.spec().codec == str0m::format::Codec::Opus).map(|p| p.pt());
            if let Some(pt) = pt {
                writer.audio_level(-30, true).write(pt, now, time, SILENCE.to_vec()).unwrap();
            }
        }
    }

    fn drain(&mut self) -> Option<Instant> {
        loop {
            match self.rtc.poll_output().ok()? {
                Output::Timeout(at) => return Some(at),
                Output::Transmit(t) => {
                    let _ = self.socket.send_to(&t.contents, t.destination);
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    fn event(&mut self, event: Event) {
        let happened = match event {
            Event::Connected => {
                self.connected = Some(Instant::now());
                Happened::Connected
            }
            Event::ChannelOpen(id, label) => {
                self.channels.insert(id, label.clone());
                Happened::Open(label)
            }
            Event::ChannelData(data) => Happened::Data(self.channels[&data.id].clone(), data.data),
            _ => return,
        };
        // The test may be over.
        let _ = self.happened.send(happened);
    }
}
