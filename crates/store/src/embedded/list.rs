//! Lists: merging the orders of the phases asked for.

use std::ops::Bound;

use domain::{Head, StreamId, Timestamp};

use crate::list::MAX_LIMIT;
use crate::{Cursor, ListQuery, Page};

use super::EmbeddedStore;
use super::state::State;

impl EmbeddedStore {
    pub(super) fn read_list(&self, query: &ListQuery) -> Page<Head> {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let state = self.shared.state.read();
        let mut places = match &query.cursor {
            None => newest(&state, query, Bound::Unbounded, limit + 1),
            Some(cursor) => match after(cursor) {
                Some(before) => newest(&state, query, Bound::Excluded(before), limit + 1),
                // It is not one of ours: nothing is after it.
                None => Vec::new(),
            },
        };
        let more = places.len() > limit;
        places.truncate(limit);
        let next = places.last().filter(|_| more).map(|(started_at, id)| Cursor::at(*started_at, id.as_str()));
        let heads = places.iter().filter_map(|(_, id)| state.record(id)).map(|record| record.head.clone());
        Page { items: heads.collect(), next }
    }
}

fn after(cursor: &Cursor) -> Option<(Timestamp, StreamId)> {
    let (started_at, id) = cursor.place()?;
    Some((started_at, StreamId::parse(id).ok()?))
}

/// The newest `most` places below `before` in any of the phases.
fn newest(
    state: &State,
    query: &ListQuery,
    before: Bound<(Timestamp, StreamId)>,
    most: usize,
) -> Vec<(Timestamp, StreamId)> {
    let mut phases = query.phases.clone();
    phases.sort();
    phases.dedup();
    let shown = phases.iter().filter_map(|phase| state.in_phase(*phase, false));
    let hidden = phases.iter().filter(|_| query.hidden).filter_map(|phase| state.in_phase(*phase, true));
    let orders = shown.chain(hidden);
    let mut places: Vec<&(Timestamp, StreamId)> =
        orders.flat_map(|order| order.range((Bound::Unbounded, before.clone())).rev().take(most)).collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.truncate(most);
    places.into_iter().cloned().collect()
}
