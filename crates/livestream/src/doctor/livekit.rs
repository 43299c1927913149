//! LiveKit: does it answer, know our key, take clients, and have the same time as we do?

use std::error::Error;
use std::time::{Duration, SystemTime};

use anyhow::Context;
use domain::{Identity, Role, RoomName};
use futures_util::StreamExt;
use livekit_protocol as proto;
use prost::Message as _;
use rooms::{ErrorKind, LiveKitHost, RoomSpec, Rooms, RoomsError, TokenRequest, Tokens};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::config::{Config, LiveKit};

use super::PATIENCE;
use super::report::{Finding, Report};

/// LiveKit accepts tokens that are a minute off.
const TOO_FAR: Duration = Duration::from_secs(45);
const FAR: Duration = Duration::from_secs(5);

/// Looks at the server; whether it answers and knows our key.
pub(super) async fn examine(livekit: &LiveKit, config: &Config, report: &mut Report) -> anyhow::Result<bool> {
    let rooms = client(livekit, config)?;
    let listed = rooms.list_rooms().await;
    let reached = listed.is_ok();
    report.add(
        "LiveKit",
        match &listed {
            Ok(rooms) => {
                Finding::well(format!("{} answers and knows our key; {} rooms", livekit.host.http_url(), rooms.len()))
            }
            Err(error) => unusable(error, livekit),
        },
    )?;
    report.begin("LiveKit's clock");
    if let Some(finding) = clock(&livekit.host).await {
        report.add("LiveKit clock", finding)?;
    }
    Ok(reached)
}

/// A client of its API.
pub(super) fn client(livekit: &LiveKit, config: &Config) -> anyhow::Result<rooms::LiveKit> {
    rooms::LiveKit::new(&livekit.host, &livekit.api_key, &livekit.api_secret, config.media.timeout.max(PATIENCE))
        .context("can't talk to LiveKit")
}

fn unusable(error: &RoomsError, livekit: &LiveKit) -> Finding {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let said = format!("{}: {cause}", livekit.host.http_url());
    let advice = match error.kind {
        ErrorKind::Unauthorized => {
            "LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be a pair of `keys:` in livekit.yaml, and the clocks must agree"
        }
        ErrorKind::Unavailable => {
            "is LiveKit running, and is LIVEKIT_HOST right? It is the port of signalling and API, usually 7880"
        }
        ErrorKind::Refused => "LIVEKIT_HOST must be a LiveKit server itself",
    };
    Finding::broken(said, advice)
}

/// Compares the header `Date`, which has whole seconds; `None` when there is none.
async fn clock(host: &LiveKitHost) -> Option<Finding> {
    let http = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
    let answer = http.get(host.http_url()).send().await.ok()?;
    let date = answer.headers().get("date")?.to_str().ok()?;
    let there = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    let here = jiff::Timestamp::try_from(SystemTime::now()).ok()?;
    let apart = Duration::from_secs(here.as_second().abs_diff(there.as_second()));
    let said = format!("{} s apart from this machine's", apart.as_secs());
    Some(match apart {
        apart if apart > TOO_FAR => {
            Finding::broken(said, "tokens and webhooks are refused beyond a minute: set both clocks by NTP")
        }
        apart if apart > FAR => Finding::warning(said, "set both clocks by NTP"),
        _ => Finding::well(if apart.is_zero() { "the same as this machine's".to_owned() } else { said }),
    })
}

/// Joins `room` as a client would at `url`; gives the server's version.
pub(super) async fn join(url: &LiveKitHost, livekit: &LiveKit, room: &RoomName) -> anyhow::Result<String> {
    let spec = RoomSpec {
        name: room.clone(),
        empty_timeout: Duration::from_secs(30),
        departure_timeout: Duration::from_secs(5),
        max_participants: 1,
        metadata: String::new(),
    };
    let identity = Identity::parse("livestream-doctor")?;
    let now = domain::Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let request =
        TokenRequest { room: &spec, identity: &identity, name: None, metadata: None, role: Role::Viewer, now };
    let token = Tokens::new(&livekit.api_key, &livekit.api_secret, Duration::from_secs(60)).mint(request).token;
    let address = format!("{}/rtc?protocol=16&auto_subscribe=0&sdk=rust&access_token={token}", url.ws_url());
    timeout(PATIENCE, first_answer(&address)).await.context("no answer in time")?
}

async fn first_answer(address: &str) -> anyhow::Result<String> {
    let (mut socket, _) = connect_async(address).await?;
    while let Some(message) = socket.next().await {
        if let Message::Binary(bytes) = message? {
            let answer = proto::SignalResponse::decode(bytes.as_ref())?;
            if let Some(proto::signal_response::Message::Join(joined)) = answer.message {
                return Ok(joined.server_info.map(|server| server.version).unwrap_or_default());
            }
        }
    }
    anyhow::bail!("the connection was closed")
}
