//! Queries: runs a plan's statement and decides with the filter what matches.
//!
//! Reads through the given connection, in one statement or in statements inside another, so that a result is one snapshot.

use std::collections::{BinaryHeap, HashSet};

use bson::{Bson, RawDocument, RawDocumentBuf};
use rusqlite::{Connection, ToSql, params_from_iter};

use capability::documents::filter::spread;
use capability::documents::order::{Key, valid_path};
use capability::documents::{Error, Filter, Lowest, MAX_ANSWER, Plan, Query, Sort};

use crate::budget;
use crate::plan::{Point, Select, WantedOrder, plan};
use crate::scans::{Request, Scans};
use crate::tables::{Layout, Table};
use crate::unavailable;

/// The most documents that are sorted when no index gives the order: `skip` and `limit` together.
const MAX_SORTED: usize = 100_000;
/// The most bytes of them.
const MAX_SORTED_BYTES: usize = 64 << 20;
/// The most documents, and bytes of them, that one write changes.
const MAX_WRITTEN: usize = 100_000;
const MAX_WRITTEN_BYTES: usize = 64 << 20;

/// Whether to continue after a document.
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
    // By other fields than `_id` even one document may be refused an order.
    if query.sort.fields().first().is_none_or(|field| field.path == "_id")
        && let Some(point) = Point::of(&query.filter)
    {
        let found = at(connection, table, &point, &query.filter, |_, document| query.projection.apply(document))?;
        let found = found.filter(|_| query.skip == 0);
        return match found {
            Some(found) if found.as_bytes().len() > MAX_ANSWER => Err(Error::too_large_an_answer()),
            found => Ok(found.into_iter().collect()),
        };
    }
    with_current_plan(layout, || {
        let wanted = WantedOrder::new(&query.sort);
        let select = plan(table, &query.filter, Some(&wanted));
        scans.check(table, &select, &Request::of(query, &select))?;
        if !select.in_order {
            return sorted(connection, table, &select, query);
        }
        let unread = if select.exact { query.skip } else { 0 };
        let (mut skip, mut found, mut bytes) = (query.skip - unread, Vec::new(), 0);
        each_after(unread, connection, table, &select, &query.filter, |_, document| {
            if skip > 0 {
                skip -= 1;
            } else {
                let projected = query.projection.apply(document);
                bytes += projected.as_bytes().len();
                found.push(projected);
            }
            if bytes > MAX_ANSWER {
                return Err(Error::too_large_an_answer());
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
    if let Some(point) = Point::of(filter) {
        return Ok(at(connection, table, &point, filter, |_, _| ())?.map_or(0, |()| 1));
    }
    with_current_plan(layout, || {
        let select = plan(table, filter, None);
        let taken = if select.exact { Some(0) } else { (limit > 0).then_some(u64::from(limit)) };
        scans.check(table, &select, &Request { what: "count", filter, sort: None, taken })?;
        if select.exact {
            return keys(connection, &select, limit);
        }
        let mut count = 0;
        each(connection, table, &select, filter, |_, _| {
            count += 1;
            Ok(if count == u64::from(limit) { Next::Enough } else { Next::More })
        })?;
        Ok(count)
    })
}

/// The lowest distinct values at a path among the matches.
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
    with_current_plan(layout, || {
        let select = plan(table, filter, None);
        scans.check(table, &select, &Request { what: "distinct", filter, sort: None, taken: None })?;
        let mut values = Lowest::default();
        each(connection, table, &select, filter, |_, document| {
            spread(document, field, &mut |value| values.add(value));
            Ok(Next::More)
        })?;
        values.finish()
    })
}

/// SQLite's description of the plan of a query.
pub(super) fn explain(connection: &Connection, layout: &Layout, query: &Query) -> Result<Plan, Error> {
    let table = layout.table(&query.collection)?;
    let select = plan(table, &query.filter, Some(&WantedOrder::new(&query.sort)));
    let explained = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", select.sql))?;
        statement.query_map(params_from_iter(&select.parameters), |row| row.get("detail"))?.collect()
    };
    let mut steps = explained().map_err(unavailable)?;
    if !select.in_order {
        steps.push("SORT IN MEMORY".to_owned());
    }
    Ok(Plan { steps, indexed: select.is_bounded(Request::of(query, &select).taken) })
}

/// A document that a write is about.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rowid: i64,
    pub(super) document: RawDocumentBuf,
}

/// The documents that match a write's filter, at most one unless `many`; that is the lowest by `_id`.
pub(super) fn for_write(
    connection: &Connection,
    table: &Table,
    filter: &Filter,
    many: bool,
    scans: Scans,
) -> Result<Vec<Found>, Error> {
    let owned = |rowid: i64, document: &RawDocument| Found { rowid, document: document.to_owned() };
    if let Some(point) = Point::of(filter) {
        return Ok(at(connection, table, &point, filter, owned)?.into_iter().collect());
    }
    let select = plan(table, filter, Some(&WantedOrder::new(&Sort::none())));
    scans.check(table, &select, &Request { what: "write", filter, sort: None, taken: (!many).then_some(1) })?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    each(connection, table, &select, filter, |rowid, document| {
        bytes += document.as_bytes().len();
        if found.len() == MAX_WRITTEN || bytes > MAX_WRITTEN_BYTES {
            return Err(Error::Invalid(format!(
                "the write is about more than {MAX_WRITTEN} documents or {MAX_WRITTEN_BYTES} bytes; split it"
            )));
        }
        found.push(owned(rowid, document));
        Ok(if many { Next::More } else { Next::Enough })
    })?;
    Ok(found)
}

/// Runs a query again when a path got its first array meanwhile: the plan may have missed that document.
fn with_current_plan<T>(layout: &Layout, run: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        let generation = layout.generation();
        let answer = run()?;
        if layout.generation() == generation {
            return Ok(answer);
        }
        budget::check()?;
    }
}

