//! Offers that real clients made, and the answers they get, line by line.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sfu::{
    Codec, Command, Config, Engine, Event, MediaKind, NewParticipant, NewTrack, Output, ParticipantId, PeerMode,
    RoomId, TrackId,
};
use str0m::change::SdpOffer;
use str0m::{Input, Rtc};

const CLIENT: ParticipantId = ParticipantId(1);
const OTHER: ParticipantId = ParticipantId(2);

/// What happens before an offer.
enum Step {
    /// The client announces a track.
    Announce(u64, MediaKind, &'static str, Option<Codec>),
    /// Somebody else has a track and the client subscribes to it.
    Show(u64, MediaKind, Option<Codec>),
    /// That track ends.
    Hide(u64),
}

/// An engine with one real client.
struct Session {
    engine: Engine,
    now: Instant,
    events: Vec<Event>,
    folder: PathBuf,
    offers: u32,
}

impl Session {
    fn new(folder: &str, mode: PeerMode) -> Session {
        let now = Instant::now();
        let engine = Engine::new(Config::new(vec!["192.0.2.1:7882".parse().unwrap()]), now);
        let folder = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", folder].iter().collect();
        let mut session = Session { engine, now, events: Vec::new(), folder, offers: 0 };
        for (id, mode) in [(CLIENT, mode), (OTHER, PeerMode::Single)] {
            session.command(Command::AddParticipant(NewParticipant {
                id,
                room: RoomId(1),
                sid: format!("PA_{id}"),
                mode,
                can_subscribe: false,
                reuse_sections: true,
                allow_pause: true,
            }));
        }
        session
    }

    fn command(&mut self, command: Command) {
        self.engine.handle(command, self.now).unwrap();
        loop {
            match self.engine.poll() {
                Output::Event(event) => self.events.push(event),
                Output::Transmit(_) => {}
                Output::Timeout(_) => return,
            }
        }
    }

    fn step(&mut self, step: Step) {
        let track = |id, participant, cid: &str, kind, codec| NewTrack {
            id: TrackId(id),
            participant,
            sid: format!("TR_{id}"),
            cid: cid.to_owned(),
            kind,
            codec,
            layers: Vec::new(),
            width: 0,
            height: 0,
            muted: false,
            stereo: id == 91,
            no_dtx: false,
        };
        match step {
            Step::Announce(id, kind, cid, codec) => {
                self.command(Command::AddTrack(track(id, CLIENT, cid, kind, codec)))
            }
            Step::Show(id, kind, codec) => {
                self.command(Command::AddTrack(track(id, OTHER, &format!("cid-{id}"), kind, codec)));
                self.command(Command::Subscribe { participant: CLIENT, track: TrackId(id) });
            }
            Step::Hide(id) => self.command(Command::RemoveTrack(TrackId(id))),
        }
    }

    /// Gives the next offer and compares its answer. Returns the answer and its tracks.
    fn offer(&mut self, before: Vec<Step>) -> (String, Vec<(String, String)>) {
        before.into_iter().for_each(|step| self.step(step));
        self.offers += 1;
        let file = |what: &str| self.folder.join(format!("{}-{what}.sdp", self.offers));
        let (offer, expected) = (file("offer"), file("answer"));
        let sdp = std::fs::read_to_string(offer).unwrap().replace('\n', "\r\n");
        self.command(Command::Offer { participant: CLIENT, id: self.offers, sdp });
        let answer = self.events.iter().rev().find_map(|event| match event {
            Event::Answer { id, sdp, tracks, .. } if *id == self.offers => Some((sdp.clone(), tracks.clone())),
            _ => None,
        });
        let (answer, tracks) = answer.unwrap();
        let shown = mask(&answer);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &shown).unwrap();
        }
        let known = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(shown, known, "the answer in {} has changed", expected.display());
        (answer, tracks)
    }

    /// The sections in which tracks of the client were found.
    fn bound(&self) -> Vec<(u64, String)> {
        let bound = |event: &Event| match event {
            Event::TrackBound { track, mid } => Some((track.0, mid.clone())),
            _ => None,
        };
        self.events.iter().filter_map(bound).collect()
    }

    /// The tracks that the client took out.
    fn unpublished(&self) -> Vec<u64> {
        let ended = |event: &Event| match event {
            Event::TrackUnpublished { track } => Some(track.0),
            _ => None,
        };
        self.events.iter().filter_map(ended).collect()
    }
}

