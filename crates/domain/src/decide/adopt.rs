//! Adopting: LiveKit made the stream's room again (it was restarted, and a
//! client came back), under the same name with a new sid.

use crate::{Decision, Head, Participant, RoomSnapshot, Rules, Timestamp};

use super::Draft;

/// Takes the confirmed room as the stream's own. People stay until their old
/// connection is missed; their tracks went with the old room, so a `live`
/// stream is `reconnecting`. `None` when the stream is not active or the life
/// is the current or a former one.
pub fn adopt(
    head: &Head,
    people: &[Participant],
    room: &RoomSnapshot,
    rules: &Rules,
    now: Timestamp,
) -> Option<Decision> {
    let known = head.room.sid.as_ref() == Some(&room.sid) || head.room.stale_sids.contains(&room.sid);
    if !head.phase.is_active() || known || room.name != head.room.name {
        return None;
    }
    let mut draft = Draft::new(head, now);
    draft.head.room.take_life(room.sid.clone());
    for participant in people.iter().filter(|p| !p.tracks.is_empty()) {
        draft.set_tracks(participant.clone(), []);
    }
    draft.write_metadata();
    draft.finish(rules)
}
