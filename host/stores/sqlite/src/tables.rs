//! The tables and indexes behind the collections, and how they follow the schema.
//!
//! Runs once at open, in one transaction. Documents are never changed; an index that is no longer in the schema is dropped,
//! the table of a collection that is no longer in it stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bson::{Bson, RawDocument};
use rusqlite::{Connection, OptionalExtension, params};

use crate::outlet::Outlet;
use capability::documents::order::ARRAY;
use capability::documents::schema::check_topics;
use capability::documents::{Error, Index, Schema};

use crate::unavailable;

/// The version of the file: its tables and the encoding of its keys.
const VERSION: i64 = 1;

/// The tables of the file, shared by the threads.
#[derive(Debug)]
pub(crate) struct Layout {
    tables: BTreeMap<String, Table>,
    outlet: Arc<Outlet>,
    /// Counts the paths at which an array was met; see [`Table::has_arrays`].
    generation: AtomicU64,
}

/// A collection's table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) collection: String,
    /// Quoted.
    pub(super) name: String,
    pub(super) statements: Statements,
    pub(super) indexes: Vec<TableIndex>,
    /// The indexed paths, and whether any document had an array there.
    arrays: BTreeMap<String, AtomicBool>,
}

/// The statements on one document. Their texts are written once, and SQLite finds what it prepared by the text.
#[derive(Debug)]
pub(super) struct Statements {
    /// A row with an `_id` that is there.
    pub(super) has_id: String,
    /// The rowid and the document of an `_id`.
    pub(super) by_id: String,
    /// The document of a rowid.
    pub(super) by_rowid: String,
    /// A new document, with its `_id`.
    pub(super) insert: String,
    /// Another document at a rowid.
    pub(super) update: String,
    /// No document at a rowid.
    pub(super) delete: String,
}

impl Statements {
    fn new(table: &str) -> Statements {
        Statements {
            has_id: format!("SELECT 1 FROM {table} WHERE id = ?1"),
            by_id: format!("SELECT rowid, doc FROM {table} WHERE id = ?1"),
            by_rowid: format!("SELECT doc FROM {table} WHERE rowid = ?1"),
            insert: format!("INSERT INTO {table}(id, doc) VALUES (?1, ?2)"),
            update: format!("UPDATE {table} SET doc = ?2 WHERE rowid = ?1"),
            delete: format!("DELETE FROM {table} WHERE rowid = ?1"),
        }
    }
}

/// An index, for the SQL that creates it.
#[derive(Debug)]
pub(super) struct TableIndex {
    /// Its name in the schema.
    pub(super) name: String,
    /// Its name in SQLite, not quoted.
    pub(super) sql_name: String,
    pub(super) fields: Vec<String>,
    pub(super) unique: bool,
    pub(super) where_exists: Vec<String>,
    /// The schema's index.
    pub(super) source: Index,
}

