//! Deployment-wide values.

use crate::{MetaKey, StoreError};

use super::RedisStore;
use super::script::call;

impl RedisStore {
    pub(super) async fn read_meta(&self, key: MetaKey) -> Result<Option<String>, StoreError> {
        let mut cmd = redis::cmd("GET");
        cmd.arg(self.layout.meta(key));
        self.link.command("meta", cmd).await
    }

    pub(super) async fn write_meta(
        &self,
        key: MetaKey,
        expected: Option<&str>,
        value: &str,
    ) -> Result<String, StoreError> {
        let mut cmd = call(&self.scripts.swap, &[self.layout.meta(key)]);
        cmd.arg(if expected.is_some() { "1" } else { "0" }).arg(expected.unwrap_or_default()).arg(value);
        self.link.script("swap_meta", &self.scripts.swap, cmd).await
    }
}
