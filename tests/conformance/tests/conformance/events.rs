//! The cases of a log of events, on every engine of it.

use conformance::events::{self, Subject};
use conformance::servers;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::events::$case(&super::Subject::embedded()).await;
            })*
        }

        mod kafka {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let brokers = tokio::task::spawn_blocking(super::servers::kafka_brokers).await.unwrap();
                if let Some(brokers) = brokers {
                    super::events::$case(&super::Subject::kafka(&brokers)).await;
                }
            })*
        }
    };
}

cases! {
    what_goes_in_comes_out,
    a_key_keeps_its_order_in_its_partition,
    looks_stay_within_what_is_there,
    a_group_goes_on_behind_what_it_finished,
    a_group_begins_where_it_said,
    only_what_was_told_can_be_finished,
    a_paused_partition_waits,
    members_share_and_take_over,
    much_comes_in_parts,
}
