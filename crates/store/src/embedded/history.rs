//! History: the sessions that are over, in memory and in the order of pages.

use std::collections::BTreeMap;
use std::ops::Bound;

use domain::{Session, Timestamp};

use crate::list::MAX_LIMIT;
use crate::{Cursor, HistoryQuery, Page};

use super::EmbeddedStore;

/// Most sessions that can be read, some 300 bytes each; the oldest go first. The file keeps them for their time.
pub(super) const MAX_SESSIONS: usize = 100_000;

/// Sessions and until when each is kept.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    shown: BTreeMap<Cursor, (Timestamp, Session)>,
    /// Apart those that were not public.
    hidden: BTreeMap<Cursor, (Timestamp, Session)>,
}

impl Sessions {
    /// Adds one; of the others those go that are over at `now` or too many.
    pub(super) fn add(&mut self, session: Session, until: Timestamp, now: Timestamp) {
        let place = Cursor::of_session(&session);
        let order = if session.visibility.is_public() { &mut self.shown } else { &mut self.hidden };
        order.insert(place, (until, session));
        for order in [&mut self.shown, &mut self.hidden] {
            while order.first_key_value().is_some_and(|(_, (until, _))| *until <= now) {
                order.pop_first();
            }
        }
        if self.shown.len() + self.hidden.len() > MAX_SESSIONS {
            let oldest = |order: &BTreeMap<Cursor, _>| order.first_key_value().map(|(place, _)| place.clone());
            let is_shown = match (oldest(&self.shown), oldest(&self.hidden)) {
                (Some(shown), Some(hidden)) => shown < hidden,
                (shown, _) => shown.is_some(),
            };
            if is_shown { &mut self.shown } else { &mut self.hidden }.pop_first();
        }
    }

    /// The newest sessions below `query.cursor`, one more than the page holds.
    fn newest(&self, query: &HistoryQuery, now: Timestamp, most: usize) -> Vec<(&Cursor, &Session)> {
        let oldest = Cursor::from_end(query.since);
        let below = query.cursor.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        if query.cursor.as_ref().is_some_and(|cursor| *cursor <= oldest) {
            return Vec::new();
        }
        let orders = [Some(&self.shown), query.hidden.then_some(&self.hidden)].into_iter().flatten();
        let mut found: Vec<(&Cursor, &Session)> = orders
            .flat_map(|order| {
                let range = order.range::<Cursor, _>((Bound::Included(&oldest), below)).rev();
                range.filter(|(_, (until, _))| *until > now).map(|(place, (_, session))| (place, session)).take(most)
            })
            .collect();
        found.sort_unstable_by(|a, b| b.0.cmp(a.0));
        found.truncate(most);
        found
    }
}

impl EmbeddedStore {
    pub(super) fn read_history(&self, query: &HistoryQuery) -> Page<Session> {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let now = self.shared.clock.now();
        let state = self.shared.state.read();
        let mut found = state.sessions.newest(query, now, limit + 1);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(place, _)| (*place).clone());
        Page { items: found.into_iter().map(|(_, session)| session.clone()).collect(), next }
    }
}

#[cfg(test)]
mod tests {
    use domain::{EndReason, Epoch, StreamId, Visibility};

    use super::*;

    fn session(ended_at: i64, visibility: Visibility) -> Session {
        Session {
            stream_id: StreamId::parse("gold").unwrap(),
            title: None,
            visibility,
            epoch: Epoch::from("e"),
            version: 1,
            generation: 1,
            started_at: Timestamp::from_millis(0),
            ended_at: Timestamp::from_millis(ended_at),
            end_reason: EndReason::Idle,
            peak: 0,
            joins: 0,
            publishers: 0,
        }
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_what_is_over_goes_anyway() {
        let mut sessions = Sessions::default();
        let at = Timestamp::from_millis;
        let most = MAX_SESSIONS as i64;
        for n in 0..most + 10 {
            let visibility = if n % 2 == 0 { Visibility::Public } else { Visibility::Unlisted };
            sessions.add(session(n, visibility), at(n + 1_000_000), at(0));
        }
        assert_eq!(sessions.shown.len() + sessions.hidden.len(), MAX_SESSIONS);
        let ends = |order: &BTreeMap<Cursor, (Timestamp, Session)>| order.values().next().unwrap().1.ended_at;
        assert_eq!((ends(&sessions.shown), ends(&sessions.hidden)), (at(10), at(11)));
        sessions.add(session(most + 10, Visibility::Public), at(3_000_000), at(2_000_000));
        assert_eq!((sessions.shown.len(), sessions.hidden.len()), (1, 0));
    }
}
