//! A webhook: CPU, round trips to Redis, and the time until a subscriber hears of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use domain::{
    EventId, Identity, Kind, ParticipantSid, ParticipantSnapshot, RoomEvent, RoomEventKind, RoomName, Timestamp,
};
use reqwest::{Client, Request};
use rooms::simulated::signed_webhook;
use testkit::SseClient;

use crate::scene::{KEY, Scene};
use crate::{load, seed, usage};

const WEBHOOKS: usize = 3_000;
/// Those sent over several connections, as LiveKit does.
const AT_ONCE: usize = 20_000;
const CONNECTIONS: usize = 8;
/// Streams in which something happens meanwhile, spread over all there are.
const BUSY: usize = 100;
const HEARD: usize = 50;

/// Rows of the table.
pub(crate) async fn measure(scene: &Scene) -> anyhow::Result<Vec<String>> {
    let url = scene.program.url("/webhook");
    let apart = (scene.streams / BUSY).max(1);
    // One at a time, so that two round trips never share a packet.
    let target = url.clone();
    let used = scene
        .used_by(load::run(WEBHOOKS, 1, move |client, number| joined(client, &target, number, number % BUSY * apart)))
        .await?;
    let each = used.cpu.as_secs_f64() * 1e6 / WEBHOOKS as f64;
    let mut rows = vec![scene.row("webhook, CPU", &format!("{each:.0} µs"))];
    if scene.backend == crate::Backend::Redis {
        let trips = used.crossed.round_trips as f64 / WEBHOOKS as f64;
        rows.push(scene.row("webhook, Redis round trips", &format!("{trips:.2}")));
    }
    rows.push(
        scene.row("webhook until a subscriber hears, median", &format!("{:.1} ms", heard(scene, &url).await? * 1e3)),
    );
    if scene.backend == crate::Backend::Embedded {
        rows.extend(at_once(scene, &url, apart).await?);
    }
    Ok(rows)
}

/// Over several connections the store writes several together; the disk's part is shown apart.
async fn at_once(scene: &Scene, url: &str, apart: usize) -> anyhow::Result<[String; 2]> {
    let (target, first) = (url.to_owned(), WEBHOOKS + HEARD);
    let disk = usage::writer_in_kernel(scene.program.id())?;
    let used = scene
        .used_by(load::run(AT_ONCE, CONNECTIONS, move |client, number| {
            joined(client, &target, first + number, number % BUSY * apart)
        }))
        .await?;
    let disk = usage::writer_in_kernel(scene.program.id())? - disk;
    let each = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6 / AT_ONCE as f64);
    Ok([
        scene.row("webhook over 8 connections, CPU", &each(used.cpu)),
        scene.row("the same without the disk's part", &each(used.cpu.saturating_sub(disk))),
    ])
}

/// Median time from the request to the event at a subscriber, in seconds.
async fn heard(scene: &Scene, url: &str) -> anyhow::Result<f64> {
    let mut subscriber = SseClient::open(&scene.program.url(&format!("/sse/{}/updates", seed::name(0)))).await;
    let client = Client::new();
    let mut times = Vec::new();
    for number in 0..HEARD {
        // Bursts are told as one; a pause makes each change one of its own.
        tokio::time::sleep(Duration::from_millis(60)).await;
        let who = WEBHOOKS + number;
        let request = joined(&client, url, who, 0)?;
        let begun = tokio::time::Instant::now();
        tokio::spawn(client.execute(request));
        let name = serde_json::json!(identity(who));
        let there = |state: &serde_json::Value| state["participants"].as_array().is_some_and(|all| all.contains(&name));
        subscriber.wait_for("the participant", there).await;
        times.push(begun.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

fn identity(number: usize) -> String {
    format!("user-{number}")
}

/// `participant_joined` of a person who was not there before.
pub(crate) fn joined(client: &Client, url: &str, number: usize, stream: usize) -> anyhow::Result<Request> {
    let now = Timestamp::from_millis(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
    let person = ParticipantSnapshot {
        sid: ParticipantSid::from(format!("PA_{number}")),
        identity: Identity::parse(&identity(number))?,
        name: String::new(),
        kind: Kind::Standard,
        active: true,
        joined_at: Some(now),
        tracks: Vec::new(),
    };
    let event = RoomEvent {
        id: EventId(format!("EV_{number}")),
        room_name: RoomName::from(seed::name(stream)),
        room_sid: seed::room_sid(stream),
        room_metadata: None,
        created_at: now,
        kind: RoomEventKind::ParticipantJoined(person),
    };
    let (authorization, body) = signed_webhook(&event, KEY.0, KEY.1, now);
    let request =
        client.post(url).header("authorization", authorization).header("content-type", "application/webhook+json");
    Ok(request.body(body).build()?)
}
