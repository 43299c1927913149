//! Who is there, what they publish and what they want to see.

use std::collections::HashMap;
use std::time::Instant;

use super::{Due, Engine};
use crate::command::{NewParticipant, NewTrack, PeerMode, TrackSettings};
use crate::error::Error;
use crate::event::{ConnectionQuality, Event, Target};
use crate::forward::Downlink;
use crate::ids::{ParticipantId, RoomId, TrackId};
use crate::speech::Speech;
use crate::timers::Timer;
use crate::track::{Track, TrackKey};
use crate::transport::{Transport, TransportKey};

/// A participant.
#[derive(Debug)]
pub(super) struct Participant {
    /// The room it is in.
    pub(super) room: RoomId,
    /// `PA_...`.
    sid: String,
    /// How it splits its connection.
    pub(super) mode: PeerMode,
    /// Whether its sections may be used again.
    reuse_sections: bool,
    /// Whether its videos may be paused.
    pub(super) allow_pause: bool,
    /// The connection on which it offers.
    pub(super) publisher: Option<TransportKey>,
    /// The connection on which we offer.
    pub(super) subscriber: Option<TransportKey>,
    /// What it publishes.
    published: Vec<TrackKey>,
    /// What it wants to see, oldest wish first.
    pub(super) wanted: Vec<TrackKey>,
    /// Tracks whose section it refused: they are not offered again.
    pub(super) refused: Vec<TrackKey>,
    /// Its wishes by track, whether subscribed or not.
    settings: HashMap<TrackKey, TrackSettings>,
    /// The id of our latest offer.
    pub(super) offers: u32,
    /// Whether the next offer restarts ICE.
    pub(super) restart: bool,
    /// Sections asked for and not yet offered.
    pub(super) asked: Option<Asked>,
    /// When to negotiate, or to look after a negotiation.
    pub(super) negotiation: Timer,
    /// When to judge its connection.
    pub(super) quality_timer: Timer,
    /// The verdict last reported.
    pub(super) quality: Option<ConnectionQuality>,
}

/// A request for an offer, see [`Event::MediaSectionsRequirement`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Until when an offer without these sections is taken as one that was under way when they were asked for.
    pub(super) crossing: Instant,
    /// When to ask again.
    pub(super) again: Instant,
    /// How many receive sections the client should then offer.
    pub(super) sections: usize,
}

/// A room.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Participants in it; at none it is forgotten.
    members: usize,
    /// Who speaks.
    pub(super) speech: Speech,
    /// When the window of speech ends.
    pub(super) timer: Timer,
}

impl Engine {
    /// Adds a participant.
    pub(super) fn add_participant(&mut self, new: NewParticipant) -> Result<(), Error> {
        if self.participants.contains_key(&new.id) {
            return Err(Error::ParticipantExists(new.id));
        }
        self.rooms.entry(new.room).or_default().members += 1;
        let participant = Participant {
            room: new.room,
            sid: new.sid,
            mode: new.mode,
            reuse_sections: new.reuse_sections,
            allow_pause: new.allow_pause,
            publisher: None,
            subscriber: None,
            published: Vec::new(),
            wanted: Vec::new(),
            refused: Vec::new(),
            settings: HashMap::new(),
            offers: 0,
            restart: false,
            asked: None,
            negotiation: Timer::default(),
            quality_timer: Timer::default(),
            quality: None,
        };
        self.participants.insert(new.id, participant);
        if new.mode == PeerMode::Dual && new.can_subscribe {
            self.receiving_transport(new.id);
        }
        Ok(())
    }

    /// Removes a participant with all that is its own.
    pub(super) fn remove_participant(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.remove(&id) else { return };
        for key in participant.published {
            self.remove_track(key);
        }
        for key in participant.wanted {
            if let Some(track) = self.tracks.get_mut(key) {
                track.downlinks.retain(|downlink| downlink.viewer != id);
                self.weigh_demand(key);
            }
        }
        for key in participant.publisher.into_iter().chain(participant.subscriber) {
            self.close_transport(key);
        }
        if let Some(room) = self.rooms.get_mut(&participant.room) {
            room.members -= 1;
            if room.members == 0 {
                self.rooms.remove(&participant.room);
            }
        }
    }

