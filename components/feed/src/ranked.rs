//! The ranked feed: who fits the caller best.
//!
//! Up to a thousand members whom one may be shown are all scored for each page. Where there are more, those of a pool are
//! ([`crate::pool`]), and the ranking is kept ([`crate::ranking`]); behind them come the others, the newest first, each scored when
//! shown, so that the pages go on to the end of the network. Until the index is built, the newest thousand are all there is. From
//! one page to the next the ranking is the same while nobody joins, changes or is asked.

use devconnect_sdk::prelude::*;
use model::matching::catalogue::Catalogue;
use model::matching::profile::Profile;
use model::{cached, user};

use crate::answer::{self, Answer, Recommendations};
use crate::available::{Available, Order};
use crate::judge::{Judge, Judged};
use crate::page::Page;
use crate::pool;
use crate::ranking::Ranking;
use crate::reasons::reasons;
use crate::state::{self, Built};

/// The most members that are scored for one answer without an index.
const POOL: u32 = documents::MOST;
/// From this score on a member is a high match.
pub(crate) const HIGH: f64 = 0.7;

/// Another member.
struct Candidate {
    id: ObjectId,
    profile: Profile,
    judged: Judged,
}

/// What the caller is compared by.
struct Caller {
    user: Document,
    profile: Profile,
    catalogue: Catalogue,
    judge: Judge,
}

pub(crate) fn answer(caller: ObjectId, tier: &str, available: &Available, page: Page) -> Result<Answer, Error> {
    let key = Ranking::key(caller);
    let mut kept = cache::get_many(&[key.clone(), state::KEY.to_owned()]).unwrap_or_default().into_iter();
    let (ranking, state) = (kept.next().flatten(), kept.next().flatten());
    let built = Built::of(state)?;
    let mut caller = Caller::read(caller, tier, built)?;
    if let Some(ranking) = ranking.as_deref().and_then(Ranking::read) {
        return caller.page_of(&ranking, available, page);
    }
    let newest = available.ids(Order::NewestFirst, 0, POOL)?;
    if newest.len() < POOL as usize || !built.index {
        return caller.page_of_few(&newest, available, page);
    }
    let pool = pool::of(&caller.profile, &caller.catalogue, available, newest)?;
    let ranking = Ranking::of(&caller.user, pool, &caller.judge)?;
    ranking.keep(&key);
    caller.page_of(&ranking, available, page)
}

impl Caller {
    fn read(id: ObjectId, tier: &str, built: Built) -> Result<Self, Error> {
        let mut catalogue = Catalogue::embedded()?;
        let user = user::cast(Document::from_slice(&cached::user(id, &cached::SKILLS)?).unwrap_or_default());
        let profile = Profile::of(&user, &mut catalogue);
        let judge = Judge::of(id, tier, &profile, &catalogue, built)?;
        Ok(Self { user, profile, catalogue, judge })
    }

    /// A page of the ranking of all of these.
    fn page_of_few(&mut self, ids: &[ObjectId], available: &Available, page: Page) -> Result<Answer, Error> {
        let seen = ids.len() as u64;
        let total_available = if ids.len() < POOL as usize { seen } else { available.count()?.max(seen) };
        let mut ranking = self.candidates(ids)?;
        ranking.retain(|candidate| candidate.judged.is_enough);
        // Stable: the pool has the newest first.
        ranking.sort_by(|one, other| other.judged.total.total_cmp(&one.judged.total));
        let (offset, limit) = (page.offset() as usize, page.limit as usize);
        let has_more = ranking.len() > offset + limit;
        let chosen: Vec<Candidate> = ranking.into_iter().skip(offset).take(limit).collect();
        self.shown(&chosen, Counts { total_available, ml_processed: ids.len(), has_more }, page)
    }

    /// A page of a ranking, and of those behind it.
    fn page_of(&mut self, ranking: &Ranking, available: &Available, page: Page) -> Result<Answer, Error> {
        let (offset, limit) = (page.offset() as usize, page.limit as usize);
        let recommended = ranking.ids.len();
        let mut ids: Vec<ObjectId> = ranking.ids.iter().skip(offset).take(limit).copied().collect();
        let mut has_more = recommended > offset + limit || !ranking.is_all;
        if ids.len() < limit && !ranking.is_all {
            let skip = u32::try_from(offset.saturating_sub(recommended)).unwrap_or(u32::MAX);
            let missing = limit - ids.len();
            let count = u32::try_from(missing + 1).unwrap_or(page.limit);
            // One more than the page holds tells whether there is a next one.
            let others = available.besides(&ranking.ids).ids(Order::NewestFirst, skip, count)?;
            has_more = others.len() > missing;
            ids.extend(others.into_iter().take(missing));
        }
        let chosen = self.candidates(&ids)?;
        let seen = (offset + ids.len()) as u64;
        let total_available = available.count()?.max(if ids.is_empty() { 0 } else { seen });
        self.shown(&chosen, Counts { total_available, ml_processed: ranking.scored, has_more }, page)
    }

    /// These members as they are, in their order; those who can be read.
    fn candidates(&mut self, ids: &[ObjectId]) -> Result<Vec<Candidate>, Error> {
        let mut candidates = Vec::with_capacity(ids.len());
        // A document that can't be read recommends nobody, and is no reason to recommend nobody else.
        let rows = cached::users(ids, &cached::SKILLS)?;
        for user in rows.iter().filter_map(|row| Document::from_slice(row).ok()).map(user::cast) {
            let Some(id) = user.get_oid("_id") else { continue };
            let profile = Profile::of(&user, &mut self.catalogue);
            let judged = self.judge.judged(&self.profile, &profile, &self.catalogue);
            candidates.push(Candidate { id, profile, judged });
        }
        Ok(candidates)
    }

    /// The answer with these members.
    fn shown(&self, chosen: &[Candidate], counts: Counts, page: Page) -> Result<Answer, Error> {
        let (mut data, mut high_match) = (Vec::with_capacity(chosen.len()), 0);
        let cards = cached::users(&chosen.iter().map(|candidate| candidate.id).collect::<Vec<_>>(), &cached::CARD)?;
        for (Candidate { profile, judged, .. }, card) in chosen.iter().zip(cards) {
            let mut more = Document::new();
            more.insert("recommendationScore", judged.total);
            let mut told: Vec<String> = self.judge.reason(profile, &self.catalogue).into_iter().collect();
            told.extend(reasons(&self.profile, profile, &judged.scores, &self.catalogue));
            more.insert("recommendationReasoning", told);
            more.insert("scoreBreakdown", breakdown(judged));
            // Who is gone since the pool was read is left out.
            let Some(shown) = answer::member(card, &more)? else { continue };
            data.push(shown);
            high_match += usize::from(judged.total >= HIGH);
        }
        let recommendations = Recommendations {
            total_available: counts.total_available,
            ml_processed: counts.ml_processed,
            returned: data.len(),
            high_match,
            page: page.number,
            has_more: counts.has_more,
        };
        Ok(Answer { data, recommendations })
    }
}

/// What is to be said of a page besides what is on it.
struct Counts {
    total_available: u64,
    ml_processed: usize,
    has_more: bool,
}

fn breakdown(judged: &Judged) -> Document {
    doc! {
        "jaccard": judged.scores.jaccard,
        "cosine": judged.scores.cosine,
        "complementary": judged.scores.complementary,
        "diversity": judged.scores.diversity,
        "experience": judged.scores.experience,
    }
}
