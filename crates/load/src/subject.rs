//! What is loaded: how to watch one of its topics, and how to change it.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock::Mark;
use crate::target::Target;

/// A server with topics that can be watched over server-sent events. Requests are whole, as they go over the wire.
pub trait Subject: Sync {
    /// The request that watches a topic.
    fn watch(&self, topic: usize) -> Vec<u8>;

    /// The request that changes a topic, so that `mark` is in what its watchers are sent next.
    fn change(&self, topic: usize, mark: Mark) -> Vec<u8>;
}

/// Writes requests to one server.
#[derive(Debug, Clone)]
pub(crate) struct Requests {
    host: String,
    /// An API key, if the server asks for one.
    key: Option<String>,
}

impl Requests {
    pub(crate) fn new(host: &str, key: Option<&str>) -> Self {
        Self { host: host.to_owned(), key: key.map(str::to_owned) }
    }

    /// A request without a body.
    pub(crate) fn plain(&self, method: &str, path: &str) -> Vec<u8> {
        self.write(method, path, &[], b"")
    }

    /// A request with JSON in it.
    pub(crate) fn json(&self, method: &str, path: &str, body: &serde_json::Value) -> Vec<u8> {
        self.write(method, path, &[("Content-Type", "application/json")], body.to_string().as_bytes())
    }

    /// A request with headers of its own.
    pub(crate) fn write(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        let own_authority = headers.iter().any(|(name, _)| *name == "Authorization");
        if let Some(key) = self.key.as_ref().filter(|_| !own_authority) {
            // Writing to a String can't fail, here and below.
            let _ = write!(head, "Authorization: Bearer {key}\r\n");
        }
        for (name, value) in headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if method != "GET" {
            let _ = write!(head, "Content-Length: {}\r\n", body.len());
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }
}

/// Streams that exist, on an orchestrator that asks for no key.
pub fn orchestrator(target: &Target, streams: Vec<String>) -> impl Subject + Send + use<> {
    Orchestrator::new(Requests::new(&target.host, None), streams, "full")
}

/// The orchestrator: topics are streams, a change is another title.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    requests: Requests,
    /// Ids of the streams.
    streams: Vec<String>,
    /// `full` or `summary`.
    view: &'static str,
}

impl Orchestrator {
    pub(crate) fn new(requests: Requests, streams: Vec<String>, view: &'static str) -> Self {
        Self { requests, streams, view }
    }

    /// The id of a topic, as it stands in a path.
    pub(crate) fn path(&self, topic: usize) -> String {
        path_of(&self.streams[topic])
    }
}

/// An id as it stands in a path.
pub(crate) fn path_of(stream: &str) -> String {
    utf8_percent_encode(stream, NON_ALPHANUMERIC).to_string()
}

impl Subject for Orchestrator {
    fn watch(&self, topic: usize) -> Vec<u8> {
        let path = format!("/sse/{}/updates?view={}", self.path(topic), self.view);
        self.requests.write("GET", &path, &[("Accept", "text/event-stream")], b"")
    }

    fn change(&self, topic: usize, mark: Mark) -> Vec<u8> {
        let title = serde_json::json!({ "title": mark.to_string() });
        self.requests.json("PATCH", &format!("/streams/{}", self.path(topic)), &title)
    }
}