    /// Adds a track and looks for its section among those offered already.
    pub(super) fn add_track(&mut self, new: NewTrack) -> Result<(), Error> {
        if self.track_keys.contains_key(&new.id) {
            return Err(Error::TrackExists(new.id));
        }
        let (id, publisher) = (new.id, new.participant);
        let participant = self.participants.get_mut(&publisher).ok_or(Error::UnknownParticipant(publisher))?;
        let key = self.tracks.insert(Track::new(new, participant.sid.clone(), participant.room, &self.config));
        participant.published.push(key);
        let transport = participant.publisher;
        self.track_keys.insert(id, key);
        if let Some(transport) = transport {
            self.bind_tracks(transport);
        }
        Ok(())
    }

    /// Adds a client id to a track.
    pub(super) fn add_track_cid(&mut self, id: TrackId, cid: String) -> Result<(), Error> {
        let key = self.track_key(id)?;
        self.tracks[key].cids.push(cid);
        Ok(())
    }

    /// Ends a track by decision of the server.
    pub(super) fn remove_track_by_id(&mut self, id: TrackId) {
        let Ok(key) = self.track_key(id) else { return };
        if let Some(source) = self.tracks[key].source.clone() {
            let transport = self.transports.get_mut(source.transport);
            let sections = transport.map(|transport| &mut transport.sends);
            for section in sections.into_iter().flatten().filter(|section| section.track == Some(key)) {
                section.track = None;
                section.spent = true;
            }
        }
        self.remove_track(key);
    }

    /// Ends a track: its viewers lose it.
    pub(super) fn remove_track(&mut self, key: TrackKey) {
        let Some(track) = self.tracks.remove(key) else { return };
        self.track_keys.remove(&track.id);
        if let Some(room) = self.rooms.get_mut(&track.room) {
            room.speech.forget(track.publisher, track.id);
        }
        if let Some(transport) = track.source.and_then(|source| self.transports.get_mut(source.transport)) {
            transport.uplinks.retain(|_, (uplink, _)| *uplink != key);
        }
        if let Some(publisher) = self.participants.get_mut(&track.publisher) {
            publisher.published.retain(|published| *published != key);
        }
        for downlink in &track.downlinks {
            self.unwish(downlink.viewer, key);
        }
        // Wishes may also stand without a subscription; rooms are small enough to look at all.
        for participant in self.participants.values_mut().filter(|participant| participant.room == track.room) {
            participant.settings.remove(&key);
        }
    }

    /// Sets the mute flag of a track.
    pub(super) fn set_muted(&mut self, id: TrackId, muted: bool) -> Result<(), Error> {
        let key = self.track_key(id)?;
        let track = &mut self.tracks[key];
        track.muted = muted;
        if let Some(room) = self.rooms.get_mut(&track.room).filter(|_| muted) {
            room.speech.forget(track.publisher, track.id);
        }
        self.retarget(key);
        Ok(())
    }

    /// Adds a subscription.
    pub(super) fn subscribe(&mut self, viewer: ParticipantId, id: TrackId) -> Result<(), Error> {
        let (key, now) = (self.track_key(id)?, self.now);
        let participant = self.participants.get_mut(&viewer).ok_or(Error::UnknownParticipant(viewer))?;
        let track = &mut self.tracks[key];
        if track.room != participant.room {
            return Err(Error::OtherRoom(id));
        }
        if participant.wanted.contains(&key) {
            return Ok(());
        }
        participant.wanted.push(key);
        let settings = participant.settings.get(&key).copied().unwrap_or_default();
        track.downlinks.push(Downlink::new(viewer, settings, rand::random(), now));
        self.weigh_demand(key);
        self.receiving_transport(viewer);
        self.negotiate_soon(viewer);
        Ok(())
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, viewer: ParticipantId, id: TrackId) -> Result<(), Error> {
        let key = self.track_key(id)?;
        self.participant(viewer)?;
        self.tracks[key].downlinks.retain(|downlink| downlink.viewer != viewer);
        self.unwish(viewer, key);
        self.weigh_demand(key);
        self.reallocate_soon(viewer);
        Ok(())
    }

    /// Sets what a viewer wants of a track.
    pub(super) fn set_settings(
        &mut self,
        viewer: ParticipantId,
        id: TrackId,
        settings: TrackSettings,
    ) -> Result<(), Error> {
        let key = self.track_key(id)?;
        let participant = self.participants.get_mut(&viewer).ok_or(Error::UnknownParticipant(viewer))?;
        if self.tracks[key].room != participant.room {
            return Err(Error::OtherRoom(id));
        }
        participant.settings.insert(key, settings);
        let downlinks = &mut self.tracks[key].downlinks;
        if let Some(downlink) = downlinks.iter_mut().find(|downlink| downlink.viewer == viewer) {
            downlink.set_settings(settings);
            self.retarget(key);
            self.weigh_demand(key);
            self.reallocate_soon(viewer);
        }
        Ok(())
    }

