//! Our own offers, on the connection that carries tracks to a client of the older kind: one at a time.

use std::time::Duration;

use str0m::change::SdpAnswer;
use str0m::media::{Direction as RtcDirection, MediaKind as RtcKind, Mid};

use super::Engine;
use super::answer::write_downlink;
use crate::command::{DataChannel, MediaKind, PeerMode};
use crate::data::channel_config;
use crate::error::Error;
use crate::event::{Event, MidMap};
use crate::ids::ParticipantId;
use crate::sdp::{Description, Direction, Section};
use crate::slots::SlotState;
use crate::track::TrackKey;
use crate::transport::{PendingOffer, TransportKey};

/// An offer that restarts ICE and is not older than this need not be made again.
const JUST_NOW: Duration = Duration::from_millis(100);

/// The sections that an offer changes.
#[derive(Debug, Default)]
struct Plan {
    /// To make inactive.
    freed: Vec<String>,
    /// To use again.
    reused: Vec<String>,
    /// To add.
    added: Vec<TrackKey>,
    /// Whether something must wait for the next offer.
    more: bool,
}

impl Engine {
    /// A negotiation is due: offers, or asks the client to.
    pub(super) fn negotiate(&mut self, id: ParticipantId) {
        let Some(participant) = self.participants.get(&id) else { return };
        match (participant.mode, participant.subscriber) {
            (PeerMode::Single, _) => self.ask_for_sections(id),
            (PeerMode::Dual, Some(key)) => self.offer(id, key),
            (PeerMode::Dual, None) => {}
        }
    }

    /// Restarts ICE on the connection that we offer.
    pub(super) fn restart_ice(&mut self, id: ParticipantId) -> Result<(), Error> {
        let now = self.now;
        let Some(key) = self.participant(id)?.subscriber else { return Ok(()) };
        let pending = self.transports.get(key).and_then(|transport| transport.pending.as_ref());
        // Older clients do not say which offer they answer: two at once would be taken for each other.
        if pending.is_some_and(|pending| pending.restart && now < pending.at + JUST_NOW) {
            return Ok(());
        }
        self.participant(id)?.restart = true;
        self.roll_back(key);
        self.offer(id, key);
        Ok(())
    }

    /// Negotiates again whatever was under way.
    pub(super) fn renegotiate(&mut self, id: ParticipantId) -> Result<(), Error> {
        let participant = self.participant(id)?;
        match participant.mode {
            PeerMode::Dual => self.restart_ice(id)?,
            PeerMode::Single => {
                participant.asked = None;
                self.ask_for_sections(id);
            }
        }
        Ok(())
    }

