//! What is built of that by which the feed recommends: the index from skills to members, and the model. `feedstate` has a document
//! of each. Until the first one is there the newest members are scored, and until the other one is, all by the formula.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use model::matching::catalogue::Catalogue;
use model::matching::pairs::VERSION;

/// The collection.
const COLLECTION: &str = "feedstate";
/// The document of the index.
const INDEX: &str = "index";
/// Where it is kept in short, and for how long, in seconds.
pub(crate) const KEY: &str = "feed:state";
const AGE: u32 = 30;

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) index: bool,
    pub(crate) model: bool,
}

impl Built {
    /// As the cache has it under [`KEY`], at which this call has looked; otherwise as the documents do.
    pub(crate) fn of(kept: Option<Vec<u8>>) -> Result<Self, Error> {
        if let Some([index, model]) = kept.as_deref() {
            return Ok(Self { index: *index == 1, model: *model == 1 });
        }
        let state = State::read()?;
        let built = Self { index: state.index.is_some(), model: state.model.is_some_and(|model| model.is_built) };
        // The cache is never needed.
        let _ = cache::fill(KEY, vec![u8::from(built.index), u8::from(built.model)], AGE);
        Ok(built)
    }
}

/// The index, once every member was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Index {
    /// Of the table of skills by which it was built.
    table: i64,
    at: DateTime,
}

impl Index {
    /// Whether it was built by the table of today, and after a moment.
    pub(crate) fn is_good(self, since: DateTime) -> bool {
        self.table == table() && self.at >= since
    }
}

/// The model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    /// Events of requests count from this moment on; what became of them before is read from the requests.
    pub(crate) since: DateTime,
    /// The last request that was read.
    pub(crate) read: Option<ObjectId>,
    /// Whether all were read.
    pub(crate) is_built: bool,
}

/// Both; none of what was not begun.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) index: Option<Index>,
    pub(crate) model: Option<Model>,
}

impl State {
    pub(crate) fn read() -> Result<Self, documents::Error> {
        let model = model_id();
        let filter = doc! { "_id": { "$in": [INDEX, model.as_str()] } };
        let found: Vec<Document> = collection(COLLECTION).find(filter).limit(2).all()?;
        let of = |id: &str| found.iter().find(|state| state.get_str("_id") == Some(id));
        let index =
            of(INDEX).and_then(|state| Some(Index { table: state.get_i64("table")?, at: state.get_date("at")? }));
        let model = of(&model).and_then(|state| {
            let is_built = state.get_bool("built") == Some(true);
            Some(Model { since: state.get_date("since")?, read: state.get_oid("read"), is_built })
        });
        Ok(Self { index, model })
    }
}

/// Every member was looked at.
pub(crate) fn index_is_built(now: DateTime) -> Result<(), Failure> {
    let change = doc! { "$set": { "table": table(), "at": now } };
    Commit::new().update(COLLECTION, doc! { "_id": INDEX }, change).upsert().stale(KEY).run()?;
    Ok(())
}

/// Events of requests count from a moment on.
pub(crate) fn model_is_begun(since: DateTime) -> Result<(), Failure> {
    let begun = doc! { "_id": model_id(), "model": VERSION, "since": since, "built": false };
    Commit::new().insert(COLLECTION, &begun).run()?;
    Ok(())
}

/// Requests were read up to this one, by who found them read up to `before`; and they were the last.
pub(crate) fn requests_are_read(before: Option<ObjectId>, to: Option<ObjectId>, are_last: bool) -> Result<(), Failure> {
    let read: Bson = to.or(before).map_or(Bson::Null, Bson::from);
    let from = before.map_or(Bson::Null, Bson::from);
    let change = doc! { "$set": { "read": read, "built": are_last } };
    Commit::new()
        .update(COLLECTION, doc! { "_id": model_id(), "read": from, "built": false }, change)
        .must_match()
        .stale(KEY)
        .run()?;
    Ok(())
}

/// Each version of the model has documents of its own, so that one is learnt beside the other.
fn model_id() -> String {
    format!("model/{VERSION}")
}

fn table() -> i64 {
    Catalogue::version().cast_signed()
}
