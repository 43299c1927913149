//! Prints what minting a token and receiving a webhook cost, beside LiveKit's own crate.
//!
//! `cargo run --release -p rooms --example cost`

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program prints, and fails by panicking")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use domain::{Identity, Role, RoomName, Timestamp};
use rooms::simulated::{Guest, SimulatedLiveKit, signed_webhook};
use rooms::{LiveKit, LiveKitHost, RoomSpec, TokenRequest, Tokens, WebhookVerifier};

const ROUNDS: u32 = 20_000;
const SECRET: &str = "a-secret-that-is-long-enough-for-livekit";

fn main() {
    let now = Timestamp::from_millis(1_795_429_101_951);
    let room = RoomSpec {
        name: RoomName::from("a-stream-of-gold"),
        metadata: r#"{"livestream":{"deployment":"k3v9x2m1","id":"a-stream-of-gold","generation":1}}"#.into(),
        empty_timeout: Duration::from_secs(330),
        departure_timeout: Duration::from_secs(90),
        max_participants: 0,
    };
    tokens(&room, now);
    webhooks(&room, now);
    client();
}

fn tokens(room: &RoomSpec, now: Timestamp) {
    let tokens = Tokens::new("devkey", SECRET, Duration::from_secs(600));
    let identities: Vec<_> = (0..1000).map(|n| Identity::parse(&format!("user-{n}")).unwrap()).collect();
    let request = |n: u32| TokenRequest {
        room,
        identity: &identities[n as usize % identities.len()],
        name: Some("Ada Lovelace"),
        metadata: None,
        role: Role::Speaker,
        now,
    };
    print("mint a join token", measure(|n| drop(black_box(tokens.mint(request(n))))));
    print("… the same by livekit-token", measure(|n| drop(black_box(by_livekit(&request(n))))));
    let token = tokens.mint(request(0)).token;
    let verify = |_| drop(black_box(tokens.verify_join_token(&token, now, Duration::ZERO).unwrap()));
    print("verify a join token", measure(verify));
}

fn by_livekit(request: &TokenRequest<'_>) -> String {
    let grants = livekit_token::VideoGrants {
        room_join: true,
        room: request.room.name.to_string(),
        can_publish: Some(true),
        can_subscribe: Some(true),
        can_publish_data: Some(true),
        ..Default::default()
    };
    let config = livekit_protocol::RoomConfiguration {
        empty_timeout: 330,
        departure_timeout: 90,
        metadata: request.room.metadata.clone(),
        ..Default::default()
    };
    livekit_token::AccessToken::with_api_key("devkey", SECRET)
        .with_identity(request.identity.as_str())
        .with_name(request.name.unwrap_or_default())
        .with_attributes([("role", request.role.as_str())])
        .with_grants(grants)
        .with_room_config(config)
        .to_jwt()
        .unwrap()
}

fn webhooks(room: &RoomSpec, now: Timestamp) {
    let server = SimulatedLiveKit::new(1, now);
    let guest = Guest::person(&Identity::parse("user-1").unwrap());
    let joined = server.join_as(&room.name, &guest, Some(room), now).unwrap();
    let (header, body) = signed_webhook(joined.events.last().unwrap(), "devkey", SECRET, now);
    let verifier = WebhookVerifier::new(vec![("devkey".into(), SECRET.into())]);
    let receive = |_| drop(black_box(verifier.receive(Some(&header), &body, now).unwrap()));
    print(&format!("receive a webhook of {} bytes", body.len()), measure(receive));
}

fn client() {
    for address in ["http://127.0.0.1:7880", "https://livekit.example.com"] {
        let host = LiveKitHost::parse(address).unwrap();
        let start = Instant::now();
        drop(black_box(LiveKit::new(&host, "devkey", SECRET, rooms::DEFAULT_DEADLINE).unwrap()));
        print(&format!("make a client of {address}, once"), start.elapsed());
    }
}

/// The mean of many rounds, after some to warm up.
fn measure(mut act: impl FnMut(u32)) -> Duration {
    (0..ROUNDS / 10).for_each(&mut act);
    let start = Instant::now();
    (0..ROUNDS).for_each(&mut act);
    start.elapsed() / ROUNDS
}

fn print(what: &str, time: Duration) {
    println!("{what:<50} {:>10.2} µs", time.as_secs_f64() * 1e6);
}
