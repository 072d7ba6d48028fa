//! The table of contents of the everyday primitives, and of what is done with a store as a whole.

/// Their cases, for one database.
macro_rules! drawer_suite {
    ($fresh:ident) => {
        tests_of! { $fresh;
            dicts {
                a_value_is_put_read_and_replaced
                a4_what_is_expected_is_looked_at_in_the_commit
                what_is_removed_is_told
                numbers_are_added_to_and_never_wrap
                d1_what_is_over_is_not_there_for_anybody
                d1_an_end_goes_by_the_boot_clock_and_after_another_boot_by_the_wall_clock
                entries_come_by_key_prefix_and_page
                many_are_removed_a_few_at_a_time
                d1_what_is_over_is_removed_without_a_word
                g2_a_dict_is_a_part_of_its_batch
                d16_a_dict_is_sealed_before_its_first_use_or_never
            }
            lists {
                items_are_put_at_both_ends_and_between
                items_are_taken_from_either_end_the_outermost_first
                a4_an_item_that_is_meant_by_its_version_is_that_one
                an_item_is_moved_within_its_list_and_to_another_one
                what_is_not_to_be_kept_is_removed_a_few_at_a_time
                g2_a_list_is_a_part_of_its_batch
                li1_a_list_does_what_a_vector_does
            }
            blobs {
                b1_what_is_not_finished_is_seen_by_nobody
                b1_a_blob_is_all_that_was_written_or_nothing
                b2_what_is_expected_is_looked_at_in_the_commit
                b3_what_is_replaced_or_removed_is_swept_in_portions
                b4_what_the_dead_were_writing_is_swept
                b5_chunks_are_read_from_any_byte_on
                b6_a_blob_is_a_part_of_its_batch
                blobs_come_by_key_prefix_and_page
            }
            blob_dumps {
                b1_dump_has_what_is_finished_and_comes_back_as_it_was
                load_brings_back_blobs_that_were_dumped_elsewhere
                load_puts_blobs_in_place_of_those_that_are_there
                b5_load_refuses_a_blob_that_is_not_what_was_written
            }
            dumps {
                dump_comes_back_as_it_was
                load_brings_back_what_was_dumped_elsewhere
                load_refuses_a_name_that_is_there
                load_replaces_and_no_number_is_given_twice
                load_appends_behind_what_is_there
                a7_load_does_not_bring_a_checkpoint_to_other_positions
                a_destroyed_key_is_not_brought_back_by_a_load
                l2_a_loaded_store_gives_tokens_far_above
                load_never_removes_an_event
            }
            filters {
                a_filter_picks_entries_out
                d6_a_path_and_a_value_are_data
                an_index_is_made_in_steps_and_kept_up
                indexes_are_bounded_and_can_be_removed
                g6_an_index_leads_to_what_a_scan_finds
                g6_a_long_value_is_found_by_its_beginning
                a_page_looks_at_so_many_and_no_more
                a_plan_says_which_index_leads_where
                g2_an_index_is_undone_with_its_transaction
                messages_are_picked_out_by_their_data
                events_are_picked_out_by_their_data
            }
        }
    };
}
