//! The cases of a cache, on every engine of it.

conformance::on_embedded_and_redis! {
    cache:
    a_value_is_there_until_it_is_forgotten,
    bytes_stay_bytes,
    a_value_ends_with_its_time,
    absent_is_taken_once,
    what_is_over_does_not_come_back,
    who_looked_behind_an_end_fills,
    many_are_looked_at_in_their_order,
    compare_and_set_wants_exactly_what_is_there,
    a_busy_counter_ends_too,
    only_numbers_are_counted_on,
    a_list_keeps_the_newest_first,
    a_list_is_filled_only_where_nothing_is,
    values_of_lists_are_bounded,
    kinds_are_not_mixed_up,
    racing_steps_all_count,
}
