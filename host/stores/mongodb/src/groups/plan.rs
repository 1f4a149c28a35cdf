//! The transaction of a group: what its commits read together, what becomes of each, and what is written together.
//!
//! A commit is staged on what the transaction has read and on what the commits before it have staged. One that is refused, or
//! that the server has to judge, leaves nothing behind and is not written. Staging is pure.

use std::collections::BTreeMap;

use ::mongodb::{ClientSession, Database};
use bson::{Bson, RawDocumentBuf, doc, rawdoc};
use capability::documents::order::{Key, validate_insert};
use capability::documents::{Changed, Commit, Effect, Error, Filter, Schema, Write};
use capability::events::{Event, validate};

use crate::refusal::Stop;
use crate::writes::{Batch, DELETE, INSERT, Kind, STEP, Target, UPDATE, by_id, id_key, id_of, read_all, touch};
use crate::{Shared, outbox};

/// What becomes of a commit of a group.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is written. One effect for each of its writes.
    Done(Vec<Effect>),
    /// It is refused, whatever the others do; nothing of it is written.
    Refused(Error),
    /// Nothing of it is written; alone it may be refused, or done.
    Alone,
}

/// Why a group was not committed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The number of the commit whose fault it is, where that is known.
    pub(super) commit: Option<usize>,
    pub(super) stop: Stop,
    /// The server may have been told to commit.
    pub(super) told: bool,
}

impl Failure {
    pub(super) fn of_all(stop: Stop) -> Self {
        Self { commit: None, stop, told: false }
    }
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::of_all(stop)
    }
}

/// A document as the transaction has it now.
#[derive(Debug)]
struct Row {
    /// None where there is none.
    document: Option<RawDocumentBuf>,
    /// A commit of the group has written it.
    written: bool,
}

/// The documents that the commits of a group are about, by collection and `_id`.
type View<'a> = BTreeMap<&'a str, BTreeMap<Key, Row>>;

/// What a commit does, before it is part of the group.
#[derive(Default)]
struct Staged<'a> {
    effects: Vec<Effect>,
    rows: BTreeMap<(&'a str, Key), Option<RawDocumentBuf>>,
    statements: Vec<Statement<'a>>,
}

struct Statement<'a> {
    kind: &'static Kind,
    collection: &'a str,
    document: RawDocumentBuf,
}

/// Does the writes of the commits and appends their events. One verdict for each, and the events of those that are done.
pub(super) async fn run<'a>(
    shared: &Shared,
    database: &Database,
    session: &mut ClientSession,
    commits: &[&'a Commit],
) -> Result<(Vec<Verdict>, Vec<&'a Event>), Failure> {
    let mut view = View::new();
    for (collection, ids) in wanted(commits) {
        let filter = doc! { "_id": { "$in": ids.values().cloned().collect::<Vec<Bson>>() } };
        let rows = view.entry(collection).or_default();
        rows.extend(ids.into_keys().map(|key| (key, Row { document: None, written: false })));
        for document in read_all(database, session, collection, filter, true).await? {
            rows.insert(id_key(&document), Row { document: Some(document), written: false });
        }
    }
    let (mut batches, mut verdicts) = (Vec::new(), Vec::with_capacity(commits.len()));
    let (mut events, mut bytes): (Vec<&'a Event>, usize) = (Vec::new(), 0);
    for (number, commit) in (0_u32..).zip(commits.iter().copied()) {
        if bytes > STEP {
            bytes = 0;
            // Other tasks run meanwhile, and a group that was given up ends here.
            tokio::task::yield_now().await;
        }
        // The store refuses such an event when its commit is alone.
        let valid = commit.events.iter().all(|event| validate(&shared.topics, event).is_ok());
        let staged = if valid { stage(&shared.schema, &view, commit) } else { Err(Verdict::Alone) };
        verdicts.push(match staged {
            Ok(staged) => {
                events.extend(commit.events.iter());
                bytes += staged.statements.iter().map(|statement| statement.document.as_bytes().len()).sum::<usize>();
                Verdict::Done(staged.join(&mut view, &mut batches, number))
            }
            Err(verdict) => verdict,
        });
    }
    for batch in batches {
        batch.send(shared, database, session).await.map_err(of_one)?;
    }
    outbox::enqueue(database, session, &shared.topics, &events).await?;
    Ok((verdicts, events))
}

/// A repeated value is the fault of the commit whose number the statement has.
fn of_one(stop: Stop) -> Failure {
    let commit = match &stop {
        Stop::Refused(Error::Duplicate { write, .. }) => usize::try_from(*write).ok(),
        _ => None,
    };
    Failure { commit, stop, told: false }
}

/// The `_id`s of the documents that the commits change or delete, by collection.
fn wanted<'a>(commits: &[&'a Commit]) -> BTreeMap<&'a str, BTreeMap<Key, Bson>> {
    let mut wanted: BTreeMap<&str, BTreeMap<Key, Bson>> = BTreeMap::new();
    for write in commits.iter().copied().flat_map(|commit| &commit.writes) {
        if let Write::Update { collection, filter, .. } | Write::Delete { collection, filter, .. } = write
            && let Some((key, id)) = id_of(filter)
        {
            wanted.entry(collection).or_default().insert(key, id);
        }
    }
    wanted
}

