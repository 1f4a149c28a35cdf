//! Committing: does the writes of a commit in order and appends its events.
//!
//! Runs on the writer thread inside a savepoint, so an error anywhere undoes all of it. Touches the tables of the
//! collections and, through the events' outlet, the log or the outbox.

use std::borrow::Cow;

use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, ToSql};

use capability::documents::indexed::{arrays, check_arrays};
use capability::documents::order::{Key, key, validate_insert};
use capability::documents::{Change, Changed, Commit, Effect, Error, Filter, Write};
use capability::events;

use crate::budget;
use crate::query::{Found, for_write};
use crate::scans::Scans;
use crate::tables::{Layout, Table};
use crate::unavailable;

/// Runs all of a commit, whose insertions are validated, or fails.
pub(super) fn run(
    connection: &Connection,
    layout: &Layout,
    commit: &Commit,
    scans: Scans,
) -> Result<Vec<Effect>, Error> {
    let mut effects = Vec::with_capacity(commit.writes.len());
    for (number, write) in (0u32..).zip(&commit.writes) {
        let to = |collection: &str| Ok(Target { connection, layout, table: layout.table(collection)?, number, scans });
        effects.push(perform(to, write)?);
    }
    layout.outlet().append(connection, &commit.events).map_err(|error| match error {
        events::Error::Invalid(text) => Error::Invalid(text),
        events::Error::Unavailable(text) => Error::Unavailable(text),
    })?;
    Ok(effects)
}

/// Inserts documents of an earlier database, or none of them.
pub(super) fn adopt(
    connection: &Connection,
    layout: &Layout,
    collection: &str,
    documents: &[RawDocumentBuf],
) -> Result<Vec<Effect>, Error> {
    let table = layout.table(collection)?;
    for (number, document) in (0u32..).zip(documents) {
        if document.get("_id").ok().flatten().is_none() {
            return Err(Error::Invalid("the document has no `_id`; give it one".to_owned()));
        }
        Target { connection, layout, table, number, scans: Scans::Allowed }.insert(document)?;
    }
    Ok(Vec::new())
}

fn perform<'a>(to: impl Fn(&str) -> Result<Target<'a>, Error>, write: &Write) -> Result<Effect, Error> {
    match write {
        Write::Insert { collection, document } => {
            to(collection)?.insert(document)?;
            Ok(Effect { matched: 0, changed: 1, upserted: false })
        }
        Write::Update { collection, filter, change, upsert, many, must_match } => {
            let target = to(collection)?;
            let found = target.find(filter, *many)?;
            if found.is_empty() && *upsert {
                return target.upsert(filter, change);
            }
            target.must_match(*must_match, &found)?;
            target.update(&found, change)
        }
        Write::Delete { collection, filter, many, must_match } => {
            let target = to(collection)?;
            let found = target.find(filter, *many)?;
            target.must_match(*must_match, &found)?;
            target.delete(&found)
        }
    }
}

/// The table of a write, and the write's position in the commit.
struct Target<'a> {
    connection: &'a Connection,
    layout: &'a Layout,
    table: &'a Table,
    number: u32,
    scans: Scans,
}

