//! Clients with two connections (`/rtc`), in virtual time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::World;
use sfu::{Event, PeerMode};

#[test]
fn video_reaches_a_viewer() {
    let mut world = World::new(1);
    let publisher = world.join_and_connect(1, PeerMode::Dual);
    let viewer = world.join_and_connect(2, PeerMode::Dual);
    let track = world.publish_video(publisher, &["q", "h", "f"]);
    world.subscribe(viewer, track);
    world.run_until("subscribed", |world| world.count(|event| matches!(event, Event::Subscribed { .. })) == 1);
    world.run_until("received", |world| world.clients[&viewer].packets("TR_0").len() > 100);
    let packets = world.clients[&viewer].packets("TR_0");
    assert!(packets[0].frame.key);
    assert_eq!(packets.last().unwrap().frame.layer, 2);
}
