//! All that is held of a member, as JSON, by the table in `held`. It is read page by page and written row by row, so that a call
//! takes a bounded memory whatever there is. What does not fit into one answer goes on where `next` says.

use devconnect_sdk::prelude::*;
use devconnect_sdk::sessions;
use model::rate::Rate;
use model::user;

use crate::held::{Exported, HELD, List, Size};
use crate::proof;
use crate::sessions::shown;

/// The most bytes of an answer.
const MOST_BYTES: usize = 12 << 20;
/// Documents that are in memory at once, and the most bytes of one: a larger one, of an old database, comes without its largest
/// fields.
const PAGE: u32 = 100;
const ROW_BYTES: u32 = 64 << 10;
/// The same of lists that are short.
const FEW: u32 = 1_000;
const FEW_ROW_BYTES: u32 = 4 << 10;
/// No id is less.
const LEAST: ObjectId = ObjectId::from_bytes([0; 12]);

/// Answers of one member.
const EXPORTS: Rate = Rate {
    name: "exports",
    setting: "limits.exports",
    most: 30,
    seconds: 3_600,
    refusal: "You have exported your data too often, please try again later",
};

pub(crate) fn export(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let lists: Vec<(&str, &List)> = lists().collect();
    let start = match request.query("cursor").filter(|cursor| !cursor.is_empty()) {
        Some(cursor) => Some(Place::of(&cursor, &lists)?),
        None => None,
    };
    EXPORTS.count(&me.to_hex())?;
    let mut answer = Answer::new();
    if start.is_none() {
        let stored: Option<Document> = collection(user::COLLECTION).by_id(me)?;
        answer.field("profile", &user::own(stored.ok_or_else(proof::missing)?))?;
        let living = sessions::living(&request.identity()?.subject)?;
        answer.field("sessions", &living.iter().map(shown).collect::<Vec<_>>())?;
    }
    let start = start.unwrap_or(Place { list: 0, after: LEAST });
    for (number, (name, list)) in lists.iter().enumerate().skip(start.list) {
        let after = if number == start.list { start.after } else { LEAST };
        if let Some(last) = answer.list(name, list, me, after)? {
            return answer.end(Some(&format!("{}-{}", list.name, last.to_hex())));
        }
    }
    answer.end(None)
}

/// All lists, each with its collection.
fn lists() -> impl Iterator<Item = (&'static str, &'static List)> {
    HELD.iter().flat_map(|held| {
        let lists = match held.exported {
            Exported::Lists(lists) => lists,
            Exported::Apart | Exported::Nothing => &[],
        };
        lists.iter().map(|list| (held.collection, list))
    })
}

/// Where an answer begins.
#[derive(Debug, PartialEq)]
struct Place {
    list: usize,
    /// The last document of the answer before.
    after: ObjectId,
}

impl Place {
    /// What `next` said: `list-id`.
    fn of(cursor: &str, lists: &[(&str, &List)]) -> Result<Self, Error> {
        let place = cursor.split_once('-').and_then(|(name, id)| {
            let list = lists.iter().position(|(_, list)| list.name == name)?;
            Some(Self { list, after: id.parse().ok()? })
        });
        place.ok_or_else(|| Error::bad_request("cursor must be the `next` of an export"))
    }
}

/// The answer while it is written.
struct Answer(Vec<u8>);

impl Answer {
    fn new() -> Self {
        Self(format!("{{\"exportedAt\":\"{}\"", clock::now()).into_bytes())
    }

    /// A field; its name needs no escapes.
    fn name(&mut self, name: &str) {
        self.0.extend(format!(",\"{name}\":").into_bytes());
    }

    fn field<T: serde::Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Error> {
        self.name(name);
        self.0.extend(json(value)?);
        Ok(())
    }

    /// A list from behind `after` on; where it was broken off because the answer is full, none: it is whole.
    fn list(
        &mut self,
        collection: &str,
        list: &List,
        of: ObjectId,
        after: ObjectId,
    ) -> Result<Option<ObjectId>, Error> {
        self.name(list.name);
        self.0.push(b'[');
        let broken_off = self.rows(collection, list, of, after)?;
        self.0.push(b']');
        Ok(broken_off)
    }

    fn rows(
        &mut self,
        collection: &str,
        list: &List,
        of: ObjectId,
        mut after: ObjectId,
    ) -> Result<Option<ObjectId>, Error> {
        let mut is_first = true;
        loop {
            let query = documents::collection(collection);
            let mut filter = (list.which.filter)(of);
            let (query, limit) = match list.which.size {
                Size::Few => (query.find(filter).limit(FEW).row_bytes(FEW_ROW_BYTES), FEW),
                Size::Many(_) => {
                    filter.insert("_id", doc! { "$gt": after });
                    (query.find(filter).sort(doc! { "_id": 1 }).limit(PAGE).row_bytes(ROW_BYTES), PAGE)
                }
            };
            let rows = query.raw()?;
            let is_last = rows.len() < limit as usize || matches!(list.which.size, Size::Few);
            // A document that can't be read is left out.
            for row in rows.iter().filter_map(|row| Document::from_slice(row).ok()) {
                let id = row.get_oid("_id");
                let Some(shown) = (list.shown)(row) else {
                    after = id.unwrap_or(after);
                    continue;
                };
                let shown = json(&shown)?;
                if self.0.len() + shown.len() > MOST_BYTES {
                    return Ok(Some(after));
                }
                if !std::mem::replace(&mut is_first, false) {
                    self.0.push(b',');
                }
                self.0.extend(shown);
                after = id.unwrap_or(after);
            }
            if is_last {
                return Ok(None);
            }
        }
    }

    fn end(mut self, next: Option<&str>) -> Result<Response, Error> {
        if let Some(next) = next {
            self.field("next", next)?;
        }
        self.0.push(b'}');
        // A browser that is sent here keeps it as a file.
        let kept = "attachment; filename=\"devconnect-account.json\"";
        Ok(Response::json_bytes(self.0).header("content-disposition", kept))
    }
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value).map_err(|error| Error::internal(format!("a part of an export is no JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_the_end_of_an_answer() {
        let lists: Vec<(&str, &List)> = lists().collect();
        let id = ObjectId::from_bytes([7; 12]);
        let Ok(place) = Place::of(&format!("messagesSent-{}", id.to_hex()), &lists) else { panic!("it is one") };
        assert_eq!((lists[place.list].1.name, place.after), ("messagesSent", id));
        for garbage in [
            "-",
            "messagesSent",
            "messagesSent-",
            "messagesSent-x",
            "profile-0",
            "users-000000000000000000000000",
            "💥-💥",
        ] {
            assert!(matches!(Place::of(garbage, &lists), Err(Error::BadRequest(_))), "{garbage}");
        }
    }
}
