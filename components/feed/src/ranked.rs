//! The ranked feed: who fits the caller best. At most [`POOL`] members are scored, the newest of those that one may be
//! shown: nobody has seen them yet, and no index of both engines leads from a skill to its members (the embedded one
//! finds no single elements of arrays by an index). From one page to the next the ranking is the same while nobody
//! joins, changes or is asked.

use std::collections::BTreeMap;

use devconnect_sdk::prelude::*;
use model::user;

use crate::answer::{Answer, Recommendations};
use crate::available::{Available, Order, row_bytes};
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

pub(crate) fn answer(caller: &Document, available: &Available, page: Page) -> Result<Answer, Error> {
    let mut catalogue = Catalogue::embedded()?;
    let member = Profile::of(caller, &mut catalogue);
    let wanted = doc! { "skills": 1, "age": 1 };
    let pool = available.users(Order::NewestFirst, 0, POOL, &wanted)?;
    let seen = pool.len() as u64;
    let total_available = if pool.len() < POOL as usize { seen } else { available.count()?.max(seen) };
    let ranking = ranking(&member, &pool, &mut catalogue);

    let (offset, limit) = (page.offset() as usize, page.limit as usize);
    let chosen: Vec<&Candidate> = ranking.iter().skip(offset).take(limit).collect();
    let mut users = users(&chosen)?;
    let (mut data, mut high_match) = (Vec::with_capacity(chosen.len()), 0);
    for candidate in chosen {
        // Who is gone since the pool was read is left out.
        let Some(mut shown) = users.remove(&candidate.id) else { continue };
        shown.insert("recommendationScore", candidate.total);
        let reasons = reasons(&member, &candidate.profile, &candidate.scores, &catalogue);
        shown.insert("recommendationReasoning", reasons);
        shown.insert("scoreBreakdown", breakdown(&candidate.scores));
        data.push(shown);
        high_match += usize::from(candidate.total >= HIGH);
    }
    let recommendations = Recommendations {
        total_available,
        ml_processed: pool.len(),
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

/// The candidates of a page as they are shown, by id.
fn users(chosen: &[&Candidate]) -> Result<BTreeMap<ObjectId, Document>, Error> {
    if chosen.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids: Vec<ObjectId> = chosen.iter().map(|candidate| candidate.id).collect();
    let query = collection(user::COLLECTION).find(doc! { "_id": { "$in": ids } }).project(user::safe_projection());
    let count = u32::try_from(chosen.len()).unwrap_or(POOL);
    let found = query.limit(count).row_bytes(row_bytes(count)).raw()?;
    let users = found.iter().filter_map(|user| Document::from_slice(user).ok());
    Ok(users.filter_map(|user| Some((user.get_oid("_id")?, user::safe(&user)))).collect())
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