impl Target<'_> {
    fn find(&self, filter: &Filter, many: bool) -> Result<Vec<Found>, Error> {
        for_write(self.connection, self.table, filter, many, self.scans)
    }

    fn must_match(&self, must: bool, found: &[Found]) -> Result<(), Error> {
        if must && found.is_empty() { Err(Error::Unmet(self.number)) } else { Ok(()) }
    }

    fn upsert(&self, filter: &Filter, change: &Change) -> Result<Effect, Error> {
        let document = change.upserted(filter)?;
        budget::check()?;
        validate_insert(&document)?;
        self.insert(&document)?;
        Ok(Effect { matched: 0, changed: 1, upserted: true })
    }

    fn insert(&self, document: &RawDocument) -> Result<(), Error> {
        budget::spend(document.as_bytes().len())?;
        let document = &*id_first(document);
        self.check_arrays(document)?;
        match self.store(&self.table.statements.insert, &id_key(document), document) {
            // SQLite names any of the violated indexes; callers rely on `_id` being named first.
            Err(Error::Duplicate { write, .. }) if self.has_id(document)? => {
                Err(Error::Duplicate { write, index: "_id_".to_owned() })
            }
            done => done,
        }
    }

    fn has_id(&self, document: &RawDocument) -> Result<bool, Error> {
        let statement = self.connection.prepare_cached(&self.table.statements.has_id);
        let exists = statement.and_then(|mut statement| statement.exists([id_key(document)]));
        exists.map_err(unavailable)
    }

    fn update(&self, found: &[Found], change: &Change) -> Result<Effect, Error> {
        let mut effect = Effect { matched: found.len() as u64, ..Effect::default() };
        for Found { rowid, document: before } in found {
            budget::check()?;
            if let Some(Changed { document, .. }) = change.changed(before)? {
                self.check_arrays(&document)?;
                self.store(&self.table.statements.update, rowid, &document)?;
                effect.changed += 1;
            }
        }
        Ok(effect)
    }

    fn delete(&self, found: &[Found]) -> Result<Effect, Error> {
        let mut statement = self.connection.prepare_cached(&self.table.statements.delete).map_err(unavailable)?;
        for Found { rowid, document } in found {
            budget::spend(document.as_bytes().len())?;
            statement.execute([rowid]).map_err(unavailable)?;
        }
        Ok(Effect { matched: found.len() as u64, changed: found.len() as u64, upserted: false })
    }

    /// Runs a statement that takes a key, or a rowid, and a document.
    fn store(&self, sql: &str, place: &dyn ToSql, document: &RawDocument) -> Result<(), Error> {
        let mut statement = self.connection.prepare_cached(sql).map_err(unavailable)?;
        let parameters: &[&dyn ToSql] = &[place, &document.as_bytes()];
        let done = statement.execute(parameters);
        done.map(drop).map_err(|error| self.refusal(error))
    }

    /// An index has no keys for values inside arrays: a unique index refuses them, the paths of the others are marked.
    fn check_arrays(&self, document: &RawDocument) -> Result<(), Error> {
        let arrays = arrays(document, self.table.paths());
        for index in self.table.indexes.iter().filter(|_| !arrays.is_empty()) {
            check_arrays(&index.source, document, &arrays)?;
        }
        for path in arrays {
            self.layout.mark_array(self.connection, self.table, path).map_err(unavailable)?;
        }
        Ok(())
    }

    /// The error for a write that an index refused. SQLite names the index only in its text.
    fn refusal(&self, error: rusqlite::Error) -> Error {
        let rusqlite::Error::SqliteFailure(failure, Some(text)) = &error else { return unavailable(error) };
        let index = match failure.extended_code {
            rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY => Some("_id_"),
            rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE => {
                let named = |name: &str| text.ends_with(&format!("index '{}'", name.replace('\'', "''")));
                self.table.indexes.iter().find(|index| named(&index.sql_name)).map(|index| index.name.as_str())
            }
            _ => None,
        };
        match index {
            Some(index) => Error::Duplicate { write: self.number, index: index.to_owned() },
            None => unavailable(error),
        }
    }
}

/// The document with `_id` first, as it is stored.
fn id_first(document: &RawDocument) -> Cow<'_, RawDocument> {
    let first = document.iter().flatten().next().is_some_and(|(name, _)| name.as_str() == "_id");
    if first {
        return Cow::Borrowed(document);
    }
    let mut out = RawDocumentBuf::new();
    let (id, rest): (Vec<_>, Vec<_>) = document.iter().flatten().partition(|(name, _)| name.as_str() == "_id");
    id.into_iter().chain(rest).for_each(|(name, value)| out.append(name, value));
    Cow::Owned(out)
}

fn id_key(document: &RawDocument) -> Key {
    key(document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null))
}
