//! Leases, due times, and records that expired.

use std::time::Duration;

use domain::{StreamId, Timestamp};

use crate::{Fence, Partition, StoreError};

use super::RedisStore;
use super::connection::Ignored;
use super::errors::undecodable;
use super::script::call;

impl RedisStore {
    pub(super) async fn take_lease(
        &self,
        partition: Partition,
        holder: &str,
        ttl: Duration,
    ) -> Result<Option<Fence>, StoreError> {
        let mut cmd = call(&self.scripts.lease, &[self.layout.of_partition("lease", partition)]);
        cmd.arg(holder).arg(millis(ttl));
        let number: Option<u64> = self.link.script("lease", &self.scripts.lease, cmd).await?;
        Ok(number.map(|number| Fence { partition, number }))
    }

    pub(super) async fn release_lease(&self, partition: Partition, holder: &str) -> Result<(), StoreError> {
        let mut cmd = call(&self.scripts.release, &[self.layout.of_partition("lease", partition)]);
        cmd.arg(holder);
        self.link.script::<Ignored>("release", &self.scripts.release, cmd).await.map(drop)
    }

    pub(super) async fn read_due(
        &self,
        partition: Partition,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<StreamId>, StoreError> {
        let mut cmd = redis::cmd("ZRANGEBYSCORE");
        cmd.arg(self.layout.of_partition("due", partition)).arg("-inf").arg(until.as_millis());
        cmd.arg("LIMIT").arg(0).arg(limit);
        let ids: Vec<String> = self.link.command("due", cmd).await?;
        let parse = |id: &String| StreamId::parse(id).map_err(|error| undecodable("due", "stream id", error));
        ids.iter().map(parse).collect()
    }

    pub(super) async fn forget_stream(&self, id: &StreamId) -> Result<(), StoreError> {
        let partition = Partition::of(id);
        let mut keys = vec![
            self.layout.of_stream("head", id),
            self.layout.of_stream("people", id),
            self.layout.of_stream("order", id),
            self.layout.of_partition("places", partition),
            self.layout.of_partition("due", partition),
            self.layout.of_partition("totals", partition),
        ];
        keys.extend(self.layout.indexes(partition));
        keys.push(self.layout.of_stream("grants", id));
        let mut cmd = call(&self.scripts.forget, &keys);
        cmd.arg(id.as_str());
        self.link.script::<Ignored>("forget", &self.scripts.forget, cmd).await.map(drop)
    }
}

/// Whole milliseconds; never zero, which Redis refuses as a time to live.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX.unsigned_abs())
}
