//! The cases, by what they are about.

pub(crate) mod beliefs;
pub(crate) mod commits;
pub(crate) mod histories;
pub(crate) mod identities;
pub(crate) mod leases;
pub(crate) mod lists;
pub(crate) mod memos;
pub(crate) mod metas;
pub(crate) mod notices;
pub(crate) mod restarts;
pub(crate) mod sessions;
