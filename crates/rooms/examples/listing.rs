//! Prints how long a LiveKit server takes to list many rooms: the largest answer a sweep asks for.
//!
//! `LIVEKIT_HOST=ws://127.0.0.1:7880 LIVEKIT_API_KEY=devkey LIVEKIT_API_SECRET=secret cargo run --release -p rooms --example listing -- 20000`
//! Makes that many rooms in the server, which it closes again by itself after a minute.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measuring program prints, and fails by panicking")]

use std::time::{Duration, Instant};

use domain::RoomName;
use rooms::{LiveKit, LiveKitHost, RoomSpec, Rooms};

#[tokio::main]
async fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let count: u32 = std::env::args().nth(1).map_or(1000, |text| text.parse().unwrap());
    let host = LiveKitHost::parse(&variable("LIVEKIT_HOST")).unwrap();
    let (key, secret) = (variable("LIVEKIT_API_KEY"), variable("LIVEKIT_API_SECRET"));
    let livekit = LiveKit::new(&host, &key, &secret, Duration::from_secs(30)).unwrap();
    let start = Instant::now();
    for n in 0..count {
        livekit.create_room(&spec(n)).await.unwrap();
    }
    println!("made {count} rooms, each in {:?}", start.elapsed() / count);
    for _ in 0..5 {
        let start = Instant::now();
        let rooms = livekit.list_rooms().await.unwrap();
        println!("listed {} rooms in {:?}", rooms.len(), start.elapsed());
    }
}

fn spec(n: u32) -> RoomSpec {
    RoomSpec {
        name: RoomName::from(format!("listing-{n}")),
        metadata: format!(r#"{{"livestream":{{"deployment":"k3v9x2m1","id":"listing-{n}","generation":1}}}}"#),
        empty_timeout: Duration::from_secs(60),
        departure_timeout: Duration::from_secs(60),
        max_participants: 0,
    }
}
