//! One suite for everything that stands behind [`rooms::Rooms`], run on each server by name:
//! the simulated one, a real LiveKit and the embedded media server. A further server is a further line in `servers!` and an impl of `Server`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod suite;

use suite::embedded::Embedded;
use suite::livekit::RealLiveKit;
use suite::simulated::Simulated;
use suite::{api, network};

/// Runs each case on each server; a server that can't be started here says so and is passed over.
macro_rules! servers {
    ($($server:ident: $kind:ty => $module:ident::[$($case:ident),* $(,)?];)*) => {
        $(mod $server {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use super::suite::Server;
                if let Some(mut server) = <$kind>::start().await {
                    super::$module::$case(&mut server).await;
                }
            })*
        })*
    };
}

macro_rules! with_cases {
    ($($server:ident: $kind:ident),*) => {
        mod every_server {
            use super::*;
            servers! {
                $($server: super::$kind => api::[
                    creating_twice_returns_the_room_unchanged,
                    rooms_are_listed_and_found_by_name,
                    deleting_twice_is_fine,
                    what_is_not_there_is_an_answer,
                    metadata_can_be_changed,
                    another_secret_is_unauthorized,
                    a_server_that_does_not_answer_is_unavailable,
                    a_server_that_was_killed_knows_no_room,
                    people_and_their_tracks_are_listed,
                    a_track_can_be_muted,
                    who_becomes_a_viewer_loses_their_tracks,
                    who_is_removed_is_gone,
                    the_first_join_makes_the_room_as_the_token_says,
                ];)*
            }
        }
    };
}

with_cases!(simulated: Simulated, livekit: RealLiveKit, embedded: Embedded);

macro_rules! with_network_cases {
    ($($server:ident: $kind:ident),*) => {
        mod over_the_network {
            use super::*;
            servers! {
                $($server: super::$kind => network::[
                    a_token_grants_what_its_role_may,
                    the_first_join_configures_the_room,
                    a_changed_role_and_attribute_reach_the_participant,
                    a_full_room_takes_nobody,
                    an_expired_or_forged_token_does_not_join,
                    its_webhooks_are_received,
                ];)*
            }
        }
    };
}

with_network_cases!(livekit: RealLiveKit, embedded: Embedded);
