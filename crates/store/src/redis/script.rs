//! Lua scripts: sent by their hash, and loaded where a server does not know them yet.

use redis::{Cmd, Script};

/// The scripts of the store.
#[derive(Debug)]
pub(super) struct Scripts {
    /// One atomic step.
    pub(super) commit: Script,
    /// Removes what points to an expired record.
    pub(super) forget: Script,
    /// The newest members of several indexes.
    pub(super) index: Script,
    /// What concerns one participant.
    pub(super) load: Script,
    /// A head and the whole list of people.
    pub(super) whole: Script,
    /// A page of connections.
    pub(super) people: Script,
    /// Takes or renews a lease.
    pub(super) lease: Script,
    /// Gives a lease back.
    pub(super) release: Script,
    /// Compares and sets a value.
    pub(super) swap: Script,
}

impl Scripts {
    /// All of them.
    pub(super) fn new() -> Self {
        Self {
            commit: Script::new(concat!(include_str!("scripts/place.lua"), include_str!("scripts/commit.lua"))),
            forget: Script::new(concat!(include_str!("scripts/place.lua"), include_str!("scripts/forget.lua"))),
            index: Script::new(include_str!("scripts/index.lua")),
            load: Script::new(include_str!("scripts/load.lua")),
            whole: Script::new(include_str!("scripts/whole.lua")),
            people: Script::new(include_str!("scripts/people.lua")),
            lease: Script::new(include_str!("scripts/lease.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            swap: Script::new(include_str!("scripts/swap.lua")),
        }
    }

    /// Every one, to be loaded at the start.
    pub(super) fn all(&self) -> [&Script; 9] {
        let Self { commit, forget, index, load, whole, people, lease, release, swap } = self;
        [commit, forget, index, load, whole, people, lease, release, swap]
    }
}

/// `EVALSHA` of `script` with these keys; arguments are added by the caller.
pub(super) fn call<K: AsRef<str>>(script: &Script, keys: &[K]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(script.get_hash()).arg(keys.len());
    for key in keys {
        cmd.arg(key.as_ref());
    }
    cmd
}
