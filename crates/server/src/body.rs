//! Request bodies: read within bounds, and checked the way classic did (Joi's wording).

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use domain::InvalidId;
use http_body_util::{BodyExt, Limited};
use serde_json::{Map, Value};
use tokio::time::timeout;

use crate::problem::Problem;
use crate::state::AppState;

/// Reads a body of at most `limit` bytes that arrives within `patience`.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: usize, patience: Duration) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Problem::too_large(limit));
    }
    let collected = timeout(patience, Limited::new(body, limit).collect()).await.map_err(|_| Problem::too_slow())?;
    match collected {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Problem::too_large(limit)),
        Err(_) => Err(Problem::invalid("the request body could not be read to its end")),
    }
}

/// The members of a JSON body, to be taken one by one and then [`Self::finish`]ed.
///
/// A body that is not `application/json` counts as empty, as it did in
/// classic, so that a foreign page can't post without a preflight.
#[derive(Debug, Default)]
pub(crate) struct Members(Map<String, Value>);

impl FromRequest<AppState> for Members {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        if !is_json(&parts.headers) {
            return Ok(Self::default());
        }
        let bytes = read(&parts.headers, body, state.config.body_limit, state.config.read_timeout).await?;
        Self::parse(&bytes)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()?.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

impl Members {
    fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            Ok(_) => Err(Problem::invalid("\"value\" must be of type object")),
            Err(error) => Err(Problem::invalid(format!("the body must be JSON: {error}"))),
        }
    }

    /// A string that must be there and not be empty.
    pub(crate) fn required_string(&mut self, name: &str) -> Result<String, Problem> {
        self.string(name)?.ok_or_else(|| refuse(name, "is required"))
    }

    /// A string of 1 to `most` bytes.
    pub(crate) fn optional_string(&mut self, name: &str, most: usize) -> Result<Option<String>, Problem> {
        match self.string(name)? {
            Some(text) if text.len() > most => Err(refuse(name, &format!("must be at most {most} bytes long"))),
            Some(text) if text.chars().any(char::is_control) => Err(refuse(name, &InvalidId::Control.to_string())),
            other => Ok(other),
        }
    }

    /// A string of 1 to `most` bytes of whatever kind.
    pub(crate) fn optional_text(&mut self, name: &str, most: usize) -> Result<Option<String>, Problem> {
        match self.string(name)? {
            Some(text) if text.len() > most => Err(refuse(name, &format!("must be at most {most} bytes long"))),
            other => Ok(other),
        }
    }

    /// Whether there is such a member.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Takes the member if it is `null`.
    pub(crate) fn take_null(&mut self, name: &str) -> bool {
        let null = self.0.get(name).is_some_and(Value::is_null);
        if null {
            self.0.remove(name);
        }
        null
    }

    /// A whole number in `range`.
    pub(crate) fn optional_integer(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<u32>,
    ) -> Result<Option<u32>, Problem> {
        let number = match self.0.remove(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(_) => return Err(refuse(name, "must be a number")),
        };
        let float = number.as_f64().unwrap_or(f64::NAN);
        if float.fract() != 0.0 {
            return Err(refuse(name, "must be an integer"));
        }
        if float < f64::from(*range.start()) {
            return Err(refuse(name, &format!("must be greater than or equal to {}", range.start())));
        }
        if float > f64::from(*range.end()) {
            return Err(refuse(name, &format!("must be less than or equal to {}", range.end())));
        }
        // The float is whole and within the range of u32, so this loses nothing.
        Ok(number.as_u64().and_then(|n| u32::try_from(n).ok()).or(Some(float as u32)))
    }

    /// A JSON object of at most `most` bytes when written without blanks.
    pub(crate) fn optional_object(&mut self, name: &str, most: usize) -> Result<Map<String, Value>, Problem> {
        let object = match self.0.remove(name) {
            None => return Ok(Map::new()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(refuse(name, "must be of type object")),
        };
        let size = serde_json::to_vec(&object).map_or(usize::MAX, |bytes| bytes.len());
        if size > most { Err(refuse(name, &format!("must be at most {most} bytes of JSON"))) } else { Ok(object) }
    }

    /// One of a few words.
    pub(crate) fn optional_word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(value) = self.0.remove(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word)).map(|(_, value)| *value);
        found.map(Some).ok_or_else(|| {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            refuse(name, &format!("must be one of [{}]", names.join(", ")))
        })
    }

    /// Refuses what nobody asked for.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        match self.0.into_iter().next() {
            Some((name, _)) => Err(refuse(&name, "is not allowed")),
            None => Ok(()),
        }
    }

    fn string(&mut self, name: &str) -> Result<Option<String>, Problem> {
        match self.0.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Err(refuse(name, &InvalidId::Empty.to_string())),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(refuse(name, "must be a string")),
        }
    }
}

