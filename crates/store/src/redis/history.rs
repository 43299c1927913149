//! History: the newest of sixteen partitions merged, then the sessions of one page.

use domain::{Session, StreamId};

use crate::list::MAX_LIMIT;
use crate::{Cursor, HistoryQuery, Page, Partition, StoreError};

use super::RedisStore;
use super::errors::undecodable;
use super::list::{SPARE, merge};
use super::read::decode;
use super::script::call;

const OPERATION: &str = "history";

impl RedisStore {
    pub(super) async fn read_history(&self, query: &HistoryQuery) -> Result<Page<Session>, StoreError> {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let mut after = query.cursor.clone();
        loop {
            let mut places = self.newest_sessions(query, after.as_ref(), limit + 1).await?;
            let more = places.len() > limit;
            places.truncate(limit);
            let next = places.last().filter(|_| more).cloned();
            let items = self.sessions_at(&places, query).await?;
            // A whole page of entries whose rows have gone: go on, an empty page would look like the end.
            if !items.is_empty() || next.is_none() {
                return Ok(Page { items, next });
            }
            after = next;
        }
    }

    /// The places of the `most` latest sessions before `after` that ended since then.
    async fn newest_sessions(
        &self,
        query: &HistoryQuery,
        after: Option<&Cursor>,
        most: usize,
    ) -> Result<Vec<Cursor>, StoreError> {
        let oldest = Cursor::from_end(query.since);
        let mut places: Vec<Cursor> = Vec::new();
        let mut after = after.cloned();
        let mut of_each = most / 8 + SPARE;
        while places.len() < most {
            let bound = after.as_ref().map_or_else(|| "+".to_owned(), |cursor| format!("({}", cursor.0));
            let read = |partition| {
                let shown = self.layout.of_partition("history", partition);
                let hidden = query.hidden.then(|| self.layout.of_partition("history-hidden", partition));
                let keys: Vec<String> = [Some(shown), hidden].into_iter().flatten().collect();
                let mut cmd = call(&self.scripts.index, &keys);
                cmd.arg(&bound).arg(of_each).arg(format!("[{}", oldest.0));
                (partition, cmd)
            };
            let commands = Partition::all().map(read).collect();
            let slices: Vec<Vec<Vec<String>>> = self.link.batch(OPERATION, Some(&self.scripts.index), commands).await?;
            let (certain, all) = merge(slices.into_iter().flatten().collect(), of_each);
            places.extend(certain);
            if all {
                break;
            }
            after = places.last().cloned();
            of_each *= 2;
        }
        places.truncate(most);
        Ok(places)
    }

    /// The rows that are still there.
    async fn sessions_at(&self, places: &[Cursor], query: &HistoryQuery) -> Result<Vec<Session>, StoreError> {
        let read = |place: &Cursor| {
            let (_, id, _) = place.session().ok_or_else(|| undecodable(OPERATION, "index member", &place.0))?;
            Ok(self.read_session(&id, place))
        };
        let commands = places.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
        let rows: Vec<Option<Vec<u8>>> = self.link.batch(OPERATION, None, commands).await?;
        let sessions = rows.iter().flatten().map(|json| decode::<Session>(OPERATION, "session", json));
        let shown = |session: &Session| query.hidden || session.visibility.is_public();
        sessions.filter(|session| session.as_ref().map_or(true, shown)).collect()
    }

    fn read_session(&self, id: &StreamId, place: &Cursor) -> (Partition, redis::Cmd) {
        let mut cmd = redis::cmd("GET");
        cmd.arg(self.layout.session(id, &place.0));
        (Partition::of(id), cmd)
    }
}
