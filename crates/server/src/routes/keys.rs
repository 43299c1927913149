//! The API keys there are.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use crate::access::Caller;
use crate::api::KeyEntry;
use crate::config::{Auth, Scope};
use crate::problem::Problem;
use crate::routes::json;
use crate::state::AppState;

/// Lists the API keys by name, with the time at which this instance has last seen each. Never the keys.
#[utoipa::path(get, path = "/keys", tag = "access", security((), ("key" = ["admin"])),
    responses(
        (status = 200, description = "All keys; none with `AUTH=off`", body = [KeyEntry]),
        (status = 401, response = crate::openapi::Unauthorized),
        (status = 403, response = crate::openapi::Forbidden)))]
pub(crate) async fn list_keys(State(state): State<AppState>, caller: Caller) -> Result<Response, Problem> {
    caller.check_admin()?;
    let keys = match &state.config.auth {
        Auth::Off => Vec::new(),
        Auth::Keys(ring) => ring.list(),
    };
    let entry = |(key, last_used_at): (crate::config::ApiKey, _)| KeyEntry {
        name: key.name,
        scope: match key.scope {
            Scope::Admin => "admin",
            Scope::Read => "read",
        },
        from_file: key.from_file,
        last_used_at,
    };
    json(StatusCode::OK, &keys.into_iter().map(entry).collect::<Vec<_>>())
}