    /// Applies the answer to our latest offer.
    pub(super) fn accept_answer(&mut self, id: ParticipantId, offer_id: u32, sdp: &str) -> Result<(), Error> {
        let Some(key) = self.participant(id)?.subscriber else { return Ok(()) };
        if sdp.len() > self.config.max_sdp_bytes {
            return Err(Error::Sdp(format!("larger than {} bytes", self.config.max_sdp_bytes)));
        }
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| Error::Sdp(error.to_string()))?;
        let Some(transport) = self.transports.get_mut(key) else { return Ok(()) };
        let latest = |pending: &mut PendingOffer| offer_id == 0 || pending.id == offer_id;
        let Some(pending) = transport.pending.take_if(latest) else { return Ok(()) };
        if let Err(reason) = transport.formats.clone().note(&Description::parse(sdp)) {
            self.tell(Event::NegotiationFailed { participant: id });
            return Err(Error::Sdp(reason));
        }
        if let Err(error) = transport.rtc.sdp_api().accept_answer(pending.token, answer) {
            // What was offered is neither there nor not there: only a new session can tell.
            self.tell(Event::NegotiationFailed { participant: id });
            return Err(error.into());
        }
        transport.negotiated = true;
        let answer = Description::parse(sdp);
        transport.slots.settle();
        let negotiated: Vec<(String, TrackKey)> = pending
            .added
            .into_iter()
            .chain(pending.reused)
            .filter_map(|mid| transport.slots.get(&mid).and_then(|slot| slot.track()).map(|track| (mid, track)))
            .collect();
        self.mark(key);
        self.learn_ufrag(key);
        for (mid, track) in negotiated {
            self.settle_section(id, key, &mid, track, &answer);
        }
        self.negotiate_soon(id);
        Ok(())
    }

    /// Makes an offer, if there is anything to offer and none is under way.
    fn offer(&mut self, id: ParticipantId, key: TransportKey) {
        if self.transports.get(key).is_some_and(|transport| transport.pending.is_some()) {
            return self.check_answer_time(id, key);
        }
        let plan = self.plan(id, key);
        let restart =
            self.participants.get_mut(&id).is_some_and(|participant| std::mem::take(&mut participant.restart));
        if plan.more {
            self.negotiate_soon(id);
        }
        self.make_offer(id, key, plan, restart);
    }

    /// Decides which sections the next offer changes. Slots are given away here.
    fn plan(&mut self, id: ParticipantId, key: TransportKey) -> Plan {
        let mut plan = Plan::default();
        let waiting = self.without_slot(id);
        let Some(transport) = self.transports.get_mut(key) else { return plan };
        let freed = transport.slots.iter().filter(|slot| slot.state == SlotState::Freed);
        plan.freed = freed.map(|slot| slot.mid.clone()).collect();
        let mut coming = [MediaKind::Audio, MediaKind::Video].map(|kind| transport.slots.becoming_free(kind));
        for track in waiting {
            let kind = self.tracks[track].kind;
            let soon = &mut coming[usize::from(kind == MediaKind::Video)];
            if let Some(taken) = transport.slots.take(kind, track) {
                transport.renew_ssrcs(&taken.mid);
                plan.reused.push(taken.mid);
            } else if *soon > 0 {
                // One more round trip is cheaper than a section that stays for good.
                *soon -= 1;
                plan.more = true;
            } else {
                plan.added.push(track);
            }
        }
        plan
    }

    /// Carries out a plan.
    fn make_offer(&mut self, id: ParticipantId, key: TransportKey, plan: Plan, restart: bool) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let first = !transport.negotiated;
        let mut changes = transport.rtc.sdp_api();
        if first {
            for channel in DataChannel::ALL {
                changes.add_channel_with_config(channel_config(channel));
            }
        }
        for mid in &plan.freed {
            changes.set_direction(mid.as_str().into(), RtcDirection::Inactive);
        }
        for mid in &plan.reused {
            changes.set_direction(mid.as_str().into(), RtcDirection::SendOnly);
        }
        let mut added: Vec<(Mid, TrackKey)> = Vec::new();
        for key in plan.added {
            let track = &self.tracks[key];
            let kind = if track.kind == MediaKind::Audio { RtcKind::Audio } else { RtcKind::Video };
            let (stream, name) = (Some(track.stream()), Some(track.sid.clone()));
            added.push((changes.add_media(kind, RtcDirection::SendOnly, stream, name, None), key));
        }
        if restart && !first {
            changes.ice_restart(true);
        }
        let Some((offer, token)) = changes.apply() else { return };
        for (mid, track) in &added {
            transport.slots.add_for(mid, self.tracks[*track].kind, *track);
        }
        let Some(participant) = self.participants.get_mut(&id) else { return };
        participant.offers += 1;
        let offer_id = participant.offers;
        transport.pending = Some(PendingOffer {
            id: offer_id,
            token,
            at: self.now,
            reported: false,
            restart,
            added: added.iter().map(|(mid, _)| mid.to_string()).collect(),
            reused: plan.reused,
            freed: plan.freed,
        });
        let (sdp, tracks) = self.write_offer(key, Description::parse(&offer.to_sdp_string()));
        self.mark(key);
        self.tell(Event::Offer { participant: id, id: offer_id, sdp, tracks });
        self.negotiate_at(id, self.now + self.config.answer_timeout);
    }

    /// Makes `str0m`'s offer the one that LiveKit clients expect.
    fn write_offer(&mut self, key: TransportKey, mut offer: Description) -> (String, MidMap) {
        let mut map = Vec::new();
        let Some(transport) = self.transports.get_mut(key) else { return (String::new(), map) };
        for section in offer.sections.iter_mut().filter(|section| section.kind().is_some()) {
            let Some(mid) = section.mid().map(str::to_owned) else { continue };
            let carried = transport.slots.get(&mid).and_then(|slot| slot.track());
            let Some(track) = carried.and_then(|key| self.tracks.get(key)) else {
                section.strip_msid();
                section.set_direction(Direction::Inactive);
                continue;
            };
            // A section that is added has its SSRCs from `str0m`, which tells them only in the text.
            if let Some((ssrc, rtx)) = transport.ssrcs(&mid) {
                section.carry(&track.stream(), &track.sid, *ssrc, rtx.map(|rtx| *rtx));
            }
            write_downlink(section, track);
            map.push((mid, track.sid.clone()));
        }
        // Ours is clear; it is noted so that answers cannot mean other things by the same numbers.
        if let Err(reason) = transport.formats.note(&offer) {
            tracing::warn!(reason, "own offer is unclear");
        }
        (transport.render(offer), map)
    }

    /// A section was answered: its track can be delivered, or the client does not want it.
    fn settle_section(
        &mut self,
        id: ParticipantId,
        key: TransportKey,
        mid: &str,
        track: TrackKey,
        answer: &Description,
    ) {
        let receives = |section: &Section| {
            let takes = matches!(section.direction(), Direction::RecvOnly | Direction::SendRecv);
            takes && !answer.is_rejected(section)
        };
        if answer.section(mid).is_some_and(receives) {
            return self.set_sink(track, key, Some(mid));
        }
        tracing::debug!(participant = %id, mid, "client refused a section");
        if let Some(transport) = self.transports.get_mut(key) {
            transport.slots.set_state(mid, SlotState::Closed);
        }
        if let Some(participant) = self.participants.get_mut(&id) {
            participant.refused.push(track);
        }
    }

    /// Undoes an offer that will not be answered: as if it had never been made.
    fn roll_back(&mut self, key: TransportKey) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(pending) = transport.pending.take() else { return };
        for mid in pending.added {
            transport.slots.forget(&mid);
        }
        for mid in pending.reused {
            // Setting the direction takes effect at once; no offer comes of it, since nothing is applied.
            transport.rtc.sdp_api().set_direction(mid.as_str().into(), RtcDirection::Inactive);
            transport.slots.set_state(&mid, SlotState::Idle);
        }
        for mid in pending.freed {
            transport.slots.set_state(&mid, SlotState::Freed);
        }
    }

    /// Tells of an answer that does not come.
    fn check_answer_time(&mut self, id: ParticipantId, key: TransportKey) {
        let Some(pending) = self.transports.get_mut(key).and_then(|transport| transport.pending.as_mut()) else {
            return;
        };
        let deadline = pending.at + self.config.answer_timeout;
        if self.now < deadline {
            return self.negotiate_at(id, deadline);
        }
        if !std::mem::replace(&mut pending.reported, true) {
            self.tell(Event::NegotiationFailed { participant: id });
        }
    }
}
