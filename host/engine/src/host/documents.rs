//! WIT glue of `devconnect:platform/documents`: checks grants, and keeps hidden fields out of filters, writes and results.

use std::collections::BTreeSet;

use bson::{RawDocument, RawDocumentBuf};

use crate::bindings::devconnect::platform::documents::{
    Conflict, Delete, Effect, Ended, Error, Event, Host, Insert, Query as WitQuery, Update, Write as WitWrite,
};
use crate::host::events::EventRefused;
use crate::{CookieChange, State};
use capability::Access;
use capability::cache::{KeyAccess, check_key};
use capability::documents::order::validate_insert;
use capability::documents::{
    Change, Effect as WriteEffect, Error as Failure, Filter, MAX_ANSWER, MAX_DOCUMENT, MAX_LIMIT, Projection, Query,
    Sort, View, Write,
};
use capability::sessions::SessionUse;
use capability::sessions::{Ending, Token};
use capability::text;
use capability::unit_of_work::UnitOfWork;

/// The most writes of one commit.
const MAX_WRITES: usize = 100;
/// The least bytes that a list's rows may have.
const MIN_ROW: usize = 1 << 10;
/// The most cache keys that one commit makes stale.
const MAX_STALE: usize = 100;
/// The most cache keys that the application names for one commit.
const MAX_FOLLOWING: usize = 1_000;
/// The most events of one commit.
const MAX_EVENTS: usize = 100;

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        // What a database says may repeat a whole document.
        let short = |why: String| if why.len() > text::MAX_TRAP { text::cut(&why, text::MAX_TRAP) } else { why };
        match failure {
            Failure::Invalid(why) => Error::Invalid(short(why)),
            Failure::Duplicate { write, index } => Error::Duplicate(Conflict { write, index }),
            Failure::Unmet(write) => Error::Unmet(write),
            Failure::Overdue(why) | Failure::Unavailable(why) => Error::Unavailable(short(why)),
        }
    }
}

/// A prepared commit.
#[derive(Default)]
struct Prepared {
    unit: UnitOfWork,
    /// The token of a session that it opens.
    opened: Option<Token>,
}

impl State {
    fn view<'a>(&'a self, collection: &'a str, wanted: Access) -> Result<View<'a>, Error> {
        let private = self.application().private(collection);
        self.grants().documents.view(collection, wanted, private).map_err(Error::Denied)
    }

    /// A filter; refused when it names a hidden field.
    fn filter(view: &View<'_>, bytes: &[u8]) -> Result<Filter, Error> {
        let filter = Filter::parse(raw(bytes)?)?;
        view.check_paths(filter.paths()).map_err(Error::Denied)?;
        Ok(filter)
    }

    fn query(&self, query: WitQuery) -> Result<Query, Error> {
        let view = self.view(&query.collection, Access::Read)?;
        let filter = Self::filter(&view, &query.filter)?;
        let sort = query.sort.as_deref().map_or(Ok(Sort::none()), |sort| Ok::<_, Error>(Sort::parse(raw(sort)?)?))?;
        view.check_paths(sort.paths()).map_err(Error::Denied)?;
        let projection = match query.projection.as_deref() {
            None => Projection::all(),
            Some(projection) => Projection::parse(raw(projection)?)?,
        };
        if !(1..=MAX_LIMIT).contains(&query.limit) {
            return Err(Error::Invalid(format!("a query's limit takes 1 to {MAX_LIMIT}, not {}", query.limit)));
        }
        let projection = view.hidden().fold(projection, Projection::without);
        let collection = self.slot_of(query.collection);
        Ok(Query { filter, sort, projection, skip: query.skip, limit: query.limit, collection })
    }

    fn write(&self, write: WitWrite, prepared: &mut Prepared) -> Result<(), Error> {
        let write = match write {
            WitWrite::Insert(insert) => self.insert(insert)?,
            WitWrite::Update(update) => self.update(update)?,
            WitWrite::Delete(delete) => self.delete(delete)?,
            WitWrite::OpenSession(session) => {
                self.session_use(SessionUse::Open).map_err(Error::Denied)?;
                let (token, write) = self.capabilities().sessions.open(&session.subject, &session.claims)?;
                prepared.opened = Some(token);
                write
            }
            WitWrite::EndSessions(ended) => {
                self.session_use(SessionUse::End).map_err(Error::Denied)?;
                let ending = match ended.which {
                    Ended::One(id) => Ending::One(id),
                    Ended::Others(id) => Ending::Others(id),
                    Ended::All => Ending::All,
                };
                let write = self.capabilities().sessions.end(&ended.subject, &ending)?;
                prepared.unit.ended.push((ended.subject, ending));
                write
            }
        };
        prepared.unit.writes.push(write);
        Ok(())
    }