/// What a commit does on the documents of the view; or why it is not part of the group.
fn stage<'a>(schema: &Schema, view: &View<'_>, commit: &'a Commit) -> Result<Staged<'a>, Verdict> {
    // One write needs no other document to stay as it is.
    let alone = commit.writes.len() + commit.events.len() == 1;
    let mut staged = Staged::default();
    for (number, write) in (0_u32..).zip(&commit.writes) {
        let name = match write {
            Write::Insert { collection, .. } | Write::Update { collection, .. } | Write::Delete { collection, .. } => {
                collection.as_str()
            }
        };
        let Ok(collection) = schema.collection(name) else { return Err(Verdict::Alone) };
        let target = Target { name, collection };
        let effect = match write {
            Write::Insert { document, .. } => staged.insert(name, target, document.clone())?,
            Write::Update { filter, change, upsert, must_match, .. } => match staged.find(view, name, filter)? {
                Some(before) => {
                    let changed = change.changed(&before).map_err(|_| Verdict::Alone)?;
                    staged.update(name, target, &before, changed, alone)?
                }
                None if *upsert => {
                    let document = change.upserted(filter).map_err(|_| Verdict::Alone)?;
                    validate_insert(&document).map_err(|_| Verdict::Alone)?;
                    Effect { upserted: true, ..staged.insert(name, target, document)? }
                }
                None => unmatched(view, name, filter, *must_match, number)?,
            },
            Write::Delete { filter, must_match, .. } => match staged.find(view, name, filter)? {
                Some(before) => staged.delete(name, &before),
                None => unmatched(view, name, filter, *must_match, number)?,
            },
        };
        staged.effects.push(effect);
    }
    Ok(staged)
}

/// Nothing matches. Where something had to, the commit is refused: at once when no other commit of the group, and no write before
/// this one, has to do with that.
fn unmatched(
    view: &View<'_>,
    collection: &str,
    filter: &Filter,
    must_match: bool,
    number: u32,
) -> Result<Effect, Verdict> {
    if !must_match {
        return Ok(Effect::default());
    }
    let row = id_of(filter).and_then(|(key, _)| view.get(collection)?.get(&key));
    let certain = number == 0 && row.is_some_and(|row| !row.written);
    Err(if certain { Verdict::Refused(Error::Unmet(number)) } else { Verdict::Alone })
}

impl<'a> Staged<'a> {
    /// The document that a filter matches, as it is after the writes before.
    fn find(&self, view: &View<'_>, collection: &'a str, filter: &Filter) -> Result<Option<RawDocumentBuf>, Verdict> {
        let (key, _) = id_of(filter).ok_or(Verdict::Alone)?;
        let read = view.get(collection).and_then(|rows| rows.get(&key)).map(|row| &row.document);
        let found = self.rows.get(&(collection, key)).or(read).ok_or(Verdict::Alone)?;
        Ok(found.clone().filter(|document| filter.matches(document)))
    }

    fn insert(&mut self, collection: &'a str, target: Target<'_>, document: RawDocumentBuf) -> Result<Effect, Verdict> {
        target.check(&document).map_err(|_| Verdict::Alone)?;
        self.push(&INSERT, collection, document.clone());
        self.rows.insert((collection, id_key(&document)), Some(document));
        Ok(Effect { matched: 0, changed: 1, upserted: false })
    }

