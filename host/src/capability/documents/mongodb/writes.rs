//! The writes of a commit, inside its transaction.
//!
//! A change reads the documents that the filter finds, is applied here, and puts whole documents in their places. The
//! server notices when another commit has changed one of them meanwhile. Insertions in a row go out together.

use ::mongodb::{ClientSession, Database};
use bson::raw::{CStr, cstr};
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf, doc, rawdoc};

use crate::capability::documents::indexed::{arrays, check_arrays};
use crate::capability::documents::order::validate_insert;
use crate::capability::documents::{Change, Collection, Commit, Effect, Error, Filter, Write};
use crate::capability::events;

use super::refusal::{Stop, outcome};
use super::{MAX_TIME, Shared, read};

/// The most bytes of one command, which is a document of the server's; one document of ours always fits.
const MAX_COMMAND: usize = 12 << 20;
/// The most documents, and bytes of them, that one write changes.
const MAX_WRITTEN: usize = 100_000;
const MAX_WRITTEN_BYTES: usize = 64 << 20;

/// A transaction that has begun.
pub(super) struct Transaction<'a> {
    pub(super) shared: &'a Shared,
    pub(super) database: &'a Database,
    pub(super) session: &'a mut ClientSession,
}

/// Where a write goes.
struct Target<'a> {
    name: &'a str,
    collection: &'a Collection,
}

impl Transaction<'_> {
    /// Does the writes in order and appends the events.
    pub(super) async fn run(mut self, commit: &Commit) -> Result<Vec<Effect>, Stop> {
        let schema = &self.shared.schema;
        let alone = commit.writes.len() + commit.events.len() == 1;
        let mut effects = Vec::with_capacity(commit.writes.len());
        let mut rest = commit.writes.as_slice();
        let mut number = 0;
        while let Some(write) = rest.first() {
            match write {
                Write::Insert { collection, .. } => {
                    let documents: Vec<&RawDocument> = rest.iter().map_while(|next| of(collection, next)).collect();
                    let count = documents.len();
                    let target = Target { name: collection, collection: schema.collection(collection)? };
                    self.insert(&target, &documents, number).await?;
                    effects.extend((0..count).map(|_| Effect { matched: 0, changed: 1, upserted: false }));
                    rest = rest.get(count..).unwrap_or_default();
                }
                other => {
                    effects.push(self.perform(other, number, alone).await?);
                    rest = rest.get(1..).unwrap_or_default();
                }
            }
            number = u32::try_from(effects.len()).unwrap_or(u32::MAX);
        }
        events::enqueue(self.database, self.session, &self.shared.topics, &commit.events).await?;
        Ok(effects)
    }

    async fn perform(&mut self, write: &Write, number: u32, alone: bool) -> Result<Effect, Stop> {
        let schema = &self.shared.schema;
        match write {
            // Together with its neighbours, in `run`.
            Write::Insert { .. } => Ok(Effect::default()),
            Write::Update { collection, filter, change, upsert, many, must_match } => {
                let target = Target { name: collection, collection: schema.collection(collection)? };
                let found = self.find(&target, filter, *many).await?;
                if found.is_empty() && *upsert {
                    let document = change.upserted(filter)?;
                    validate_insert(&document)?;
                    self.insert(&target, &[&document], number).await?;
                    return Ok(Effect { matched: 0, changed: 1, upserted: true });
                }
                matched(*must_match, &found, number)?;
                self.update(&target, &found, change, number, alone).await
            }
            Write::Delete { collection, filter, many, must_match } => {
                let target = Target { name: collection, collection: schema.collection(collection)? };
                let found = self.find(&target, filter, *many).await?;
                matched(*must_match, &found, number)?;
                self.delete(&target, &found, number).await
            }
        }
    }

    /// The documents that a write is about, by `_id`.
    async fn find(&mut self, target: &Target<'_>, filter: &Filter, many: bool) -> Result<Vec<RawDocumentBuf>, Stop> {
        let collection = read::collection(self.database, target.name);
        let mut asked = collection.find(read::filter(filter)?).sort(doc! { "_id": 1 }).max_time(MAX_TIME);
        if !many {
            asked = asked.limit(1);
        }
        let mut cursor = asked.session(&mut *self.session).await?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        while cursor.advance(self.session).await? {
            let document = cursor.current();
            bytes += document.as_bytes().len();
            if found.len() == MAX_WRITTEN || bytes > MAX_WRITTEN_BYTES {
                return Err(Error::Invalid(format!(
                    "the write is about more than {MAX_WRITTEN} documents or {MAX_WRITTEN_BYTES} bytes; split it"
                ))
                .into());
            }
            found.push(document.to_owned());
        }
        Ok(found)
    }

    /// Inserts documents that are as many writes, of which the first has this number.
    async fn insert(&mut self, target: &Target<'_>, documents: &[&RawDocument], number: u32) -> Result<(), Stop> {
        let mut batch = Batch::new(cstr!("insert"), cstr!("documents"));
        let mut first = number;
        for (number, document) in (number..).zip(documents) {
            if let Err(error) = target.check(document) {
                // What stands before it may be refused for a reason of its own, and comes first.
                self.send(target, &mut batch, |behind| first + behind).await?;
                return Err(error.into());
            }
            if batch.is_full_with(document) {
                self.send(target, &mut batch, |behind| first + behind).await?;
                first = number;
            }
            batch.add(document);
        }
        self.send(target, &mut batch, |behind| first + behind).await
    }

    async fn update(
        &mut self,
        target: &Target<'_>,
        found: &[RawDocumentBuf],
        change: &Change,
        number: u32,
        alone: bool,
    ) -> Result<Effect, Stop> {
        let mut effect = Effect { matched: found.len() as u64, ..Effect::default() };
        let mut batch = Batch::new(cstr!("update"), cstr!("updates"));
        for before in found {
            let after = change.changed(before).and_then(|after| match after {
                Some(after) => target.check(&after).map(|()| Some(after)),
                None => Ok(None),
            });
            let after = match after {
                Ok(after) => after,
                Err(error) => {
                    self.send(target, &mut batch, |_| number).await?;
                    return Err(error.into());
                }
            };
            effect.changed += u64::from(after.is_some());
            let statements = match after {
                Some(after) => vec![rawdoc! { "q": by_id(before), "u": after }],
                // Another commit could change it before this one ends, as if it had not mattered.
                None if !alone => held(before),
                None => Vec::new(),
            };
            for statement in statements {
                if batch.is_full_with(&statement) {
                    self.send(target, &mut batch, |_| number).await?;
                }
                batch.add(&statement);
            }
        }
        self.send(target, &mut batch, |_| number).await?;
        Ok(effect)
    }

    async fn delete(&mut self, target: &Target<'_>, found: &[RawDocumentBuf], number: u32) -> Result<Effect, Stop> {
        let mut batch = Batch::new(cstr!("delete"), cstr!("deletes"));
        for document in found {
            let statement = rawdoc! { "q": by_id(document), "limit": 1 };
            if batch.is_full_with(&statement) {
                self.send(target, &mut batch, |_| number).await?;
            }
            batch.add(&statement);
        }
        self.send(target, &mut batch, |_| number).await?;
        Ok(Effect { matched: found.len() as u64, changed: found.len() as u64, upserted: false })
    }

    /// Sends what has gathered. `place` is the write of a statement in the batch.
    async fn send(&mut self, target: &Target<'_>, batch: &mut Batch, place: impl Fn(u32) -> u32) -> Result<(), Stop> {
        let Some(command) = batch.take(target.name) else { return Ok(()) };
        let reply = self.database.run_raw_command(command).session(&mut *self.session).await;
        outcome(reply, target.collection, place).map(drop)
    }
}

