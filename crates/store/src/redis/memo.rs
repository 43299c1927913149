//! Memos. All are under one hash tag, with a list by age that bounds their number.

use std::time::Duration;

use crate::embedded::check_size;
use crate::{Memo, MemoSwap, StoreError};

use super::RedisStore;
use super::lease::millis;
use super::script::call;

impl RedisStore {
    pub(super) async fn read_memo(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut cmd = redis::cmd("GET");
        cmd.arg(self.layout.memo(key));
        self.link.command("memo", cmd).await
    }

    pub(super) async fn write_memo(
        &self,
        key: &str,
        expected: Option<&[u8]>,
        memo: Option<&Memo>,
    ) -> Result<MemoSwap, StoreError> {
        check_size(memo)?;
        let mut cmd = call(&self.scripts.memo, &[self.layout.memo(key), self.layout.memos()]);
        let (value, life) = memo.map_or((&[][..], Duration::ZERO), |memo| (&memo.value[..], memo.life));
        cmd.arg(u8::from(expected.is_some())).arg(expected.unwrap_or_default());
        cmd.arg(u8::from(memo.is_some())).arg(value).arg(millis(life.min(Memo::MAX_LIFE)));
        cmd.arg(key).arg(Memo::MAX_COUNT).arg(millis(Memo::MAX_LIFE));
        let (done, found): (u8, Option<Vec<u8>>) = self.link.script("swap_memo", &self.scripts.memo, cmd).await?;
        Ok(if done == 1 { MemoSwap::Done } else { MemoSwap::Found(found) })
    }
}
