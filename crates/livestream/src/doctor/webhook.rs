//! Webhooks: a room is made and joined, and somebody should hear of it.
//!
//! LiveKit knows one address for its webhooks. Whoever listens there is asked: the server that runs on `PORT`, by
//! its metrics, or, while nobody does, this process itself.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Router, http::StatusCode};
use domain::RoomName;
use rand::RngExt;
use rooms::{RoomSpec, Rooms, Webhook, WebhookVerifier};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, LiveKit};

use super::report::{Finding, Report};
use super::{DoctorArgs, PATIENCE, livekit};

/// Webhooks that wait to be looked at; what comes beyond is not needed.
const WAITING: usize = 64;
const LOOK_AGAIN: Duration = Duration::from_millis(250);
const HOW: &str = "in livekit.yaml: `webhook: {api_key: <LIVEKIT_API_KEY>, urls: [http://<this machine>:<PORT>/webhook]}`; \
     without webhooks every change waits for the next sweep (SWEEP_INTERVAL)";

/// How it is seen that a webhook has come.
enum Ear {
    /// Nobody serves here: this process listens on `PORT`.
    Own(mpsc::Receiver<Result<String, String>>, AbortOnDropHandle<()>),
    /// The counters of the server that runs here, and what they were.
    Metrics(reqwest::Client, String, f64),
}

pub(super) async fn examine(
    livekit: &LiveKit,
    config: &Config,
    args: &DoctorArgs,
    running: Option<String>,
    report: &mut Report,
) -> anyhow::Result<()> {
    if !args.webhook {
        return report.add("webhooks", Finding::skipped("not looked at: --no-webhook"));
    }
    report.begin("webhooks");
    let ear = match listen(livekit, config, args, running).await {
        Ok(ear) => ear,
        Err(finding) => return report.add("webhooks", finding),
    };
    let rooms = livekit::client(livekit, config)?;
    let room = room_name();
    // Rooms without a mark are nobody's: a server that runs leaves it alone.
    let spec = RoomSpec {
        name: room.clone(),
        empty_timeout: Duration::from_secs(30),
        departure_timeout: Duration::from_secs(5),
        max_participants: 0,
        metadata: String::new(),
    };
    if let Err(error) = rooms.create_room(&spec).await {
        return report.add("webhooks", Finding::broken(format!("LiveKit made no room: {error}"), "see LiveKit's log"));
    }
    let outcome = look(livekit, &room, ear, report).await;
    // The room goes by itself too, half a minute later.
    if let Err(error) = rooms.delete_room(&room).await {
        report.add("room", Finding::warning(format!("{room} could not be deleted: {error}"), "it goes by itself"))?;
    }
    outcome
}

async fn look(livekit: &LiveKit, room: &RoomName, ear: Ear, report: &mut Report) -> anyhow::Result<()> {
    let public = livekit.public_url.as_ref().unwrap_or(&livekit.host);
    let joined = livekit::join(public, livekit, room).await;
    report.add(
        "signalling",
        match joined {
            Ok(version) => Finding::well(format!("clients can join at {}; LiveKit {version}", public.ws_url())),
            Err(error) => Finding::broken(
                format!("{}: {error}", public.ws_url()),
                "LIVEKIT_PUBLIC_URL must be the address that clients reach LiveKit's signalling at",
            ),
        },
    )?;
    report.begin("webhooks");
    let finding = ear.hears_of(room).await;
    report.add("webhooks", finding)
}

fn room_name() -> RoomName {
    let mut random = rand::rng();
    let tail: String = (0..8).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    RoomName::from(format!("livestream-doctor-{tail}").as_str())
}

