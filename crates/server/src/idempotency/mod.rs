//! `Idempotency-Key`: a `POST` that is sent again is not done again, but answered as before
//! (draft-ietf-httpapi-idempotency-key-header).
//!
//! The first request with a key claims it for a while, is carried out to its end even if its
//! caller goes, and leaves its answer for a day. Answers are kept sealed: the store never holds
//! what would open them. What is refused or fails is not kept, because it has changed nothing.

mod record;

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use domain::Timestamp;
use http_body_util::BodyExt;
use store::{Memo, MemoSwap};
use tower::Service;
use tracing::Instrument;

use crate::access::Caller;
use crate::body;
use crate::client;
use crate::limits::Who;
use crate::problem::Problem;
use crate::state::AppState;

use self::record::{Claim, Found, Secrets};

/// What a caller names its request by.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `true` on an answer that was given before.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const MAX_KEY: usize = 255;
/// How long an answer is given again.
const KEEP: Duration = Duration::from_secs(24 * 3600);
/// How long a request that is being carried out keeps its key; one whose instance is gone gives it back then.
const CLAIM: Duration = Duration::from_secs(30);
/// Signed by LiveKit and made to be sent twice.
const WEBHOOK: &str = "/webhook";

const KEY_FORM: &str = "Idempotency-Key must be one text of 1 to 255 visible ASCII characters, in double quotes or without; \
     a random UUID is best";

/// How long an answer is worth being given again; put into its extensions by whoever knows better than a day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeepFor(Duration);

impl KeepFor {
    /// Until what the answer gives out has run out.
    pub(crate) fn until(end: Timestamp, now: Timestamp) -> Self {
        let life = end.as_millis().saturating_sub(now.as_millis());
        Self(Duration::from_millis(u64::try_from(life).unwrap_or_default()))
    }
}

/// Whether a request asks not to be done twice.
pub(crate) fn is_asked_for(request: &Request) -> bool {
    request.method() == Method::POST
        && request.headers().contains_key(IDEMPOTENCY_KEY)
        && request.uri().path() != WEBHOOK
}

/// Carries the request out, or answers as before.
pub(crate) async fn once<S>(state: AppState, inner: S, request: Request) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    run(state, inner, request).await.unwrap_or_else(IntoResponse::into_response)
}

async fn run<S>(state: AppState, inner: S, request: Request) -> Result<Response, Problem>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let secrets = secrets(&state, &request)?;
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, state.config.body_limit, state.config.read_timeout).await?;
    let claim = Claim::new(&parts, &bytes);
    let memo = Memo { value: claim.encode(), life: CLAIM };
    match state.orchestrator.swap_memo(secrets.name(), None, Some(&memo)).await? {
        MemoSwap::Done => {}
        MemoSwap::Found(found) => return earlier(&secrets, &claim, found.as_deref()),
    }
    let request = Request::from_parts(parts, Body::from(bytes));
    let task = tokio::spawn(carry_out(state, inner, request, secrets, claim).instrument(tracing::Span::current()));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a handler panicked");
        Err(Problem::internal())
    })
}

/// Who asks for what under which key.
fn secrets(state: &AppState, request: &Request) -> Result<Secrets, Problem> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let key = keys.next().filter(|_| keys.next().is_none()).and_then(key_text);
    let key = key.ok_or_else(|| Problem::invalid(KEY_FORM))?;
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
    // Who may not ask any more is told nothing again: a key that was taken back, an invite that has ended.
    let scope = Caller::of(state, request.headers())?.scope();
    let caller = match request.headers().get(AUTHORIZATION) {
        // A key whose scope was changed is another caller.
        Some(value) => [value.as_bytes(), format!(" {scope:?}").as_bytes()].concat(),
        None => format!("{:?}", Who::of(client::address(&state.config, request.into()))).into_bytes(),
    };
    Ok(Secrets::new(&caller, route, key))
}

/// The draft wants a string in double quotes; most clients send it bare.
fn key_text(value: &HeaderValue) -> Option<&str> {
    let text = value.to_str().ok()?;
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let visible = bare.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && !bare.is_empty() && bare.len() <= MAX_KEY).then_some(bare)
}

/// The answer to a request whose key is known.
fn earlier(secrets: &Secrets, claim: &Claim, found: Option<&[u8]>) -> Result<Response, Problem> {
    // It ended a moment ago: whoever tries again gets further.
    let Some(found) = found else { return Err(Problem::key_in_use()) };
    match Found::decode(secrets, claim, found) {
        Some(Found::Other) => Err(Problem::key_reused()),
        Some(Found::Running) => Err(Problem::key_in_use()),
        Some(Found::Answer(mut response)) => {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(*response)
        }
        None => {
            tracing::error!("a kept answer can't be read");
            Err(Problem::internal())
        }
    }
}

/// To the end, whether or not the caller is still there.
async fn carry_out<S>(
    state: AppState,
    mut inner: S,
    request: Request,
    secrets: Secrets,
    claim: Claim,
) -> Result<Response, Problem>
where
    S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    let _counted = InFlight::new(state.clone());
    let Ok(response) = inner.call(request).await;
    let life = response.extensions().get::<KeepFor>().map_or(KEEP, |keep| keep.0.min(KEEP));
    let (response, kept) = if response.status().is_success() && !life.is_zero() {
        copy(response, &secrets, &claim).await?
    } else {
        (response, None)
    };
    let memo = kept.map(|value| Memo { value, life });
    // The claim may have run out, or the store may be away: then it is as if no key had been sent.
    match state.orchestrator.swap_memo(secrets.name(), Some(&claim.encode()), memo.as_ref()).await {
        Ok(MemoSwap::Done) => {}
        Ok(MemoSwap::Found(_)) => tracing::warn!("a request took longer than it may keep its Idempotency-Key"),
        Err(error) => tracing::warn!(%error, "an answer could not be kept for its Idempotency-Key"),
    }
    Ok(response)
}

/// The answer, and the same sealed; nothing when it is too long to be kept.
async fn copy(response: Response, secrets: &Secrets, claim: &Claim) -> Result<(Response, Option<Vec<u8>>), Problem> {
    let (parts, body) = response.into_parts();
    let bytes: Bytes = body.collect().await.map_err(|_| Problem::internal())?.to_bytes();
    let kept = record::seal(secrets, claim, &parts, &bytes).filter(|sealed| sealed.len() <= Memo::MAX_BYTES);
    if kept.is_none() {
        tracing::warn!(bytes = bytes.len(), "an answer is too long to be kept for its Idempotency-Key");
    }
    Ok((Response::from_parts(parts, Body::from(bytes)), kept))
}

/// Shutdown waits for it as for any request.
struct InFlight(AppState);

impl InFlight {
    fn new(state: AppState) -> Self {
        state.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_visible_text_quoted_or_bare() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(key_text(&HeaderValue::from_str(text).unwrap()), expected, "{text:?}");
        };
        check("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", Some("8e03978e-40d5-43dd-bc93-6894a57f9324"));
        check("a", Some("a"));
        check("\"a", Some("\"a"));
        check(&"x".repeat(255), Some(&"x".repeat(255)));
        for text in ["", "\"\"", "a b", "\ta", &"x".repeat(256)] {
            check(text, None);
        }
        assert_eq!(key_text(&HeaderValue::from_bytes(b"\xff").unwrap()), None);
    }
}