/// `"name" is …`: the quotes are part of the classic text.
pub(crate) fn refuse(name: &str, why: &str) -> Problem {
    Problem::invalid(format!("\"{name}\" {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T>(json: &str, take: impl FnOnce(&mut Members) -> Result<T, Problem>, expected: Result<T, &str>)
    where
        T: PartialEq + std::fmt::Debug,
    {
        let mut members = Members::parse(json.as_bytes()).unwrap();
        let taken = take(&mut members).map_err(|problem| problem.detail().to_owned());
        assert_eq!(taken, expected.map_err(str::to_owned), "{json}");
    }

    #[test]
    fn strings_are_refused_in_the_classic_words() {
        let take = |members: &mut Members| members.required_string("name");
        check(r#"{"name":"gold"}"#, take, Ok("gold".to_owned()));
        check("{}", take, Err("\"name\" is required"));
        check(r#"{"name":""}"#, take, Err("\"name\" is not allowed to be empty"));
        for other in ["1", "null", "[]", "{}", "true"] {
            check(&format!("{{\"name\":{other}}}"), take, Err("\"name\" must be a string"));
        }
    }

    #[test]
    fn numbers_are_whole_and_within_bounds() {
        let take = |members: &mut Members| members.optional_integer("n", 1..=10);
        check("{}", take, Ok(None));
        check(r#"{"n":10}"#, take, Ok(Some(10)));
        check(r#"{"n":2.0}"#, take, Ok(Some(2)));
        check(r#"{"n":"2"}"#, take, Err("\"n\" must be a number"));
        check(r#"{"n":null}"#, take, Err("\"n\" must be a number"));
        check(r#"{"n":1.5}"#, take, Err("\"n\" must be an integer"));
        check(r#"{"n":0}"#, take, Err("\"n\" must be greater than or equal to 1"));
        check(r#"{"n":-1e300}"#, take, Err("\"n\" must be greater than or equal to 1"));
        check(r#"{"n":1e300}"#, take, Err("\"n\" must be less than or equal to 10"));
    }

    #[test]
    fn words_and_objects() {
        let word = |members: &mut Members| members.optional_word("w", &[("a", 1), ("b", 2)]);
        check(r#"{"w":"b"}"#, word, Ok(Some(2)));
        check(r#"{"w":"c"}"#, word, Err("\"w\" must be one of [a, b]"));
        check(r#"{"w":1}"#, word, Err("\"w\" must be one of [a, b]"));
        let object = |members: &mut Members| members.optional_object("o", 10).map(|o| o.len());
        check(r#"{"o":{"a":1}}"#, object, Ok(1));
        check(r#"{"o":[]}"#, object, Err("\"o\" must be of type object"));
        check(r#"{"o":{"a":"0123456789"}}"#, object, Err("\"o\" must be at most 10 bytes of JSON"));
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        check(r#"{"x":1}"#, |members| std::mem::take(members).finish(), Err("\"x\" is not allowed"));
        assert!(Members::parse(b"[1]").is_err());
        assert!(Members::parse(b"{").is_err());
        assert!(Members::parse("[".repeat(100_000).as_bytes()).is_err());
    }
}
