//! A subscriber to server-sent events that remembers everything it was sent.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// One block of a stream of events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// `id:`
    pub id: Option<String>,
    /// `event:`
    pub event: Option<String>,
    /// `data:`, its lines joined.
    pub data: String,
    /// Comment lines, without the colon.
    pub comments: Vec<String>,
}

impl SseEvent {
    /// The data as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or(Value::Null)
    }
}

/// What has been received so far.
#[derive(Debug, Clone, Default)]
struct Received {
    events: Vec<SseEvent>,
    ended: bool,
    /// It ended without having been cut off.
    whole: bool,
}

/// An open subscription; closed when dropped.
#[derive(Debug)]
pub struct SseClient {
    received: watch::Receiver<Received>,
    /// How many events `wait_for` has passed.
    read: usize,
    reader: JoinHandle<()>,
}

impl SseClient {
    /// Subscribes; panics when the answer is not 200.
    pub async fn open(url: &str) -> Self {
        Self::open_with(url, &[]).await
    }

    /// Subscribes with headers of the caller's.
    pub async fn open_with(url: &str, headers: &[(&str, &str)]) -> Self {
        let request = headers
            .iter()
            .fold(reqwest::Client::new().get(url), |request, (name, value)| request.header(*name, *value));
        Self::open_by(request).await
    }

    /// Subscribes by a request of the caller's, over whatever its client speaks.
    pub async fn open_by(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "subscribing to {}", response.url());
        let (sender, received) = watch::channel(Received::default());
        let reader = tokio::spawn(read(response, Arc::new(sender)));
        Self { received, read: 0, reader }
    }

    /// The next event whose data satisfies `wanted`; those before it are passed over.
    pub async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut read = self.read;
        let found = timeout(PATIENCE, async {
            loop {
                let (event, ended) = {
                    let received = self.received.borrow_and_update();
                    (received.events.get(read).cloned(), received.ended)
                };
                match event {
                    Some(event) => {
                        read += 1;
                        if wanted(&event.json()) {
                            return Some(event.json());
                        }
                    }
                    None if ended => return None,
                    None => drop(self.received.changed().await),
                }
            }
        });
        let found = found.await;
        self.read = read;
        match found {
            Ok(Some(value)) => value,
            Ok(None) => panic!("the events ended before {what}; received: {:#?}", self.events()),
            Err(_) => panic!("{what} did not come in {PATIENCE:?}; received: {:#?}", self.events()),
        }
    }

    /// Everything received so far.
    pub fn events(&self) -> Vec<SseEvent> {
        self.received.borrow().events.clone()
    }

    /// The data of everything received so far, as far as it is JSON.
    pub fn states(&self) -> Vec<Value> {
        self.events().iter().map(SseEvent::json).filter(|value| !value.is_null()).collect()
    }

    /// Whether the server has closed it.
    pub fn has_ended(&self) -> bool {
        self.received.borrow().ended
    }

    /// Whether the server has closed it in order: the body was not cut off.
    pub fn has_ended_whole(&self) -> bool {
        self.received.borrow().whole
    }

    /// Waits until the server closes it.
    pub async fn wait_for_end(&mut self) {
        let ended = timeout(PATIENCE, self.received.wait_for(|received| received.ended)).await;
        assert!(matches!(ended, Ok(Ok(_))), "the server did not close the subscription in {PATIENCE:?}");
    }
}

impl Drop for SseClient {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(response: reqwest::Response, received: Arc<watch::Sender<Received>>) {
    let mut chunks = response.bytes_stream();
    let mut text = Vec::new();
    let whole = loop {
        let chunk = match chunks.next().await {
            Some(Ok(chunk)) => chunk,
            Some(Err(_)) => break false,
            None => break true,
        };
        text.extend_from_slice(&chunk);
        while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = text.drain(..end + 2).collect();
            let event = parse(&String::from_utf8_lossy(&block));
            received.send_modify(|received| received.events.push(event));
        }
    };
    received.send_modify(|received| (received.ended, received.whole) = (true, whole));
}

fn parse(block: &str) -> SseEvent {
    let mut event = SseEvent::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if !line.is_empty() => event.comments.push(value.to_owned()),
            "id" => event.id = Some(value.to_owned()),
            "event" => event.event = Some(value.to_owned()),
            "data" if event.data.is_empty() => event.data = value.to_owned(),
            "data" => event.data = format!("{}\n{value}", event.data),
            _ => {}
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_by_field() {
        let event = parse("id: a-1\nevent: x\ndata: {\"a\":\ndata: 1}\n\n");
        assert_eq!((event.id.as_deref(), event.event.as_deref()), (Some("a-1"), Some("x")));
        assert_eq!(event.json(), serde_json::json!({"a": 1}));
        assert_eq!(parse(": connected\n\n").comments, ["connected"]);
    }
}
