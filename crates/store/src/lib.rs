//! Where streams are kept: one trait, two backends.
//!
//! [`EmbeddedStore`] keeps everything in memory with redb underneath; [`RedisStore`]
//! keeps it in Redis or Valkey. Both pass one conformance suite. This crate
//! commits decisions; it makes none, and it knows nothing of LiveKit.

mod beliefs;
mod embedded;
mod error;
mod feed;
mod list;
mod memo;
mod partition;
mod people;
mod redis;
mod store;

pub use self::redis::{Durability, RedisConfig, RedisFacts, RedisStore};
pub use beliefs::Beliefs;
pub use embedded::EmbeddedStore;
pub use error::{ErrorKind, StoreError};
pub use list::{Cursor, HistoryQuery, InvalidCursor, ListQuery, Page, PeoplePage};
pub use memo::{Memo, MemoSwap};
pub use partition::{PARTITIONS, Partition};
pub use store::{
    Belief, Checked, Commit, Committed, Concern, Fence, Loaded, MetaKey, NoticeEvent, Store, Totals, Watch,
};
