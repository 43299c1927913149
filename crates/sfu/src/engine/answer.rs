//! Offers of clients: which track is in which section, which section may carry which track, and the answer.

use std::time::Duration;

use str0m::change::SdpOffer;

use super::Engine;
use super::people::Asked;
use crate::command::{Codec, MediaKind, PeerMode};
use crate::error::Error;
use crate::event::{Event, MidMap, Target};
use crate::ids::ParticipantId;
use crate::sdp::{Description, Direction, Section};
use crate::slots::SlotState;
use crate::track::{Track, TrackKey};
use crate::transport::{SendSection, TransportKey};

/// How long an offer without the sections asked for is taken as one that was under way when they were.
const CROSSING: Duration = Duration::from_secs(2);

/// How long the client may take to offer after it was asked to.
const ASK_AGAIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Answers an offer.
    pub(super) fn accept_offer(&mut self, id: ParticipantId, offer_id: u32, sdp: &str) -> Result<(), Error> {
        let participant = self.participant(id)?;
        let (mode, existing) = (participant.mode, participant.publisher);
        let offer = self.read_offer(sdp)?;
        let parsed = SdpOffer::from_sdp_string(&offer.to_string()).map_err(|error| Error::Sdp(error.to_string()))?;
        let key = match existing {
            Some(key) => key,
            None => self.add_transport(id, Target::Publisher).ok_or(Error::UnknownParticipant(id))?,
        };
        let transport = self.transports.get_mut(key).ok_or(Error::UnknownParticipant(id))?;
        let mut formats = transport.formats.clone();
        formats.note(&offer).map_err(Error::Sdp)?;
        transport.formats = formats;
        let answer = transport.rtc.sdp_api().accept_offer(parsed)?;
        let answer = Description::parse(&answer.to_sdp_string());
        self.mark(key);
        self.learn_ufrag(key);
        self.note_sends(key, &offer);
        if mode == PeerMode::Single {
            self.note_slots(id, key, &offer);
        }
        let (sdp, tracks) = self.write_answer(key, answer);
        self.tell(Event::Answer { participant: id, id: offer_id, sdp, tracks });
        self.after_answer(id, key);
        Ok(())
    }

    /// Asks a client that must offer itself for as many sections as are missing.
    pub(super) fn ask_for_sections(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else { return };
        // Before its first offer there is nothing to add to.
        let Some(transport) = participant.publisher.and_then(|key| self.transports.get(key)) else { return };
        let missing = |kind| self.without_slot(id).into_iter().filter(|key| self.tracks[*key].kind == kind).count();
        let (audios, videos) = (missing(MediaKind::Audio), missing(MediaKind::Video));
        if audios + videos == 0 && !transport.slots.any_freed() {
            return;
        }
        if let Some(asked) = participant.asked.filter(|asked| asked.again > self.now) {
            return self.negotiate_at(id, asked.again);
        }
        let usable = |kind| transport.slots.free(kind) + transport.slots.becoming_free(kind);
        let audios = audios.saturating_sub(usable(MediaKind::Audio));
        let videos = videos.saturating_sub(usable(MediaKind::Video));
        let sections = transport.slots.iter().count() + audios + videos;
        let asked = Asked { crossing: self.now + CROSSING, again: self.now + ASK_AGAIN, sections };
        self.participants.entry(id).and_modify(|participant| participant.asked = Some(asked));
        self.tell(Event::MediaSectionsRequirement { participant: id, audios: audios as u32, videos: videos as u32 });
        self.negotiate_at(id, self.now + ASK_AGAIN);
    }

    /// What a participant wants to see and has no section for. What it refused is not counted.
    pub(super) fn without_slot(&self, id: ParticipantId) -> Vec<TrackKey> {
        let Some(participant) = self.participants.get(&id) else { return Vec::new() };
        let key = match participant.mode {
            PeerMode::Single => participant.publisher,
            PeerMode::Dual => participant.subscriber,
        };
        let Some(transport) = key.and_then(|key| self.transports.get(key)) else { return Vec::new() };
        let open = |key: &TrackKey| transport.slots.carrying(*key).is_none() && !participant.refused.contains(key);
        participant.wanted.iter().copied().filter(open).collect()
    }

    /// Binds announced tracks to the sections of a connection that carry none yet.
    pub(super) fn bind_tracks(&mut self, key: TransportKey) {
        let Some(id) = self.transports.get(key).map(|transport| transport.participant) else { return };
        let unbound = self.unbound(id);
        let Some(transport) = self.transports.get_mut(key) else { return };
        let tracks: Vec<(TrackKey, &Track)> = unbound.iter().map(|key| (*key, &self.tracks[*key])).collect();
        let pairs = match_tracks(&transport.sends, &tracks);
        transport.uplinks.clear();
        for (index, track_key) in pairs {
            let transport = &mut self.transports[key];
            transport.sends[index].track = Some(track_key);
            let section = transport.sends[index].clone();
            let track = &mut self.tracks[track_key];
            track.bind(key, &section);
            let event = Event::TrackBound { track: track.id, mid: section.mid };
            self.tell(event);
            self.weigh_demand(track_key);
        }
    }

    /// Reads an offer within the limits. Sections in both directions, which pion offers by default, are taken as
    /// sending ones: what a client sends on a section it need not also receive there.
    fn read_offer(&self, sdp: &str) -> Result<Description, Error> {
        if sdp.len() > self.config.max_sdp_bytes {
            return Err(Error::Sdp(format!("larger than {} bytes", self.config.max_sdp_bytes)));
        }
        let mut offer = Description::parse(sdp);
        if offer.sections.len() > self.config.max_sections {
            return Err(Error::Sdp(format!("more than {} sections", self.config.max_sections)));
        }
        let both = |section: &&mut Section| section.kind().is_some() && section.direction() == Direction::SendRecv;
        for section in offer.sections.iter_mut().filter(both) {
            section.set_direction(Direction::SendOnly);
            section.forget_received_rids();
        }
        // The shortened SCTP handshake that newer clients propose is a draft, and LiveKit does not take it up either.
        offer.sections.iter_mut().for_each(|section| section.remove("sctp-init"));
        Ok(offer)
    }

    /// Takes note of what the client sends: tracks whose section has stopped end, announced ones are bound.
    fn note_sends(&mut self, key: TransportKey, offer: &Description) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let before = std::mem::take(&mut transport.sends);
        transport.sends = sends(offer);
        let mut ended = Vec::new();
        for old in before {
            match transport.sends.iter_mut().find(|new| new.mid == old.mid) {
                Some(new) => {
                    new.track = old.track;
                    new.spent = old.spent && new.cid == old.cid;
                }
                None => ended.extend(old.track),
            }
        }
        self.unpublish(ended);
        self.replace_tracks(key);
        self.bind_tracks(key);
    }

    /// Ends tracks whose section now names another announced track.
    fn replace_tracks(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let participant = transport.participant;
        let carried: Vec<(usize, TrackKey)> =
            transport.sends.iter().enumerate().filter_map(|(index, section)| Some((index, section.track?))).collect();
        let unbound = self.unbound(participant);
        for (index, track) in carried {
            let cid = &self.transports[key].sends[index].cid;
            let is_other = |other: &TrackKey| self.tracks[*other].cids.contains(cid);
            let is_own = self.tracks.get(track).is_some_and(|track| track.cids.contains(cid));
            if !is_own && unbound.iter().any(is_other) {
                self.transports[key].sends[index].track = None;
                self.unpublish(vec![track]);
            }
        }
    }

    /// Takes note of the sections on which the client receives, and gives them to the tracks it waits for.
    fn note_slots(&mut self, id: ParticipantId, key: TransportKey, offer: &Description) {
        let receiving = |section: &&Section| section.direction() == Direction::RecvOnly && !offer.is_rejected(section);
        let offered: Vec<(&str, MediaKind)> = offer
            .sections
            .iter()
            .filter(receiving)
            .filter_map(|section| Some((section.mid()?, section.kind()?)))
            .collect();
        let Some(transport) = self.transports.get_mut(key) else { return };
        let lost = transport.slots.sync(&offered);
        let sections = transport.slots.iter().count();
        for track in lost {
            self.set_sink(track, key, None);
        }
        for track in self.without_slot(id) {
            let kind = self.tracks[track].kind;
            let Some(transport) = self.transports.get_mut(key) else { return };
            if let Some(taken) = transport.slots.take(kind, track).filter(|taken| taken.used_before) {
                transport.renew_ssrcs(&taken.mid);
            }
        }
        let Some(participant) = self.participants.get_mut(&id) else { return };
        let crossed = |asked: &Asked| sections < asked.sections && self.now < asked.crossing;
        // The sections asked for are still to come; if they do not, they are asked for again.
        participant.asked = participant.asked.filter(crossed).map(|asked| Asked { again: asked.crossing, ..asked });
    }

    /// Makes `str0m`'s answer the one that LiveKit clients expect.
    fn write_answer(&mut self, key: TransportKey, mut answer: Description) -> (String, MidMap) {
        let mut map = Vec::new();
        let Some(transport) = self.transports.get_mut(key) else { return (String::new(), map) };
        for section in answer.sections.iter_mut().filter(|section| section.kind().is_some()) {
            let Some(mid) = section.mid().map(str::to_owned) else { continue };
            let sent = transport.sends.iter().find(|sent| sent.mid == mid);
            let slot = transport.slots.get(&mid).map(|slot| slot.state);
            match (sent, slot) {
                (Some(sent), _) => write_uplink(section, sent, sent.track.and_then(|key| self.tracks.get(key))),
                (None, Some(SlotState::Carrying(carried))) => {
                    let Some((track, (ssrc, rtx))) = self.tracks.get(carried).zip(transport.ssrcs(&mid)) else {
                        continue;
                    };
                    section.set_direction(Direction::SendOnly);
                    section.carry(&track.stream(), &track.sid, *ssrc, rtx.map(|rtx| *rtx));
                    write_downlink(section, track);
                    map.push((mid, track.sid.clone()));
                }
                (None, slot) => {
                    // A section never used is answered as one to come: Firefox makes its decoders by the first offer.
                    section.strip_msid();
                    if section.direction().sends() && slot != Some(SlotState::Fresh) {
                        section.set_direction(Direction::Inactive);
                    }
                }
            }
        }
        (transport.render(answer), map)
    }

    /// The answer is out: sections that were given to tracks can deliver, freed ones are free.
    fn after_answer(&mut self, id: ParticipantId, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        transport.slots.settle();
        let carried: Vec<(String, TrackKey)> =
            transport.slots.iter().filter_map(|slot| Some((slot.mid.clone(), slot.track()?))).collect();
        for (mid, track) in carried {
            if self.tracks.get(track).is_some_and(|track| waits_for_section(track, id)) {
                self.set_sink(track, key, Some(&mid));
            }
        }
        let single = self.participants.get(&id).is_some_and(|participant| participant.mode == PeerMode::Single);
        if single && !self.without_slot(id).is_empty() {
            self.negotiate_soon(id);
        }
    }
}

