//! Beside: commits that nobody waits for share a server's time with those that members wait for, who come first.
//!
//! The more of theirs are under way, the fewer of the others; but one always is, so that they get on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How many are done at once while nobody waits. With 16 beside their own, members waited for seconds.
const ALONE: usize = 8;

/// Who commits what.
#[derive(Default)]
pub(crate) struct Beside {
    counts: Mutex<Counts>,
    fewer: Notify,
}

#[derive(Default)]
struct Counts {
    /// Commits that somebody waits for.
    waited_for: usize,
    /// The others.
    beside: usize,
}

impl Counts {
    fn have_room(&self) -> bool {
        self.beside < ALONE.saturating_sub(self.waited_for).max(1)
    }
}

/// A commit that is under way, until it is dropped.
pub(crate) struct UnderWay<'a> {
    all: &'a Beside,
    waited_for: bool,
}

impl Beside {
    /// A commit that somebody waits for begins.
    pub(crate) fn somebody_waits(&self) -> UnderWay<'_> {
        self.counts().waited_for += 1;
        UnderWay { all: self, waited_for: true }
    }

    /// Waits until there is room for a commit that nobody waits for.
    pub(crate) async fn enter(&self) -> UnderWay<'_> {
        loop {
            // Before the look, so that no change between the two is missed.
            let fewer = self.fewer.notified();
            {
                let mut counts = self.counts();
                if counts.have_room() {
                    counts.beside += 1;
                    // Whoever left may have made room for more than one.
                    if counts.have_room() {
                        self.fewer.notify_one();
                    }
                    return UnderWay { all: self, waited_for: false };
                }
            }
            fewer.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut counts = self.all.counts();
        if self.waited_for {
            counts.waited_for -= 1;
        } else {
            counts.beside -= 1;
        }
        if counts.have_room() {
            self.all.fewer.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whether one more has to wait.
    async fn is_full(beside: &Beside) -> bool {
        tokio::time::timeout(Duration::from_millis(20), beside.enter()).await.is_err()
    }

    #[tokio::test]
    async fn members_come_first_and_one_goes_on_all_the_same() {
        let beside = Beside::default();
        let members: Vec<_> = (0..2 * ALONE).map(|_| beside.somebody_waits()).collect();
        let one = beside.enter().await;
        assert!(is_full(&beside).await);
        drop(one);
        assert!(!is_full(&beside).await);
        drop(members);
        let all = futures_util::future::join_all((0..ALONE).map(|_| beside.enter())).await;
        assert_eq!(all.len(), ALONE);
        assert!(is_full(&beside).await);
    }

    #[tokio::test]
    async fn who_waits_is_woken_one_after_the_other() {
        let beside = Beside::default();
        let _members: Vec<_> = (0..ALONE).map(|_| beside.somebody_waits()).collect();
        let first = beside.enter().await;
        let others = async {
            for _ in 0..3 {
                drop(beside.enter().await);
            }
        };
        tokio::join!(others, async { drop(first) });
    }
}
