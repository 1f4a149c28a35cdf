//! The cases of an outbox, on every engine that has one.

use conformance::documents;
use conformance::outbox::{self, Subject};
use conformance::servers;

macro_rules! cases {
    ($($case:ident),* $(,)?) => {
        mod mongodb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let uri = tokio::task::spawn_blocking(super::servers::mongodb_uri).await.unwrap();
                if let Some(uri) = uri {
                    let store = super::documents::Subject::mongodb(&uri).await;
                    let (documents, outbox) = (store.documents.clone(), store.outbox().unwrap());
                    super::outbox::$case(&super::Subject { documents, outbox }).await;
                    store.finish().await;
                }
            })*
        }
    };
}

cases! {
    a_lease_has_one_holder,
    a_lease_ends_with_its_time,
    leases_are_renewed_together,
    shards_are_read_at_the_same_time,
    what_was_committed_waits_until_it_is_done,
    a_failed_commit_leaves_nothing,
    a_busy_key_leaves_the_others_their_turn,
    racing_commits_keep_the_order_of_their_keys,
    a_commit_is_told,
    what_is_set_aside_waits_for_its_topic,
}
