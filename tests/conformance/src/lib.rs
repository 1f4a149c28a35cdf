//! Conformance: what a capability promises, as cases that every engine of it has to pass. The list of cases is the
//! contract; an engine is done when it passes them all, unchanged.
//!
//! Real servers are those of `REDIS_URL` and its like, or else the ones that `cargo xtask stack` brings up. A case that
//! does not hold panics: this is test code.

#![forbid(unsafe_code)]
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a case that does not hold should fail where it stands"
)]

pub mod cache;
pub mod documents;
pub mod events;
pub mod outbox;
pub mod presence;
pub mod racing;
pub mod redis_server;
pub mod servers;

/// Each of the named cases of a room here as a test on its embedded engine, on a Redis server and on a Redis Cluster.
#[macro_export]
macro_rules! on_embedded_and_redis {
    ($room:ident: $($case:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::$room::$case(&$crate::$room::Subject::embedded()).await;
            })*
        }

        mod redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking($crate::servers::redis_url).await.unwrap();
                if let Some(url) = url {
                    $crate::$room::$case(&$crate::$room::Subject::redis(&url)).await;
                }
            })*
        }

        mod redis_cluster {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let url = tokio::task::spawn_blocking($crate::servers::redis_cluster_url).await.unwrap();
                if let Some(url) = url {
                    $crate::$room::$case(&$crate::$room::Subject::redis(&url)).await;
                }
            })*
        }
    };
}