/// Replaces what is random, so that equal things stay equal.
fn mask(sdp: &str) -> String {
    let mut ssrcs: HashMap<String, usize> = HashMap::new();
    let mut ssrc = |word: &str| {
        let next = ssrcs.len() + 1;
        format!("SSRC{}", ssrcs.entry(word.to_owned()).or_insert(next))
    };
    let mut masked = String::new();
    for line in sdp.lines() {
        let random =
            ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:sha-256 "].into_iter().find(|name| line.starts_with(name));
        let line = if let Some(name) = random {
            format!("{name}RANDOM")
        } else if let Some(rest) = line.strip_prefix("o=") {
            let words: Vec<&str> = rest.split(' ').collect();
            format!("o=- RANDOM {}", words[2..].join(" "))
        } else if let Some(rest) = line.strip_prefix("a=ssrc-group:FID ") {
            format!("a=ssrc-group:FID {}", rest.split(' ').map(&mut ssrc).collect::<Vec<_>>().join(" "))
        } else if let Some((number, rest)) = line.strip_prefix("a=ssrc:").and_then(|rest| rest.split_once(' ')) {
            format!("a=ssrc:{} {rest}", ssrc(number))
        } else if let Some(rest) = line.strip_prefix("a=candidate:") {
            let words: Vec<&str> = rest.split(' ').collect();
            format!("a=candidate:RANDOM {} ufrag RANDOM", words[1..words.len() - 2].join(" "))
        } else {
            line.to_owned()
        };
        masked.push_str(&line);
        masked.push('\n');
    }
    masked
}

/// The first payload type's codec in the section with this mid.
fn first_codec(sdp: &str, mid: &str) -> String {
    let section = sdp.split("\nm=").find(|section| section.contains(&format!("a=mid:{mid}\r"))).unwrap();
    let pt = section.lines().next().unwrap().split(' ').nth(3).unwrap();
    let map = section.lines().find_map(|line| line.strip_prefix(&format!("a=rtpmap:{pt} "))).unwrap();
    map.split('/').next().unwrap().to_owned()
}

const AUDIO: MediaKind = MediaKind::Audio;
const VIDEO: MediaKind = MediaKind::Video;

#[test]
fn chromium_on_one_connection() {
    let mut session = Session::new("chromium-single", PeerMode::Single);
    let shown = vec![Step::Show(91, AUDIO, None), Step::Show(92, VIDEO, Some(Codec::H264))];
    let (_, tracks) = session.offer(shown);
    assert_eq!(tracks.len(), 2, "what it subscribed to before it offered comes with the first answer");
    assert_eq!(session.offer(vec![]).1, tracks, "the second offer gets the same");
    let mic = Step::Announce(1, AUDIO, "c55ebdf8-2287-4b71-91c9-761ec0ac66bf", None);
    let (_, tracks) = session.offer(vec![mic, Step::Hide(92)]);
    assert_eq!(tracks.len(), 1);
    let cam = Step::Announce(2, VIDEO, "62826699-83df-478e-9e75-901a565ffcc7", Some(Codec::Vp8));
    let (_, tracks) = session.offer(vec![cam, Step::Show(93, VIDEO, None)]);
    assert_eq!(tracks, [("0".to_owned(), "TR_91".to_owned()), ("3".to_owned(), "TR_93".to_owned())]);
    session.offer(vec![]);
    assert_eq!(session.unpublished(), [2]);
    let cam = Step::Announce(3, VIDEO, "502a9f72-27a5-445c-8cb7-d3ba77691aba", Some(Codec::H264));
    let (answer, _) = session.offer(vec![cam]);
    assert_eq!(first_codec(&answer, "9"), "H264");
    session.offer(vec![]);
    assert_eq!(session.bound(), [(1, "7".to_owned()), (2, "8".to_owned()), (3, "9".to_owned())]);
}