    fn update(
        &mut self,
        collection: &'a str,
        target: Target<'_>,
        before: &RawDocumentBuf,
        changed: Option<Changed>,
        alone: bool,
    ) -> Result<Effect, Verdict> {
        let Some(Changed { document, update }) = changed else {
            if !alone {
                touch(before).into_iter().for_each(|statement| self.push(&UPDATE, collection, statement));
            }
            return Ok(Effect { matched: 1, ..Effect::default() });
        };
        target.check_change(before, &document).map_err(|_| Verdict::Alone)?;
        self.push(&UPDATE, collection, rawdoc! { "q": by_id(before), "u": update });
        self.rows.insert((collection, id_key(before)), Some(document));
        Ok(Effect { matched: 1, changed: 1, upserted: false })
    }

    fn delete(&mut self, collection: &'a str, before: &RawDocumentBuf) -> Effect {
        self.push(&DELETE, collection, rawdoc! { "q": by_id(before), "limit": 1 });
        self.rows.insert((collection, id_key(before)), None);
        Effect { matched: 1, changed: 1, upserted: false }
    }

    fn push(&mut self, kind: &'static Kind, collection: &'a str, document: RawDocumentBuf) {
        self.statements.push(Statement { kind, collection, document });
    }

    /// Makes it part of the group, as its commit of this number; returns its effects.
    fn join(self, view: &mut View<'a>, batches: &mut Vec<Batch>, number: u32) -> Vec<Effect> {
        for ((collection, key), document) in self.rows {
            view.entry(collection).or_default().insert(key, Row { document, written: true });
        }
        for Statement { kind, collection, document } in self.statements {
            // Behind all statements of its collection, and with those of its kind where none is between.
            let last = batches.iter().rposition(|batch| batch.collection == collection);
            let takes = |at: &usize| batches.get(*at).is_some_and(|batch| batch.takes(kind, collection, &document));
            let at = last.filter(takes).unwrap_or(batches.len());
            if at == batches.len() {
                batches.push(Batch::default());
            }
            if let Some(batch) = batches.get_mut(at) {
                batch.add(kind, collection, &document, number);
            }
        }
        self.effects
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails where it stands")]

    use capability::documents::{Change, Collection};

    use super::*;

    fn schema() -> Schema {
        Schema { collections: ["a", "b"].map(|name| (name.to_owned(), Collection::default())).into() }
    }

    fn raw(document: &bson::Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(document).unwrap()
    }

    fn insert(collection: &str, document: &bson::Document) -> Write {
        Write::Insert { collection: collection.to_owned(), document: raw(document) }
    }

    fn update(collection: &str, filter: &bson::Document, change: &bson::Document, must_match: bool) -> Write {
        Write::Update {
            collection: collection.to_owned(),
            filter: Filter::from_document(filter).unwrap(),
            change: Change::from_document(change).unwrap(),
            upsert: !must_match,
            many: false,
            must_match,
        }
    }

    fn delete(collection: &str, filter: &bson::Document) -> Write {
        let filter = Filter::from_document(filter).unwrap();
        Write::Delete { collection: collection.to_owned(), filter, many: false, must_match: true }
    }

    fn of(writes: Vec<Write>) -> Commit {
        Commit { writes, events: Vec::new() }
    }

    /// What the transaction would have read.
    fn view<'a>(commits: &[&'a Commit], there: &[(&'a str, bson::Document)]) -> View<'a> {
        let mut view = View::new();
        for (collection, ids) in wanted(commits) {
            let missing = ids.into_keys().map(|key| (key, Row { document: None, written: false }));
            view.entry(collection).or_default().extend(missing);
        }
        for (collection, document) in there {
            let row = Row { document: Some(raw(document)), written: false };
            view.entry(*collection).or_default().insert(id_key(&raw(document)), row);
        }
        view
    }

    /// What becomes of the commits, one behind the other, and the batches: their collections and how many statements of whom.
    fn group(commits: &[Commit], there: &[(&str, bson::Document)]) -> (Vec<Verdict>, Vec<Batch>) {
        let commits: Vec<&Commit> = commits.iter().collect();
        let (mut view, mut batches, schema) = (view(&commits, there), Vec::new(), schema());
        let verdicts =
            (0_u32..).zip(commits.iter().copied()).map(|(number, commit)| match stage(&schema, &view, commit) {
                Ok(staged) => Verdict::Done(staged.join(&mut view, &mut batches, number)),
                Err(verdict) => verdict,
            });
        (verdicts.collect(), batches)
    }

    const CHANGED: Effect = Effect { matched: 1, changed: 1, upserted: false };
    const INSERTED: Effect = Effect { matched: 0, changed: 1, upserted: false };

    #[test]
    fn what_many_do_to_a_collection_is_one_command() {
        let message = |n: i32| {
            let next = update("a", &doc! { "_id": n, "seq": 1 }, &doc! { "$set": { "seq": 2 } }, true);
            of(vec![next, insert("b", &doc! { "_id": n })])
        };
        let there: Vec<_> = (0..20).map(|n| ("a", doc! { "_id": n, "seq": 1 })).collect();
        let (verdicts, batches) = group(&(0..20).map(message).collect::<Vec<_>>(), &there);
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Done(vec![CHANGED, INSERTED])));
        let collections: Vec<&str> = batches.iter().map(|batch| batch.collection.as_str()).collect();
        assert_eq!(collections, ["a", "b"], "an update of twenty, and an insertion of twenty");
    }

