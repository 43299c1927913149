//! A webhook's body, read with patience.
//!
//! Not by the types that `livekit-protocol` generates: they refuse the whole
//! event for one enum value they do not know, and newer servers add such values
//! (disconnect reasons, track sources, kinds). Read here is only what we use,
//! in either of proto3 JSON's spellings; everything else may be anything.

use std::fmt;

use domain::{
    EventId, Identity, ParticipantSid, ParticipantSnapshot, RoomEvent, RoomEventKind, RoomName, RoomSid, Timestamp,
    TrackSid,
};
use livekit_protocol::participant_info::State;
use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::Webhook;
use crate::kind::{kind_number, kind_of};

/// `WebhookEvent`
#[derive(Deserialize)]
struct Body {
    event: Option<String>,
    id: Option<String>,
    #[serde(rename = "createdAt", alias = "created_at")]
    created_at: Option<Scalar>,
    room: Option<Room>,
    participant: Option<Participant>,
    track: Option<Track>,
}

#[derive(Deserialize)]
struct Room {
    name: Option<String>,
    sid: Option<String>,
    metadata: Option<String>,
}

#[derive(Deserialize)]
struct Participant {
    sid: Option<String>,
    identity: Option<String>,
    name: Option<String>,
    state: Option<Scalar>,
    kind: Option<Scalar>,
    permission: Option<Permission>,
    #[serde(rename = "joinedAt", alias = "joined_at")]
    joined_at: Option<Scalar>,
    #[serde(rename = "joinedAtMs", alias = "joined_at_ms")]
    joined_at_ms: Option<Scalar>,
    tracks: Option<Vec<Track>>,
}

#[derive(Deserialize)]
struct Permission {
    recorder: Option<bool>,
}

#[derive(Deserialize)]
struct Track {
    sid: Option<String>,
}

/// An enum or a number: proto3 JSON allows both as text and as number.
enum Scalar {
    Number(i64),
    Text(String),
    /// Something else that we can make nothing of.
    Strange,
}

/// Reads `body`; `now` stands in for a time the event does not carry.
pub(super) fn decode(body: &[u8], now: Timestamp) -> Result<Webhook, serde_json::Error> {
    let mut body: Body = serde_json::from_slice(body)?;
    let event = body.event.take().unwrap_or_default();
    Ok(match body.into_event(&event, now) {
        Some(event) => Webhook::Event(event),
        None => Webhook::Other { event },
    })
}

impl Body {
    /// `None` when it is not an event of ours or does not name what it is about.
    fn into_event(self, event: &str, now: Timestamp) -> Option<RoomEvent> {
        let kind = kind(event, self.participant, self.track)?;
        let room = self.room?;
        // Track events carry only the room's sid and name; elsewhere an empty text is left out by the encoding.
        let of_track = matches!(kind, RoomEventKind::TrackPublished { .. } | RoomEventKind::TrackUnpublished { .. });
        let room_metadata = if of_track { room.metadata } else { Some(room.metadata.unwrap_or_default()) };
        let created_at = self.created_at.and_then(|at| at.number()).map(seconds);
        Some(RoomEvent {
            id: EventId(self.id.unwrap_or_default()),
            room_name: RoomName::from(room.name.filter(|name| !name.is_empty())?),
            room_sid: RoomSid::from(room.sid.unwrap_or_default()),
            room_metadata,
            created_at: created_at.unwrap_or(now),
            kind,
        })
    }
}

fn kind(event: &str, participant: Option<Participant>, track: Option<Track>) -> Option<RoomEventKind> {
    Some(match event {
        "room_started" => RoomEventKind::RoomStarted,
        "room_finished" => RoomEventKind::RoomFinished,
        "participant_joined" => RoomEventKind::ParticipantJoined(participant?.snapshot()?),
        "participant_left" | "participant_connection_aborted" => {
            let (sid, identity) = participant?.who()?;
            RoomEventKind::ParticipantLeft { sid, identity }
        }
        "track_published" | "track_unpublished" => {
            let (sid, identity) = participant?.who()?;
            let track = track?.sid()?;
            if event == "track_published" {
                RoomEventKind::TrackPublished { sid, identity, track }
            } else {
                RoomEventKind::TrackUnpublished { sid, identity, track }
            }
        }
        _ => return None,
    })
}

impl Participant {
    /// Membership is by sid, so one without is nobody.
    fn who(&self) -> Option<(ParticipantSid, Identity)> {
        let sid = self.sid.as_deref().filter(|sid| !sid.is_empty())?;
        Some((ParticipantSid::from(sid), Identity::reported(self.identity.as_deref().unwrap_or_default())))
    }

    fn snapshot(self) -> Option<ParticipantSnapshot> {
        let (sid, identity) = self.who()?;
        let recorder = self.permission.and_then(|permission| permission.recorder).unwrap_or(false);
        let active = match self.state {
            Some(Scalar::Text(name)) => name == State::Active.as_str_name(),
            Some(Scalar::Number(number)) => number == State::Active as i64,
            // The event itself says it: it is sent when the participant becomes active.
            _ => true,
        };
        let millis = self.joined_at_ms.and_then(|at| at.number()).filter(|&at| at > 0);
        let joined_at = self.joined_at.and_then(|at| at.number()).filter(|&at| at > 0);
        Some(ParticipantSnapshot {
            sid,
            identity,
            name: self.name.unwrap_or_default(),
            kind: kind_of(self.kind.map_or(0, Scalar::into_kind_number), recorder),
            active,
            joined_at: millis.map(Timestamp::from_millis).or(joined_at.map(seconds)),
            tracks: self.tracks.unwrap_or_default().into_iter().filter_map(Track::sid).collect(),
        })
    }
}

impl Track {
    fn sid(self) -> Option<TrackSid> {
        self.sid.filter(|sid| !sid.is_empty()).map(TrackSid::from)
    }
}

impl Scalar {
    fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Text(text) => text.parse().ok(),
            Self::Strange => None,
        }
    }

    /// A kind that is not known has a number that is not known either.
    fn into_kind_number(self) -> i32 {
        match self {
            Self::Number(number) => i32::try_from(number).unwrap_or(-1),
            Self::Text(name) => kind_number(&name).unwrap_or(-1),
            Self::Strange => -1,
        }
    }
}

fn seconds(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number or a text")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(i64::try_from(number).map_or(Scalar::Strange, Scalar::Number))
    }

    #[expect(clippy::cast_possible_truncation, reason = "a float as an int64 saturates, which is fine for a time")]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number as i64))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.to_owned()))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Scalar, E> {
        Ok(Scalar::Strange)
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Strange)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Scalar, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Strange)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Strange)
    }
}
