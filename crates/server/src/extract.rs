//! Paths and queries, checked.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts, Path, Query};
use axum::http::request::Parts;
use domain::{Identity, StreamId};
use serde::de::DeserializeOwned;
use store::InvalidCursor;

use crate::body::refuse;
use crate::problem::Problem;
use crate::state::AppState;

/// The `{id}` of a path, percent-decoded. What can't be an id is no stream: 404.
#[derive(Debug)]
pub(crate) struct StreamPath(pub(crate) StreamId);

impl FromRequestParts<AppState> for StreamPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Path(text) = <Path<String> as FromRequestParts<AppState>>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::invalid("the stream id in the path must be percent-encoded UTF-8"))?;
        StreamId::parse(&text).map(Self).map_err(|_| Problem::stream_not_found())
    }
}

/// The `{id}` and `{identity}` of a path, percent-decoded. What can be neither is not there: 404.
#[derive(Debug)]
pub(crate) struct PersonPath(pub(crate) StreamId, pub(crate) Identity);

impl FromRequestParts<AppState> for PersonPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let Path((id, identity)) =
            <Path<(String, String)> as FromRequestParts<AppState>>::from_request_parts(parts, state)
                .await
                .map_err(|_| Problem::invalid("stream id and userId in the path must be percent-encoded UTF-8"))?;
        let id = StreamId::parse(&id).map_err(|_| Problem::stream_not_found())?;
        let identity = Identity::parse(&identity).map_err(|_| Problem::not_in_stream())?;
        Ok(Self(id, identity))
    }
}

/// `None` when the path can't be that of a stream.
impl OptionalFromRequestParts<AppState> for StreamPath {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Option<Self>, Infallible> {
        Ok(<Self as FromRequestParts<AppState>>::from_request_parts(parts, state).await.ok())
    }
}

/// A query whose values are still text.
#[derive(Debug)]
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<AppState> for QueryOf<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Problem> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(query)| Self(query))
            .map_err(|_| Problem::invalid("the query must be name=value pairs, each name at most once"))
    }
}

/// A `limit`, 1 to `most`.
pub(crate) fn limit(text: Option<&str>, usual: usize, most: usize) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(usual) };
    match text.parse::<usize>() {
        Ok(limit) if (1..=most).contains(&limit) => Ok(limit),
        Ok(0) => Err(refuse("limit", "must be greater than or equal to 1")),
        Ok(_) => Err(refuse("limit", &format!("must be less than or equal to {most}"))),
        Err(_) => Err(refuse("limit", "must be a number")),
    }
}

/// One of a few words.
pub(crate) fn word<T: Copy>(name: &str, text: Option<&str>, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.map(Some).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        refuse(name, &format!("must be one of [{}]", names.join(", ")))
    })
}

impl From<InvalidCursor> for Problem {
    fn from(_: InvalidCursor) -> Self {
        refuse("cursor", "must be one that a previous page returned")
    }
}
