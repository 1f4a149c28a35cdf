//! The cases of leases, on every engine of them.

use conformance::presence::{self, Subject};
use conformance::servers;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::presence::$case(&super::Subject::embedded()).await;
            })*
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking(super::servers::redis_url).await.unwrap();
                if let Some(url) = url {
                    super::presence::$case(&super::Subject::redis(&url)).await;
                }
            })*
        }

        mod redis_cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking(super::servers::redis_cluster_url).await.unwrap();
                if let Some(url) = url {
                    super::presence::$case(&super::Subject::redis(&url)).await;
                }
            })*
        }
    };
}

cases! {
    one_host_is_the_first_and_one_the_last,
    racing_hosts_agree,
    what_a_dead_host_leaves_ends_once,
    who_dies_while_telling_is_taken_over,
    who_is_back_before_it_is_told_was_never_gone,
}
