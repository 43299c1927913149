//! Data packets: checked, marked with their sender, relayed to whom they are meant for.

use livekit_protocol as proto;
use livekit_protocol::data_packet::{Kind, Value};
use livekit_protocol::participant_info::Kind as ParticipantKind;
use prost::Message as _;
use sfu::{DataChannel, ParticipantId, RoomId};

use super::Rooms;

impl Rooms {
    /// A message came from a participant on a data channel.
    pub(super) fn data(&mut self, from: ParticipantId, channel: DataChannel, payload: &[u8]) {
        let kind = match channel {
            DataChannel::Reliable => Kind::Reliable,
            DataChannel::Lossy => Kind::Lossy,
            // Data tracks are refused, so nothing sensible comes here.
            DataChannel::DataTrack => return ignored("data_track"),
        };
        if payload.len() > self.settings.limits.data_packet_bytes {
            return ignored("too_large");
        }
        let Ok(packet) = proto::DataPacket::decode(payload) else {
            return ignored("malformed");
        };
        if let Err(why) = self.check_packet(from, kind, &packet) {
            return ignored(why);
        }
        self.relay(from, kind, packet);
    }

    #[expect(deprecated, reason = "clients could still send the packet that nobody may send")]
    fn check_packet(
        &mut self,
        from: ParticipantId,
        kind: Kind,
        packet: &proto::DataPacket,
    ) -> Result<(), &'static str> {
        let p = self.participants.get_mut(&from).ok_or("gone")?;
        if !p.permission.can_publish_data {
            return Err("not_allowed");
        }
        match &packet.value {
            None | Some(Value::Metrics(_) | Value::Speaker(_)) => return Err("type"),
            Some(Value::Transcription(_)) if p.claims.kind() != ParticipantKind::Agent => return Err("type"),
            Some(_) => {}
        }
        // A client that resumed sends again what it is not sure we have.
        if kind == Kind::Reliable && packet.sequence > 0 {
            if packet.sequence <= p.reliable_seq {
                return Err("repeated");
            }
            p.reliable_seq = packet.sequence;
        }
        Ok(())
    }

    #[expect(deprecated, reason = "older clients address and read packets by these fields")]
    fn relay(&mut self, from: ParticipantId, kind: Kind, mut packet: proto::DataPacket) {
        let sender = &self.participants[&from];
        let (room, hidden) = (sender.room, sender.permission.hidden);
        let (sid, identity) = if hidden { Default::default() } else { (sender.sid.clone(), sender.identity.clone()) };
        packet.kind = kind.into();
        let mut sids = Vec::new();
        if let Some(Value::User(user)) = &mut packet.value {
            user.participant_sid.clone_from(&sid);
            user.participant_identity.clone_from(&identity);
            sids.clone_from(&user.destination_sids);
            if packet.destination_identities.is_empty() {
                packet.destination_identities.clone_from(&user.destination_identities);
            }
        }
        packet.participant_sid = sid;
        packet.participant_identity = identity;
        self.send_packet(room, Some(from), &sids, packet);
    }

    /// Sends a packet to those it names, or to everybody but the sender.
    #[expect(deprecated, reason = "the kind is how a packet says its channel")]
    pub(super) fn send_packet(
        &mut self,
        room: RoomId,
        from: Option<ParticipantId>,
        sids: &[String],
        packet: proto::DataPacket,
    ) {
        let Some(entry) = self.rooms.get(&room) else {
            return;
        };
        let identities = &packet.destination_identities;
        let all = identities.is_empty() && sids.is_empty();
        let meant = |id: &&ParticipantId| {
            let p = &self.participants[*id];
            all || identities.contains(&p.identity) || sids.contains(&p.sid)
        };
        let to: Vec<_> = entry.members.iter().filter(|id| Some(**id) != from).filter(meant).copied().collect();
        let channel = if packet.kind == i32::from(Kind::Lossy) { DataChannel::Lossy } else { DataChannel::Reliable };
        if !to.is_empty() {
            self.media(sfu::Command::SendData { to, channel, payload: packet.encode_to_vec().into() });
        }
    }
}

fn ignored(why: &'static str) {
    metrics::counter!("media_data_ignored_total", "reason" => why).increment(1);
}