async fn listen(
    livekit: &LiveKit,
    config: &Config,
    args: &DoctorArgs,
    running: Option<String>,
) -> Result<Ear, Finding> {
    match running {
        Some(base) => {
            let mut http =
                reqwest::Client::builder().no_proxy().timeout(PATIENCE).tls_danger_accept_invalid_certs(true);
            if let Some(key) = args.key.as_deref().and_then(|key| format!("Bearer {key}").parse().ok()) {
                http = http.default_headers([(axum::http::header::AUTHORIZATION, key)].into_iter().collect());
            }
            let http = http.build().map_err(|error| Finding::skipped(error.to_string()))?;
            match count(&http, &base).await {
                Some(before) => Ok(Ear::Metrics(http, base, before)),
                None => Err(Finding::skipped(format!("{base}/metrics does not answer this key; see --key"))),
            }
        }
        None if config.api.tls.is_some() => {
            Err(Finding::skipped("not looked at: with TLS_CERT a server has to run on PORT to hear of them"))
        }
        None => own_ear(livekit, config.api.listen)
            .await
            .map_err(|error| Finding::skipped(format!("PORT can't be listened on to wait for them: {error}"))),
    }
}

/// Over plain HTTP; a LiveKit that sends to HTTPS is heard by a running server only.
async fn own_ear(livekit: &LiveKit, address: SocketAddr) -> std::io::Result<Ear> {
    let listener = TcpListener::bind(address).await?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let verifier = WebhookVerifier::new(vec![(livekit.api_key.clone(), livekit.api_secret.clone())]);
    let take = move |headers: HeaderMap, body: Bytes| async move {
        let authorization = headers.get("authorization").and_then(|value| value.to_str().ok());
        let now = domain::Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
        let heard = match verifier.receive(authorization, &body, now) {
            Ok(Webhook::Event(event)) => Ok(event.room_name.to_string()),
            Ok(Webhook::Other { .. }) => Ok(String::new()),
            Err(error) => Err(error.to_string()),
        };
        // Should the queue be full, enough has been heard.
        drop(sender.try_send(heard));
        StatusCode::OK
    };
    let router = Router::new().route("/webhook", post(take));
    let served = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::debug!(%error, "the listener for webhooks has ended");
        }
    });
    Ok(Ear::Own(receiver, AbortOnDropHandle::new(served)))
}

impl Ear {
    async fn hears_of(self, room: &RoomName) -> Finding {
        let until = Instant::now() + PATIENCE;
        match self {
            Self::Own(mut heard, _listener) => {
                while let Ok(Some(one)) = timeout_at(until, heard.recv()).await {
                    match one {
                        Ok(name) if name == room.as_str() => return Finding::well("arrive here, rightly signed"),
                        Ok(_) => {}
                        Err(why) => return Finding::broken(why, HOW),
                    }
                }
                Finding::broken("none came to PORT, where nobody else listens now", HOW)
            }
            Self::Metrics(http, base, before) => {
                while Instant::now() < until {
                    sleep(LOOK_AGAIN).await;
                    if count(&http, &base).await.is_some_and(|now| now > before) {
                        return Finding::well(format!("arrive at {base}"));
                    }
                }
                Finding::broken(format!("{base} has heard of none"), HOW)
            }
        }
    }
}

/// Webhooks that the server has taken, all told; `None` when it does not tell.
async fn count(http: &reqwest::Client, base: &str) -> Option<f64> {
    let answer = http.get(format!("{base}/metrics")).send().await.ok()?.error_for_status().ok()?;
    Some(taken(&answer.text().await.ok()?))
}

/// The sum of the counters of webhooks that were believed.
fn taken(metrics: &str) -> f64 {
    let lines = metrics.lines().filter(|line| line.starts_with("livestream_webhooks_total{"));
    let believed = lines.filter(|line| !line.contains("event=\"unknown\""));
    believed.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_webhooks_that_were_believed_count() {
        let metrics = "livestream_webhooks_total{event=\"room_started\",verdict=\"applied\"} 2\n\
            livestream_webhooks_total{event=\"unknown\",verdict=\"bad_signature\"} 5\nother 7\n\
            livestream_webhooks_total{event=\"other\",verdict=\"ignored\"} 1\n";
        assert!((taken(metrics) - 3.0).abs() < f64::EPSILON);
    }
}