#[test]
fn chromium_on_two_connections() {
    let mut session = Session::new("chromium-dual", PeerMode::Dual);
    session.offer(vec![]);
    session.offer(vec![Step::Announce(1, AUDIO, "d5f93aa5-5692-468f-b39c-ea62e8ce7adc", None)]);
    session.offer(vec![Step::Announce(2, VIDEO, "023e672a-8e4f-41c5-b218-e65e8d8248e6", Some(Codec::Vp8))]);
    session.offer(vec![]);
    assert_eq!(session.unpublished(), [2]);
    let cam = Step::Announce(3, VIDEO, "4eca2445-c843-4c84-bb0f-85b1724ee15e", Some(Codec::H264));
    let (answer, tracks) = session.offer(vec![cam]);
    assert_eq!(first_codec(&answer, "3"), "H264");
    assert!(tracks.is_empty());
    session.offer(vec![]);
    assert_eq!(session.bound(), [(1, "1".to_owned()), (2, "2".to_owned()), (3, "3".to_owned())]);
}

#[test]
fn python_on_one_connection() {
    let mut session = Session::new("python-single", PeerMode::Single);
    session.offer(vec![Step::Show(92, VIDEO, None)]);
    session.offer(vec![Step::Announce(1, VIDEO, "b44a02ba-e79f-4ec2-b259-14ea4bd15270", Some(Codec::Vp8))]);
    session.offer(vec![Step::Announce(2, AUDIO, "9ccccb9a-4190-43ac-9285-00b782234c16", None)]);
    session.offer(vec![]);
    assert_eq!(session.bound(), [(1, "7".to_owned()), (2, "8".to_owned())]);
    assert_eq!(session.unpublished(), [2]);
}

#[test]
fn python_on_two_connections() {
    let mut session = Session::new("python-dual", PeerMode::Dual);
    session.offer(vec![]);
    session.offer(vec![Step::Announce(1, VIDEO, "18912487-654e-4bdb-afac-deb3731131e8", Some(Codec::Vp8))]);
    session.offer(vec![Step::Announce(2, AUDIO, "1941b2ce-93d2-4566-b486-c5a307dc25e3", None)]);
    session.offer(vec![]);
    assert_eq!(session.bound(), [(1, "1".to_owned()), (2, "2".to_owned())]);
    assert_eq!(session.unpublished(), [2]);
}

#[test]
fn pion_on_one_connection() {
    let mut session = Session::new("pion-single", PeerMode::Single);
    let (_, tracks) = session.offer(vec![Step::Show(91, AUDIO, None), Step::Show(92, VIDEO, None)]);
    assert_eq!(tracks, [("0".to_owned(), "TR_91".to_owned()), ("3".to_owned(), "TR_92".to_owned())]);
    let (_, tracks) = session.offer(vec![
        Step::Announce(1, AUDIO, "TR_wX8UEUPbtNce", None),
        Step::Announce(2, VIDEO, "simulcast", Some(Codec::Vp8)),
        Step::Announce(3, VIDEO, "TR_xWyNRTUPAtw6", None),
    ]);
    assert_eq!(session.bound(), [(1, "0".to_owned()), (2, "3".to_owned()), (3, "4".to_owned())]);
    let moved = [("1".to_owned(), "TR_91".to_owned()), ("5".to_owned(), "TR_92".to_owned())];
    assert_eq!(tracks, moved, "it publishes on the sections that it received on");
    let (_, tracks) = session.offer(vec![]);
    assert_eq!(tracks, moved);
    assert_eq!(session.unpublished(), [3]);
}