impl Layout {
    /// Brings the file in line with the schema.
    pub(super) fn open(connection: &mut Connection, schema: &Schema, outlet: Arc<Outlet>) -> Result<Layout, Error> {
        schema.check()?;
        check_topics(outlet.topics())?;
        let collections = schema.collections.iter();
        let tables: BTreeMap<String, Table> =
            collections.map(|(name, collection)| (name.clone(), Table::new(name, &collection.indexes))).collect();
        let transaction = connection.transaction().map_err(unavailable)?;
        check_version(&transaction)?;
        outlet.open(&transaction).map_err(unavailable)?;
        transaction
            .execute_batch(
                "CREATE TABLE IF NOT EXISTS arrays(collection TEXT NOT NULL, path TEXT NOT NULL,
                 PRIMARY KEY(collection, path)) WITHOUT ROWID",
            )
            .map_err(unavailable)?;
        for table in tables.values() {
            table.create(&transaction)?;
        }
        transaction.commit().map_err(unavailable)?;
        Ok(Layout { tables, outlet, generation: AtomicU64::new(0) })
    }

    pub(super) fn table(&self, collection: &str) -> Result<&Table, Error> {
        self.tables
            .get(collection)
            .ok_or_else(|| Error::invalid(format!("the collection `{collection}` is not in the application's schema")))
    }

    /// The outlet for the events of commits.
    pub(crate) fn outlet(&self) -> &Arc<Outlet> {
        &self.outlet
    }

    /// Incremented whenever a path gets its first array. A query must run again when this changed meanwhile, since its plan
    /// may have relied on there being none.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Records, durably with the transaction, that documents have arrays at an indexed path. New plans see the mark before
    /// the document; a mark of a transaction that fails does no harm.
    pub(super) fn mark_array(&self, connection: &Connection, table: &Table, path: &str) -> rusqlite::Result<()> {
        connection
            .prepare_cached("INSERT OR IGNORE INTO arrays(collection, path) VALUES (?1, ?2)")?
            .execute(params![table.collection, path])?;
        if table.arrays.get(path).is_some_and(|mark| !mark.swap(true, Ordering::SeqCst)) {
            self.generation.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }
}

fn check_version(connection: &Connection) -> Result<(), Error> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(unavailable)?;
    match version {
        0 => connection.pragma_update(None, "user_version", VERSION).map_err(unavailable),
        VERSION => Ok(()),
        other => Err(Error::Unavailable(format!(
            "the store's file has version {other} and this host knows {VERSION}; start the host that wrote it"
        ))),
    }
}

impl Table {
    fn new(collection: &str, indexes: &[Index]) -> Table {
        let paths = indexes.iter().flat_map(|index| &index.fields);
        let name = quoted(&format!("c_{collection}"));
        Table {
            collection: collection.to_owned(),
            statements: Statements::new(&name),
            name,
            indexes: indexes.iter().map(|index| TableIndex::new(collection, index)).collect(),
            arrays: paths.map(|path| (path.clone(), AtomicBool::new(false))).collect(),
        }
    }

    /// The indexed paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    /// Whether a document may have an array at an indexed path, where its key is [`ARRAY`].
    pub(super) fn has_arrays(&self, path: &str) -> bool {
        self.arrays.get(path).is_none_or(|mark| mark.load(Ordering::SeqCst))
    }

    fn create(&self, connection: &Connection) -> Result<(), Error> {
        let sql = format!("CREATE TABLE IF NOT EXISTS {}(id BLOB NOT NULL PRIMARY KEY, doc BLOB NOT NULL)", self.name);
        connection.execute_batch(&sql).map_err(unavailable)?;
        let existing = self.existing_indexes(connection).map_err(unavailable)?;
        for (name, sql) in &existing {
            if !self.indexes.iter().any(|index| index.sql_name == *name && index.sql(self) == *sql) {
                connection.execute_batch(&format!("DROP INDEX {}", quoted(name))).map_err(unavailable)?;
                tracing::info!(index = %name, "the schema no longer has this index: dropped");
            }
        }
        for index in &self.indexes {
            if existing.get(&index.sql_name) != Some(&index.sql(self)) {
                self.build(connection, index)?;
            }
        }
        self.read_arrays(connection).map_err(unavailable)
    }