    fn insert(&self, Insert { collection, document }: Insert) -> Result<Write, Error> {
        let view = self.view(&collection, Access::Write)?;
        for element in raw(&document)?.iter_elements() {
            let element = element.map_err(not_bson)?;
            view.check_path(element.key().as_str()).map_err(Error::Denied)?;
        }
        let document = RawDocumentBuf::from_bytes(document).map_err(not_bson)?;
        // Now and not at the commit, which may be after the call.
        validate_insert(&document)?;
        Ok(Write::Insert { collection: self.slot_of(collection), document })
    }

    fn update(&self, update: Update) -> Result<Write, Error> {
        let Update { collection, filter, change, upsert, many, must_match } = update;
        let view = self.view(&collection, Access::Write)?;
        let filter = Self::filter(&view, &filter)?;
        let change = Change::parse(raw(&change)?)?;
        view.check_paths(change.paths()).map_err(Error::Denied)?;
        let collection = self.slot_of(collection);
        Ok(Write::Update { collection, filter, change, upsert, many, must_match })
    }

    fn delete(&self, Delete { collection, filter, many, must_match }: Delete) -> Result<Write, Error> {
        let view = self.view(&collection, Access::Write)?;
        let filter = Self::filter(&view, &filter)?;
        Ok(Write::Delete { collection: self.slot_of(collection), filter, many, must_match })
    }

    fn prepare(&self, writes: Vec<WitWrite>, events: Vec<Event>, stale: Vec<String>) -> Result<Prepared, Error> {
        if writes.len() > MAX_WRITES || events.len() > MAX_EVENTS || stale.len() > MAX_STALE {
            return Err(Error::Invalid(format!(
                "a commit takes at most {MAX_WRITES} writes, {MAX_EVENTS} events and {MAX_STALE} stale keys"
            )));
        }
        for key in &stale {
            check_key(key).map_err(|error| Error::Invalid(error.to_string()))?;
            self.grants().cache.check(key, KeyAccess::Stale).map_err(Error::Denied)?;
        }
        let mut prepared = Prepared::default();
        let mut over: BTreeSet<String> = stale.into_iter().collect();
        for write in writes {
            self.write(write, &mut prepared)?;
            if let Some(write) = prepared.unit.writes.last() {
                over.extend(self.application().stale_by(write).map_err(Error::Invalid)?);
            }
            if over.len() > MAX_STALE + MAX_FOLLOWING {
                return Err(Error::Invalid(format!(
                    "a commit makes at most {MAX_FOLLOWING} cached values stale; write less at once"
                )));
            }
            // Before the next one is parsed: what is parsed may take many times its bytes.
            prepared.unit.check_weight()?;
        }
        let events = events.into_iter().map(|event| self.event(event)).collect::<Result<_, _>>();
        prepared.unit.events = events.map_err(|refused| match refused {
            EventRefused::Denied(line) => Error::Denied(line),
            EventRefused::Invalid(why) => Error::Invalid(why),
        })?;
        prepared.unit.stale = over;
        Ok(prepared)
    }

    /// The change of the caller's cookie once this is committed.
    fn cookie_after(&self, prepared: &Prepared) -> Option<CookieChange> {
        if let Some(token) = &prepared.opened {
            return Some(CookieChange::Set(token.clone()));
        }
        let caller = self.call.identity.as_ref()?;
        let mut ended = prepared.unit.ended.iter();
        ended
            .any(|(subject, ending)| *caller.subject == **subject && ending.covers(&caller.session))
            .then_some(CookieChange::Clear)
    }

    /// The error of a request that the store failed; records when the store did not answer. What it gave up counts as the
    /// component's failure: otherwise an event whose request always takes too long would be delivered again for ever.
    fn failure(&self, failure: Failure) -> Error {
        if matches!(failure, Failure::Unavailable(_)) {
            self.record_store_unavailable();
        }
        failure.into()
    }

    async fn found(&mut self, query: WitQuery) -> Result<Vec<Vec<u8>>, Error> {
        let query = self.query(query)?;
        let found = self.capabilities().documents.find(query).await.map_err(|why| self.failure(why))?;
        Ok(found.into_iter().map(RawDocumentBuf::into_bytes).collect())
    }

