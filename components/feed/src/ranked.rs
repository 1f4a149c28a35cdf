//! The ranked feed: who fits the caller best. At most [`POOL`] members are scored, the newest of those that one may be
//! shown: nobody has seen them yet, and no index of both engines leads from a skill to its members (the embedded one
//! finds no single elements of arrays by an index). From one page to the next the ranking is the same while nobody
//! joins, changes or is asked.

use devconnect_sdk::prelude::*;
use model::{cached, user};

use crate::answer::{self, Answer, Recommendations};
use crate::available::{Available, Order};
use crate::catalogue::Catalogue;
use crate::page::Page;
use crate::profile::Profile;
use crate::reasons::reasons;
use crate::scores::Scores;

/// The most members that are scored for one answer.
const POOL: u32 = documents::MOST;
/// Who scores less is not recommended.
const LEAST: f64 = 0.05;
/// From this score on a member is a high match.
pub(crate) const HIGH: f64 = 0.7;

/// A member of the pool.
struct Candidate {
    id: ObjectId,
    profile: Profile,
    scores: Scores,
    total: f64,
}

pub(crate) fn answer(caller: ObjectId, available: &Available, page: Page) -> Result<Answer, Error> {
    let mut catalogue = Catalogue::embedded()?;
    let caller = Document::from_slice(&cached::user(caller, &cached::SKILLS)?).unwrap_or_default();
    let member = Profile::of(&user::cast(caller), &mut catalogue);
    let ids = available.ids(Order::NewestFirst, 0, POOL)?;
    let seen = ids.len() as u64;
    let total_available = if ids.len() < POOL as usize { seen } else { available.count()?.max(seen) };
    let pool = cached::users(&ids, &cached::SKILLS)?;
    let ranking = ranking(&member, &pool, &mut catalogue);

    let (offset, limit) = (page.offset() as usize, page.limit as usize);
    let chosen: Vec<&Candidate> = ranking.iter().skip(offset).take(limit).collect();
    let (mut data, mut high_match) = (Vec::with_capacity(chosen.len()), 0);
    let cards = cached::users(&chosen.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), &cached::CARD)?;
    for (candidate, card) in chosen.into_iter().zip(cards) {
        let mut more = Document::new();
        more.insert("recommendationScore", candidate.total);
        let reasons = reasons(&member, &candidate.profile, &candidate.scores, &catalogue);
        more.insert("recommendationReasoning", reasons);
        more.insert("scoreBreakdown", breakdown(&candidate.scores));
        // Who is gone since the pool was read is left out.
        let Some(shown) = answer::member(card, &more)? else { continue };
        data.push(shown);
        high_match += usize::from(candidate.total >= HIGH);
    }
    let recommendations = Recommendations {
        total_available,
        ml_processed: ids.len(),
        returned: data.len(),
        high_match,
        page: page.number,
        has_more: ranking.len() > offset + limit,
    };
    Ok(Answer { data, recommendations })
}

/// Who of the pool is recommended, best first; of equals the newest.
fn ranking(member: &Profile, pool: &[Vec<u8>], catalogue: &mut Catalogue) -> Vec<Candidate> {
    let mut ranking: Vec<Candidate> = Vec::with_capacity(pool.len());
    // A document that can't be read recommends nobody, and is no reason to recommend nobody else.
    for user in pool.iter().filter_map(|user| Document::from_slice(user).ok()).map(user::cast) {
        let Some(id) = user.get_oid("_id") else { continue };
        let profile = Profile::of(&user, catalogue);
        let scores = Scores::of(member, &profile, catalogue);
        let total = scores.total();
        if total >= LEAST {
            ranking.push(Candidate { id, profile, scores, total });
        }
    }
    // Stable: the pool has the newest first.
    ranking.sort_by(|one, other| other.total.total_cmp(&one.total));
    ranking
}

fn breakdown(scores: &Scores) -> Document {
    doc! {
        "jaccard": scores.jaccard,
        "cosine": scores.cosine,
        "complementary": scores.complementary,
        "diversity": scores.diversity,
        "experience": scores.experience,
    }
}