impl Target<'_> {
    fn check(&self, document: &RawDocument) -> Result<(), Error> {
        let indexes = &self.collection.indexes;
        let arrays = arrays(document, indexes.iter().flat_map(|index| &index.fields).map(String::as_str));
        if arrays.is_empty() {
            return Ok(());
        }
        indexes.iter().try_for_each(|index| check_arrays(index, document, &arrays))
    }
}

fn of<'a>(collection: &str, write: &'a Write) -> Option<&'a RawDocument> {
    match write {
        Write::Insert { collection: other, document } if other == collection => Some(document),
        _ => None,
    }
}

fn matched(must: bool, found: &[RawDocumentBuf], number: u32) -> Result<(), Error> {
    if must && found.is_empty() { Err(Error::Unmet(number)) } else { Ok(()) }
}

fn by_id(document: &RawDocument) -> RawDocumentBuf {
    let id = document.get("_id").ok().flatten().unwrap_or(RawBsonRef::Null);
    let mut equal = RawDocumentBuf::new();
    equal.append(cstr!("$eq"), id);
    rawdoc! { "_id": equal }
}

/// Two writes that leave a document as it is.
fn held(document: &RawDocument) -> Vec<RawDocumentBuf> {
    vec![
        rawdoc! { "q": by_id(document), "u": { "$set": { "devconnect-held": true } } },
        rawdoc! { "q": by_id(document), "u": { "$unset": { "devconnect-held": true } } },
    ]
}

/// A command that grows.
struct Batch {
    command: &'static CStr,
    statements: &'static CStr,
    list: RawArrayBuf,
    count: usize,
}

impl Batch {
    fn new(command: &'static CStr, statements: &'static CStr) -> Batch {
        Batch { command, statements, list: RawArrayBuf::new(), count: 0 }
    }

    fn is_full_with(&self, next: &RawDocument) -> bool {
        self.count > 0 && self.list.as_bytes().len() + next.as_bytes().len() > MAX_COMMAND
    }

    fn add(&mut self, statement: &RawDocument) {
        self.list.push(statement.to_owned());
        self.count += 1;
    }

    /// The command, when there is something in it, and begins anew.
    fn take(&mut self, collection: &str) -> Option<RawDocumentBuf> {
        if self.count == 0 {
            return None;
        }
        self.count = 0;
        let list = std::mem::replace(&mut self.list, RawArrayBuf::new());
        let mut command = RawDocumentBuf::new();
        command.append(self.command, collection);
        command.append(self.statements, list);
        command.append(cstr!("ordered"), true);
        Some(command)
    }
}
