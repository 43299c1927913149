//! Where a server's webhooks arrive, byte for byte.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// More than any case causes.
const BOUND: usize = 256;

/// One delivery as it came.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) authorization: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Bytes,
}

/// A listener that answers 200 and keeps what came.
pub(crate) struct Receiver {
    port: u16,
    deliveries: mpsc::Receiver<Delivery>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let (keep, deliveries) = mpsc::channel(BOUND);
        let handle = move |headers: HeaderMap, body: Bytes| async move {
            let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let delivery =
                Delivery { authorization: header("authorization"), content_type: header("content-type"), body };
            keep.send(delivery).await.unwrap();
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/webhook", post(handle));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { port, deliveries, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhook", self.port)
    }

    /// The next delivery.
    pub(crate) async fn next(&mut self) -> Delivery {
        let next = tokio::time::timeout(Duration::from_secs(20), self.deliveries.recv());
        next.await.expect("a webhook comes within 20 s").unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}
