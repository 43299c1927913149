//! Streams: create, list, look at, end.

use std::fmt::Write;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use domain::{Head, Phase, Status, Visibility};
use futures_util::stream;
use orchestrator::{HostKey, Orchestrator, UseCaseError};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use store::{Cursor, ListQuery, Page};
use utoipa::IntoParams;

use crate::access::{Caller, Creator, Onlooker, Open};
use crate::api::{CreateStreamBody, CreatedStream, People, StreamDetails, StreamState, StreamSummary};
use crate::body::{Members, refuse};
use crate::extract::{self, QueryOf, StreamPath};
use crate::problem::Problem;
use crate::routes::{json, tagged};
use crate::state::AppState;

/// Items of a page when the caller does not say.
pub(crate) const USUAL_PAGE: usize = 50;
/// Most items of a page.
pub(crate) const MAX_PAGE: usize = 1_000;

const PHASES: [(&str, Phase); 4] = [
    ("waiting", Phase::Waiting),
    ("live", Phase::Live),
    ("reconnecting", Phase::Reconnecting),
    ("ended", Phase::Ended),
];
const STATUSES: [(&str, Status); 2] = [("active", Status::Active), ("finished", Status::Finished)];
/// Whether a list has also what is not public.
const VISIBILITIES: [(&str, bool); 2] = [("public", false), ("all", true)];
/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
pub(crate) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Creates a stream, or returns the active one of that name with the settings it has.
#[utoipa::path(post, path = "/streams", tag = "streams", security((), ("key" = ["admin"])),
    request_body = CreateStreamBody,
    responses(
        (status = 201, description = "Created", body = CreatedStream<'static>, headers(("Location" = String))),
        (status = 200, description = "It is active already; its settings are what they were", body = CreatedStream<'static>),
        (status = 400, response = crate::openapi::Invalid),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 409, response = crate::openapi::Conflict),
        (status = 413, response = crate::openapi::TooLarge),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn create_stream(
    State(state): State<AppState>,
    _: Open,
    _: Creator,
    members: Members,
) -> Result<Response, Problem> {
    let (id, settings) = CreateStreamBody::take(members)?.into_parts();
    let location = format!("/streams/{}", utf8_percent_encode(id.as_str(), UNRESERVED));
    let told_apart = state.config.auth.is_on();
    if settings.visibility == Visibility::Private && !told_apart {
        return Err(refuse("visibility", "can be private with AUTH=keys only: here every caller may do everything"));
    }
    let created = state.orchestrator.create_stream(id, settings, told_apart).await?;
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let host_key = created.host_key.as_ref().map(HostKey::secret);
    let mut response = json(status, &CreatedStream { stream_id: &created.head.id, host_key })?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if created.is_new {
        let location = HeaderValue::try_from(location).map_err(|_| Problem::internal())?;
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Which streams, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListStreamsQuery {
    /// Most items: 1 to 1,000, usually 50.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where the page before ended, as its `Link` says.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// `active`, or `finished`: history, one item for each time that a stream was on, latest end first, for as long as
    /// the server keeps it (usually 7 days). Absent: active ones, unless `phase` says otherwise.
    #[param(nullable = false)]
    status: Option<String>,
    /// `waiting`, `live`, `reconnecting` or `ended`; `ended` without a status: records that are still there.
    #[param(nullable = false)]
    phase: Option<String>,
    /// `public` (usual), or `all`: also those that are unlisted or private, for callers with a key.
    #[param(nullable = false)]
    visibility: Option<String>,
}

impl ListStreamsQuery {
    fn is_classic(&self) -> bool {
        [&self.limit, &self.cursor, &self.status, &self.phase, &self.visibility].iter().all(|value| value.is_none())
    }

    fn check(&self) -> Result<Asked, Problem> {
        let status = extract::word("status", self.status.as_deref(), &STATUSES)?;
        let phase = extract::word("phase", self.phase.as_deref(), &PHASES)?;
        let status = status.or_else(|| phase.is_none().then_some(Status::Active));
        let asked_for = |candidate: &Phase| {
            phase.is_none_or(|phase| phase == *candidate) && status.is_none_or(|status| status == candidate.status())
        };
        let phases: Vec<Phase> = Phase::LISTED.into_iter().filter(asked_for).collect();
        let of = match (phases.is_empty(), status) {
            (true, _) => Of::Nothing,
            (false, Some(Status::Finished)) => Of::History,
            (false, _) => Of::Records(phases),
        };
        let cursor = |text| if of == Of::History { Cursor::of_history(text) } else { Cursor::of_streams(text) };
        Ok(Asked {
            limit: extract::limit(self.limit.as_deref(), USUAL_PAGE, MAX_PAGE)?,
            cursor: self.cursor.as_deref().map(cursor).transpose()?,
            hidden: extract::word("visibility", self.visibility.as_deref(), &VISIBILITIES)?.unwrap_or(false),
            of,
        })
    }

    /// The way to the page after one that ends at `cursor`.
    fn link(&self, limit: usize, cursor: &Cursor) -> String {
        let limit = limit.to_string();
        let members = [
            ("limit", Some(limit.as_str())),
            ("cursor", Some(cursor.0.as_str())),
            ("status", self.status.as_deref()),
            ("phase", self.phase.as_deref()),
            ("visibility", self.visibility.as_deref()),
        ];
        next_link("/streams", &members)
    }
}

/// A query that makes sense.
struct Asked {
    of: Of,
    limit: usize,
    cursor: Option<Cursor>,
    hidden: bool,
}

/// What a list is of.
#[derive(PartialEq, Eq)]
enum Of {
    /// Streams in these phases.
    Records(Vec<Phase>),
    /// Whatever is over.
    History,
    /// Finished ones that are live, say: there are none, whatever the store holds.
    Nothing,
}

/// Lists streams, newest first.
///
/// Without parameters: all active ones. With any parameter: one page. With `status=finished`: what was on, by its end.
#[utoipa::path(get, path = "/streams", tag = "streams", params(ListStreamsQuery),
    responses(
        (status = 200, description = "Streams; the next page is in `Link`", body = [StreamSummary<'static>],
            headers(("Link" = String, description = "`<…>; rel=\"next\"` if there is more"))),
        (status = 400, response = crate::openapi::Invalid),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn list_streams(
    State(state): State<AppState>,
    onlooker: Onlooker,
    QueryOf(query): QueryOf<ListStreamsQuery>,
) -> Result<Response, Problem> {
    if query.is_classic() {
        return list_all_active(&state.orchestrator).await;
    }
    let checked = query.check()?;
    if checked.hidden {
        onlooker.check_key()?;
    }
    let Asked { of, limit, cursor, hidden } = checked;
    match of {
        Of::Nothing => json(StatusCode::OK, &[(); 0]),
        Of::History => answer(&query, limit, &state.orchestrator.list_history(limit, cursor, hidden).await?),
        Of::Records(phases) => {
            let wanted = ListQuery { phases, limit, cursor, hidden };
            answer(&query, limit, &state.orchestrator.list_streams(&wanted).await?)
        }
    }
}

/// One page, and the way to the next.
fn answer<'a, T>(query: &ListStreamsQuery, limit: usize, page: &'a Page<T>) -> Result<Response, Problem>
where
    StreamSummary<'a>: From<&'a T>,
{
    let summaries: Vec<_> = page.items.iter().map(StreamSummary::from).collect();
    let mut response = json(StatusCode::OK, &summaries)?;
    if let Some(next) = &page.next {
        let link = HeaderValue::try_from(query.link(limit, next)).map_err(|_| Problem::internal())?;
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

/// `<path?query>; rel="next"`; `path` is percent-encoded already.
pub(crate) fn next_link(path: &str, members: &[(&str, Option<&str>)]) -> String {
    let mut link = format!("<{path}");
    let present = members.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    for (at, (name, value)) in present.enumerate() {
        let separator = if at == 0 { '?' } else { '&' };
        // Writing to a String can't fail.
        let _ = write!(link, "{separator}{name}={}", utf8_percent_encode(value, UNRESERVED));
    }
    link.push_str(">; rel=\"next\"");
    link
}

/// The classic list, written page by page: its length is not bounded, our memory is.
async fn list_all_active(orchestrator: &Orchestrator) -> Result<Response, Problem> {
    let query = ListQuery { phases: Phase::ACTIVE.to_vec(), limit: MAX_PAGE, cursor: None, hidden: false };
    let first = orchestrator.list_streams(&query).await?;
    let body = if first.next.is_none() {
        Body::from(finish(chunk(&first.items, true)))
    } else {
        Body::from_stream(pages(orchestrator.clone(), query, first))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    Ok(response)
}

/// The pages of a list as chunks of one JSON array. A page that can't be read
/// cuts the answer off: half a list must not look like a whole one.
fn pages(
    orchestrator: Orchestrator,
    query: ListQuery,
    first: Page<Head>,
) -> impl stream::Stream<Item = Result<Bytes, UseCaseError>> {
    let start = (orchestrator, query, Some(first), true);
    stream::try_unfold(start, |(orchestrator, mut query, page, is_first)| async move {
        let Some(page) = page else { return Ok(None) };
        let mut bytes = chunk(&page.items, is_first);
        query.cursor = page.next;
        let next = match &query.cursor {
            Some(_) => Some(orchestrator.list_streams(&query).await?),
            None => {
                bytes = finish(bytes);
                None
            }
        };
        Ok(Some((Bytes::from(bytes), (orchestrator, query, next, false))))
    })
}

/// The items of a page with the commas between them, and the array's `[` before the first.
fn chunk(heads: &[Head], is_first: bool) -> Vec<u8> {
    let summaries: Vec<_> = heads.iter().map(StreamSummary::from).collect();
    // Nothing in a summary refuses to be written, and memory takes it.
    let mut bytes = serde_json::to_vec(&summaries).unwrap_or_default();
    bytes.pop();
    if !is_first && !bytes.is_empty() {
        bytes[0] = b',';
        if heads.is_empty() {
            bytes.clear();
        }
    }
    bytes
}

fn finish(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b']');
    bytes
}

/// Shows a stream with its settings.
#[utoipa::path(get, path = "/streams/{id}", tag = "streams", security((), ("key" = ["read"]), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    responses(
        (status = 200, description = "The stream", body = StreamDetails<'static>, headers(("ETag" = String, description = "`\"<epoch>-<version>-s<n>\"`"))),
        (status = 304, description = "The caller has this version"),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 404, response = crate::openapi::NotFound),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn get_stream(
    State(state): State<AppState>,
    StreamPath(id): StreamPath,
    onlooker: Onlooker,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let head = onlooker.found(state.orchestrator.get_stream(&id).await)?;
    onlooker.check_sight(&state, &id, head.settings.visibility).await?;
    tagged(&headers, &details_tag(&head), &StreamDetails::from(&head))
}

/// The version and the settings' number: not every change of settings raises the version.
pub(crate) fn details_tag(head: &Head) -> String {
    format!("{}-s{}", head.tag(), head.settings_version)
}

/// Shows the state of a stream.
#[utoipa::path(get, path = "/streams/{id}/state", tag = "streams", security((), ("key" = ["read"]), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    responses(
        (status = 200, description = "The state", body = StreamState<'static>, headers(("ETag" = String, description = "`\"<epoch>-<version>\"`"))),
        (status = 304, description = "The caller has this version"),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 404, response = crate::openapi::NotFound),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn get_stream_state(
    State(state): State<AppState>,
    StreamPath(id): StreamPath,
    onlooker: Onlooker,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (view, people) = onlooker.found(state.orchestrator.get_state(&id).await)?;
    onlooker.check_sight(&state, &id, view.visibility).await?;
    tagged(&headers, &view.tag(), &StreamState::new(&view, Some(People::List(&people))))
}

/// Ends a stream. Idempotent: also a stream that never was has ended.
#[utoipa::path(delete, path = "/streams/{id}", tag = "streams", security((), ("key" = ["admin"]), ("hostKey" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded")),
    responses(
        (status = 204, description = "Ended; `closing` tells whether its room is gone"),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 404, response = crate::openapi::NotFound),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn delete_stream(
    State(state): State<AppState>,
    caller: Caller,
    id: Option<StreamPath>,
) -> Result<StatusCode, Problem> {
    let Some(StreamPath(id)) = id else {
        return caller.check_admin().map(|()| StatusCode::NO_CONTENT);
    };
    caller.check_lead(&state, &id).await?;
    match state.orchestrator.end_stream(&id).await {
        Ok(()) | Err(UseCaseError::NotFound) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}