    /// The connection on which a participant receives, if it is there.
    pub(super) fn receiving(&self, id: ParticipantId) -> Option<TransportKey> {
        let participant = self.participants.get(&id)?;
        match participant.mode {
            PeerMode::Single => participant.publisher,
            PeerMode::Dual => participant.subscriber,
        }
    }

    /// The connection on which a participant receives, made if need be and if it is ours to make.
    pub(super) fn receiving_transport(&mut self, id: ParticipantId) -> Option<TransportKey> {
        let participant = self.participants.get(&id)?;
        match (participant.mode, participant.subscriber) {
            (PeerMode::Single, _) => participant.publisher,
            (PeerMode::Dual, Some(key)) => Some(key),
            (PeerMode::Dual, None) => {
                let key = self.add_transport(id, Target::Subscriber)?;
                self.negotiate(id);
                Some(key)
            }
        }
    }

    /// Makes a connection.
    pub(super) fn add_transport(&mut self, id: ParticipantId, target: Target) -> Option<TransportKey> {
        let participant = self.participants.get_mut(&id)?;
        let certificate = self.certificate.as_ref();
        let receives = target == Target::Subscriber || participant.mode == PeerMode::Single;
        let reuse = participant.reuse_sections;
        let transport = Transport::new(id, target, receives, reuse, &self.config, certificate, self.now);
        let key = self.transports.insert(transport);
        match target {
            Target::Publisher => participant.publisher = Some(key),
            Target::Subscriber => participant.subscriber = Some(key),
        }
        self.learn_ufrag(key);
        Some(key)
    }

    /// Takes note of the ufrag of a connection, which an ICE restart changes.
    pub(super) fn learn_ufrag(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let ufrag = transport.rtc.direct_api().local_ice_credentials().ufrag;
        self.demux.set_ufrag(&mut transport.known, key, &ufrag);
    }

    /// Negotiates after the usual delay, so that changes which come together are negotiated together.
    pub(super) fn negotiate_soon(&mut self, id: ParticipantId) {
        let at = self.now + self.config.negotiation_delay;
        self.negotiate_at(id, at);
    }

    /// Negotiates at a time, or earlier.
    pub(super) fn negotiate_at(&mut self, id: ParticipantId, at: Instant) {
        if let Some(participant) = self.participants.get_mut(&id) {
            self.timers.arm_by(&mut participant.negotiation, Due::Negotiation(id), at);
        }
    }

    /// Gives out the ends of tracks that their publisher has stopped.
    pub(super) fn unpublish(&mut self, keys: Vec<TrackKey>) {
        for key in keys {
            if let Some(track) = self.tracks.get(key).map(|track| track.id) {
                self.remove_track(key);
                self.tell(Event::TrackUnpublished { track });
            }
        }
    }

    /// The tracks that a participant announced and that are in no section yet.
    pub(super) fn unbound(&self, id: ParticipantId) -> Vec<TrackKey> {
        let published = self.participants.get(&id).map_or(&[][..], |participant| &participant.published);
        published.iter().copied().filter(|key| self.tracks[*key].source.is_none()).collect()
    }

    /// Takes a track from the wishes of a viewer and frees its section.
    fn unwish(&mut self, viewer: ParticipantId, key: TrackKey) {
        let Some(participant) = self.participants.get_mut(&viewer) else { return };
        participant.wanted.retain(|wanted| *wanted != key);
        participant.refused.retain(|refused| *refused != key);
        let transport = match participant.mode {
            PeerMode::Single => participant.publisher,
            PeerMode::Dual => participant.subscriber,
        };
        let transport = transport.and_then(|key| self.transports.get_mut(key));
        if transport.is_some_and(|transport| transport.slots.release(key)) {
            self.negotiate_soon(viewer);
        }
    }

    /// Says goodbye on a connection and forgets it.
    fn close_transport(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        if let Err(error) = transport.rtc.close() {
            tracing::debug!(%error, "connection could not be closed properly");
        }
        self.drain(key);
        if let Some(transport) = self.transports.remove(key) {
            self.demux.remove(&transport.known, key);
        }
    }
}
