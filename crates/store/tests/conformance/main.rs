//! What every store must do, written once and run on each: `memory` (embedded, without a file),
//! `embedded` (with its file), `redis` (a real server of each test's own) and `cluster` (three masters).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod backend;
mod cases;
mod driver;

use backend::Backend;

/// One named test per case and backend.
macro_rules! suite {
    ($($module:ident :: $case:ident),* $(,)?) => {
        suite!(@on memory: $($module::$case),*);
        suite!(@on embedded: $($module::$case),*);
        suite!(@on redis: $($module::$case),*);
        suite!(@on cluster: $($module::$case),*);
    };
    (@on $backend:ident: $($module:ident :: $case:ident),*) => {
        mod $backend {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let Some(backend) = Backend::$backend().await else { return };
                    cases::$module::$case(backend).await;
                }
            )*
        }
    };
}

suite! {
    beliefs::a_right_belief_is_committed_on,
    beliefs::a_wrong_belief_changes_nothing_and_brings_what_is_so,
    beliefs::a_belief_in_a_former_record_is_wrong,
    beliefs::an_event_is_applied_once_on_beliefs_too,
    beliefs::instances_that_believe_leave_what_a_recount_says,
    commits::a_commit_is_read_back,
    commits::a_commit_for_another_revision_changes_nothing,
    commits::one_of_fifty_racing_commits_wins,
    commits::fifty_tasks_that_decide_again_all_get_in,
    commits::an_event_is_applied_once,
    commits::a_refused_commit_does_not_remember_its_event,
    commits::connections_that_went_are_remembered,
    commits::connections_that_are_only_missing_are_not_remembered,
    commits::identity_sids_are_those_of_people,
    commits::the_readers_of_people_agree,
    commits::an_ended_stream_has_nobody_and_can_be_created_again,
    commits::an_expired_stream_is_announced_and_continues_its_versions,
    commits::an_abandoned_reservation_brings_back_what_it_would_have_replaced,
    commits::unusual_ids_are_kept_apart,
    commits::the_clock_never_goes_back,
    lists::lists_are_newest_first,
    lists::lists_hold_the_phases_asked_for,
    lists::reservations_are_in_no_list_and_no_sum,
    lists::pages_hold_every_untouched_stream_once_while_others_change,
    lists::a_page_of_a_thousand_and_pages_of_one_hold_the_same,
    lists::pages_of_people_hold_everybody_once,
    lists::a_foreign_cursor_is_no_error,
    lists::due_streams_come_soonest_first,
    lists::many_heads_come_in_the_order_asked_for,
    lists::forgetting_a_stream_that_is_there_does_nothing,
    histories::a_random_history_leaves_what_a_simple_model_says,
    histories::totals_equal_a_recount_after_racing_writers,
    sessions::history_is_latest_first_in_pages_of_any_size,
    sessions::sessions_that_end_at_once_are_paged_too,
    sessions::hidden_sessions_are_in_no_public_history,
    sessions::history_begins_when_it_is_asked_to_and_foreign_cursors_are_no_error,
    sessions::a_row_goes_when_its_time_is_over,
    sessions::history_outlives_record_and_restart,
    notices::notices_come_in_order_and_none_is_missed,
    notices::what_is_not_watched_is_silent,
    notices::the_lobby_hears_of_all_and_names_nobody,
    notices::a_notice_is_not_told_before_its_state_can_be_read,
    notices::a_receiver_that_falls_behind_gets_a_gap,
    notices::another_instance_hears_too,
    leases::a_lease_has_one_holder,
    leases::a_lease_that_ran_out_can_be_taken,
    leases::a_commit_under_a_lost_lease_is_refused,
    leases::a_lease_given_back_is_free_at_once,
    leases::partitions_have_leases_of_their_own,
    metas::fifty_racing_setters_agree,
    metas::a_value_is_swapped_only_for_the_one_expected,
    memos::a_memo_is_swapped_only_for_the_one_expected,
    memos::fifty_racing_writers_of_a_memo_have_one_winner,
    memos::a_memo_ends_by_itself,
    memos::memos_are_bounded_in_number_and_size,
    identities::roles_are_held_until_the_generation_ends,
    identities::bans_outlive_the_record,
    identities::a_ban_is_lifted_replaced_and_ends_by_itself,
    identities::what_is_known_of_identities_outlives_a_restart,
    identities::a_lost_race_changes_no_identity,
    identities::hidden_streams_are_in_no_public_list,
    restarts::everything_acknowledged_outlives_a_restart,
    restarts::writes_go_on_over_a_restart,
    restarts::a_closed_store_refuses_and_ends_its_notices,
}
