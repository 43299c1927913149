//! Following an event stream: every event once, through lost connections, from where it was.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use sse_stream::{Sse, SseByteStream};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::api::Api;
use super::error::ClientError;

/// Before the next try when the server does not say.
const USUAL_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// Steps read ahead of whoever shows them; a full queue leaves the connection unread, and the server then sends the newest state alone.
const AHEAD: usize = 16;

/// What happened on an event stream.
#[derive(Debug)]
pub(crate) enum Step {
    /// It is open.
    Connected,
    /// An event with data.
    Event {
        /// Its name; empty for one without.
        name: String,
        /// Its data.
        data: String,
    },
    /// It is not open; there will be another try.
    Lost(String),
}

type Events = Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>;

/// A subscription that comes back by itself. It ends when dropped.
#[derive(Debug)]
pub(crate) struct Follower {
    steps: mpsc::Receiver<Result<Step, ClientError>>,
    _reader: AbortOnDropHandle<()>,
}

impl Follower {
    /// Follows `path`. A first try that fails is the caller's to hear of; later ones are repeated where that can help.
    pub(crate) fn start(api: &Api, path: String) -> Self {
        let (sender, steps) = mpsc::channel(AHEAD);
        let reader = Reader { api: api.clone(), path, last_id: None, retry: USUAL_RETRY, failures: 0, was_open: false };
        Self { steps, _reader: AbortOnDropHandle::new(tokio::spawn(reader.run(sender))) }
    }

    /// What happens next; after an error nothing does.
    pub(crate) async fn next(&mut self) -> Option<Result<Step, ClientError>> {
        self.steps.recv().await
    }
}

struct Reader {
    api: Api,
    path: String,
    last_id: Option<String>,
    /// As the server asked for.
    retry: Duration,
    /// Tries in a row that brought nothing.
    failures: u32,
    was_open: bool,
}

impl Reader {
    /// Until nobody listens or trying again can't help.
    async fn run(mut self, steps: mpsc::Sender<Result<Step, ClientError>>) {
        loop {
            let why = match self.api.events(&self.path, self.last_id.as_deref()).await {
                Ok(answer) => {
                    self.was_open = true;
                    let events: Events = Box::pin(SseByteStream::new(answer.bytes_stream()));
                    match self.read(events, &steps).await {
                        Some(why) => why,
                        None => return,
                    }
                }
                Err(error) if self.was_open && error.is_temporary() => error.to_string(),
                Err(error) => return drop(steps.send(Err(error)).await),
            };
            if steps.send(Ok(Step::Lost(why))).await.is_err() {
                return;
            }
            sleep(self.pause()).await;
        }
    }

    /// Passes on what comes, and says why it ended; `None` when nobody listens.
    async fn read(&mut self, mut events: Events, steps: &mpsc::Sender<Result<Step, ClientError>>) -> Option<String> {
        steps.send(Ok(Step::Connected)).await.ok()?;
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    self.failures = 0;
                    self.retry = event.retry.map_or(self.retry, Duration::from_millis).min(LONGEST_RETRY);
                    self.last_id = event.id.or(self.last_id.take());
                    if let Some(data) = event.data {
                        let name = event.event.unwrap_or_default();
                        steps.send(Ok(Step::Event { name, data })).await.ok()?;
                    }
                }
                Some(Err(error)) => return Some(error.to_string()),
                None => return Some("the server closed the connection".to_owned()),
            }
        }
    }

    /// Longer with every try that brings nothing, and spread, so that not everybody comes back at once.
    fn pause(&mut self) -> Duration {
        let longest = self.retry.saturating_mul(1 << self.failures.min(5)).min(LONGEST_RETRY);
        self.failures += 1;
        longest.mul_f64(rand::random_range(0.5..1.0))
    }
}