/// How many rows an exact statement has, up to `limit` unless that is 0. Reads keys of an index and no document.
fn keys(connection: &Connection, select: &Select, limit: u32) -> Result<u64, Error> {
    let most = (limit > 0).then_some(limit);
    let limited = if most.is_some() { " LIMIT ?" } else { "" };
    let sql = format!("SELECT count(*) FROM ({}{limited})", select.sql);
    let mut statement = connection.prepare_cached(&sql).map_err(unavailable)?;
    let _interruptible = budget::selects();
    let parameters = select.parameters.iter().map(|key| key as &dyn ToSql);
    let parameters = parameters.chain(most.iter().map(|most| most as &dyn ToSql));
    let count: i64 = statement.query_row(params_from_iter(parameters), |row| row.get(0)).map_err(unavailable)?;
    Ok(count.unsigned_abs())
}

/// What `matched` makes of the document with an `_id`, with its rowid, if there is one and it matches.
fn at<T>(
    connection: &Connection,
    table: &Table,
    point: &Point,
    filter: &Filter,
    matched: impl FnOnce(i64, &RawDocument) -> T,
) -> Result<Option<T>, Error> {
    let mut statement = connection.prepare_cached(&table.statements.by_id).map_err(unavailable)?;
    let _interruptible = budget::selects();
    let mut rows = statement.query([&point.id]).map_err(unavailable)?;
    let Some(row) = rows.next().map_err(unavailable)? else { return Ok(None) };
    let document = stored(row, 1)?;
    let matches = point.alone || filter.matches(document);
    Ok(if matches { Some(matched(rowid(row)?, document)) } else { None })
}

/// Calls `matched` for each match with its rowid, in the statement's order, until it returns [`Next::Enough`].
fn each(
    connection: &Connection,
    table: &Table,
    select: &Select,
    filter: &Filter,
    matched: impl FnMut(i64, &RawDocument) -> Result<Next, Error>,
) -> Result<(), Error> {
    each_after(0, connection, table, select, filter, matched)
}

