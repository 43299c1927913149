//! Deployment-wide values, and how they are called on disk.

use crate::{MetaKey, StoreError};

use super::EmbeddedStore;

impl MetaKey {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Deployment, Self::MediaSide, Self::AccessKey];

    /// As it stands in keys.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::MediaSide => "media_side",
            Self::AccessKey => "access_key",
        }
    }
}

impl EmbeddedStore {
    pub(super) fn read_meta(&self, key: MetaKey) -> Option<String> {
        self.shared.state.read().meta.get(&key).cloned()
    }

    pub(super) async fn write_meta(
        &self,
        key: MetaKey,
        expected: Option<&str>,
        value: &str,
    ) -> Result<String, StoreError> {
        self.writer.swap_meta(key, expected.map(str::to_owned), value.to_owned()).await
    }
}