#[test]
fn pion_on_two_connections() {
    let mut session = Session::new("pion-dual", PeerMode::Dual);
    session.offer(vec![]);
    let (answer, _) = session.offer(vec![
        Step::Announce(1, AUDIO, "TR_jjPQVfnuBBaU", None),
        Step::Announce(2, VIDEO, "simulcast", Some(Codec::Vp8)),
        Step::Announce(3, VIDEO, "TR_vW9P85HqnoKd", None),
    ]);
    assert_eq!(["2", "3"].map(|mid| first_codec(&answer, mid)), ["VP8", "H264"], "in its own order");
    session.offer(vec![]);
    assert_eq!(session.bound(), [(1, "1".to_owned()), (2, "2".to_owned()), (3, "3".to_owned())]);
    assert_eq!(session.unpublished(), [3]);
}

/// One random change to an offer.
fn garble(offer: &str, rng: &mut StdRng) -> String {
    let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
    for _ in 0..rng.random_range(1..4) {
        let (at, other) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
        match rng.random_range(0..6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, lines[other].clone()),
            2 => lines.swap(at, other),
            3 => lines[at] = lines[at].replace(|c: char| c.is_ascii_digit(), &rng.random_range(0..300).to_string()),
            4 => lines[at] = lines[at].chars().rev().collect(),
            _ => {
                let kept = rng.random_range(0..=lines[at].chars().count());
                lines[at] = lines[at].chars().take(kept).chain(['\u{e9}']).collect();
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\r\n") + "\r\n"
}

#[test]
fn garbled_offers_are_refused_or_answered() {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut refused, mut answered) = (0, 0);
    for (folder, count) in [("chromium-single", 7), ("python-dual", 4), ("pion-single", 3), ("pion-dual", 3)] {
        for round in 0..60 {
            let mut session = Session::new(folder, PeerMode::Single);
            for number in 1..=count {
                let path = session.folder.join(format!("{number}-offer.sdp"));
                let offer = std::fs::read_to_string(path).unwrap();
                // Later offers meet a session that earlier ones have made.
                let sdp =
                    if number == 1 && round % 2 == 0 { offer.replace('\n', "\r\n") } else { garble(&offer, &mut rng) };
                let step = Step::Announce(round * 10 + number, VIDEO, "simulcast", None);
                session.step(step);
                match session.engine.handle(Command::Offer { participant: CLIENT, id: 1, sdp }, session.now) {
                    Ok(()) => answered += 1,
                    Err(_) => refused += 1,
                }
                while !matches!(session.engine.poll(), Output::Timeout(_)) {}
            }
        }
    }
    assert!(refused > 50 && answered > 50, "{refused} refused, {answered} answered");
}

#[test]
fn garbled_answers_are_refused_or_taken() {
    let mut rng = StdRng::seed_from_u64(8);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..300 {
        let mut session = Session::new("python-dual", PeerMode::Dual);
        session.step(Step::Show(91, AUDIO, None));
        session.step(Step::Show(92, VIDEO, None));
        session.now += std::time::Duration::from_secs(1);
        session.engine.handle_timeout(session.now);
        let mut client = Rtc::builder().set_rtp_mode(true).build(session.now);
        client.handle_input(Input::Timeout(session.now)).unwrap();
        for _ in 0..2 {
            session.command(Command::Unsubscribe { participant: OTHER, track: TrackId(91) });
            session.now += std::time::Duration::from_secs(1);
            session.engine.handle_timeout(session.now);
            session.command(Command::Candidate {
                participant: CLIENT,
                target: sfu::Target::Subscriber,
                candidate: String::new(),
            });
            let offer = session.events.drain(..).rev().find_map(|event| match event {
                Event::Offer { sdp, .. } => Some(sdp),
                _ => None,
            });
            let Some(offer) = offer else { break };
            let offer = SdpOffer::from_sdp_string(&offer).unwrap();
            let answer = client.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
            let sdp = garble(&answer, &mut rng);
            match session.engine.handle(Command::Answer { participant: CLIENT, id: 0, sdp }, session.now) {
                Ok(()) => taken += 1,
                Err(_) => refused += 1,
            }
            while !matches!(session.engine.poll(), Output::Timeout(_)) {}
        }
    }
    assert!(refused > 20 && taken > 20, "{refused} refused, {taken} taken");
}
