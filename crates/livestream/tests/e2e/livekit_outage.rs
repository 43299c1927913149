//! LiveKit is away: what needs it is refused, what was decided is carried out when it is back.

use rooms::Rooms;

use crate::world::{Webhooks, api_of, create, instance, livekit_for, until_state};

#[tokio::test(flavor = "multi_thread")]
async fn create_is_refused_and_leaves_nothing_behind() {
    let mut one = instance();
    let Some(mut livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    let one = one.started().await;
    livekit.kill();

    let refused = one.post("/streams", serde_json::json!({"name": "nothing"})).await;
    assert_eq!(refused.status.as_u16(), 503, "{refused:?}");
    assert!(refused.retry_after.is_some());
    assert_eq!(one.get("/streams/nothing/state").await.status.as_u16(), 404);
    assert_eq!(one.get("/streams").await.body, serde_json::json!([]));
    let ready = one.get("/readyz").await;
    assert_eq!((ready.status.as_u16(), &ready.body["degraded"]), (200, &serde_json::json!(true)), "{ready:?}");

    livekit.restart().await;
    create(&one, "nothing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_is_accepted_shows_closing_and_is_carried_out_later() {
    let mut one = instance();
    let Some(livekit) = livekit_for(&mut [&mut one], Webhooks::On).await else { return };
    let one = one.started().await;
    create(&one, "gold").await;
    // Stopped in its tracks, it still has the room when it goes on.
    livekit.pause();

    assert_eq!(one.delete("/streams/gold").await.status.as_u16(), 204);
    let closing = one.get("/streams/gold/state").await.body;
    assert_eq!((closing["status"].as_str(), closing["closing"].as_bool()), (Some("finished"), Some(true)), "{closing}");

    livekit.resume();
    until_state(&one, "gold", "the room is gone", |state| state["closing"] == false).await;
    assert_eq!(api_of(&livekit).list_rooms().await.unwrap(), []);
}
