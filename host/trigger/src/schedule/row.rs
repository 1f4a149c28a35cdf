//! A schedule's row: the last finished tick, the lease of the current one, and how far that is.
//!
//! A host that takes the lease increments `fence`, and every write under the lease requires its own value: a host that lost
//! its lease can't commit, whatever its clock says.

use bson::{Document, RawDocument, RawDocumentBuf, doc};

use capability::documents::{Commit, Documents, Error, Filter, Query, Write, date};

/// The collection of the rows. It is the host's, not the application's.
pub const COLLECTION: &str = "host-schedules";

/// The row of one schedule. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ScheduleRow {
    /// The last finished tick.
    pub(super) last: u64,
    /// How many leases there were.
    pub(super) fence: i64,
    /// When the last lease expires.
    pub(super) until: u64,
    /// The tick that is under way.
    pub(super) tick: Option<u64>,
    /// Where its next part starts.
    pub(super) cursor: Option<String>,
}

impl ScheduleRow {
    /// The stored row; none when there is none yet.
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

    /// Inserts the row, unless another host did: ticks before `now` are not made up for.
    pub(super) async fn insert(documents: &dyn Documents, id: &str, now: u64) -> Result<(), Error> {
        let document = doc! { "_id": id, "last": date(now), "fence": 0_i64, "until": date(0) };
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        let insert = Write::Insert { collection: COLLECTION.to_owned(), document };
        match documents.commit_in_background(Commit { writes: vec![insert], events: Vec::new() }).await {
            Err(Error::Duplicate { .. }) => Ok(()),
            done => done.map(drop),
        }
    }

    /// A write that is refused when another host has taken the lease since `fence`.
    pub(super) fn change(id: &str, fence: i64, change: &Document) -> Result<Write, Error> {
        Write::change_known(COLLECTION, &doc! { "_id": id, "fence": fence }, change)
    }
}
