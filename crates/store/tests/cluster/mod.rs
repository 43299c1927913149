//! What only a Redis Cluster has: a node may be away while others go on, and slots move.

use std::sync::Arc;
use std::time::Duration;

use domain::{Kind, NoticeBody, StreamId};
use store::{Committed, ErrorKind, ListQuery, NoticeEvent, Partition, RedisStore, Store, Watch};
use testkit::{RedisCluster, RedisServer};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

use crate::driver::{Driver, commit, id, joined};
use crate::{PREFIX, config, next, refused};

async fn connected(urls: &str) -> Arc<dyn Store> {
    Arc::new(RedisStore::connect(config(urls)).await.unwrap())
}

/// A stream in each partition of every node: by node.
async fn streams(cluster: &mut RedisCluster) -> Vec<Vec<StreamId>> {
    let mut found = vec![Vec::new(); cluster.nodes().len()];
    for partition in Partition::all() {
        let name = (0..).map(|n| id(&format!("s{n}"))).find(|id| Partition::of(id) == partition).unwrap();
        found[cluster.node_of(&tag(&name)).await].push(name);
    }
    found
}

fn tag(id: &StreamId) -> String {
    format!("{{{PREFIX}:{:02}}}", Partition::of(id).number())
}

/// Waits for the notice of a version of `id`, over gaps and others.
async fn hears(notices: &mut Receiver<NoticeEvent>, id: &StreamId, version: u64) {
    loop {
        if let NoticeEvent::Stream(notice) = next(notices).await
            && notice.id == *id
            && matches!(notice.body, NoticeBody::Changed { ref view, .. } if view.version >= version)
        {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_found_out_and_a_list_of_single_servers_is_refused() {
    let Some(mut cluster) = RedisCluster::start().await else { return };
    // One node is enough to find the others; of several, one may be away.
    let away = format!("redis://127.0.0.1:{}/", testkit::free_tcp_port());
    let (one, several) = (cluster.nodes()[2].url(), format!("{away},{}", cluster.url()));
    for urls in [one, several] {
        let driver = Driver::new(&connected(&urls).await);
        for stream in streams(&mut cluster).await.concat() {
            if driver.load(&stream).await.head.is_none() {
                driver.create(&stream).await;
            }
        }
        assert_eq!(driver.store.totals().await.unwrap().streams, 16);
    }
    assert_eq!(
        refused(&format!("{}3", cluster.url())).await.kind,
        ErrorKind::Misconfigured,
        "a cluster has one database"
    );
    let Some(single) = RedisServer::start_volatile().await else { return };
    let error = refused(&format!("{},{}", single.url(), single.url())).await;
    assert_eq!(error.kind, ErrorKind::Misconfigured, "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_killed_node_fail_in_time_and_others_go_on() {
    let Some(mut cluster) = RedisCluster::start().await else { return };
    let store = connected(&cluster.url()).await;
    let driver = Driver::new(&store);
    let by_node = streams(&mut cluster).await;
    for stream in by_node.concat() {
        driver.create(&stream).await;
        store.watch(Watch::Stream(&stream), true).await.unwrap();
    }
    let mut notices = store.notices();
    // Not the node that was named.
    let lost = by_node.iter().rposition(|streams| !streams.is_empty()).unwrap();
    let decision = driver.reservation(&id("unasked")).await;
    cluster.nodes()[lost].kill();

    let calls = by_node[lost].iter().map(|stream| {
        let (store, decision) = (store.clone(), decision.clone());
        async move {
            let call = timeout(Duration::from_secs(2), store.load(stream, Default::default())).await;
            assert_eq!(call.expect("it fails in time").unwrap_err().kind, ErrorKind::Unavailable, "{stream}");
            let call = timeout(Duration::from_secs(2), store.commit(stream, commit(&decision))).await;
            assert_eq!(call.expect("it fails in time").unwrap_err().kind, ErrorKind::Unavailable, "{stream}");
        }
    });
    let others = async {
        for stream in by_node.iter().enumerate().filter(|(node, _)| *node != lost).flat_map(|(_, streams)| streams) {
            assert_eq!(driver.join(stream, "ada", "PA_1").await, Committed::Done, "{stream}");
            hears(&mut notices, stream, driver.head(stream).await.version).await;
        }
        store.ping().await.unwrap();
    };
    tokio::join!(futures(calls), others);
    let query = ListQuery { phases: domain::Phase::ACTIVE.to_vec(), limit: 5, cursor: None, hidden: false };
    assert_eq!(store.list(&query).await.unwrap_err().kind, ErrorKind::Unavailable, "a part of a list is no list");
    // The lobby is told of what others do, and of a gap when the node is back.
    store.watch(Watch::Lobby, true).await.unwrap();

    cluster.nodes()[lost].restart().await;
    for stream in &by_node[lost] {
        let back = async {
            while store.load(stream, Default::default()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), back).await.expect("its streams are back");
    }
    while next(&mut notices).await != NoticeEvent::Gap {}
    let stream = &by_node[lost][0];
    let heard = async {
        // Its partition's connection may be the last to come back.
        for n in 0.. {
            driver.join(stream, "bob", &format!("PA_b{n}")).await;
            driver.leave(stream, "bob", &format!("PA_b{n}")).await;
            let told = async {
                loop {
                    match next(&mut notices).await {
                        NoticeEvent::Lobby(notice) if notice.id == *stream => return,
                        _ => {}
                    }
                }
            };
            if timeout(Duration::from_millis(200), told).await.is_ok() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), heard).await.expect("the lobby hears of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_to_others_go_on_while_a_node_hangs() {
    let Some(mut cluster) = RedisCluster::start().await else { return };
    let store = connected(&cluster.url()).await;
    let driver = Driver::new(&store);
    let by_node = streams(&mut cluster).await;
    for stream in by_node.concat() {
        driver.create(&stream).await;
    }
    let hanging = by_node.iter().rposition(|streams| !streams.is_empty()).unwrap();
    cluster.nodes()[hanging].pause();
    for round in 0..3 {
        let failing = by_node[hanging].iter().map(|stream| {
            let store = store.clone();
            async move {
                let call = timeout(Duration::from_secs(2), store.load(stream, Default::default())).await;
                assert_eq!(call.expect("it fails in time").unwrap_err().kind, ErrorKind::Unavailable, "{stream}");
            }
        });
        let others = async {
            for stream in by_node.iter().enumerate().filter(|(node, _)| *node != hanging).flat_map(|(_, s)| s) {
                assert_eq!(driver.join(stream, "ada", &format!("PA_{round}")).await, Committed::Done, "{stream}");
            }
        };
        tokio::join!(futures(failing), others);
    }
    cluster.nodes()[hanging].resume();
}

#[tokio::test(flavor = "multi_thread")]
async fn commits_and_notices_follow_a_slot_that_moves() {
    let Some(mut cluster) = RedisCluster::start().await else { return };
    let store = connected(&cluster.url()).await;
    let driver = Driver::new(&store);
    let by_node = streams(&mut cluster).await;
    let from = by_node.iter().position(|streams| !streams.is_empty()).unwrap();
    let stream = by_node[from][0].clone();
    driver.create(&stream).await;
    store.watch(Watch::Stream(&stream), true).await.unwrap();
    let mut notices = store.notices();
    // Somebody changes the stream all the time; while the slot is on its way, steps may fail, and are tried again.
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn({
        let (driver, stream) = (driver.clone(), stream.clone());
        async move {
            let mut people = 0;
            while stopped.try_recv().is_err() {
                let kind = joined(&format!("u{people}"), &format!("PA_{people}"), Kind::Standard);
                if let Ok(Some(decision)) = driver.try_decide(&stream, &kind).await
                    && let Ok(Committed::Done) = driver.store.commit(&stream, commit(&decision)).await
                {
                    people += 1;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            people
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let to = (from + 1) % by_node.len();
    cluster.move_slot(cluster.slot(&tag(&stream)).await, from, to).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    let people = writer.await.unwrap();
    let (head, list) = store.load_full(&stream).await.unwrap().unwrap();
    assert!(people > 0 && head.people >= people && list.len() == head.people as usize, "{people} {}", head.people);
    // Whoever hears the gap reads again; from then on nothing is missed.
    while next(&mut notices).await != NoticeEvent::Gap {}
    assert_eq!(driver.join(&stream, "last", "PA_last").await, Committed::Done);
    hears(&mut notices, &stream, driver.head(&stream).await.version).await;
}

/// Several at once.
async fn futures(all: impl Iterator<Item = impl Future<Output = ()>>) {
    futures_util::future::join_all(all).await;
}
