//! One suite, held against every database: each case is a function of a fresh store.
//!
//! A test's name says which promise it holds to, where it is one of `RELIABILITY.md`: `l3_...`, `g2_...`.
//! Whoever adds a case adds it to the table of contents below; the compiler complains of one that is missing.

mod batches;
mod blob_dumps;
mod blobs;
mod changes;
mod dicts;
#[macro_use]
mod drawer;
mod dumps;
mod erasing;
mod feeds;
mod filters;
mod foreseen;
mod groups;
mod jobs;
mod keys;
mod lists;
mod locks;
mod model;
mod processes;
mod projections;
mod queues;
mod reads;
mod schedules;
mod shared;
mod snapshots;
mod sqls;
mod stage;
mod streams;
mod subjects;
mod subscriptions;
mod take_up;

use millpond_actors::memory::Memory;
use millpond_actors::storage::Backend;

use crate::filter::fields;

/// A backend with nothing in it, and whatever must live as long as it does.
pub(super) struct Fresh {
    backend: Box<dyn Backend>,
    _directory: Option<tempfile::TempDir>,
}

fn fresh_memory() -> Fresh {
    Fresh { backend: Box::new(Memory::reading(fields())), _directory: None }
}

#[cfg(feature = "sqlite")]
fn fresh_sqlite() -> Fresh {
    use super::sqlite::{Options, Sqlite};
    let directory = tempfile::tempdir().unwrap();
    // No case cuts the power, so none needs to wait for the disk.
    let durability = crate::Durability::ProcessCrash;
    let options = Options { durability, fields: fields(), ..Options::default() };
    let sqlite = Sqlite::open(&directory.path().join("store.db"), options).unwrap();
    Fresh { backend: Box::new(sqlite), _directory: Some(directory) }
}

/// `None` if there is no server to be had, which is said.
#[cfg(feature = "postgres")]
fn fresh_postgres() -> Option<Fresh> {
    use super::postgres::Postgres;
    let server = millpond_postgres_server::shared()?;
    let durability = crate::Durability::ProcessCrash;
    let postgres =
        Postgres::open(&server.fresh(), durability, false, fields(), millpond_actors::limits::CALL_TIMEOUT)
            .unwrap();
    Some(Fresh { backend: Box::new(postgres), _directory: None })
}

/// The same behind a pooler in transaction mode. `None` if there is none to be had, which is said.
#[cfg(feature = "postgres")]
fn fresh_pooled() -> Option<Fresh> {
    use super::postgres::Postgres;
    let pooler = millpond_postgres_server::pooled()?;
    let durability = crate::Durability::ProcessCrash;
    let postgres =
        Postgres::open(&pooler.fresh(), durability, false, fields(), millpond_actors::limits::CALL_TIMEOUT)
            .unwrap();
    Some(Fresh { backend: Box::new(postgres), _directory: None })
}

/// Makes a test of every case, in a module a table.
macro_rules! tests_of {
    ($fresh:ident; $( $table:ident { $($case:ident)+ } )+) => { $(
        mod $table { $(
            #[test]
            fn $case() {
                use crate::storage::contract as suite;
                let fresh: Option<suite::Fresh> = suite::$fresh().into();
                let Some(fresh) = fresh else { return };
                suite::$table::$case(&suite::stage::Stage::new(&*fresh.backend));
            }
        )+ }
    )+ };
}

