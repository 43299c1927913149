//! Lists: the newest of sixteen partitions merged, then the heads of one page.

use domain::{Head, Phase, StreamId};

use crate::list::MAX_LIMIT;
use crate::{Cursor, ListQuery, Page, Partition, StoreError, Totals};

use super::RedisStore;
use super::errors::undecodable;
use super::script::call;

const OPERATION: &str = "list";
/// Read from every index beyond its share of a page, so that one round trip is nearly always enough.
pub(super) const SPARE: usize = 10;

impl RedisStore {
    pub(super) async fn read_list(&self, query: &ListQuery) -> Result<Page<Head>, StoreError> {
        let limit = query.limit.clamp(1, MAX_LIMIT);
        let mut after = query.cursor.clone();
        loop {
            let mut places = self.newest(query, after.as_ref(), limit + 1).await?;
            let more = places.len() > limit;
            places.truncate(limit);
            let next = places.last().filter(|_| more).cloned();
            let items = self.heads_at(&places, query).await?;
            // A whole page of entries whose heads are gone: go on, an empty page would look like the end.
            if !items.is_empty() || next.is_none() {
                return Ok(Page { items, next });
            }
            after = next;
        }
    }

    pub(super) async fn read_totals(&self) -> Result<Totals, StoreError> {
        let read = |partition| {
            let mut cmd = redis::cmd("HMGET");
            cmd.arg(self.layout.of_partition("totals", partition)).arg("streams").arg("live").arg("people");
            (partition, cmd)
        };
        let commands = Partition::all().map(read).collect();
        let rows: Vec<[Option<i64>; 3]> = self.link.batch("totals", None, commands).await?;
        let sum = |field: usize| {
            let sum: i64 = rows.iter().filter_map(|row| row[field]).sum();
            u64::try_from(sum).unwrap_or(0)
        };
        Ok(Totals { streams: sum(0), live: sum(1), people: sum(2) })
    }

    /// The places of the `most` newest entries after `after`.
    async fn newest(&self, query: &ListQuery, after: Option<&Cursor>, most: usize) -> Result<Vec<Cursor>, StoreError> {
        let mut places: Vec<Cursor> = Vec::new();
        let mut after = after.cloned();
        let mut of_each = most / 8 + SPARE;
        while places.len() < most {
            let slices = self.slices(query, after.as_ref(), of_each).await?;
            let (certain, all) = merge(slices, of_each);
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

    /// The newest `of_each` entries of every index, newest first. Those of one partition are of one moment,
    /// so that a stream which moves from phase to phase is neither missed nor seen twice.
    async fn slices(
        &self,
        query: &ListQuery,
        after: Option<&Cursor>,
        of_each: usize,
    ) -> Result<Vec<Vec<String>>, StoreError> {
        let listed: Vec<Phase> = Phase::LISTED.into_iter().filter(|phase| query.phases.contains(phase)).collect();
        if listed.is_empty() {
            return Ok(Vec::new());
        }
        let bound = after.map_or_else(|| "+".to_owned(), |cursor| format!("({}", cursor.0));
        let read = |partition| {
            let shown = listed.iter().map(|phase| self.layout.index(partition, *phase, false));
            let hidden = listed.iter().filter(|_| query.hidden).map(|phase| self.layout.index(partition, *phase, true));
            let keys: Vec<String> = shown.chain(hidden).collect();
            let mut cmd = call(&self.scripts.index, &keys);
            cmd.arg(&bound).arg(of_each).arg("-");
            (partition, cmd)
        };
        let commands = Partition::all().map(read).collect();
        let partitions: Vec<Vec<Vec<String>>> = self.link.batch(OPERATION, Some(&self.scripts.index), commands).await?;
        Ok(partitions.into_iter().flatten().collect())
    }

    /// The heads that are still where the index said, or in another index of those asked for.
    async fn heads_at(&self, places: &[Cursor], query: &ListQuery) -> Result<Vec<Head>, StoreError> {
        let id = |place: &Cursor| {
            let (_, id) = place.place().ok_or_else(|| undecodable(OPERATION, "index member", &place.0))?;
            StreamId::parse(id).map_err(|error| undecodable(OPERATION, "index member", error))
        };
        let ids: Vec<StreamId> = places.iter().map(id).collect::<Result<_, _>>()?;
        let heads = self.read_heads(OPERATION, &ids).await?;
        let found = heads.into_iter().zip(places).filter_map(|(head, place)| Some((head?, place)));
        let here = found.filter(|(head, place)| {
            let shown = query.hidden || head.settings.visibility.is_public();
            shown && query.phases.contains(&head.phase) && Cursor::at(head.started_at, head.id.as_str()) == **place
        });
        Ok(here.map(|(head, _)| head).collect())
    }
}

/// Merges slices, newest first, as far down as all of them reach. Whether they are all there is.
pub(super) fn merge(slices: Vec<Vec<String>>, of_each: usize) -> (Vec<Cursor>, bool) {
    // Below the last entry of a slice that was cut off, entries of that index may be missing.
    let cut = slices.iter().filter(|slice| slice.len() >= of_each).filter_map(|slice| slice.last()).max().cloned();
    let mut places: Vec<Cursor> = slices.into_iter().flatten().map(Cursor).collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.dedup();
    match cut {
        Some(cut) => {
            places.retain(|place| place.0 >= cut);
            (places, false)
        }
        None => (places, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_stops_where_a_cut_slice_ends() {
        let slices = |texts: &[&[&str]]| texts.iter().map(|s| s.iter().map(|t| (*t).to_owned()).collect()).collect();
        let (places, all) = merge(slices(&[&["9", "3"], &["8", "7"], &["5"]]), 2);
        assert_eq!(places, ["9", "8", "7"].map(|text| Cursor(text.to_owned())));
        assert!(!all);
        let (places, all) = merge(slices(&[&["9", "3"], &[], &["5"]]), 3);
        assert_eq!(places, ["9", "5", "3"].map(|text| Cursor(text.to_owned())));
        assert!(all);
    }
}
