//! The program as a client: what its commands print, and what they end with.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Livestream, free_tcp_port, free_udp_port};

use crate::world::{BINARY, create, instance};

const PATIENCE: Duration = Duration::from_secs(20);
/// SHA-256 of `test`.
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

async fn server() -> Livestream {
    own_media(instance()).started().await
}

fn own_media(one: Livestream) -> Livestream {
    one.with("MEDIA_PORT", free_tcp_port()).with("MEDIA_UDP_PORT", free_udp_port())
}

/// Runs a client of `server`; its exit code and standard output.
async fn ask(server: &Livestream, arguments: &[&str]) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .env("LIVESTREAM_URL", server.url(""))
        .output()
        .await
        .unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_created_listed_shown_and_ended() {
    let one = server().await;
    assert_eq!(ask(&one, &["health"]).await, (Some(0), "ok\n".to_owned()));
    let create = ["streams", "create", "gold", "--title", "Go\u{1b}[2Jld", "--max-participants", "7"];
    let (code, text) = ask(&one, &["streams", "create", "gold", "--title", "Gold", "--max-participants", "7"]).await;
    assert_eq!((code, text.as_str()), (Some(0), "created gold\n"));
    assert_eq!(ask(&one, &["streams", "create", "gold"]).await.1, "gold is active already\n");
    // Control characters in titles are refused by the server already, with a message of its own.
    assert_eq!(ask(&one, &create).await.0, Some(1));

    let (code, text) = ask(&one, &["streams", "list"]).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("STREAM") && text.contains("gold    waiting") && text.contains("Gold"), "{text}");
    assert!(!text.contains('\u{1b}'), "no colour in a pipe: {text:?}");
    let list: Value = serde_json::from_str(&ask(&one, &["streams", "list", "--json"]).await.1).unwrap();
    assert_eq!(list[0]["streamId"], "gold");
    let shown: Value = serde_json::from_str(&ask(&one, &["streams", "show", "gold", "--json"]).await.1).unwrap();
    assert_eq!((&shown["maxParticipants"], &shown["participants"]), (&json!(7), &json!([])));
    assert!(ask(&one, &["streams", "show", "gold"]).await.1.contains("most people        7"));

    let (code, token) = ask(&one, &["join-token", "gold", "--user", "ann", "--role", "host"]).await;
    assert_eq!((code, token.trim().split('.').count()), (Some(0), 3), "{token}");

    let (code, text) = ask(&one, &["streams", "end", "gold", "--wait"]).await;
    assert_eq!((code, text.as_str()), (Some(0), "ended gold\n"));
    assert_eq!(one.get("/streams/gold").await.body["closing"], false);
    let finished = ask(&one, &["streams", "list", "--status", "finished"]).await.1;
    assert!(finished.starts_with("STREAM  ENDED") && finished.contains("stopped"), "{finished}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_is_read_page_by_page() {
    let one = server().await;
    for at in 0..7 {
        create(&one, &format!("s{at}")).await;
    }
    let count = |text: &str| text.lines().filter(|line| line.contains("waiting")).count();
    let (_, text) = ask(&one, &["streams", "list", "--limit", "3"]).await;
    assert!(count(&text) == 3 && text.contains("there are more"), "{text}");
    let (_, text) = ask(&one, &["streams", "list", "--all"]).await;
    assert!(count(&text) == 7 && !text.contains("there are more"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_say_what_to_do() {
    let one = own_media(instance()).with("API_KEYS", format!("boss:admin:{HASH}")).started().await;
    let (code, text) = ask(&one, &["streams", "show", "absent"]).await;
    assert_eq!(code, Some(4), "{text}");
    let (code, text) = ask(&one, &["streams", "create", "gold"]).await;
    assert!(code == Some(3) && text.contains("--key"), "{text}");
    let (code, text) = ask(&one, &["streams", "create", "gold", "--key", "test"]).await;
    assert!(code == Some(0), "{text}");
    let (code, text) = ask(&one, &["streams", "create", "gold", "--max-participants", "many"]).await;
    assert_eq!(code, Some(2), "{text}");
    let nobody = format!("http://127.0.0.1:{}", free_tcp_port());
    let (code, text) = ask(&one, &["streams", "list", "--url", &nobody]).await;
    assert!(code == Some(5) && text.contains("can't be reached"), "{text}");
}

/// A client that follows, and the lines it prints.
struct Watcher {
    child: Child,
    lines: Receiver<String>,
}

impl Watcher {
    fn start(mut command: Command, server: &Livestream) -> Self {
        let command = command.env("LIVESTREAM_URL", server.url("")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                if sender.send(std::mem::take(&mut line)).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    fn in_pipe(server: &Livestream, arguments: &[&str]) -> Self {
        let mut command = Command::new(BINARY);
        command.args(arguments);
        Self::start(command, server)
    }

    /// The first line that holds `text`.
    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        let mut seen = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push_str(&line),
                Err(_) => panic!("{text:?} did not come; there was: {seen}"),
            }
        }
    }

    fn exit_code(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watching_in_a_pipe_goes_on_after_a_restart_and_ends_with_the_stream() {
    let mut one = server().await;
    create(&one, "gold").await;
    let stream = Watcher::in_pipe(&one, &["streams", "watch", "gold"]);
    let lobby = Watcher::in_pipe(&one, &["streams", "watch"]);
    let first: Value = serde_json::from_str(&stream.wait_for("gold")).unwrap();
    assert_eq!((&first["phase"], &first["participants"]), (&json!("waiting"), &json!([])));
    let snapshot: Value = serde_json::from_str(&lobby.wait_for("gold")).unwrap();
    assert_eq!((&snapshot["event"], &snapshot["data"]["total"]), (&json!("snapshot"), &json!(1)));

    one.kill();
    one.start().await;
    one.send(reqwest::Method::PATCH, "/streams/gold", Some(json!({"title": "Gold"}))).await;
    let changed: Value = serde_json::from_str(&stream.wait_for("\"title\":\"Gold\"")).unwrap();
    assert_eq!(changed["epoch"], first["epoch"]);
    lobby.wait_for("\"title\":\"Gold\"");
    one.delete("/streams/gold").await;
    lobby.wait_for("finished");
    stream.wait_for("\"closing\":false");
    assert_eq!(stream.exit_code(), Some(0));
}

/// `script` of util-linux gives the program a terminal.
#[tokio::test(flavor = "multi_thread")]
async fn watching_on_a_terminal_is_a_picture_that_changes_in_place() {
    if Command::new("script").arg("--version").output().is_err() {
        return testkit::skip("no `script` on PATH (Debian: bsdutils)");
    }
    let one = server().await;
    create(&one, "gold").await;
    let mut command = Command::new("script");
    command.args(["-qefc", &format!("{BINARY} streams watch gold"), "/dev/null"]).env("TERM", "xterm-256color");
    let watcher = Watcher::start(command, &one);
    watcher.wait_for("waiting for");
    one.send(reqwest::Method::PATCH, "/streams/gold", Some(json!({"title": "Gold"}))).await;
    let changed = watcher.wait_for("title: Gold");
    assert!(changed.contains('\u{1b}'), "the time is dimmed: {changed:?}");
    let over = watcher.wait_for("\u{1b}[");
    assert!(!over.is_empty());
    one.delete("/streams/gold").await;
    watcher.wait_for("ended: stopped");
    assert_eq!(watcher.exit_code(), Some(0));
}
