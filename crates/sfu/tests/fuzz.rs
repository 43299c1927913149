//! Mutated descriptions, datagrams and media. A target is a test named `fuzz_…`; `make fuzz` runs all of them for longer.
//! Of each: nothing panics, what was asked for is answered or refused, and others are served as before.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::cell::RefCell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Client, SERVER, World};
use proptest::prelude::{any, proptest};
use proptest::strategy::Strategy;
use sfu::{
    Command, Config, Engine, Event, MediaKind, NewParticipant, Output, ParticipantId, PeerMode, RoomId, Target,
    TrackId, TransportState,
};
use str0m::format::Codec;
use str0m::media::Mid;
use str0m::rtp::RtpWrite;
use testkit::fuzz::{cases, mutated};

const CLIENT: ParticipantId = ParticipantId(1);
const OTHER: ParticipantId = ParticipantId(2);

/// Offers of real clients.
const OFFERS: &[&[u8]] = &[
    include_bytes!("fixtures/chromium-single/1-offer.sdp"),
    include_bytes!("fixtures/chromium-single/3-offer.sdp"),
    include_bytes!("fixtures/chromium-dual/1-offer.sdp"),
    include_bytes!("fixtures/pion-single/2-offer.sdp"),
    include_bytes!("fixtures/python-single/2-offer.sdp"),
];
const SDP_WORDS: &[&[u8]] = &[
    b"\na=",
    b"\nm=video 9 UDP/TLS/RTP/SAVPF 96 97\n",
    b"\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\n",
    b"a=mid:0\n",
    b"a=group:BUNDLE 0 1 2 99\n",
    b"a=ice-ufrag:\n",
    b"a=rid:q send\n",
    b"a=simulcast:send q;h;f\n",
    b"a=ssrc:4294967296 cname:x\n",
    b"a=fmtp:96 apt=96\n",
    b"a=extmap:0 x\n",
    b"a=extmap:65536 urn:ietf:params:rtp-hdrext:sdes:mid\n",
    b"a=setup:passive\n",
    b"a=fingerprint:sha-256 00\n",
    b"a=inactive\n",
    b"a=bundle-only\n",
    b" 0 ",
    b"18446744073709551616",
];

/// STUN, DTLS, RTP and RTCP as they begin.
const DATAGRAMS: &[&[u8]] = &[
    b"\x00\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x06\x00\x04a:b\x00\x00\x24\x00\x04\x7f\xff\xff\xff",
    b"\x01\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl",
    b"\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x04\xfe\xfd\x00\x00",
    b"\x15\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x05\x00\x02\x02\x28",
    b"\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x05\x00\x10abcdefghijklmnop",
    b"\x80\x60\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01payload-and-its-tag-of-sixteen",
    b"\x90\x6f\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\xbe\xde\x00\x02\x10\x30\x31\xff\x00\x00\x00\x00payload-and-tag",
    b"\x80\xc8\x00\x06\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01tag",
    b"\x8f\xcd\x00\x05\x00\x00\x00\x01\x00\x00\x00\x02\x00\x01\x00\x05\x00\x00\x00\x00\x20\x05\x04\x04\x04\x04\x04\x00tag",
    b"\x40\x00\x00\x04turn",
];
const DATAGRAM_WORDS: &[&[u8]] =
    &[b"\x00\x06\xff\xff", b"\x00\x08\x00\x14", b"\xbe\xde\xff\xff", b"\x10\x00", b"\x81\xce\x00\x02"];

/// VP8, H.264 and Opus payloads.
const PAYLOADS: &[&[u8]] = &[
    b"\x90\xe0\x81\x02\x07\xa0\x10\x02\x00\x9d\x01\x2a\x40\x01\xb4\x00",
    b"\x90\xff\xff\xff\xff\xff\x11",
    b"\x80\x80\x05\x01\x02",
    b"\x10\x00",
    b"\x78\x00\x02\x67\x01\x00\x01\x68",
    b"\x7c\x85\x01",
    b"\x67\x42",
    b"\xf8\xff\xfe",
];

/// Everything the engine has to say.
fn drain(engine: &mut Engine) -> Vec<Event> {
    let mut events = Vec::new();
    loop {
        match engine.poll() {
            Output::Event(event) => events.push(event),
            Output::Transmit(_) => {}
            Output::Timeout(_) => return events,
        }
    }
}

fn newcomer(id: ParticipantId, mode: PeerMode) -> Command {
    let new = NewParticipant {
        id,
        room: RoomId(1),
        sid: format!("PA_{id}"),
        mode,
        can_subscribe: true,
        reuse_sections: true,
        allow_pause: true,
    };
    Command::AddParticipant(new)
}

/// An engine with a client that announced tracks and subscribed to those of another.
fn engine(mode: PeerMode, now: Instant) -> (Engine, Vec<Event>) {
    let mut engine = Engine::new(Config::new(vec![SERVER.parse().unwrap()]), now);
    let mut events = Vec::new();
    let mut commands = vec![newcomer(CLIENT, mode), newcomer(OTHER, PeerMode::Single)];
    let kinds = [MediaKind::Audio, MediaKind::Video];
    for (id, kind) in kinds.into_iter().enumerate() {
        for (track, owner) in [(id as u64, CLIENT), (id as u64 + 10, OTHER)] {
            commands.push(Command::AddTrack(common::new_track(TrackId(track), owner, &format!("cid-{track}"), kind)));
        }
        commands.push(Command::Subscribe { participant: CLIENT, track: TrackId(id as u64 + 10) });
    }
    for command in commands {
        engine.handle(command, now).unwrap();
        events.append(&mut drain(&mut engine));
    }
    (engine, events)
}