    #[test]
    fn each_sees_those_before_it_and_their_statements_keep_their_order() {
        let commits = [
            of(vec![insert("a", &doc! { "_id": 1, "n": 1 })]),
            of(vec![update("a", &doc! { "_id": 1, "n": 1 }, &doc! { "$inc": { "n": 1 } }, true)]),
            of(vec![delete("a", &doc! { "_id": 1, "n": 2 })]),
            of(vec![update("a", &doc! { "_id": 1 }, &doc! { "$inc": { "n": 9 } }, false)]),
            of(vec![insert("b", &doc! { "_id": 1 })]),
        ];
        let (verdicts, batches) = group(&commits, &[]);
        let upserted = Effect { upserted: true, ..INSERTED };
        let wanted = [INSERTED, CHANGED, CHANGED, upserted, INSERTED].map(|effect| Verdict::Done(vec![effect]));
        assert_eq!(verdicts, wanted);
        let collections: Vec<&str> = batches.iter().map(|batch| batch.collection.as_str()).collect();
        assert_eq!(collections, ["a", "a", "a", "a", "b"], "insert, update, delete and insert are not exchanged");
    }

    #[test]
    fn who_is_refused_leaves_nothing_for_the_others() {
        let raise = |seen: i32| {
            of(vec![
                update("a", &doc! { "_id": 1, "n": seen }, &doc! { "$inc": { "n": 1 } }, true),
                insert("b", &doc! { "_id": seen }),
            ])
        };
        let late = of(vec![
            insert("b", &doc! { "_id": 9 }),
            update("a", &doc! { "_id": 2 }, &doc! { "$inc": { "n": 1 } }, true),
        ]);
        let there = [("a", doc! { "_id": 1, "n": 5 })];
        let (verdicts, batches) = group(&[raise(4), late, raise(5), raise(5)], &there);
        assert_eq!(verdicts[0], Verdict::Refused(Error::Unmet(0)), "nobody has changed what it did not find");
        assert_eq!(verdicts[1], Verdict::Alone, "the server may refuse its first write");
        assert_eq!(verdicts[2], Verdict::Done(vec![CHANGED, INSERTED]));
        assert_eq!(verdicts[3], Verdict::Alone, "should the group fail, it is not refused");
        assert_eq!(batches.len(), 2);
    }

    #[test]
    fn what_had_to_match_and_stays_as_it_is_is_written_all_the_same() {
        let commit = of(vec![
            update("a", &doc! { "_id": 1, "on": true }, &doc! { "$set": { "on": true } }, true),
            insert("b", &doc! { "_id": 1 }),
        ]);
        let (verdicts, batches) = group(&[commit], &[("a", doc! { "_id": 1, "on": true })]);
        let matched = Effect { matched: 1, ..Effect::default() };
        assert_eq!(verdicts, [Verdict::Done(vec![matched, INSERTED])]);
        assert_eq!(batches.len(), 2, "another commit that changes it meanwhile is a conflict");
    }

    #[test]
    fn whose_fault_a_repeated_value_is() {
        let duplicate = Error::Duplicate { write: 3, index: "name".to_owned() };
        assert_eq!(of_one(duplicate.into()).commit, Some(3));
        assert_eq!(of_one(Stop::Conflict).commit, None);
    }
}