/// The table of contents, instantiated for one database.
macro_rules! contract_suite {
    ($database:ident, $fresh:ident) => {
        mod $database {
            drawer_suite! { $fresh }
            tests_of! { $fresh;
                streams {
                    no_stream_append_to_fresh_stream_succeeds
                    no_stream_append_to_existing_stream_conflicts
                    any_append_to_fresh_and_to_existing_stream_succeeds
                    any_never_conflicts
                    stream_exists_append_to_absent_stream_raises
                    stream_exists_append_to_existing_stream_succeeds
                    exact_append_matching_version_succeeds
                    a1_exact_append_mismatched_version_conflicts
                    a1_of_many_exact_appends_one_wins
                    duplicate_event_id_raises_and_batch_is_atomic
                    empty_batch_raises
                    append_result_position_is_strictly_increasing
                    append_result_names_the_stream
                    g4_a_repeated_append_is_recognised
                    g4_a_repetition_within_one_group_is_recognised
                    ids_that_are_no_repetition_are_duplicates
                    one_id_twice_in_an_append_is_a_duplicate
                    ids_made_here_are_appended_without_being_looked_up
                    g2_appends_of_one_group_follow_one_another
                    g2_positions_are_dense_over_several_processes
                    g12_recorded_at_never_goes_back
                    names_are_compared_byte_by_byte
                    g4_an_import_adds_what_is_new
                    g2_an_import_with_a_taken_id_adds_nothing
                }
                reads {
                    read_returns_exactly_appended_events_in_order
                    from_version_to_version_and_limit_are_honored
                    backward_direction_is_honored
                    envelopes_carry_correct_stream_version_sequence
                    absent_streams_are_empty
                    stream_isolation
                    everything_about_an_event_survives_the_round_trip
                    payloads_of_every_size_are_kept
                    a_page_ends_early_for_its_size
                    full_read_returns_all_events_in_position_order
                    exclusive_resumption_from_position
                    current_position_is_that_of_the_last_event
                    type_filter_is_honored
                    a_partition_has_its_streams_and_all_of_each
                    type_filter_composes_with_position_and_limit
                    several_types_are_one_filter
                    tenant_filter_is_honored
                    time_filter_is_honored
                    an_event_is_found_by_its_id
                    only_the_named_category_is_returned_by_position
                    pages_join_without_gap_or_repetition
                    a_page_says_where_it_ended
                    g5_views_never_see_what_is_not_committed
                }
                subjects {
                    a_key_is_made_once
                    a_destroyed_key_never_comes_back
                    a_key_is_undone_with_its_transaction
                }
                erasing {
                    an_erased_stream_keeps_its_places
                    a1_who_rested_on_what_is_erased_is_overtaken
                    what_is_erased_again_stays_as_it_is
                    a_closed_stream_takes_nothing_any_more
                    ids_of_erased_events_stay_taken
                    a_snapshot_of_what_is_erased_is_not_kept
                    many_events_are_erased_in_portions
                }
                foreseen { g2_what_was_foreseen_comes_to_what_it_would_have }
                locks {
                    a_free_lock_is_granted_at_once
                    l1_a_held_lock_is_not_given_twice
                    l1_a_lock_is_given_once_within_one_group
                    l2_tokens_strictly_increase
                    l2_a_token_given_late_is_larger_than_those_given_meanwhile
                    l5_waiters_are_granted_in_ticket_order
                    l6_try_leaves_no_ticket
                    l5_a_try_does_not_pass_a_waiter
                    l4_a_renewal_tells_whether_the_lock_is_held
                    l3_a_broken_lock_is_passed_on_and_its_token_is_stale
                    leaving_while_waiting_gives_up_the_place
                    leaving_twice_is_gone
                    l4_a_lease_ends_exactly_at_its_end
                    l4_a_beat_prolongs_a_lease
                    l4_only_a_committed_beat_counts
                    l4_a_grant_counts_from_itself
                    l4_silence_makes_lapsed_and_frees_what_expired
                    l4_a_lapse_rolled_back_is_said_again
                    l4_a_lease_taken_over_in_silence_is_a_lapse
                    silence_without_a_lease_is_no_lapse
                    l3_a_stale_token_is_fenced
                    l3_the_fence_is_looked_at_first
                    l3_a_fence_holds_within_the_group_of_its_grant
                    d6_what_the_dead_held_is_passed_on
                    d6_what_the_dead_held_can_be_acquired
                    l5_tickets_of_the_dead_are_skipped
                    l5_a_line_of_the_dead_alone_is_no_line
                    a_lease_of_another_boot_is_void
                    a_leaving_process_gives_up_everything
                    a_line_shows_who_holds_and_how_many_wait
                    locks_are_listed_by_name_while_they_are_used
                    a_remembered_lock_is_found_by_its_row
                }
                shared {
                    l1_no_more_is_held_than_there_is
                    l1_a_writer_excludes_and_readers_do_not
                    l5_whoever_does_not_fit_holds_up_those_behind
                    l5_a_release_lets_in_as_many_as_fit
                    l5_whoever_leaves_the_line_lets_in_those_behind
                    l6_a_try_that_does_not_fit_leaves_no_ticket
                    l2_each_holder_has_a_token_of_its_own
                    l3_each_token_is_fenced_alone
                    l4_each_lease_ends_alone
                    l4_silence_frees_what_expired_and_no_more
                    l4_a_renewal_is_each_holders_own
                    d6_what_the_dead_held_is_free_at_once
                    d6_a_burial_lets_in_whom_the_dead_held_up
                    a_leaving_process_gives_up_its_shares_and_places
                    l3_breaking_takes_it_from_all_who_hold_it
                    d16_the_first_use_fixes_how_much_there_is
                    a_ticket_is_its_processes_own
                    a_process_recalls_its_own_tickets
                    a_settling_tells_who_is_first_in_line
                    a_line_shows_all_who_hold_a_part
                }
                take_up {
                    l5_a_grant_that_is_not_taken_up_goes_on_to_the_next
                    l4_any_commit_of_its_process_takes_a_grant_up
                    l4_a_grant_in_a_commit_of_ones_own_is_taken_up_by_it
                    l5_a_grant_that_nobody_took_over_can_still_be_taken_up
                    l4_a_grant_whose_time_to_live_is_over_is_not_taken_up
                }
                changes {
                    changes_are_numbered_as_they_are_written
                    every_primitive_has_its_name
                    g2_what_is_undone_has_not_changed
                    g9_only_the_last_changes_are_kept
                    whoever_watches_is_known_to_all
                }
                snapshots {
                    a_snapshot_is_kept_as_it_was_given
                    a_later_snapshot_replaces_an_earlier_one
                    an_earlier_snapshot_is_outdated
                    a2_a_snapshot_ahead_of_its_stream_keeps_no_other_out
                    a_snapshot_of_no_stream_is_outdated
                    snapshots_of_two_streams_are_independent
                    g2_a_snapshot_rolled_back_leaves_the_former
                }
                feeds {
                    lg1_sequences_are_dense_from_one_and_follow_the_commits
                    lg1_an_append_of_many_is_consecutive_and_whole
                    c1_sequences_are_each_feeds_own
                    everything_about_a_message_survives_the_round_trip
                    lg4_recorded_at_never_goes_back_within_a_feed
                    lg4_a_range_by_time_is_cut_exactly
                    ranges_and_limits_are_honored_in_both_directions
                    pages_of_a_feed_join_without_gap_or_repetition
                    a_page_of_a_feed_ends_early_for_its_size
                    lg5_a_count_keeps_the_newest
                    lg5_bytes_keep_what_fits_and_always_the_newest
                    lg5_an_age_removes_what_is_older_than_the_newest_allows
                    lg5_a_request_removes_from_the_head_only
                    lg5_no_sequence_is_used_again
                    lg5_what_is_removed_at_once_is_bounded
                    lg5_retention_is_what_was_said_last
                    l3_a_stale_token_appends_no_message
                    g2_messages_rolled_back_leave_no_gap
                    g5_a_view_never_sees_a_message_that_is_not_committed
                    a_feed_says_how_it_stands
                    feeds_are_listed_by_kind_and_name
                    an_empty_append_to_a_feed_is_an_error
                }
                subscriptions {
                    c2_a_cursor_begins_once
                    c2_a_cursor_never_moves_back_unless_it_is_told_to
                    c2_a_stale_token_moves_no_cursor
                    c2_a_cursor_outlives_its_consumer
                    c2_what_is_rolled_back_was_not_acknowledged
                    c5_effects_and_cursor_are_one_transaction
                    a_subscription_that_is_ended_is_forgotten
                    c2_messages_are_acknowledged_in_any_order
                    c2_a_stale_token_acknowledges_nothing
                    c4_what_was_removed_is_passed_over_and_counted_once
                }
                projections {
                    a7_a_projection_begins_once
                    a7_a_checkpoint_moves_by_compare_and_set
                    a7_a_stale_token_moves_no_checkpoint
                    a7_effects_and_checkpoint_are_one_transaction
                    a7_what_is_wanted_stops_whoever_has_not_seen_it
                    a7_a_reset_begins_a_generation_in_place_of_all
                    a7_a_rebuild_is_made_beside_and_takes_over_when_it_has_come_as_far
                    a_rebuild_that_is_wanted_again_begins_again
                    a_failure_is_kept_until_it_gets_on
                    a_projection_that_is_removed_is_forgotten
                    projections_are_listed_by_name_with_all_generations
                    a7_partitions_begin_together_and_move_each_by_itself
                    a7_what_is_wanted_is_wanted_of_all_partitions
                }
                processes {
                    processes_are_listed_with_what_they_said
                    a_dead_process_is_seen_at_once
                    process_ids_are_never_given_twice
                    a_newcomer_buries_the_dead
                    leaving_ends_a_process
                    a_pulse_changes_with_every_commit_that_is_more_than_events
                    d8_a_pulse_never_comes_back
                    g8_one_has_the_turn_at_a_time
                    g8_whose_turn_it_is_is_known
                    g8_the_dead_leave_the_turn
                    two_transactions_are_busy
                    a_waiting_bell_is_rung
                    a_summary_counts_everything
                    what_has_ended_does_not_count_as_held
                    a_grant_that_is_not_taken_up_is_soon_not_counted_any_more
                }
                queues {
                    q3_jobs_come_in_the_order_of_pushing
                    q3_the_lower_priority_comes_first
                    q3_a_claim_of_many_is_as_many_claims
                    q3_a_job_that_is_tried_again_keeps_its_place
                    q1_what_is_not_committed_takes_nothing_out
                    q2_a_job_is_claimed_by_one
                    q2_a_job_is_finished_once
                    q2_a_claim_is_its_own_and_no_others
                    l2_tokens_of_claims_and_locks_are_of_one_counter
                    q4_an_attempt_counts_from_the_claim
                    q4_what_nobody_took_does_not_count
                    q4_what_the_dead_had_claimed_is_visible_at_once
                    q4_a_newcomer_gives_up_what_the_dead_had_claimed
                    q4_a_job_that_kills_its_process_comes_to_an_end
                    q4_a_claim_ends_exactly_at_its_end
                    q4_a_beat_prolongs_a_claim
                    q4_each_claim_ends_alone
                    q4_silence_gives_up_what_expired
                    q4_a_leaving_process_gives_up_its_jobs
                    q4_claims_of_another_boot_are_void
                    a_process_recalls_its_own_claims
                    processes_show_how_many_jobs_they_have
                    g9_a_claim_of_all_is_bounded_by_what_is_wanted
                }
                keys {
                    q6_a_key_keeps_others_out_until_its_job_is_done
                    q6_a_key_is_of_one_queue_and_one_job_of_a_push
                    q6_what_is_kept_may_keep_others_out_too
                    q6_a_dead_letter_is_not_revived_beside_its_successor
                    q6_the_living_job_of_a_key_is_found_and_removed
                }
                jobs {
                    everything_about_a_job_survives_the_round_trip
                    g2_a_push_is_whole
                    q5_a_delayed_job_is_never_early
                    q5_a_delay_does_not_hang_on_the_wall_clock
                    q5_a_time_goes_by_the_wall_clock
                    q5_after_another_boot_a_delay_goes_by_the_wall_clock
                    q5_what_is_due_comes_by_its_priority
                    q5_a_retry_waits_as_long_as_it_is_told_to
                    q4_dead_letters_are_revived
                    q4_a_job_may_be_a_dead_letter_from_the_beginning
                    g9_many_are_revived_and_removed_in_steps
                    jobs_are_removed_on_request
                    d16_options_live_in_the_row
                    a_paused_queue_gives_nothing_and_takes_everything
                    what_is_done_is_kept_as_long_as_it_should
                    pages_of_jobs_join_without_gap_or_repetition
                    a_page_of_jobs_ends_early_for_its_size
                    queues_are_listed_by_name
                }
                batches {
                    g2_a_batch_is_whole
                    g2_a_part_that_is_refused_undoes_them_all
                    g4_what_was_done_before_is_not_refused
                    q2_a_stale_claim_takes_its_batch_with_it
                    l3_a_batch_under_a_lost_lock_is_refused
                    a1_a_stream_that_is_not_as_expected_refuses_its_batch
                    c5_an_effect_and_its_cursor_are_one
                    g6_a_batch_is_a_part_within_a_part
                }
                sqls {
                    g2_sql_is_a_part_of_its_batch
                    g2_sql_that_is_refused_leaves_no_trace
                    g2_sql_that_is_rolled_back_was_not_run
                }
                schedules {
                    q5_a_time_is_done_for_once
                    q5_a_time_never_comes_early
                    q5_what_was_missed_comes_once_or_not_at_all
                    q5_a_schedule_that_is_said_again_stays
                    q5_what_is_rolled_back_was_not_done_for
                    q6_a_schedule_with_a_key_does_not_pile_up
                    a_schedule_that_is_removed_is_forgotten
                    everything_about_a_schedule_survives_the_round_trip
                    g9_a_queue_has_so_many_schedules_and_no_more
                }
                groups {
                    g2_a_rollback_leaves_no_trace
                    g2_what_was_rolled_back_never_surfaces
                    g6_a_savepoint_is_undone_alone
                    g6_savepoints_follow_one_another
                    g2_a_rollback_undoes_kept_savepoints_too
                    g4_the_last_group_is_known
                    reopening_undoes_the_open_group_and_keeps_the_process
                    many_groups_stay_whole
                    g7_wherever_a_process_dies_its_group_is_whole_or_absent
                }
            }
        }
    };
}

contract_suite!(memory, fresh_memory);
#[cfg(feature = "sqlite")]
contract_suite!(sqlite, fresh_sqlite);
#[cfg(feature = "postgres")]
contract_suite!(postgres, fresh_postgres);
