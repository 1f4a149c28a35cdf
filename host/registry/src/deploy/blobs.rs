//! The files of components in the documents, in chunks, by their hash. A file is written whole before a component's row names
//! it; a file that a crash left incomplete is completed by the next write of the same file.

use std::sync::Arc;

use bson::spec::BinarySubtype;
use bson::{Binary, Document, RawDocumentBuf, doc};
use sha2::{Digest as _, Sha256};

use capability::documents::{
    Change, Collection, Commit, Documents, Error, Filter, Index, Projection, Query, Write, date,
};

/// The collection of the chunks. It is the host's, not the application's.
pub(crate) const COLLECTION: &str = "host-blobs";
/// Bytes of a chunk: well below the size limit of a document.
const CHUNK: usize = 768 << 10;
/// The largest file, in bytes.
pub const LARGEST: usize = 64 << 20;
/// The field, in the first chunk of a file that no row names yet, with the time when it was written.
const UNNAMED: &str = "unnamed";
/// How long such a file is kept, in milliseconds: longer than a deploy takes from writing the file to its commit.
const UNNAMED_RETENTION_MS: u64 = 3_600_000;

/// The collection's definition, with its index.
pub(crate) fn collection() -> Collection {
    let unnamed = Index { fields: vec![UNNAMED.to_owned()], unique: false, where_exists: vec![UNNAMED.to_owned()] };
    Collection { indexes: vec![unnamed], ..Collection::default() }
}

pub(super) struct Blobs(Arc<dyn Documents>);

impl Blobs {
    pub(super) fn new(documents: Arc<dyn Documents>) -> Self {
        Self(documents)
    }

    /// Writes a file unless it is there, and returns whether it was not; then all of it is durable. `now` is in milliseconds
    /// since 1970.
    ///
    /// The first chunk comes first, with the time. From then on [`Blobs::delete_unnamed`] of any host leaves the file alone, and
    /// what it deleted before is written again.
    pub(super) async fn put(&self, sha256: &str, bytes: &[u8], now: u64) -> Result<bool, Error> {
        loop {
            let mut is_new = false;
            for (number, chunk) in bytes.chunks(CHUNK).enumerate() {
                is_new |= self.put_chunk(sha256, number, chunk, now).await? && number == 0;
            }
            // It may have been deleted just before the first chunk got this time.
            if is_new || bytes.is_empty() || !self.first_chunks(doc! { "_id": first(sha256) }).await?.is_empty() {
                return Ok(is_new);
            }
        }
    }

