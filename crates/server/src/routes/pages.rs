//! The pages and their files, with headers that keep foreign script out.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, REFERRER_POLICY,
    VARY,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::client;
use crate::pages::Asset;
use crate::problem::Problem;
use crate::routes::{has_tag, not_modified};
use crate::state::AppState;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const ASK_FIRST: HeaderValue = HeaderValue::from_static("no-cache");

/// `/` and `/index.html`: the lobby.
pub(crate) async fn get_lobby_page(State(state): State<AppState>, request: Request) -> Response {
    page(&state, "index.html", &request)
}

/// `/room.html?streamId=…`: a room.
pub(crate) async fn get_room_page(State(state): State<AppState>, request: Request) -> Response {
    page(&state, "room.html", &request)
}

/// `/embed/{id}`: one stream, to be shown in a frame.
pub(crate) async fn get_embed_page(State(state): State<AppState>, request: Request) -> Response {
    page(&state, "embed.html", &request)
}

/// `/docs`: the API's reference.
pub(crate) async fn get_docs_page(State(state): State<AppState>, request: Request) -> Response {
    page(&state, "docs.html", &request)
}

/// Any other file of the pages; `None` when there is none.
pub(crate) fn file(state: &AppState, request: &Request) -> Option<Response> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return None;
    }
    let asset = state.pages.get(request.uri().path().strip_prefix('/')?)?;
    Some(serve(state, asset, "'self'", request))
}

fn page(state: &AppState, name: &str, request: &Request) -> Response {
    let ancestors = if name == "embed.html" { state.config.embed_ancestors.join(" ") } else { "'self'".to_owned() };
    match state.pages.get(name) {
        Some(asset) => serve(state, asset, &ancestors, request),
        None => Problem::no_such_address().into_response(),
    }
}

fn serve(state: &AppState, asset: &Asset, ancestors: &str, request: &Request) -> Response {
    let headers = request.headers();
    let mut response = if has_tag(headers, &asset.etag) { not_modified() } else { content(asset, headers) };
    let answer = response.headers_mut();
    answer.insert(ETAG, asset.etag.clone());
    answer.insert(CACHE_CONTROL, if asset.immutable { FOR_EVER } else { ASK_FIRST });
    answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if asset.is_page() {
        protect(state, ancestors, request, answer);
    }
    response
}

fn content(asset: &Asset, headers: &HeaderMap) -> Response {
    let (bytes, encoding) = best_form(asset, headers);
    let mut response = Response::new(Body::from(bytes));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    if let Some(encoding) = encoding {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

fn best_form(asset: &Asset, headers: &HeaderMap) -> (Bytes, Option<&'static str>) {
    let accepted = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepts = |name: &str| {
        accepted.split(',').any(|one| {
            let (coding, weight) = one.split_once(';').unwrap_or((one, ""));
            coding.trim().eq_ignore_ascii_case(name) && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    match (&asset.brotli, &asset.gzip) {
        (Some(brotli), _) if accepts("br") => (brotli.clone(), Some("br")),
        (_, Some(gzip)) if accepts("gzip") => (gzip.clone(), Some("gzip")),
        _ => (asset.plain.clone(), None),
    }
}

/// No script, style, frame or connection but our own and the media server's.
fn protect(state: &AppState, ancestors: &str, request: &Request, answer: &mut HeaderMap) {
    let media = media_origins(state, request);
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
         media-src 'self' blob:; manifest-src 'self'; connect-src 'self'{media}; base-uri 'none'; \
         form-action 'self'; frame-ancestors {ancestors}"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        answer.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    answer.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(self), microphone=(self), display-capture=(self), geolocation=()"),
    );
}

/// The media server's origin, for its WebSocket and for the HTTP requests beside it; empty when it can't be told.
fn media_origins(state: &AppState, request: &Request) -> String {
    let Ok(url) = client::media_url(&state.config, request.into()) else { return String::new() };
    let Some((scheme, rest)) = url.split_once("://") else { return String::new() };
    let host = rest.split('/').next().unwrap_or_default();
    let http = if scheme == "wss" { "https" } else { "http" };
    format!(" {scheme}://{host} {http}://{host}")
}
