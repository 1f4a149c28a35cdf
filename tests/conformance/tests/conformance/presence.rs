//! The cases of leases, on every engine of them.

conformance::on_embedded_and_redis! {
    presence:
    one_host_is_the_first_and_one_the_last,
    racing_hosts_agree,
    what_a_dead_host_leaves_ends_once,
    who_dies_while_telling_is_taken_over,
    who_is_back_before_it_is_told_was_never_gone,
}
