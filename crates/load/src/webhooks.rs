//! Webhooks as LiveKit would send them for people who come and go, signed with its key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use domain::{
    EventId, Identity, Kind, ParticipantSid, ParticipantSnapshot, RoomEvent, RoomEventKind, RoomName, RoomSid,
    Timestamp,
};
use rooms::simulated::signed_webhook;
use rooms::{LiveKit, LiveKitHost, Rooms};

use crate::subject::Requests;

/// Rooms asked for in one call.
const NAMES: usize = 200;
const DEADLINE: Duration = Duration::from_secs(10);

/// The media server whose webhooks are sent.
#[derive(Clone)]
pub struct MediaServer {
    /// Its API.
    pub url: String,
    /// Its key.
    pub key: String,
    /// The key's secret.
    pub secret: String,
}

/// Writes webhooks about rooms that exist.
pub(crate) struct Webhooks {
    requests: Requests,
    media: MediaServer,
    rooms: Vec<(RoomName, RoomSid)>,
    /// Tells the people of one run from those of another.
    run: u32,
}

impl Webhooks {
    /// Asks the media server for the rooms of these streams: only it knows the lives that webhooks must name.
    pub(crate) fn about(streams: &[String], requests: &Requests, media: MediaServer) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let found = runtime.block_on(find(streams, &media));
        let rooms = found.with_context(|| format!("can't ask the media server at {} for its rooms", media.url))?;
        let (there, wanted) = (rooms.len(), streams.len());
        ensure!(there == wanted, "the media server at {} knows {there} of {wanted} rooms", media.url);
        Ok(Self { requests: requests.clone(), media, rooms, run: rand::random() })
    }

    /// The webhook of that number: streams by turns, and in each somebody new comes, then goes.
    pub(crate) fn write(&self, number: u64) -> Vec<u8> {
        let (round, room) = (number / self.rooms.len() as u64, (number % self.rooms.len() as u64) as usize);
        let (name, sid) = &self.rooms[room];
        let person = format!("{:08x}-{room}-{}", self.run, round / 2);
        let now = now();
        let event = RoomEvent {
            id: EventId(format!("EV_{:08x}{number}", self.run)),
            room_name: name.clone(),
            room_sid: sid.clone(),
            room_metadata: None,
            created_at: now,
            kind: kind(&person, round % 2 == 0, now),
        };
        let (authorization, body) = signed_webhook(&event, &self.media.key, &self.media.secret, now);
        let headers = [("Authorization", authorization.as_str()), ("Content-Type", "application/webhook+json")];
        self.requests.write("POST", "/webhook", &headers, &body)
    }
}

async fn find(streams: &[String], media: &MediaServer) -> anyhow::Result<Vec<(RoomName, RoomSid)>> {
    let api = LiveKit::new(&LiveKitHost::parse(&media.url)?, &media.key, &media.secret, DEADLINE)?;
    let mut rooms = Vec::with_capacity(streams.len());
    for names in streams.chunks(NAMES) {
        // A room of a fresh stream is called as the stream is.
        let names: Vec<RoomName> = names.iter().map(|name| RoomName::from(name.clone())).collect();
        rooms.extend(api.find_rooms(&names).await?.into_iter().map(|room| (room.name, room.sid)));
    }
    Ok(rooms)
}

fn kind(person: &str, comes: bool, now: Timestamp) -> RoomEventKind {
    let sid = ParticipantSid::from(format!("PA_{person}"));
    let identity = Identity::parse(person);
    match identity {
        Ok(identity) if comes => RoomEventKind::ParticipantJoined(ParticipantSnapshot {
            sid,
            identity,
            name: String::new(),
            kind: Kind::Standard,
            active: true,
            joined_at: Some(now),
            tracks: Vec::new(),
        }),
        Ok(identity) => RoomEventKind::ParticipantLeft { sid, identity },
        // Hexadecimal digits and dashes are an identity.
        Err(_) => RoomEventKind::RoomStarted,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