    fn existing_indexes(&self, connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
        connection
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = ?1 AND sql IS NOT NULL")?
            .query_map([format!("c_{}", self.collection)], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    }

    fn build(&self, connection: &Connection, index: &TableIndex) -> Result<(), Error> {
        for path in &index.fields {
            // Documents outside of a partial unique index may have arrays.
            let only = if index.unique { index.condition() } else { String::new() };
            let joint = if only.is_empty() { " WHERE" } else { " AND" };
            let sql = format!("SELECT doc FROM {}{only}{joint} {} = ?1 LIMIT 1", self.name, path_key(path));
            let found = connection.query_row(&sql, [ARRAY], |row| row.get::<_, Vec<u8>>(0)).optional();
            if let Some(document) = found.map_err(unavailable)? {
                if index.unique {
                    return Err(Error::Invalid(format!(
                        "the unique index `{}` of `{}` can't be made: the document with `_id` {} has an array in `{path}`",
                        index.name,
                        self.collection,
                        shown_id(&document)
                    )));
                }
                connection
                    .execute(
                        "INSERT OR IGNORE INTO arrays(collection, path) VALUES (?1, ?2)",
                        params![self.collection, path],
                    )
                    .map_err(unavailable)?;
            }
        }
        connection.execute_batch(&index.sql(self)).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => self.clash(connection, index),
            _ => unavailable(error),
        })
    }

    /// Names two documents that a unique index would refuse.
    fn clash(&self, connection: &Connection, index: &TableIndex) -> Error {
        let sql = format!(
            "WITH clash AS (SELECT min(id) AS a, max(id) AS b FROM {table}{partial} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1)
             SELECT x.doc, y.doc FROM clash JOIN {table} AS x ON x.id = a JOIN {table} AS y ON y.id = b",
            table = self.name,
            partial = index.condition(),
            keys = index.keys().join(", "),
        );
        let both = connection.query_row(&sql, [], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?)));
        match both {
            Ok((first, second)) => Error::Invalid(format!(
                "the unique index `{}` of `{}` can't be made: the documents with `_id` {} and {} have the same values; \
                 change or delete one of them",
                index.name,
                self.collection,
                shown_id(&first),
                shown_id(&second)
            )),
            Err(error) => unavailable(error),
        }
    }

    fn read_arrays(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("SELECT path FROM arrays WHERE collection = ?1")?;
        let mut rows = statement.query([&self.collection])?;
        while let Some(row) = rows.next()? {
            if let Some(mark) = self.arrays.get(row.get_ref(0)?.as_str()?) {
                mark.store(true, Ordering::SeqCst);
            }
        }
        Ok(())
    }
}

impl TableIndex {
    fn new(collection: &str, index: &Index) -> TableIndex {
        TableIndex {
            name: index.name(),
            sql_name: format!("i_{collection}.{}", index.name()),
            fields: index.fields.clone(),
            unique: index.unique,
            where_exists: index.where_exists.clone(),
            source: index.clone(),
        }
    }

    /// The SQL that creates it, which SQLite stores unchanged. `id` at the end gives equal keys an order; a unique index has
    /// no equal keys.
    fn sql(&self, table: &Table) -> String {
        let mut columns = self.keys();
        if !self.unique {
            columns.push("id".to_owned());
        }
        format!(
            "CREATE {}INDEX {} ON {}({}){}",
            if self.unique { "UNIQUE " } else { "" },
            quoted(&self.sql_name),
            table.name,
            columns.join(", "),
            self.condition(),
        )
    }

    fn keys(&self) -> Vec<String> {
        self.fields.iter().map(|path| path_key(path)).collect()
    }

    fn condition(&self) -> String {
        let terms: Vec<String> = self.where_exists.iter().map(|path| path_exists(path)).collect();
        if terms.is_empty() { String::new() } else { format!(" WHERE {}", terms.join(" AND ")) }
    }
}

/// The SQL for the key at a path.
pub(super) fn path_key(path: &str) -> String {
    format!("bson_key(doc,'{}')", path.replace('\'', "''"))
}

/// The SQL for a value existing at a path.
pub(super) fn path_exists(path: &str) -> String {
    format!("bson_has(doc,'{}') IS NOT NULL", path.replace('\'', "''"))
}

/// A name quoted for SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn shown_id(document: &[u8]) -> String {
    let id = RawDocument::from_bytes(document).ok().and_then(|document| document.get("_id").ok().flatten());
    id.and_then(|id| Bson::try_from(id).ok()).map_or_else(|| "unknown".to_owned(), |id| id.to_string())
}
