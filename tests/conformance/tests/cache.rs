//! The cases of a cache, on every engine of it.

use conformance::cache::{self, Subject};
use conformance::servers;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::cache::$case(&super::Subject::embedded()).await;
            })*
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking(super::servers::redis_url).await.unwrap();
                if let Some(url) = url {
                    super::cache::$case(&super::Subject::redis(&url)).await;
                }
            })*
        }

        mod redis_cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking(super::servers::redis_cluster_url).await.unwrap();
                if let Some(url) = url {
                    super::cache::$case(&super::Subject::redis(&url)).await;
                }
            })*
        }
    };
}

cases! {
    a_value_is_there_until_it_is_forgotten,
    bytes_stay_bytes,
    a_value_ends_with_its_time,
    absent_is_taken_once,
    what_is_over_does_not_come_back,
    compare_and_set_wants_exactly_what_is_there,
    a_busy_counter_ends_too,
    only_numbers_are_counted_on,
    a_list_keeps_the_newest_first,
    a_list_is_filled_only_where_nothing_is,
    kinds_are_not_mixed_up,
    racing_steps_all_count,
}
