//! Requests to a server, and what its answers mean.

use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LINK};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::error::{ClientError, Refusal};

/// What stays as it is in a path segment or a query value (RFC 3986, unreserved).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A create may wait for LiveKit; nothing takes longer than that.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Which server, and as whom.
#[derive(Clone)]
pub(crate) struct ServerArgs {
    /// Its address.
    pub(crate) url: String,
    /// An API key.
    pub(crate) key: Option<String>,
    /// A file with certificates to trust besides the system's.
    pub(crate) ca: Option<PathBuf>,
}

impl std::fmt::Debug for ServerArgs {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerArgs").field("url", &self.url).finish_non_exhaustive()
    }
}

/// A server to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    http: Client,
    /// Without a slash at its end.
    base: String,
}

impl Api {
    /// Nothing is sent yet. Fails when address, key or certificates can't be used.
    pub(crate) fn new(server: &ServerArgs) -> Result<Self, ClientError> {
        let wrong = || ClientError::Usage("--url must be http://host[:port] or https://host[:port]".to_owned());
        let url = Url::parse(&server.url).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        let mut builder = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .user_agent(concat!("livestream/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers(server.key.as_deref())?);
        if url.scheme() == "http" {
            // Reading the system's certificates takes tens of milliseconds, for nothing.
            builder = builder.tls_certs_only([]);
        }
        for certificate in certificates(server)? {
            builder = builder.add_root_certificate(certificate);
        }
        let http = builder.build().map_err(|error| ClientError::Usage(format!("TLS can't be used: {error}")))?;
        Ok(Self { http, base: url.as_str().trim_end_matches('/').to_owned() })
    }

    /// The server's address.
    pub(crate) fn url(&self) -> &str {
        &self.base
    }

    /// `GET`, and the answer's JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        Ok(self.page(path).await?.0)
    }

    /// `GET` of one page of a list: its items, and the path of the next one.
    pub(crate) async fn page<T: DeserializeOwned>(&self, path: &str) -> Result<(T, Option<String>), ClientError> {
        let answer = self.send(self.request(Method::GET, path)).await?;
        let next = answer.headers().get(LINK).and_then(|link| next_page(link.to_str().ok()?));
        Ok((self.json(answer).await?, next))
    }

    /// `POST` of JSON; the status and the answer's JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), ClientError> {
        let answer = self.send(self.request(Method::POST, path).json(body)).await?;
        let status = answer.status().as_u16();
        Ok((status, self.json(answer).await?))
    }

    /// `DELETE`.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.send(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// An event stream, which may stay open for as long as it likes.
    pub(crate) async fn events(&self, path: &str, last_id: Option<&str>) -> Result<Response, ClientError> {
        let mut request = self.http.get(format!("{}{path}", self.base)).header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let head = tokio::time::timeout(ANSWER_WITHIN, self.send(request)).await;
        head.unwrap_or_else(|_| Err(self.strange("no answer in time")))
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).timeout(ANSWER_WITHIN)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ClientError> {
        let answer = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        let problem = serde_json::from_slice(&bytes).unwrap_or_default();
        Err(ClientError::Refused(Refusal { status, problem }))
    }

    async fn json<T: DeserializeOwned>(&self, answer: Response) -> Result<T, ClientError> {
        let bytes = answer.bytes().await.map_err(|error| self.unreachable(error))?;
        serde_json::from_slice(&bytes).map_err(|error| self.strange(&error.to_string()))
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.base.clone(), source: source.without_url() }
    }

    /// The server answered, but not as one of ours.
    pub(crate) fn strange(&self, what: &str) -> ClientError {
        ClientError::Strange { url: self.base.clone(), what: what.to_owned() }
    }
}

/// `text` as a path segment or a query value.
pub(crate) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}

fn headers(key: Option<&str>) -> Result<HeaderMap, ClientError> {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let mut value = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| ClientError::Usage("--key must be printable characters".to_owned()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Ok(headers)
}

fn certificates(server: &ServerArgs) -> Result<Vec<Certificate>, ClientError> {
    let Some(path) = &server.ca else { return Ok(Vec::new()) };
    let unusable = |why: String| ClientError::Usage(format!("--ca {}: {why}", path.display()));
    let bytes = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    Certificate::from_pem_bundle(&bytes).map_err(|error| unusable(error.to_string()))
}

/// The path in `<path>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (path, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_in_the_link() {
        assert_eq!(next_page("</streams?cursor=a>; rel=\"next\"").as_deref(), Some("/streams?cursor=a"));
        assert_eq!(next_page("</streams>; rel=\"prev\""), None);
    }

    #[test]
    fn addresses_are_checked_and_keys_not_shown() {
        let server = |url: &str| ServerArgs { url: url.to_owned(), key: Some("hush".to_owned()), ca: None };
        assert_eq!(Api::new(&server("http://a:1/b/")).unwrap().url(), "http://a:1/b");
        for url in ["a:3000", "ftp://a", "http://"] {
            assert_eq!(Api::new(&server(url)).unwrap_err().exit_code(), 2, "{url}");
        }
        assert!(!format!("{:?} {:?}", server("http://a"), Api::new(&server("http://a"))).contains("hush"));
    }
}