/// Whether a viewer is subscribed to a track and has no section for it yet.
fn waits_for_section(track: &Track, viewer: ParticipantId) -> bool {
    track.downlinks.iter().any(|downlink| downlink.viewer == viewer && downlink.sink.is_none())
}

/// Prefers the codec that the client announced or else offered first, and states the options of audio.
fn write_uplink(section: &mut Section, sent: &SendSection, track: Option<&Track>) {
    section.strip_msid();
    if let Some(codec) = track.and_then(|track| track.announced).or(sent.codecs.first().copied()) {
        section.prefer(codec);
    }
    let Some(track) = track.filter(|track| track.kind == MediaKind::Audio) else { return };
    if !track.no_dtx {
        section.add_parameters(Codec::Opus, &["usedtx=1"]);
    }
    if track.stereo {
        section.add_parameters(Codec::Opus, &["stereo=1", "maxaveragebitrate=510000"]);
    }
}

/// Prefers the codec that will come, so that the client makes its decoder for it, and says if it is stereo.
pub(super) fn write_downlink(section: &mut Section, track: &Track) {
    if let Some(codec) = track.codec {
        section.prefer(codec);
    }
    if track.stereo {
        section.add_parameters(Codec::Opus, &["sprop-stereo=1"]);
    }
}

/// The sections on which the client sends.
fn sends(offer: &Description) -> Vec<SendSection> {
    let sending = |section: &&Section| section.direction().sends() && !offer.is_rejected(section);
    let read = |section: &Section| {
        let cid = section.msid().map_or("", |(_, track)| track).to_owned();
        Some(SendSection {
            mid: section.mid()?.to_owned(),
            cid,
            kind: section.kind()?,
            codecs: section.codecs(),
            rids: section.sent_rids().into_iter().map(str::to_owned).collect(),
            track: None,
            spent: false,
        })
    };
    offer.sections.iter().filter(sending).filter_map(read).collect()
}

/// Which announced track is in which free section: by the client's track id, else, where one section and one track
/// of a kind are left, by that.
fn match_tracks(sections: &[SendSection], tracks: &[(TrackKey, &Track)]) -> Vec<(usize, TrackKey)> {
    let free = |section: &SendSection| section.track.is_none() && !section.spent;
    let mut pairs = Vec::new();
    for (index, section) in sections.iter().enumerate().filter(|(_, section)| free(section)) {
        let named = tracks.iter().find(|(_, track)| track.kind == section.kind && track.cids.contains(&section.cid));
        pairs.extend(named.map(|(key, _)| (index, *key)));
    }
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let left = |index: &usize, key: &TrackKey| !pairs.iter().any(|(i, k)| i == index || k == key);
        let mut open = sections
            .iter()
            .enumerate()
            .filter(|(index, section)| free(section) && section.kind == kind && left(index, &TrackKey::default()));
        let mut unnamed = tracks.iter().filter(|(key, track)| track.kind == kind && left(&usize::MAX, key));
        if let (Some((index, section)), None, Some((key, track)), None) =
            (open.next(), open.next(), unnamed.next(), unnamed.next())
            && track.could_be(section)
        {
            pairs.push((index, *key));
        }
    }
    pairs
}
