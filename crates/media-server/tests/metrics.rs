//! The metrics the embedded server publishes through the `metrics` facade.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use metrics_exporter_prometheus::PrometheusBuilder;
use support::peer::Peer;
use support::server::{Server, guest};
use support::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_counted() {
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let server = Server::embedded_with(|_| {}).await;
    let _ann = Peer::speak(&server, &guest("x", "ann")).await;
    let mut bob = Peer::enter(&server, &guest("x", "bob")).await;
    bob.client.send(livekit_protocol::signal_request::Message::Simulate(Default::default())).await;
    let expected = [
        "media_rooms 1",
        "media_participants 2",
        "media_tracks 1",
        "media_webhooks_total{result=\"sent\"}",
        "media_packets_total{direction=\"in\"}",
        "media_bytes_total{direction=\"out\"}",
        "media_nacks_total{direction=\"in\"}",
        "media_plis_total{direction=\"out\"}",
        "media_packets_lost_total",
        "media_signal_ignored_total",
    ];
    until("all metrics", || async {
        let text = metrics.render();
        let missing: Vec<_> = expected.iter().filter(|name| !text.contains(**name)).collect();
        let packets = text.lines().find_map(|l| l.strip_prefix("media_packets_total{direction=\"in\"} "));
        let flows = packets.is_some_and(|n| n.parse::<u64>().unwrap() > 10);
        (missing.is_empty() && flows).then_some(())
    })
    .await;
}
