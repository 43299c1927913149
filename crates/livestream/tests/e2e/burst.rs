//! A burst of changes over many streams and two instances: who watches ends with what is so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use testkit::RedisServer;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fleet::{Backend, Fleet, Person, Reader, name};

const STREAMS: usize = 1_000;
/// Every so many streams is watched, on each instance.
const WATCHED: usize = 20;
const CHANGES: usize = 3_000;
const SENDERS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_over_a_thousand_streams_leaves_everybody_with_what_is_so() {
    let Some(redis) = RedisServer::start_volatile().await else { return };
    let fleet = Fleet::start(Backend::Redis(redis), STREAMS).await;
    let ports: Arc<[u16]> = fleet.ports().into();
    let (mut lobbies, mut watchers) = (Vec::new(), Vec::new());
    for port in ports.iter().copied() {
        lobbies.push(Reader::open(port, "/sse/streams?limit=5000", "").await.expect("the lobby"));
        for stream in (0..STREAMS).step_by(WATCHED) {
            let path = format!("/sse/{}/updates", name(stream));
            watchers.push((stream, Reader::open(port, &path, "").await.expect("a stream")));
        }
    }
    let mut senders = JoinSet::new();
    for sender in 0..SENDERS {
        let ports = ports.clone();
        senders.spawn(async move {
            let client = reqwest::Client::new();
            for change in (sender..CHANGES).step_by(SENDERS) {
                Person::new().joins(change % STREAMS).send(&client, &ports).await;
            }
        });
    }
    let read = async {
        let mut reads = JoinSet::new();
        for (stream, mut reader) in watchers {
            reads.spawn(async move {
                let wanted = people_after(stream);
                let mut last = 0;
                while let Some(event) = reader.next().await {
                    let version = event.position().1;
                    assert!(version > last, "stream {stream}: {version} after {last}");
                    last = version;
                    if event.json()["participantCount"] == wanted {
                        return;
                    }
                }
                panic!("the subscription to stream {stream} ended");
            });
        }
        for lobby in lobbies {
            reads.spawn(all_arrive(lobby));
        }
        while let Some(read) = reads.join_next().await {
            read.unwrap();
        }
    };
    timeout(PATIENCE, read).await.expect("everybody is told the last state");
    while let Some(sender) = senders.join_next().await {
        sender.unwrap();
    }
}

/// How many people are in a stream at the end.
fn people_after(stream: usize) -> usize {
    (stream..CHANGES).step_by(STREAMS).count()
}

/// Reads the lobby until every stream is in it with all its people; no stream may go back.
async fn all_arrive(mut lobby: Reader) {
    let mut streams: BTreeMap<String, Value> = BTreeMap::new();
    let mut full = 0;
    while full < STREAMS {
        let event = lobby.next().await.expect("the lobby goes on");
        let json = event.json();
        let upserts = match event.name.as_str() {
            "snapshot" => {
                (streams, full) = (BTreeMap::new(), 0);
                json["streams"].as_array().expect("streams").clone()
            }
            "upsert" => vec![json],
            other => panic!("nothing is removed: {other}"),
        };
        for stream in upserts {
            let id = stream["streamId"].as_str().expect("an id").to_owned();
            let number: usize = id.strip_prefix("stream-").and_then(|n| n.parse().ok()).expect("a number");
            let former = streams.get(&id).and_then(|former| former["version"].as_u64()).unwrap_or(0);
            let version = stream["version"].as_u64().expect("a version");
            assert!(version >= former, "{id}: {version} after {former}");
            if version > former && stream["participantCount"] == people_after(number) {
                full += 1;
            }
            streams.insert(id, stream);
        }
    }
}
