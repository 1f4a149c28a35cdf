//! The requests that wait for a user, or for those whom a user has asked, all that one can look through or page by page, and the
//! users that one is connected with, all of them. A user who is gone is left out.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use devconnect_sdk::bson::Bson;
use devconnect_sdk::documents::MOST;
use devconnect_sdk::prelude::*;
use model::{cached, user};

use crate::page::Page;
use crate::request::{self, INTERESTED};

/// What a list of requests shows of the other one.
const OTHER_FIELDS: [&str; 3] = ["firstName", "lastName", "photoUrl"];
/// Users that are in memory at once.
const USERS: usize = 500;
/// The most bytes of one of them; a profile of today has half as many. Larger ones are shown without their largest fields.
const USER_BYTES: u32 = 32 << 10;
/// The most bytes of a request.
const REQUEST_BYTES: u32 = 4 << 10;
/// The most bytes of an answer. A row that does not fit is not among the rows.
const MOST_BYTES: usize = 12 << 20;
/// The most requests of a list without pages: the newest. Strangers decide how many there are.
const MOST_RECEIVED: usize = 10_000;

/// Whose side of a request a list is about: the field with the member, and that with the other one.
struct Side {
    member: &'static str,
    other: &'static str,
}

/// The requests that wait for the member.
pub(crate) fn received(request: &Request) -> Result<Response, Error> {
    list(request, &Side { member: "toUserId", other: "fromUserId" })
}

/// The requests of the member that wait for others.
pub(crate) fn sent(request: &Request) -> Result<Response, Error> {
    list(request, &Side { member: "fromUserId", other: "toUserId" })
}

fn list(request: &Request, side: &Side) -> Result<Response, Error> {
    let me = request.user_id()?;
    let page = Page::asked(request)?;
    let waits = doc! { (side.member): me, "status": INTERESTED };
    let (waiting, more) = match page {
        Some(page) => waiting_on(page, waits)?,
        None => newest_waiting(&waits)?,
    };
    let projection: Document = OTHER_FIELDS.iter().map(|field| ((*field).to_owned(), Bson::from(1))).collect();
    let mut list = List::new("Data fetched successfully");
    for some in waiting.chunks(USERS) {
        let others = users(some.iter().filter_map(|request| request.get_oid(side.other)), &projection)?;
        for request in some {
            let Some(other) = request.get_oid(side.other).and_then(|id| others.get(&id)) else { continue };
            let mut shown = request::shown(request.clone());
            shown.insert(side.other, other.clone());
            list.push(&shown)?;
        }
    }
    Ok(match page {
        Some(page) => list.end(&format!(",\"page\":{},\"hasMore\":{more}", page.number)),
        None if more || list.is_cut => list.end(",\"hasMore\":true"),
        None => list.end(""),
    })
}

/// The requests of a page that wait, and whether there are more.
fn waiting_on(page: Page, waits: Document) -> Result<(Vec<Document>, bool), Error> {
    let query = collection(request::COLLECTION).find(waits);
    // One more, to know whether there is a next page.
    let query = query.sort(doc! { "createdAt": -1, "_id": -1 }).skip(page.offset()).limit(page.limit + 1);
    let mut found: Vec<Document> = query.project(unseen()).row_bytes(REQUEST_BYTES).all()?;
    let more = found.len() > page.limit as usize;
    found.truncate(page.limit as usize);
    Ok((found.into_iter().map(request::cast).collect(), more))
}

/// The newest requests that wait, and whether there are more than a list has. They are read by `_id`, as all lists
/// are, from the newest on.
fn newest_waiting(waits: &Document) -> Result<(Vec<Document>, bool), Error> {
    let (mut all, mut page): (Vec<Document>, _) = (Vec::new(), Document::new());
    let more = loop {
        let mut filter = waits.clone();
        filter.extend(page);
        let query = collection(request::COLLECTION).find(filter.clone()).sort(doc! { "_id": -1 });
        if all.len() >= MOST_RECEIVED {
            break collection(request::COLLECTION).exists(filter)?;
        }
        let found: Vec<Document> = query.project(unseen()).row_bytes(REQUEST_BYTES).all()?;
        let is_last = found.len() < MOST as usize;
        all.extend(found.into_iter().map(request::cast));
        match all.last().and_then(|last| last.get("_id")) {
            Some(id) if !is_last => page = doc! { "_id": { "$lt": id.clone() } },
            _ => break false,
        }
    };
    latest_first(&mut all, "createdAt");
    Ok((all, more))
}

/// What no list shows of a request.
fn unseen() -> Document {
    doc! { "pair": 0, "__v": 0 }
}

pub(crate) fn connections(request: &Request) -> Result<Response, Error> {
    let others = cached::connections(request.user_id()?)?;
    let mut list = List::new("Connections fetched successfully");
    for some in others.chunks(USERS) {
        for card in cached::users(some, &cached::CARD)? {
            // An empty one is of who is gone.
            if !card.is_empty() {
                list.push_json(&card);
            }
        }
    }
    Ok(list.end(""))
}

/// The answer, written row by row: it may be long, and what it is made of need not all be there at once.
struct List {
    body: Vec<u8>,
    is_empty: bool,
    /// Rows are left out, because they do not fit.
    is_cut: bool,
}

impl List {
    /// `message` needs no escapes.
    fn new(message: &str) -> Self {
        Self { body: format!("{{\"message\":\"{message}\",\"data\":[").into_bytes(), is_empty: true, is_cut: false }
    }

    fn push(&mut self, row: &Document) -> Result<(), Error> {
        let row =
            serde_json::to_vec(row).map_err(|error| Error::internal(format!("a row of a list is no JSON: {error}")))?;
        self.push_json(&row);
        Ok(())
    }

    fn push_json(&mut self, row: &[u8]) {
        if self.body.len() + row.len() > MOST_BYTES {
            self.is_cut = true;
            return;
        }
        if !std::mem::replace(&mut self.is_empty, false) {
            self.body.push(b',');
        }
        self.body.extend(row);
    }

    /// With further fields, each behind a comma.
    fn end(mut self, fields: &str) -> Response {
        self.body.push(b']');
        self.body.extend(fields.as_bytes());
        self.body.push(b'}');
        Response::json_bytes(self.body)
    }
}

fn latest_first(all: &mut [Document], date: &str) {
    all.sort_by_cached_key(|request| Reverse((request.get_date(date), request.get_oid("_id"))));
}

/// These users by their ids, of which there are at most [`USERS`].
fn users(
    ids: impl Iterator<Item = ObjectId>,
    projection: &Document,
) -> Result<BTreeMap<ObjectId, Document>, documents::Error> {
    let filter = doc! { "_id": { "$in": ids.collect::<Bson>() } };
    let query = collection(user::COLLECTION).find(filter).project(projection.clone());
    let users: Vec<Document> = query.limit(USERS as u32).row_bytes(USER_BYTES).all()?;
    Ok(users.into_iter().filter_map(|user| Some((user.get_oid("_id")?, user::cast(user)))).collect())
}
