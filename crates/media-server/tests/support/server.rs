//! The embedded server and a real LiveKit behind one face.

use std::net::{TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header, encode};
use media_server::{ApiKey, Config, MediaServer};
use serde_json::{Value, json};

use super::hooks::Hooks;
use super::until;

pub(crate) const KEY: &str = "devkey";
pub(crate) const SECRET: &str = "secretsecretsecretsecretsecretsecret";

/// A running server with a webhook receiver.
pub(crate) struct Server {
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    /// What it reported.
    pub(crate) hooks: Hooks,
    /// The embedded one, for tests that stop it.
    pub(crate) embedded: Option<MediaServer>,
    process: Option<Process>,
}

/// Killed when dropped: LiveKit waits for its participants on anything softer.
struct Process(Child, PathBuf);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = std::fs::remove_file(&self.1);
    }
}

impl Server {
    /// The embedded server with these changes to its configuration.
    pub(crate) async fn embedded_with(change: impl FnOnce(&mut Config)) -> Self {
        let hooks = Hooks::start().await;
        let mut config = Config::new(ApiKey { key: KEY.into(), secret: SECRET.into() });
        config.webhook_urls = vec![hooks.url.clone()];
        change(&mut config);
        let server = MediaServer::start(config).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(server.serve(listener));
        Self { address, hooks, embedded: Some(server), process: None }
    }

    /// The embedded server.
    pub(crate) async fn embedded() -> Option<Self> {
        Some(Self::embedded_with(|_| {}).await)
    }

    /// A real LiveKit, if there is one. Without one the test says so; in CI that is a failure.
    pub(crate) async fn livekit() -> Option<Self> {
        let binary = std::env::var_os("LIVEKIT_SERVER_BIN").map(PathBuf::from).unwrap_or_else(default_binary);
        if !binary.exists() {
            assert!(std::env::var_os("CI").is_none(), "no LiveKit server at {}", binary.display());
            eprintln!("SKIPPED: no LiveKit server at {}; set LIVEKIT_SERVER_BIN", binary.display());
            return None;
        }
        let hooks = Hooks::start().await;
        let (http, udp) = (free_tcp(), free_udp());
        let config = livekit_config(http, udp, &hooks.url);
        let file = std::env::temp_dir().join(format!("livekit-{}-{http}.yaml", std::process::id()));
        std::fs::write(&file, config.to_string()).unwrap();
        let child = Command::new(binary)
            .arg("--config")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let process = Process(child, file);
        let address = format!("127.0.0.1:{http}");
        until("LiveKit is up", || async { reqwest::get(format!("http://{address}/")).await.ok() }).await;
        Some(Self { address, hooks, embedded: None, process: Some(process) })
    }

    /// Calls RoomService with JSON; gives status and body.
    pub(crate) async fn call_with(&self, token: &str, method: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}/twirp/livekit.RoomService/{method}", self.address);
        let request = reqwest::Client::new().post(url).bearer_auth(token);
        let response = request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The same with every grant for `room`.
    pub(crate) async fn call(&self, room: &str, method: &str, body: Value) -> (u16, Value) {
        self.call_with(&admin(room), method, body).await
    }

    /// The same, expected to succeed.
    pub(crate) async fn ok(&self, room: &str, method: &str, body: Value) -> Value {
        let (status, answer) = self.call(room, method, body).await;
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }
}

fn default_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.tools/bin/server")
}

fn livekit_config(http: u16, udp: u16, hooks: &str) -> Value {
    // JSON is YAML.
    json!({
        "port": http,
        "bind_addresses": ["127.0.0.1"],
        "rtc": {
            "udp_port": udp,
            "tcp_port": 0,
            "node_ip": "127.0.0.1",
            "use_external_ip": false,
            "enable_loopback_candidate": true,
        },
        "keys": {KEY: SECRET},
        "webhook": {"api_key": KEY, "urls": [hooks]},
        "logging": {"level": "error"},
    })
}

fn free_tcp() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn free_udp() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A token with these claims over sensible ones.
pub(crate) fn token(claims: Value) -> String {
    token_signed(claims, SECRET)
}

/// The same with another secret.
pub(crate) fn token_signed(claims: Value, secret: &str) -> String {
    let mut all = json!({"iss": KEY, "exp": now() + 600, "nbf": now() - 5});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    encode(&Header::default(), &all, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

/// A token that joins `room` as `identity`.
pub(crate) fn guest(room: &str, identity: &str) -> String {
    token(json!({"sub": identity, "video": {"roomJoin": true, "room": room}}))
}

/// The same with more in its `video` claim.
pub(crate) fn guest_with(room: &str, identity: &str, grants: Value) -> String {
    let mut video = json!({"roomJoin": true, "room": room});
    for (name, value) in grants.as_object().unwrap() {
        video[name] = value.clone();
    }
    token(json!({"sub": identity, "video": video}))
}

/// A token with all grants for a room.
pub(crate) fn admin(room: &str) -> String {
    token(json!({"video": {"roomCreate": true, "roomList": true, "roomAdmin": true, "room": room}}))
}

/// A short pause, for checks that something does *not* happen.
pub(crate) async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(500)).await;
}
