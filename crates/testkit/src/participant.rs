//! A real participant: LiveKit's Python SDK in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::skip;

/// Longest wait for something that a participant tells.
const PATIENCE: Duration = Duration::from_secs(60);

/// A participant; gone when dropped.
#[derive(Debug)]
pub struct Participant {
    name: String,
    process: Child,
    commands: ChildStdin,
    told: Lines<BufReader<ChildStdout>>,
}

impl Participant {
    /// Connects with a join token; `None` where the SDK is not installed.
    ///
    /// `name` is for messages of failed tests alone.
    pub async fn join(name: &str, url: &str, token: &str) -> Option<Self> {
        let Some(python) = python() else {
            skip("no LiveKit SDK for Python (`make test` puts one into .tools/venv)");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("participant.py");
        let mut process = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python starts");
        let commands = process.stdin.take().expect("a pipe to it");
        let told = BufReader::new(process.stdout.take().expect("a pipe from it")).lines();
        let mut participant = Self { name: name.to_owned(), process, commands, told };
        participant.tell(&json!({"do": "connect", "url": url, "token": token})).await;
        participant.wait_for("connected").await;
        Some(participant)
    }

    /// Publishes synthetic video and audio.
    pub async fn publish(&mut self) {
        self.tell(&json!({"do": "publish"})).await;
        self.wait_for("published").await;
    }

    /// Takes both tracks back.
    pub async fn unpublish(&mut self) {
        self.tell(&json!({"do": "unpublish"})).await;
        self.wait_for("unpublished").await;
    }

    /// Says goodbye and ends.
    pub async fn leave(mut self) {
        self.tell(&json!({"do": "leave"})).await;
        self.wait_for("left").await;
    }

    /// Ends without a word, as a machine that lost its power.
    pub async fn vanish(mut self) {
        self.process.kill().await.expect("it can be killed");
    }

    /// The next event of that name; those before it are passed over.
    pub async fn wait_for(&mut self, event: &str) -> Value {
        let mut seen = Vec::new();
        let search = async {
            loop {
                let line = self.told.next_line().await.expect("its output is text");
                let line = line?;
                let told: Value = serde_json::from_str(&line).expect("it tells JSON");
                if told["event"] == event {
                    return Some(told);
                }
                seen.push(line);
                assert!(event == "error" || told["event"] != "error", "a participant could not: {told}");
            }
        };
        match timeout(PATIENCE, search).await {
            Ok(Some(told)) => told,
            Ok(None) => panic!("{} ended before it told `{event}`; it told {seen:?}", self.name),
            Err(_) => panic!("{} did not tell `{event}` in {PATIENCE:?}; it told {seen:?}", self.name),
        }
    }

    async fn tell(&mut self, command: &Value) {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await.expect("it takes commands");
        self.commands.flush().await.expect("it takes commands");
    }
}

/// The Python that has the SDK: `LIVEKIT_PYTHON`, else the one in `.tools/venv`.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("LIVEKIT_PYTHON").map(PathBuf::from);
    let path = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools/venv/bin/python"));
    path.is_file().then_some(path)
}
