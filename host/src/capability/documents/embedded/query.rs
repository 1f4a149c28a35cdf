//! Asking: runs a plan and decides with the filter what really matches.
//!
//! Reads through the connection it is given, in one statement or in statements inside another, so that all of an
//! answer comes from one moment.

use std::collections::{BTreeMap, BinaryHeap};

use bson::{Bson, RawBsonRef, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, params_from_iter};

use crate::capability::documents::filter::spread;
use crate::capability::documents::order::{Key, key, valid_path};
use crate::capability::documents::{Error, Filter, MAX_LIMIT, Plan, Query, Sort};

use super::plan::{Ask, Wanted, plan};
use super::scans::{Asked, Scans};
use super::tables::{Layout, Table};
use super::unavailable;

/// The most documents that are sorted when no index gives the order: `skip` and `limit` together.
const MAX_SORTED: usize = 100_000;
/// The most bytes of them.
const MAX_SORTED_BYTES: usize = 64 << 20;
/// The most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// The most documents, and bytes of them, that one write changes.
const MAX_WRITTEN: usize = 100_000;
const MAX_WRITTEN_BYTES: usize = 64 << 20;

/// Whether to go on after a document.
pub(super) enum Next {
    More,
    Enough,
}

/// The matches of a query, projected.
pub(super) fn find(
    connection: &Connection,
    layout: &Layout,
    query: &Query,
    scans: Scans,
) -> Result<Vec<RawDocumentBuf>, Error> {
    let table = layout.table(&query.collection)?;
    unmoved(layout, || {
        let wanted = Wanted::new(&query.sort);
        let ask = plan(table, &query.filter, Some(&wanted));
        scans.check(table, &ask, &Asked::of(query, &ask))?;
        if !ask.in_order {
            return sorted(connection, table, &ask, query);
        }
        let unread = if ask.decided { query.skip } else { 0 };
        let (mut skip, mut found, mut bytes) = (query.skip - unread, Vec::new(), 0);
        each_after(unread, connection, table, &ask, &query.filter, |document| {
            if skip > 0 {
                skip -= 1;
            } else {
                let projected = query.projection.apply(document);
                bytes += projected.as_bytes().len();
                found.push(projected);
            }
            if bytes > MAX_ANSWER_BYTES {
                return Err(Error::Invalid(format!("the answer has over {MAX_ANSWER_BYTES} bytes; lower the limit")));
            }
            Ok(if found.len() < query.limit as usize { Next::More } else { Next::Enough })
        })?;
        Ok(found)
    })
}

/// The number of matches, counted up to `limit` unless that is 0.
pub(super) fn count(
    connection: &Connection,
    layout: &Layout,
    collection: &str,
    filter: &Filter,
    limit: u32,
    scans: Scans,
) -> Result<u64, Error> {
    let table = layout.table(collection)?;
    unmoved(layout, || {
        let ask = plan(table, filter, None);
        let taken = if ask.decided { Some(0) } else { (limit > 0).then_some(u64::from(limit)) };
        scans.check(table, &ask, &Asked { what: "count", filter, sort: None, taken })?;
        if ask.decided {
            return keys(connection, &ask, limit);
        }
        let mut count = 0;
        each(connection, table, &ask, filter, |_| {
            count += 1;
            Ok(if count == u64::from(limit) { Next::Enough } else { Next::More })
        })?;
        Ok(count)
    })
}

/// The lowest different values at a path among the matches.
pub(super) fn distinct(
    connection: &Connection,
    layout: &Layout,
    collection: &str,
    field: &str,
    filter: &Filter,
    scans: Scans,
) -> Result<Vec<Bson>, Error> {
    let table = layout.table(collection)?;
    valid_path(field)?;
    unmoved(layout, || {
        let ask = plan(table, filter, None);
        scans.check(table, &ask, &Asked { what: "distinct", filter, sort: None, taken: None })?;
        let mut values: BTreeMap<Key, Bson> = BTreeMap::new();
        each(connection, table, &ask, filter, |document| {
            spread(document, field, &mut |value| keep_lowest(&mut values, value));
            Ok(Next::More)
        })?;
        Ok(values.into_values().collect())
    })
}

fn keep_lowest(values: &mut BTreeMap<Key, Bson>, value: RawBsonRef<'_>) {
    if let (key, Ok(value)) = (key(value), Bson::try_from(value)) {
        values.entry(key).or_insert(value);
    }
    if values.len() > MAX_LIMIT as usize {
        values.pop_last();
    }
}

/// What SQLite says about the plan of a query.
pub(super) fn explain(connection: &Connection, layout: &Layout, query: &Query) -> Result<Plan, Error> {
    let table = layout.table(&query.collection)?;
    let ask = plan(table, &query.filter, Some(&Wanted::new(&query.sort)));
    let explained = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", ask.sql))?;
        statement.query_map(params_from_iter(&ask.parameters), |row| row.get("detail"))?.collect()
    };
    let mut steps = explained().map_err(unavailable)?;
    if !ask.in_order {
        steps.push("SORT IN MEMORY".to_owned());
    }
    Ok(Plan { steps, indexed: ask.is_bounded(Asked::of(query, &ask).taken) })
}

