//! Erases what deleted accounts leave, by the table in `held`. A pass goes through the collections and deletes page by page; each
//! page is a part of a tick and done once, and a pass that breaks off begins anew: what is gone is not found again. A second pass,
//! a day later, erases what was on its way when the account was deleted.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use devconnect_sdk::schedule::Tick;
use model::events::{Erased as Told, USER_EVENTS};

use crate::deletion;
use crate::held::{Erased, HELD, Size, Which};

/// Documents of a page, each of which is a write. A connection request makes four cached values stale, of the thousand that a
/// commit may.
const PAGE: u32 = 100;
/// The most bytes of what is read of one.
const ROW_BYTES: u32 = 1 << 10;
/// From one pass to the next, in seconds.
const LATER: i64 = 86_400;
/// The cursor behind the last page of a pass.
const NEXT: &str = "next";
/// No id is less.
const LEAST: ObjectId = ObjectId::from_bytes([0; 12]);

/// Where a part begins.
#[derive(Debug, PartialEq)]
struct Place {
    member: ObjectId,
    /// In [`steps`].
    step: usize,
    /// The last document of the page before.
    after: ObjectId,
}

/// A part: at most a page of a collection. Nothing is left when no pass is due.
pub(crate) fn due(tick: &Tick) -> Result<Option<String>, Failure> {
    let place = match tick.cursor() {
        None | Some(NEXT) => first()?,
        Some(cursor) => Some(Place::of(cursor)?),
    };
    let Some(Place { member, step, after }) = place else { return Ok(None) };
    for (number, (collection, which)) in steps().enumerate().skip(step) {
        let after = if number == step { after } else { LEAST };
        match which.size {
            Size::Few => {
                Commit::new().delete(collection, (which.filter)(member)).many().run()?;
            }
            Size::Many(fields) => {
                if let Some(last) = page(collection, which, fields, member, after)? {
                    return Ok(Some(Place { member, step: number, after: last }.cursor()));
                }
            }
        }
    }
    finish(member)?;
    Ok(Some(NEXT.to_owned()))
}

/// The pass that has been due for longest, from its beginning.
fn first() -> Result<Option<Place>, Failure> {
    let due =
        collection(deletion::COLLECTION).find(doc! { "dueAt": { "$lte": clock::now() } }).sort(doc! { "dueAt": 1 });
    let due: Option<Document> = due.first()?;
    let member = due.and_then(|due| due.get_oid("_id"));
    Ok(member.map(|member| Place { member, step: 0, after: LEAST }))
}

/// What is erased in passes: collections, and which of their documents.
fn steps() -> impl Iterator<Item = (&'static str, Which)> {
    HELD.iter().flat_map(|held| {
        let all = match held.erased {
            Erased::Later(all) => all,
            Erased::AtOnce | Erased::ByEvent | Erased::Never => &[],
        };
        all.iter().map(|which| (held.collection, *which))
    })
}

/// Deletes a page; the last of its documents, none when there was none.
fn page(
    name: &str,
    which: Which,
    fields: &[&str],
    member: ObjectId,
    after: ObjectId,
) -> Result<Option<ObjectId>, Failure> {
    let mut filter = (which.filter)(member);
    filter.insert("_id", doc! { "$gt": after });
    let projection: Document = fields.iter().map(|field| ((*field).to_owned(), Bson::from(1))).collect();
    let query = collection(name).find(filter).project(projection).sort(doc! { "_id": 1 });
    let rows: Vec<Document> = query.limit(PAGE).row_bytes(ROW_BYTES).all()?;
    let mut commit = Commit::new();
    for row in &rows {
        let Some(id) = row.get_oid("_id") else { continue };
        let mut one = doc! { "_id": id };
        for field in fields {
            // An old message may have no pair. What is of another type is in no key and in no document of today.
            let value = row.get(field).filter(|value| matches!(value, Bson::ObjectId(_) | Bson::String(_)));
            one.insert(*field, value.cloned().unwrap_or(Bson::Null));
        }
        commit = commit.delete(name, one);
    }
    let last = rows.iter().rev().find_map(|row| row.get_oid("_id"));
    if last.is_some() {
        commit.run()?;
    }
    Ok(last)
}

/// After the first pass there is another one. After the last one nobody knows of the member any more, which an event tells.
fn finish(member: ObjectId) -> Result<(), Failure> {
    let found: Option<Document> = collection(deletion::COLLECTION).by_id(member)?;
    let Some(found) = found else { return Ok(()) };
    let this = doc! { "_id": member };
    if found.get_i64("passes") == Some(0) {
        let change = doc! { "$set": { "dueAt": clock::now().plus_seconds(LATER), "passes": 1 } };
        Commit::new().update(deletion::COLLECTION, this, change).run()?;
    } else {
        let told = Told {}.event(member);
        Commit::new().delete(deletion::COLLECTION, this).envelope(USER_EVENTS, &member.to_hex(), &told).run()?;
    }
    Ok(())
}

impl Place {
    /// Of a cursor: `member/step/after`.
    fn of(cursor: &str) -> Result<Self, Failure> {
        let mut parts = cursor.splitn(3, '/');
        let mut part = || parts.next().unwrap_or_default();
        let (member, step, after) = (part().parse(), part().parse(), part().parse());
        match (member, step, after) {
            (Ok(member), Ok(step), Ok(after)) => Ok(Self { member, step, after }),
            _ => Err(Failure::Reject(format!("the cursor is {cursor:?}, which is no place of a pass"))),
        }
    }

    fn cursor(&self) -> String {
        format!("{}/{}/{}", self.member.to_hex(), self.step, self.after.to_hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_from_its_cursor() {
        let place = Place { member: ObjectId::from_bytes([1; 12]), step: 3, after: ObjectId::from_bytes([9; 12]) };
        assert_eq!(Place::of(&place.cursor()), Ok(place));
        for garbage in ["", "x", "//", "1/2/3", "010101010101010101010101/-1/010101010101010101010101"] {
            assert!(matches!(Place::of(garbage), Err(Failure::Reject(_))), "{garbage}");
        }
    }

    #[test]
    fn a_page_of_each_step_fits_into_a_commit() {
        // A write each, and the keys of application.toml for each.
        assert!(PAGE <= 100 && steps().count() < 20);
    }
}
