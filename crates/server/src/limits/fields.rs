//! The header fields `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers, since its tenth version).

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::Standing;

/// What the quota is.
pub(crate) const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
pub(crate) const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

impl Standing {
    /// Tells the caller.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let window = self.quota.window.as_secs_f64().ceil().max(1.0);
        let policy = format!("\"{}\";q={};w={window:.0}", self.name, self.quota.count);
        let limit = format!("\"{}\";r={};t={}", self.name, self.remaining, self.reset);
        for (name, text) in [(POLICY, policy), (LIMIT, limit)] {
            // Names of quotas and numbers are always a value.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::limits::Quota;

    #[test]
    fn fields_are_structured_lists() {
        let quota = Quota::new(NonZeroU32::new(600).unwrap(), Duration::from_millis(59_500));
        let standing = Standing { name: "join", quota, remaining: 12, reset: 59, retry_after: None };
        let mut headers = HeaderMap::new();
        standing.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"join\";q=600;w=60");
        assert_eq!(headers["ratelimit"], "\"join\";r=12;t=59");
    }
}
