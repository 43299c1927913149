//! Who is in a stream, connection by connection.

use axum::extract::State;
use axum::http::header::LINK;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::Response;
use serde::Deserialize;
use store::Cursor;
use utoipa::IntoParams;

use crate::access::Onlooker;
use crate::api::ParticipantEntry;
use crate::extract::{self, QueryOf, StreamPath};
use crate::problem::Problem;
use crate::routes::json;
use crate::routes::streams::{MAX_PAGE, USUAL_PAGE, next_link};
use crate::state::AppState;

/// Which page of a list of people.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParticipantsQuery {
    /// Most items: 1 to 1,000, usually 50.
    #[param(value_type = u32, required = false, minimum = 1, maximum = 1000)]
    limit: Option<String>,
    /// Where the page before ended, as its `Link` says.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// Lists the connections in a stream, of people and programs alike.
#[utoipa::path(get, path = "/streams/{id}/participants", tag = "streams", security((), ("key" = ["read"]), ("hostKey" = []), ("invite" = []), ("joinToken" = [])),
    params(("id" = String, Path, description = "Stream id, percent-encoded"), ListParticipantsQuery),
    responses(
        (status = 200, description = "By identity and connection; the next page is in `Link`", body = [ParticipantEntry<'static>],
            headers(("Link" = String, description = "`<…>; rel=\"next\"` if there is more"))),
        (status = 400, response = crate::openapi::Invalid),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden),
        (status = 404, response = crate::openapi::NotFound),
        (status = 503, response = crate::openapi::Unavailable)))]
pub(crate) async fn list_participants(
    State(state): State<AppState>,
    StreamPath(id): StreamPath,
    onlooker: Onlooker,
    uri: Uri,
    QueryOf(query): QueryOf<ListParticipantsQuery>,
) -> Result<Response, Problem> {
    let limit = extract::limit(query.limit.as_deref(), USUAL_PAGE, MAX_PAGE)?;
    let cursor = query.cursor.as_deref().map(Cursor::of_people).transpose()?;
    let visibility = onlooker.found(state.orchestrator.get_stream(&id).await)?.settings.visibility;
    onlooker.check_sight(&state, &id, visibility).await?;
    let page = state.orchestrator.list_people(&id, limit, cursor.as_ref()).await?;
    let entries: Vec<_> = page.items.iter().map(ParticipantEntry::from).collect();
    let mut response = json(StatusCode::OK, &entries)?;
    if let Some(next) = page.next {
        let link = next_link(uri.path(), &[("limit", Some(&limit.to_string())), ("cursor", Some(&next.0))]);
        response.headers_mut().insert(LINK, HeaderValue::try_from(link).map_err(|_| Problem::internal())?);
    }
    Ok(response)
}
