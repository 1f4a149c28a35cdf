//! A schedule's document: which tick was done last, who is at one, and how far.
//!
//! Whoever takes the schedule raises `fence`, and every write of a turn demands its own: what a host commits that was taken
//! for dead is refused, whatever its clock says.

use bson::{Document, RawDocument, RawDocumentBuf, doc};

use crate::capability::documents::{Commit, Documents, Error, Filter, Query, Write, date};

/// Where they are. A collection of the host, not of the application.
pub const COLLECTION: &str = "host-schedules";

/// What the document says. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Row {
    /// The last tick that is done.
    pub(super) last: u64,
    /// How often it was taken.
    pub(super) fence: i64,
    /// Until when whoever took it last has it.
    pub(super) until: u64,
    /// The tick that is under way.
    pub(super) tick: Option<u64>,
    /// Where its next part begins.
    pub(super) cursor: Option<String>,
}

impl Row {
    /// As it is stored; none when it is not there yet.
    pub(super) async fn find(documents: &dyn Documents, id: &str) -> Result<Option<Self>, Error> {
        let by_id = Filter::from_document(&doc! { "_id": id })?;
        let found = documents.find(Query { limit: 1, ..Query::all(COLLECTION, by_id) }).await?;
        Ok(found.first().map(|raw| Self::read(raw)))
    }

    fn read(raw: &RawDocument) -> Self {
        let time = |name: &str| u64::try_from(raw.get_datetime(name).ok()?.timestamp_millis()).ok();
        Self {
            last: time("last").unwrap_or(0),
            fence: raw.get_i64("fence").unwrap_or(0),
            until: time("until").unwrap_or(0),
            tick: time("tick"),
            cursor: raw.get_str("cursor").ok().map(str::to_owned),
        }
    }

    /// Begins: what was before it was deployed is not made up for. Somebody else may have been first.
    pub(super) async fn insert(documents: &dyn Documents, id: &str, now: u64) -> Result<(), Error> {
        let document = doc! { "_id": id, "last": date(now), "fence": 0_i64, "until": date(0) };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        let insert = Write::Insert { collection: COLLECTION.to_owned(), document };
        match documents.commit_beside(Commit { writes: vec![insert], events: Vec::new() }).await {
            Err(Error::Duplicate { .. }) => Ok(()),
            done => done.map(drop),
        }
    }

    /// A write that is refused when somebody else has taken the schedule since `fence`.
    pub(super) fn change(id: &str, fence: i64, change: &Document) -> Result<Write, Error> {
        Write::change_known(COLLECTION, &doc! { "_id": id, "fence": fence }, change)
    }
}