    /// True when it was not there.
    async fn put_chunk(&self, sha256: &str, number: usize, bytes: &[u8], now: u64) -> Result<bool, Error> {
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: bytes.to_vec() };
        let mut document = doc! { "_id": format!("{sha256}/{number:03}"), "sha256": sha256, "bytes": bytes };
        if number == 0 {
            document.insert(UNNAMED, date(now));
        }
        let document = RawDocumentBuf::try_from(&document).map_err(|error| Error::Invalid(error.to_string()))?;
        let write = Write::Insert { collection: COLLECTION.to_owned(), document };
        match self.0.commit(Commit { writes: vec![write], events: Vec::new() }).await {
            Ok(_) => Ok(true),
            // A chunk with this `_id` has the same content, because the `_id` contains the file's hash.
            Err(Error::Duplicate { .. }) if number > 0 => Ok(false),
            Err(Error::Duplicate { .. }) => {
                let write = Write::Update {
                    collection: COLLECTION.to_owned(),
                    filter: Filter::from_document(&doc! { "_id": first(sha256), UNNAMED: { "$exists": true } })?,
                    change: Change::from_document(&doc! { "$set": { UNNAMED: date(now) } })?,
                    upsert: false,
                    many: false,
                    must_match: false,
                };
                self.0.commit(Commit { writes: vec![write], events: Vec::new() }).await.map(|_| false)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a file; `None` when it is not there, incomplete, or has another hash.
    pub(super) async fn get(&self, sha256: &str) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = Vec::new();
        for number in 0..LARGEST.div_ceil(CHUNK) {
            let filter = Filter::from_document(&doc! { "_id": format!("{sha256}/{number:03}") })?;
            let found = self.0.find(Query { limit: 1, ..Query::all(COLLECTION, filter) }).await?;
            let Some(chunk) = found.first().and_then(|chunk| chunk.get_binary("bytes").ok()) else { break };
            bytes.extend_from_slice(chunk.bytes);
            if chunk.bytes.len() < CHUNK {
                break;
            }
        }
        Ok((hex::encode(Sha256::digest(&bytes)) == sha256).then_some(bytes))
    }

    /// A write that marks a file as named by a row, and fails the commit when the file is not there.
    pub(super) fn mark_named(sha256: &str) -> Result<Write, Error> {
        let change = doc! { "$set": { "sha256": sha256 }, "$unset": { UNNAMED: 1 } };
        Write::change_known(COLLECTION, &doc! { "_id": first(sha256) }, &change)
    }

    /// Deletes old files that no row names: their deploy was refused after they were written, or its host crashed.
    pub(super) async fn delete_unnamed(&self, now: u64) -> Result<(), Error> {
        let before = now.saturating_sub(UNNAMED_RETENTION_MS);
        for chunk in self.first_chunks(doc! { UNNAMED: { "$lt": date(before) } }).await? {
            if let Ok(sha256) = chunk.get_str("sha256") {
                self.delete_if_unnamed(sha256, doc! { "$lt": date(before) }).await?;
            }
        }
        Ok(())
    }

    /// Deletes a file that [`Blobs::put`] wrote at `now` and that is refused, unless a row names it or another deploy has written
    /// it as well.
    pub(super) async fn discard(&self, sha256: &str, now: u64) -> Result<(), Error> {
        self.delete_if_unnamed(sha256, doc! { "$eq": date(now) }).await
    }

    /// Deletes a file, unless a row names it by now or somebody has written it at another time: the commit looks again.
    async fn delete_if_unnamed(&self, sha256: &str, written: Document) -> Result<(), Error> {
        let (collection, id) = (COLLECTION.to_owned(), first(sha256));
        let filter = Filter::from_document(&doc! { "_id": id, UNNAMED: written })?;
        let old = Write::Delete { collection, filter, many: false, must_match: true };
        let writes = vec![old, Self::delete(sha256)?];
        match self.0.commit(Commit { writes, events: Vec::new() }).await {
            Ok(_) | Err(Error::Unmet(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// First chunks of files, without the bytes.
    async fn first_chunks(&self, filter: Document) -> Result<Vec<RawDocumentBuf>, Error> {
        let fields =
            RawDocumentBuf::try_from(&doc! { "sha256": 1 }).map_err(|error| Error::Invalid(error.to_string()))?;
        let filter = Filter::from_document(&filter)?;
        self.0.find(Query { projection: Projection::parse(&fields)?, ..Query::all(COLLECTION, filter) }).await
    }

    /// A write that deletes a file.
    pub(super) fn delete(sha256: &str) -> Result<Write, Error> {
        let filter =
            Filter::from_document(&doc! { "_id": { "$gte": format!("{sha256}/"), "$lt": format!("{sha256}0") } })?;
        Ok(Write::Delete { collection: COLLECTION.to_owned(), filter, many: true, must_match: false })
    }
}

/// The `_id` of a file's first chunk.
fn first(sha256: &str) -> String {
    format!("{sha256}/000")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use capability::documents::{Effect, Plan, Schema};
    use store_sqlite::{Location, Sqlite};

    fn store() -> Arc<Sqlite> {
        let collections = [(COLLECTION.to_owned(), collection())].into();
        Arc::new(Sqlite::open(Location::Memory, &Schema { collections }, &Default::default()).unwrap())
    }

    #[tokio::test]
    async fn a_file_of_any_length_comes_back_and_goes() {
        let blobs = Blobs::new(store());
        let files = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]
            .map(|length| (0..length).map(|n| n as u8).collect::<Vec<u8>>());
        for file in &files {
            let sha256 = hex::encode(Sha256::digest(file));
            blobs.put(&sha256, file, 1).await.unwrap();
            blobs.put(&sha256, file, 2).await.unwrap();
        }
        for file in &files {
            let sha256 = hex::encode(Sha256::digest(file));
            // The empty file has no chunks, so it is found whether it was written or not.
            assert_eq!(blobs.get(&sha256).await.unwrap().as_ref(), Some(file));
            blobs.0.commit(Commit { writes: vec![Blobs::delete(&sha256).unwrap()], events: Vec::new() }).await.unwrap();
            assert_eq!(blobs.get(&sha256).await.unwrap(), file.is_empty().then(Vec::new));
        }
    }

    #[tokio::test]
    async fn half_a_file_is_none() {
        let blobs = Blobs::new(store());
        let file = vec![7; 2 * CHUNK];
        let sha256 = hex::encode(Sha256::digest(&file));
        blobs.put(&sha256, &file[..CHUNK], 1).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap(), None);
        blobs.put(&sha256, &file, 1).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap(), Some(file));
    }

    #[tokio::test]
    async fn what_nothing_names_goes_after_a_while() {
        let blobs = Blobs::new(store());
        let files: [(&[u8], u64); 3] = [(b"named", 0), (b"unnamed", 0), (b"unnamed and new", 1)];
        let files = files.map(|(file, at)| (hex::encode(Sha256::digest(file)), file, at));
        for (sha256, file, at) in &files {
            blobs.put(sha256, file, *at).await.unwrap();
        }
        let named = vec![Blobs::mark_named(&files[0].0).unwrap()];
        blobs.0.commit(Commit { writes: named, events: Vec::new() }).await.unwrap();
        blobs.delete_unnamed(UNNAMED_RETENTION_MS + 1).await.unwrap();
        for ((sha256, file, _), stays) in files.iter().zip([true, false, true]) {
            assert_eq!(blobs.get(sha256).await.unwrap(), stays.then(|| file.to_vec()));
        }
    }

    #[tokio::test]
    async fn what_is_refused_leaves_no_file_unless_somebody_else_deploys_it() {
        let store = store();
        let blobs = Blobs::new(store.clone());
        let file = vec![7; 2 * CHUNK];
        let sha256 = hex::encode(Sha256::digest(&file));
        assert!(blobs.put(&sha256, &file, 1).await.unwrap());
        blobs.discard(&sha256, 1).await.unwrap();
        assert_eq!(store.count(COLLECTION, Filter::all(), 0).await.unwrap(), 0);
        // Another host deploys it meanwhile, or it serves already.
        assert!(blobs.put(&sha256, &file, 2).await.unwrap());
        assert!(!blobs.put(&sha256, &file, 3).await.unwrap());
        blobs.discard(&sha256, 2).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap().as_ref(), Some(&file));
        let named = Commit { writes: vec![Blobs::mark_named(&sha256).unwrap()], events: Vec::new() };
        store.commit(named).await.unwrap();
        blobs.discard(&sha256, 3).await.unwrap();
        assert_eq!(blobs.get(&sha256).await.unwrap(), Some(file));
    }

    /// A store in which something happens after the n-th commit.
    struct Between {
        store: Arc<Sqlite>,
        left: AtomicUsize,
        happens: Happens,
    }

    enum Happens {
        /// Another host, which saw the file unnamed and old, deletes it.
        Deletes(String),
        /// This host crashes: nothing that comes later is done.
        Crashes,
    }

    #[async_trait::async_trait]
    impl Documents for Between {
        async fn find(&self, query: Query) -> Result<Vec<RawDocumentBuf>, Error> {
            self.store.find(query).await
        }

        async fn count(&self, collection: &str, filter: Filter, limit: u32) -> Result<u64, Error> {
            self.store.count(collection, filter, limit).await
        }

        async fn distinct(&self, collection: &str, field: &str, filter: Filter) -> Result<Vec<bson::Bson>, Error> {
            self.store.distinct(collection, field, filter).await
        }

        async fn commit(&self, commit: Commit) -> Result<Vec<Effect>, Error> {
            let left = self.left.load(Ordering::Relaxed);
            self.left.store(left.saturating_sub(1), Ordering::Relaxed);
            match &self.happens {
                Happens::Deletes(sha256) if left == 1 => {
                    let done = self.store.commit(commit).await;
                    Blobs::new(self.store.clone()).delete_if_unnamed(sha256, doc! { "$lt": date(LATE - 1) }).await?;
                    done
                }
                Happens::Crashes if left == 0 => Err(Error::Unavailable("it crashed".to_owned())),
                _ => self.store.commit(commit).await,
            }
        }

        async fn explain(&self, query: Query) -> Result<Plan, Error> {
            self.store.explain(query).await
        }
    }

    /// When a file that was written at 1 is old enough to be deleted.
    const LATE: u64 = UNNAMED_RETENTION_MS + 2;

    /// Writes a file and names it, as a deploy does; whether it is named.
    async fn deploy(documents: Arc<dyn Documents>, sha256: &str, file: &[u8]) -> bool {
        let blobs = Blobs::new(documents);
        if blobs.put(sha256, file, LATE).await.is_err() {
            return false;
        }
        let named = Commit { writes: vec![Blobs::mark_named(sha256).unwrap()], events: Vec::new() };
        blobs.0.commit(named).await.is_ok()
    }

    #[tokio::test]
    async fn whatever_a_row_names_is_whole_also_when_another_host_deletes_it_meanwhile() {
        let file = vec![7; 2 * CHUNK + 1];
        let sha256 = hex::encode(Sha256::digest(&file));
        // 0: at none of them.
        for commit in 0..12 {
            for written in [0, CHUNK, 2 * CHUNK, file.len()] {
                let store = store();
                Blobs::new(store.clone()).put(&sha256, &file[..written], 1).await.unwrap();
                let happens = Happens::Deletes(sha256.clone());
                let between = Between { store: store.clone(), left: AtomicUsize::new(commit), happens };
                if commit % 2 == 0 {
                    // Just before as well.
                    Blobs::new(store.clone()).delete_if_unnamed(&sha256, doc! { "$lt": date(LATE - 1) }).await.unwrap();
                }
                assert!(deploy(Arc::new(between), &sha256, &file).await, "commit {commit}, {written} bytes");
                Blobs::new(store.clone()).delete_unnamed(u64::MAX).await.unwrap();
                let found = Blobs::new(store).get(&sha256).await.unwrap();
                assert_eq!(found.as_ref(), Some(&file), "commit {commit}, {written} bytes");
            }
        }
    }

    #[tokio::test]
    async fn a_crash_between_any_two_steps_leaves_nothing_half() {
        let file = vec![7; 2 * CHUNK + 1];
        let sha256 = hex::encode(Sha256::digest(&file));
        for commit in 0..5 {
            let store = store();
            let crashing = Between { store: store.clone(), left: AtomicUsize::new(commit), happens: Happens::Crashes };
            let named = deploy(Arc::new(crashing), &sha256, &file).await;
            assert_eq!(named, commit > 3, "three chunks, and the name");
            let blobs = Blobs::new(store.clone());
            blobs.delete_unnamed(LATE + LATE).await.unwrap();
            assert_eq!(blobs.get(&sha256).await.unwrap().is_some(), named, "what was not named goes");
            let all = Query::all(COLLECTION, Filter::all());
            assert_eq!(store.count(COLLECTION, all.filter, 0).await.unwrap() > 0, named, "and all of its chunks");
            assert!(deploy(store.clone(), &sha256, &file).await, "it can be deployed again");
            assert_eq!(blobs.get(&sha256).await.unwrap().as_ref(), Some(&file));
        }
    }
}