    async fn rows(&mut self, query: WitQuery, row_bytes: u32) -> Result<Vec<Vec<u8>>, Error> {
        let mut query = self.query(query)?;
        let row_bytes = usize::try_from(row_bytes).unwrap_or(usize::MAX);
        let most = MAX_ANSWER / (query.limit as usize);
        if !(MIN_ROW..=most).contains(&row_bytes) {
            return Err(Error::Invalid(format!(
                "rows of {row_bytes} bytes; {} of them may have {MIN_ROW} to {most} bytes each",
                query.limit
            )));
        }
        query.projection = query.projection.at_most(row_bytes);
        let found = self.capabilities().documents.find(query).await.map_err(|why| self.failure(why))?;
        Ok(found.into_iter().map(RawDocumentBuf::into_bytes).collect())
    }

    async fn counted(&mut self, collection: &str, filter: &[u8], limit: u32) -> Result<u64, Error> {
        let filter = Self::filter(&self.view(collection, Access::Read)?, filter)?;
        let collection = self.slot_of(collection.to_owned());
        let counted = self.capabilities().documents.count(&collection, filter, limit).await;
        counted.map_err(|why| self.failure(why))
    }

    async fn different(&mut self, collection: &str, field: &str, filter: &[u8]) -> Result<Vec<u8>, Error> {
        let view = self.view(collection, Access::Read)?;
        let filter = Self::filter(&view, filter)?;
        view.check_path(field).map_err(Error::Denied)?;
        let collection = self.slot_of(collection.to_owned());
        let values = self.capabilities().documents.distinct(&collection, field, filter).await;
        let values = values.map_err(|why| self.failure(why))?;
        let answer = RawDocumentBuf::try_from(&bson::doc! { "values": values }).map_err(not_bson)?;
        Ok(answer.into_bytes())
    }

    async fn committed(
        &mut self,
        writes: Vec<WitWrite>,
        events: Vec<Event>,
        stale: Vec<String>,
    ) -> Result<Vec<Effect>, Error> {
        let prepared = self.prepare(writes, events, stale)?;
        if let Some(gathered) = self.gathering() {
            if prepared.opened.is_some() {
                return Err(Error::Invalid("a session begins in a call for a request, not in one for an event".into()));
            }
            gathered.add(prepared.unit)?;
            return Ok(Vec::new());
        }
        let cookie = self.cookie_after(&prepared);
        let held = self.held_lock.take();
        let (done, lock) = prepared.unit.commit(self.capabilities(), held).await;
        if let Some(lock) = lock {
            self.held_lock.keep(lock);
        }
        let done = done.map_err(|why| self.failure(why))?;
        if let Some(cookie) = cookie {
            self.cookie = cookie;
        }
        let effect = |effect: WriteEffect| Effect {
            matched: effect.matched,
            changed: effect.changed,
            upserted: effect.upserted,
        };
        Ok(done.into_iter().map(effect).collect())
    }
}

fn raw(bytes: &[u8]) -> Result<&RawDocument, Error> {
    if bytes.len() > MAX_DOCUMENT {
        return Err(Error::Invalid(format!("{} bytes of BSON, at most {MAX_DOCUMENT} are allowed", bytes.len())));
    }
    RawDocument::from_bytes(bytes).map_err(not_bson)
}

fn not_bson(error: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("not a BSON document: {error}"))
}

impl Host for State {
    async fn find(&mut self, query: WitQuery) -> wasmtime::Result<Result<Vec<Vec<u8>>, Error>> {
        let _host = self.enter("documents.find")?;
        Ok(self.found(query).await)
    }

    async fn find_rows(&mut self, query: WitQuery, row_bytes: u32) -> wasmtime::Result<Result<Vec<Vec<u8>>, Error>> {
        let _host = self.enter("documents.find-rows")?;
        Ok(self.rows(query, row_bytes).await)
    }

    async fn count(&mut self, collection: String, filter: Vec<u8>, limit: u32) -> wasmtime::Result<Result<u64, Error>> {
        let _host = self.enter("documents.count")?;
        Ok(self.counted(&collection, &filter, limit).await)
    }

    async fn distinct(
        &mut self,
        collection: String,
        field: String,
        filter: Vec<u8>,
    ) -> wasmtime::Result<Result<Vec<u8>, Error>> {
        let _host = self.enter("documents.distinct")?;
        Ok(self.different(&collection, &field, &filter).await)
    }

    async fn commit(
        &mut self,
        writes: Vec<WitWrite>,
        events: Vec<Event>,
        stale: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Effect>, Error>> {
        let _host = self.enter("documents.commit")?;
        Ok(self.committed(writes, events, stale).await)
    }
}
