//! A server process that never outlives its test.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running server, and the watchdog that ends it should the test process die first.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    server: Child,
    watchdog: Option<Child>,
}

impl ServerProcess {
    /// Starts `command`, its output appended to `log`.
    pub(crate) fn spawn(command: &mut Command, log: &Path) -> Self {
        let out = File::options().create(true).append(true).open(log).expect("the server's log file");
        let err = out.try_clone().expect("a second handle of the log file");
        let server = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().expect("the server starts");
        let watchdog = watch(server.id());
        Self { server, watchdog }
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        // The watchdog goes first: it must never see the pid belong to somebody else.
        if let Some(mut watchdog) = self.watchdog.take() {
            drop(watchdog.kill());
            drop(watchdog.wait());
        }
        drop(self.server.kill());
        drop(self.server.wait());
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.server.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the server takes a signal");
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.exit_status().is_some()
    }

    /// How it has ended; `None` while it runs.
    pub(crate) fn exit_status(&mut self) -> Option<ExitStatus> {
        self.server.try_wait().expect("the server's state")
    }

    /// Its pid.
    pub(crate) fn id(&self) -> u32 {
        self.server.id()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A shell that kills `pid` when its standard input closes, which it does when this process dies.
fn watch(pid: u32) -> Option<Child> {
    Command::new("sh")
        .args(["-c", "read _; kill -9 \"$1\" 2>/dev/null", "watchdog", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

/// The end of a log, for the message of a server that does not start.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