/// As [`each`], after skipping `unread` rows of an exact statement, whose documents are not read.
fn each_after(
    unread: u32,
    connection: &Connection,
    table: &Table,
    select: &Select,
    filter: &Filter,
    mut matched: impl FnMut(i64, &RawDocument) -> Result<Next, Error>,
) -> Result<(), Error> {
    let mut check = |rowid: i64, document: &RawDocument| {
        if filter.matches(document) { matched(rowid, document) } else { Ok(Next::More) }
    };
    let mut statement = connection.prepare_cached(&select.sql).map_err(unavailable)?;
    let mut at = connection.prepare_cached(&table.statements.by_rowid).map_err(unavailable)?;
    let _interruptible = budget::selects();
    let mut rows = statement.query(params_from_iter(&select.parameters)).map_err(unavailable)?;
    for _ in 0..unread {
        if rows.next().map_err(unavailable)?.is_none() {
            return Ok(());
        }
    }
    let mut met = HashSet::new();
    while let Some(row) = rows.next().map_err(unavailable)? {
        let rowid = rowid(row)?;
        if select.repeats && !met.insert(rowid) {
            continue;
        }
        let next = if select.rowids {
            let mut documents = at.query([rowid]).map_err(unavailable)?;
            match documents.next().map_err(unavailable)? {
                Some(row) => check(rowid, stored(row, 0)?)?,
                None => Next::More,
            }
        } else {
            check(rowid, stored(row, 1)?)?
        };
        if let Next::Enough = next {
            break;
        }
    }
    Ok(())
}

/// The rowid, which is the first column of every statement on documents.
fn rowid(row: &rusqlite::Row<'_>) -> Result<i64, Error> {
    row.get(0).map_err(unavailable)
}

/// The document in a column.
fn stored<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<&'a RawDocument, Error> {
    let value = row.get_ref(column).map_err(unavailable)?;
    let bytes = value.as_blob().map_err(|error| Error::Unavailable(format!("the store's file is damaged: {error}")))?;
    budget::spend(bytes.len())?;
    RawDocument::from_bytes(bytes).map_err(|error| Error::Unavailable(format!("a stored document is damaged: {error}")))
}

/// A match as it is answered, with its sort key.
struct Sorted {
    key: Key,
    document: RawDocumentBuf,
}

/// Sorts in memory where SQLite gives no order, keeping only the first `skip + limit`.
fn sorted(
    connection: &Connection,
    table: &Table,
    select: &Select,
    query: &Query,
) -> Result<Vec<RawDocumentBuf>, Error> {
    let keep = query.skip as usize + query.limit as usize;
    if keep > MAX_SORTED {
        return Err(Error::Invalid(format!(
            "no index gives this order, and `skip` and `limit` are more than {MAX_SORTED} together; add an index for it"
        )));
    }
    // The greatest is on top, to be removed first.
    let mut heap: BinaryHeap<Sorted> = BinaryHeap::new();
    let mut bytes = 0;
    each(connection, table, select, &query.filter, |_, document| {
        let key = query.sort.key(document)?;
        if heap.len() == keep && heap.peek().is_some_and(|greatest| greatest.key <= key) {
            return Ok(Next::More);
        }
        let document = query.projection.apply(document);
        bytes += key.len() + document.as_bytes().len();
        heap.push(Sorted { key, document });
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
    let (mut found, mut bytes) = (Vec::new(), 0);
    for sorted in heap.into_sorted_vec().into_iter().skip(query.skip as usize) {
        bytes += sorted.document.as_bytes().len();
        if bytes > MAX_ANSWER {
            return Err(Error::too_large_an_answer());
        }
        found.push(sorted.document);
    }
    Ok(found)
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
