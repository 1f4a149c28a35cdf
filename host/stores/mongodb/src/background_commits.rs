//! Background commits: commits that no client waits for. They yield to foreground commits, which a client waits for.
//!
//! The more foreground commits run, the fewer background ones do; one always may, so that they make progress. This is about those
//! that have a transaction each; a group in the background is one transaction.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many run concurrently without foreground commits. With 16 of them, clients waited for seconds.
const MAX_CONCURRENT: usize = 8;

/// The running commits.
#[derive(Default)]
pub(crate) struct BackgroundCommits {
    counts: Mutex<Counts>,
    /// Notified when there may be room.
    room: Notify,
}

#[derive(Default)]
struct Counts {
    foreground: usize,
    background: usize,
}

impl Counts {
    fn have_room(&self) -> bool {
        self.background < MAX_CONCURRENT.saturating_sub(self.foreground).max(1)
    }
}

/// A running commit, until it is dropped.
pub(crate) struct Running<'a> {
    all: &'a BackgroundCommits,
    foreground: bool,
}

impl BackgroundCommits {
    /// Starts a foreground commit.
    pub(crate) fn foreground(&self) -> Running<'_> {
        self.counts().foreground += 1;
        Running { all: self, foreground: true }
    }

    /// Waits until there is room for a background commit, and starts it.
    pub(crate) async fn background(&self) -> Running<'_> {
        loop {
            // Before the check, so that no notification between the two is missed.
            let room = self.room.notified();
            {
                let mut counts = self.counts();
                if counts.have_room() {
                    counts.background += 1;
                    // One notification may stand for room for several.
                    if counts.have_room() {
                        self.room.notify_one();
                    }
                    return Running { all: self, foreground: false };
                }
            }
            room.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if self.foreground {
            counts.foreground -= 1;
        } else {
            counts.background -= 1;
        }
        if counts.have_room() {
            self.all.room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether one more has to wait.
    async fn is_full(commits: &BackgroundCommits) -> bool {
        tokio::time::timeout(Duration::from_millis(20), commits.background()).await.is_err()
    }

    #[tokio::test]
    async fn members_come_first_and_one_goes_on_all_the_same() {
        let commits = BackgroundCommits::default();
        let members: Vec<_> = (0..2 * MAX_CONCURRENT).map(|_| commits.foreground()).collect();
        let one = commits.background().await;
        assert!(is_full(&commits).await);
        drop(one);
        assert!(!is_full(&commits).await);
        drop(members);
        let all = futures_util::future::join_all((0..MAX_CONCURRENT).map(|_| commits.background())).await;
        assert_eq!(all.len(), MAX_CONCURRENT);
        assert!(is_full(&commits).await);
    }

    #[tokio::test]
    async fn who_waits_is_woken_one_after_the_other() {
        let commits = BackgroundCommits::default();
        let _members: Vec<_> = (0..MAX_CONCURRENT).map(|_| commits.foreground()).collect();
        let first = commits.background().await;
        let others = async {
            for _ in 0..3 {
                drop(commits.background().await);
            }
        };
        tokio::join!(others, async { drop(first) });
    }
}
