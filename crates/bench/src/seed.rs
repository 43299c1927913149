//! Many streams in a store, put there through the store's own interface.

use domain::{CreateRequest, Creation, Decision, Epoch, Head, RoomSid, RoomSnapshot, Rules, Settings, StreamId};
use futures_util::{StreamExt, TryStreamExt, stream};
use store::{Commit, Committed, MetaKey, Store};

/// Commits under way at once; the embedded store writes them to disk together.
const AT_ONCE: usize = 256;

/// The deployment of all that is seeded.
pub(crate) const DEPLOYMENT: &str = "bench";

/// The id of the stream of that number.
pub(crate) fn name(number: usize) -> String {
    format!("stream-{number}")
}

/// The room life of the stream of that number.
pub(crate) fn room_sid(number: usize) -> RoomSid {
    RoomSid::from(format!("RM_bench{number}"))
}

/// Puts `count` waiting streams into the store.
pub(crate) async fn fill(store: &dyn Store, rules: &Rules, count: usize) -> anyhow::Result<()> {
    store.swap_meta(MetaKey::Deployment, None, DEPLOYMENT).await?;
    stream::iter(0..count)
        .map(|number| one(store, rules, number))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn one(store: &dyn Store, rules: &Rules, number: usize) -> anyhow::Result<()> {
    let id = StreamId::parse(&name(number))?;
    let request = CreateRequest {
        id: id.clone(),
        settings: Settings::default(),
        host_key: None,
        fresh_epoch: Epoch::from(format!("{number:08}")),
    };
    let Creation::Reserve(reserved) = domain::create(None, None, request, rules, store.now()) else {
        anyhow::bail!("the store is not empty")
    };
    let head = commit(store, &id, &reserved).await?;
    let room = RoomSnapshot {
        name: head.room.name.clone(),
        sid: room_sid(number),
        metadata: String::new(),
        num_participants: 0,
        num_publishers: 0,
    };
    let completed = domain::complete(&head, &room, false, rules, store.now());
    commit(store, &id, &completed.ok_or_else(|| anyhow::anyhow!("the reservation can't be completed"))?).await?;
    Ok(())
}

async fn commit(store: &dyn Store, id: &StreamId, decision: &Decision) -> anyhow::Result<Head> {
    let outcome = store.commit(id, Commit { decision, event: None, fence: None }).await?;
    anyhow::ensure!(outcome == Committed::Done, "the store is used by somebody else: {outcome:?}");
    decision.head.clone().ok_or_else(|| anyhow::anyhow!("the stream is not there"))
}
