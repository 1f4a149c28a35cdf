//! Keeping the index: an event says that a member changed, and what is in the index becomes what the stored user says. So it
//! does not matter how often, in which order and of which time events come. All members are also looked at page by page, when
//! there is no index yet and once a week: of members from before there were events nothing else tells.

use std::collections::BTreeSet;

use devconnect_sdk::event::{Event, Failure};
use devconnect_sdk::prelude::*;
use model::matching::catalogue::Catalogue;
use model::user;

use crate::index::{self, Change, Known};

/// Users of a page, the most bytes of one as the scores read it, and how many that are gone are taken out with a page.
const PAGE: u32 = 200;
const USER_BYTES: u32 = 8 << 10;
const GONE: u32 = 20;
/// The most writes of a part: a call may gather a thousand.
const WRITES: usize = 800;

/// A member has other skills, or an account ended.
pub(crate) fn changed(event: &Event) -> Result<(), Failure> {
    let member = event.user_id()?;
    let known = Known::of(&[member])?.pop();
    let skills = if event.kind() == "USER_DELETED" {
        BTreeSet::new()
    } else {
        let users = page(doc! { "_id": member }, 1)?;
        let mut catalogue = Catalogue::embedded()?;
        users.into_iter().next().map_or_else(BTreeSet::new, |user| index::skills(user, &mut catalogue))
    };
    Change::to(member, known, skills).map_or(Ok(()), |change| change.write())
}

/// Looks at the members after one, in the order of their ids; answers the last one, none when there are no more.
pub(crate) fn look_on(after: ObjectId) -> Result<Option<ObjectId>, Failure> {
    let users = page(doc! { "_id": { "$gt": after } }, PAGE)?;
    let ids: Vec<ObjectId> = users.iter().filter_map(|user| user.get_oid("_id")).collect();
    let is_last = users.len() < PAGE as usize;
    let mut catalogue = Catalogue::embedded()?;
    let mut known = Known::of(&ids)?;
    let (mut writes, mut last) = (0, None);
    for user in users {
        let Some(id) = user.get_oid("_id") else { continue };
        let at = known.iter().position(|known| known.member == id).map(|at| known.swap_remove(at));
        if let Some(change) = Change::to(id, at, index::skills(user, &mut catalogue)) {
            // The rest is of the next part.
            if writes + change.writes() > WRITES {
                return Ok(last);
            }
            writes += change.writes();
            change.write()?;
        }
        last = Some(id);
    }
    // Who is in the index and gone.
    let mut range = doc! { "$gt": after };
    if let Some(last) = last.filter(|_| !is_last) {
        range.insert("$lte", last);
    }
    for gone in Known::others(range, &ids, GONE)? {
        let Some(change) = Change::to(gone.member, Some(gone), BTreeSet::new()) else { continue };
        if writes + change.writes() > WRITES {
            break;
        }
        writes += change.writes();
        change.write()?;
    }
    Ok(last.filter(|_| !is_last))
}

fn page(filter: Document, limit: u32) -> Result<Vec<Document>, documents::Error> {
    let query = collection(user::COLLECTION).find(filter).sort(doc! { "_id": 1 }).limit(limit);
    let rows = query.project(doc! { "skills": 1 }).row_bytes(USER_BYTES).raw()?;
    Ok(rows.iter().filter_map(|row| Document::from_slice(row).ok()).collect())
}
