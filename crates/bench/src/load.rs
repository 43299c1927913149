//! Requests over kept connections, counted and checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Client, Request};

/// Sends `count` requests over `connections` connections, each as soon as the one before it is answered.
///
/// Fails at the first answer that is not 200: what is measured must be the work, not a refusal.
pub(crate) async fn run(
    count: usize,
    connections: usize,
    request: impl Fn(&Client, usize) -> anyhow::Result<Request> + Send + Sync + 'static,
) -> anyhow::Result<()> {
    let client = Client::builder().pool_max_idle_per_host(connections).build()?;
    let (next, request) = (Arc::new(AtomicUsize::new(0)), Arc::new(request));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..connections {
        let (client, next, request) = (client.clone(), next.clone(), request.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                let answer = client.execute(request(&client, number)?).await?;
                let status = answer.status();
                let body = answer.bytes().await?;
                anyhow::ensure!(status == 200, "answered {status}: {}", String::from_utf8_lossy(&body));
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    Ok(())
}
