//! Lua scripts: sent by their hash, and in full where a server does not know them yet.

use redis::{Arg, Cmd, Pipeline};

/// One script.
#[derive(Debug)]
pub(super) struct Script {
    code: &'static str,
    hash: String,
}

impl Script {
    fn new(code: &'static str) -> Self {
        Self { code, hash: redis::Script::new(code).get_hash().to_owned() }
    }

    /// `SCRIPT LOAD` of it.
    pub(super) fn load(&self) -> Cmd {
        let mut cmd = redis::cmd("SCRIPT");
        cmd.arg("LOAD").arg(self.code);
        cmd
    }

    /// What [`call`] made, for a server that does not know the hash.
    pub(super) fn in_full(&self, call: &Cmd) -> Cmd {
        let mut cmd = redis::cmd("EVAL");
        cmd.arg(self.code);
        for arg in call.args_iter().skip(2) {
            if let Arg::Simple(arg) = arg {
                cmd.arg(arg);
            }
        }
        cmd
    }

    /// The same for a pipeline of calls.
    pub(super) fn all_in_full(&self, calls: &Pipeline) -> Pipeline {
        let mut pipeline = redis::pipe();
        for call in calls.cmd_iter() {
            pipeline.add_command(self.in_full(call));
        }
        pipeline
    }
}

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
    /// Compares and sets a memo.
    pub(super) memo: Script,
    /// Compares and sets a value.
    pub(super) swap: Script,
}

impl Scripts {
    /// All of them.
    pub(super) fn new() -> Self {
        Self {
            commit: Script::new(concat!(
                include_str!("scripts/place.lua"),
                include_str!("scripts/facts.lua"),
                include_str!("scripts/commit.lua")
            )),
            forget: Script::new(concat!(include_str!("scripts/place.lua"), include_str!("scripts/forget.lua"))),
            index: Script::new(include_str!("scripts/index.lua")),
            load: Script::new(concat!(include_str!("scripts/facts.lua"), include_str!("scripts/load.lua"))),
            whole: Script::new(include_str!("scripts/whole.lua")),
            people: Script::new(include_str!("scripts/people.lua")),
            lease: Script::new(include_str!("scripts/lease.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            memo: Script::new(include_str!("scripts/memo.lua")),
            swap: Script::new(include_str!("scripts/swap.lua")),
        }
    }

    /// Every one, to be loaded at the start.
    pub(super) fn all(&self) -> [&Script; 10] {
        let Self { commit, forget, index, load, whole, people, lease, release, memo, swap } = self;
        [commit, forget, index, load, whole, people, lease, release, memo, swap]
    }
}

/// `EVALSHA` of `script` with these keys; arguments are added by the caller.
pub(super) fn call<K: AsRef<str>>(script: &Script, keys: &[K]) -> Cmd {
    let mut cmd = redis::cmd("EVALSHA");
    cmd.arg(&script.hash).arg(keys.len());
    for key in keys {
        cmd.arg(key.as_ref());
    }
    cmd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_full_only_the_hash_is_another() {
        let script = Script::new("return 1");
        let mut cmd = call(&script, &["a", "b"]);
        cmd.arg("x");
        let mut expected = redis::cmd("EVAL");
        expected.arg("return 1").arg(2).arg("a").arg("b").arg("x");
        assert_eq!(script.in_full(&cmd).get_packed_command(), expected.get_packed_command());
    }
}