/// What must hold whatever a client said: time goes on, it can be removed, and another one's offer is answered.
fn goes_on(mut engine: Engine, now: Instant) {
    for seconds in 1..4 {
        engine.handle_timeout(now + Duration::from_secs(seconds));
        drain(&mut engine);
    }
    let later = now + Duration::from_secs(4);
    engine.handle(Command::RemoveParticipant(CLIENT), later).unwrap();
    let (id, sdp) = Client::new(OTHER.0, PeerMode::Single, now).offer().unwrap();
    engine.handle(Command::Offer { participant: OTHER, id, sdp }, later).unwrap();
    let events = drain(&mut engine);
    assert!(events.iter().any(|event| matches!(event, Event::Answer { participant: OTHER, .. })));
    engine.handle(Command::RemoveParticipant(OTHER), later).unwrap();
    drain(&mut engine);
    assert_eq!((engine.counters().participants, engine.counters().tracks), (0, 0));
}

/// Text as the mutated bytes stand for it, with the line ends of SDP.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\n', "\r\n")
}

/// The answer of a good client to what the engine offers, as something to mutate.
fn answers() -> &'static [&'static [u8]] {
    static ANSWERS: OnceLock<Vec<&'static [u8]>> = OnceLock::new();
    ANSWERS.get_or_init(|| {
        let now = Instant::now();
        let (_, events) = engine(PeerMode::Dual, now);
        let answer = offered(&events)
            .and_then(|(id, sdp)| Client::new(CLIENT.0, PeerMode::Dual, now).on_offer(id, &sdp, Vec::new()));
        vec![answer.unwrap().replace("\r\n", "\n").leak().as_bytes()]
    })
}

/// The offer of the engine.
fn offered(events: &[Event]) -> Option<(u32, String)> {
    events.iter().rev().find_map(|event| match event {
        Event::Offer { participant: CLIENT, id, sdp, .. } => Some((*id, sdp.clone())),
        _ => None,
    })
}

thread_local! {
    /// A room in which one publishes to another; used by all cases, since making one takes handshakes.
    static ROOM: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Lets something happen in the room, after which both are still connected, and if it is not the publisher who misbehaves
/// the video still `flows`. The room is made anew after a case that failed.
fn in_room(act: impl FnOnce(&mut World), flows: bool) {
    let kept = ROOM.with(|room| room.borrow_mut().take());
    let mut world = kept.unwrap_or_else(|| World::with_video(1, PeerMode::Single).0);
    act(&mut world);
    for participant in [CLIENT, OTHER] {
        assert_eq!(world.state(participant, Target::Publisher), Some(TransportState::Connected));
    }
    world.client(OTHER).forget_packets();
    if flows {
        world.run_until("the viewer still gets the video", |world| !world.clients[&OTHER].packets("TR_0").is_empty());
    }
    world.client(OTHER).forget_packets();
    world.events.retain(|event| matches!(event, Event::Transport { .. }));
    ROOM.with(|room| room.replace(Some(world)));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn fuzz_offers(bytes in mutated(OFFERS, SDP_WORDS), again in mutated(OFFERS, SDP_WORDS), single in any::<bool>()) {
        let now = Instant::now();
        let (mut engine, _) = engine(if single { PeerMode::Single } else { PeerMode::Dual }, now);
        for (id, bytes) in [(1, &bytes), (2, &again)] {
            drop(engine.handle(Command::Offer { participant: CLIENT, id, sdp: text(bytes) }, now));
            drain(&mut engine);
        }
        goes_on(engine, now);
    }

    #[test]
    fn fuzz_answers(bytes in mutated(answers(), SDP_WORDS)) {
        let now = Instant::now();
        let (mut engine, events) = engine(PeerMode::Dual, now);
        let (id, _) = offered(&events).unwrap();
        drop(engine.handle(Command::Answer { participant: CLIENT, id, sdp: text(&bytes) }, now));
        drain(&mut engine);
        goes_on(engine, now);
    }

    #[test]
    fn fuzz_datagrams(bytes in mutated(DATAGRAMS, DATAGRAM_WORDS), stranger in any::<bool>()) {
        in_room(|world| {
            let source = if stranger { "203.0.113.9:9".parse().unwrap() } else { world.clients[&CLIENT].publisher.address };
            world.engine.receive(source, SERVER.parse().unwrap(), &bytes, world.now);
            world.run_ms(20);
        }, true);
    }

    #[test]
    fn fuzz_media(
        packets in proptest::collection::vec((mutated(PAYLOADS, &[]), any::<u16>(), any::<u32>(), any::<bool>()), 1..6),
        codec in proptest::sample::select(&[Codec::Vp8, Codec::H264]),
        rid in proptest::sample::select(&["q", "h", "f"]).prop_map(str::to_owned),
    ) {
        in_room(|world| {
            let now = world.now;
            let client = world.client(CLIENT);
            let mid: Mid = client.streams.iter().find(|stream| !stream.layers.is_empty() && stream.layers[0].rid.is_some()).unwrap().mid.unwrap();
            for (payload, seq, time, marker) in &packets {
                let rtc = &mut client.publisher.rtc;
                let pts = rtc.media(mid).unwrap().remote_pts().to_vec();
                let format = rtc.codec_config().iter().find(|f| f.spec().codec == codec && pts.contains(&f.pt())).unwrap();
                let pt = format.pt();
                let payload: Vec<u8> = payload.iter().copied().take(1_100).collect();
                let rtp = RtpWrite::new(pt, u64::from(*seq).into(), *time, now, payload).marker(*marker);
                rtc.direct_api().stream_tx_by_mid(mid, Some(rid.as_str().into())).unwrap().write_rtp(rtp);
                client.advance(now);
            }
            world.run_ms(40);
        }, false);
    }
}
