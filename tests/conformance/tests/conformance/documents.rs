//! The cases of a document store, on every engine of it.

use conformance::documents::{Subject, asking, changing, committing, old, racing};
use conformance::servers;

macro_rules! cases {
    ($($room:ident::$case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$room::$case(&super::Subject::embedded()).await;
            })*
        }

        mod mongodb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let uri = tokio::task::spawn_blocking(super::servers::mongodb_uri).await.unwrap();
                if let Some(uri) = uri {
                    let subject = super::Subject::mongodb(&uri).await;
                    super::$room::$case(&subject).await;
                    subject.finish().await;
                }
            })*
        }
    };
}

cases! {
    asking::filters_mean_what_they_mean_in_mongodb,
    asking::sorts_are_total,
    asking::sorts_look_into_arrays,
    asking::projections_keep_or_drop,
    asking::pages_follow_each_other,
    asking::distinct_values_come_in_order,
    asking::answers_are_bounded,
    asking::plans_tell_what_is_read,
    changing::changes_mean_what_they_mean_in_mongodb,
    changing::the_first_match_or_all_of_them,
    changing::upserts_begin_with_what_the_filter_demands,
    changing::documents_stay_what_they_are,
    changing::large_sets_are_made_at_once,
    changing::documents_have_their_limits,
    committing::a_commit_sees_what_it_did,
    committing::many_changes_are_one_commit,
    committing::unique_indexes_refuse_by_name_and_place,
    committing::partial_indexes_leave_the_others_alone,
    committing::nothing_of_a_failed_commit_remains,
    old::odd_fields_pass_through,
    old::text_that_is_not_utf_8_passes_through,
    old::rows_are_bounded,
    racing::racing_counters_all_count,
    racing::one_of_racing_insertions_wins,
    racing::what_had_to_match_still_does,
    racing::racing_commits_have_their_own_outcomes,
    racing::a_dropped_call_is_whole_or_nothing,
}
