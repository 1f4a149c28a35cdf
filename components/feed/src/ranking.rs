//! A member's ranking, as it is kept: who is recommended, best first. It is over when a request or the
//! profile of the member changes, and otherwise after [`AGE`]: of the others' changes it learns then. Scores and reasons are never
//! kept: each page says those of the moment.

use devconnect_sdk::prelude::*;
use model::cached;
use model::matching::catalogue::Catalogue;
use model::matching::profile::Profile;
use model::user;

use crate::judge::Judge;
use crate::pool::Pool;

/// How long it is kept, in seconds.
const AGE: u32 = 300;
/// Members that are in memory at once.
const AT_ONCE: usize = 500;
/// Of the form in which it is kept.
const FORM: u8 = 1;

/// Who is recommended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ranking {
    /// Best first.
    pub(crate) ids: Vec<ObjectId>,
    /// How many members were scored.
    pub(crate) scored: usize,
    /// Whether there was nobody else to score.
    pub(crate) is_all: bool,
}

impl Ranking {
    /// Where a member's is kept.
    pub(crate) fn key(member: ObjectId) -> String {
        format!("user:{}:ranking", member.to_hex())
    }

    /// The ranking of a pool, for the member of a stored user.
    pub(crate) fn of(member: &Document, pool: Pool, judge: &Judge) -> Result<Self, Error> {
        let mut recommended = Vec::with_capacity(pool.ids.len());
        for some in pool.ids.chunks(AT_ONCE) {
            // What members call their skills is in memory for some of them only.
            let mut catalogue = Catalogue::embedded()?;
            let member = Profile::of(member, &mut catalogue);
            for (id, row) in some.iter().zip(cached::users(some, &cached::SKILLS)?) {
                // Who can't be read, or is gone, is not recommended.
                let total = Document::from_slice(&row).ok().and_then(|user| {
                    let other = Profile::of(&user::cast(user), &mut catalogue);
                    let judged = judge.judged(&member, &other, &catalogue);
                    judged.is_enough.then_some(judged.total)
                });
                recommended.extend(total.map(|total| (*id, total)));
            }
        }
        // Stable: the pool has the newest first.
        recommended.sort_by(|one, other| other.1.total_cmp(&one.1));
        let ids = recommended.into_iter().map(|(id, _)| id).collect();
        Ok(Self { ids, scored: pool.ids.len(), is_all: pool.is_all })
    }

    /// Of what was kept; none of another form.
    pub(crate) fn read(kept: &[u8]) -> Option<Self> {
        let ([FORM, is_all, a, b, c, d], ids) = kept.split_first_chunk()? else { return None };
        let scored = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        Some(Self { ids: cached::ids(ids), scored, is_all: *is_all == 1 })
    }

    /// Keeps it under a key that this call has looked at.
    pub(crate) fn keep(&self, key: &str) {
        let _ = cache::fill(key, self.bytes(), AGE);
    }

    fn bytes(&self) -> Vec<u8> {
        let scored = u32::try_from(self.scored).unwrap_or_default().to_le_bytes();
        [&[FORM, u8::from(self.is_all)][..], &scored, &cached::bytes(&self.ids)].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read() {
        let ids: Vec<ObjectId> = (0..9).map(|number| ObjectId::from_bytes([number; 12])).collect();
        for is_all in [true, false] {
            let ranking = Ranking { ids: ids.clone(), scored: 2_000, is_all };
            assert_eq!(Ranking::read(&ranking.bytes()), Some(ranking));
        }
        for odd in [&b""[..], b"\x02\x01\0\0\0\0", b"\x01\x01\0\0"] {
            assert_eq!(Ranking::read(odd), None, "{odd:?}");
        }
    }
}