/// The documents that a write is about, at most one unless `many`; the one is the lowest by `_id`.
pub(super) fn for_write(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    many: bool,
    scans: Scans,
) -> Result<Vec<RawDocumentBuf>, Error> {
    let ask = plan(table, filter, Some(&Wanted::new(&Sort::none())));
    scans.check(table, &ask, &Asked { what: "write", filter, sort: None, taken: (!many).then_some(1) })?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    each(connection, table, &ask, filter, |document| {
        bytes += document.as_bytes().len();
        if found.len() == MAX_WRITTEN || bytes > MAX_WRITTEN_BYTES {
            return Err(Error::Invalid(format!(
                "the write is about more than {MAX_WRITTEN} documents or {MAX_WRITTEN_BYTES} bytes; split it"
            )));
        }
        found.push(document.to_owned());
        Ok(if many { Next::More } else { Next::Enough })
    })?;
    Ok(found)
}

/// Asks again when a path got its first array meanwhile: the plan may have passed over that document.
fn unmoved<T>(layout: &Layout, ask: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        let generation = layout.generation();
        let answer = ask()?;
        if layout.generation() == generation {
            return Ok(answer);
        }
    }
}

/// How many rows a decided plan has, up to `limit` unless that is 0. Reads keys of an index and no document.
fn keys(connection: &Connection, ask: &Ask, limit: u32) -> Result<u64, Error> {
    let sql = match limit {
        0 => format!("SELECT count(*) FROM ({})", ask.sql),
        limit => format!("SELECT count(*) FROM ({} LIMIT {limit})", ask.sql),
    };
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let count: i64 = statement.query_row(params_from_iter(&ask.parameters), |row| row.get(0)).map_err(unavailable)?;
    Ok(count.unsigned_abs())
}

/// Calls for each match, in the plan's order, until it is enough.
fn each(
    connection: &Connection,
    table: &Table,
    ask: &Ask,
    filter: &Filter,
    matched: impl FnMut(&RawDocument) -> Result<Next, Error>,
) -> Result<(), Error> {
    each_after(0, connection, table, ask, filter, matched)
}

/// As [`each`], past so many rows of a decided plan, whose documents are not read.
fn each_after(
    unread: u32,
    connection: &Connection,
    table: &Table,
    ask: &Ask,
    filter: &Filter,
    mut matched: impl FnMut(&RawDocument) -> Result<Next, Error>,
) -> Result<(), Error> {
    let mut check = |bytes: &[u8]| {
        let document = RawDocument::from_bytes(bytes)
            .map_err(|error| Error::Unavailable(format!("a stored document is damaged: {error}")))?;
        if filter.matches(document) { matched(document) } else { Ok(Next::More) }
    };
    let mut statement = connection.prepare_cached(&ask.sql).map_err(unavailable)?;
    let at = format!("SELECT doc FROM {} WHERE rowid = ?", table.name);
    let mut at = connection.prepare_cached(&at).map_err(unavailable)?;
    let mut rows = statement.query(params_from_iter(&ask.parameters)).map_err(unavailable)?;
    for _ in 0..unread {
        if rows.next().map_err(unavailable)?.is_none() {
            return Ok(());
        }
    }
    while let Some(row) = rows.next().map_err(unavailable)? {
        let next = if ask.places {
            let place: i64 = row.get(0).map_err(unavailable)?;
            let mut documents = at.query([place]).map_err(unavailable)?;
            match documents.next().map_err(unavailable)? {
                Some(row) => check(blob(row)?)?,
                None => Next::More,
            }
        } else {
            check(blob(row)?)?
        };
        if let Next::Enough = next {
            break;
        }
    }
    Ok(())
}

fn blob<'a>(row: &'a rusqlite::Row<'_>) -> Result<&'a [u8], Error> {
    let value = row.get_ref(0).map_err(unavailable)?;
    value.as_blob().map_err(|error| Error::Unavailable(format!("the store's file is damaged: {error}")))
}

/// A match with the key that it sorts by.
struct Sorted {
    key: Key,
    document: RawDocumentBuf,
}

/// Sorts here what SQLite gives in no order, keeping only the first `skip + limit`.
fn sorted(connection: &Connection, table: &Table, ask: &Ask, query: &Query) -> Result<Vec<RawDocumentBuf>, Error> {
    let keep = query.skip as usize + query.limit as usize;
    if keep > MAX_SORTED {
        return Err(Error::Invalid(format!(
            "no index gives this order, and `skip` and `limit` are more than {MAX_SORTED} together; add an index for it"
        )));
    }
    // The greatest is on top, to be thrown out.
    let mut heap: BinaryHeap<Sorted> = BinaryHeap::new();
    let mut bytes = 0;
    each(connection, table, ask, &query.filter, |document| {
        let key = query.sort.key(document)?;
        if heap.len() == keep && heap.peek().is_some_and(|greatest| greatest.key <= key) {
            return Ok(Next::More);
        }
        bytes += key.len() + document.as_bytes().len();
        heap.push(Sorted { key, document: document.to_owned() });
        if heap.len() > keep {
            bytes -= heap.pop().map_or(0, |last| last.key.len() + last.document.as_bytes().len());
        }
        if bytes > MAX_SORTED_BYTES {
            return Err(Error::Invalid(format!(
                "no index gives this order, and more than {MAX_SORTED_BYTES} bytes would be sorted; add an index for it"
            )));
        }
        Ok(Next::More)
    })?;
    let documents = heap.into_sorted_vec().into_iter().skip(query.skip as usize);
    Ok(documents.map(|sorted| query.projection.apply(&sorted.document)).collect())
}

impl PartialEq for Sorted {
    fn eq(&self, other: &Sorted) -> bool {
        self.key == other.key
    }
}

impl Eq for Sorted {}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Sorted) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sorted {
    fn cmp(&self, other: &Sorted) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}
