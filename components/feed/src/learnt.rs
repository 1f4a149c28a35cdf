//! The model in the documents of `feedpairs`: a row of counts for each skill of the table, and the table of how well was known
//! before, in a few shards. Counts are stored by their weight at [`BEGINNING`], so that each is only ever added to, and read by
//! their weight of today.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use model::matching::calibration::Cell;
use model::matching::catalogue::SkillKey;
use model::matching::pairs::{Counts, Pairs, VERSION, weight};

const COLLECTION: &str = "feedpairs";
/// 2026-01-01T00:00:00Z. Counts of any time are of one scale.
const BEGINNING: i64 = 1_767_225_600_000;
/// Every request changes a cell, and not all of them one document.
const SHARDS: u8 = 8;
/// The most rows that are read at once, and the most bytes of one: more than the table of skills makes.
const ROWS: u32 = 400;
const ROW_BYTES: u32 = 32 << 10;

/// The rows of these skills, and with `grid` how well was known before.
pub(crate) fn read(
    skills: impl Iterator<Item = SkillKey>,
    grid: bool,
    now: DateTime,
) -> Result<Pairs, documents::Error> {
    let shards = if grid { 0..SHARDS } else { 0..0 };
    let ids: Vec<String> = skills.map(row_id).chain(shards.map(shard_id)).take(ROWS as usize).collect();
    let mut pairs = Pairs::default();
    if ids.is_empty() {
        return Ok(pairs);
    }
    let today = weight(now.millis() - BEGINNING);
    let query = collection(COLLECTION).find(doc! { "_id": { "$in": ids } }).limit(ROWS).row_bytes(ROW_BYTES);
    for row in query.raw()? {
        let Ok(row) = Document::from_slice(&row) else { continue };
        let Some(id) = row.get_str("_id").and_then(|id| id.strip_prefix(&format!("{VERSION}/"))) else { continue };
        let counts = row.iter().filter_map(|(field, value)| {
            let (accepted, number) = (field.starts_with('a'), field.strip_prefix(['a', 'i'])?);
            // A count that can't be is none.
            let count = value.as_f64().filter(|count| count.is_finite() && *count >= 0.0)?;
            Some((u32::from_str_radix(number, 16).ok()?, accepted, count * today))
        });
        if id.starts_with("grid/") {
            for (number, accepted, count) in counts {
                if let Some(cell) = Cell::numbered(number) {
                    pairs.grid.0.entry(cell).or_default().add(accepted, count);
                }
            }
        } else if let Ok(skill) = u32::from_str_radix(id, 16) {
            let row = pairs.rows.entry(SkillKey(skill)).or_default();
            counts.for_each(|(number, accepted, count)| row.entry(SkillKey(number)).or_default().add(accepted, count));
        }
    }
    Ok(pairs)
}

/// Adds these counts to the stored ones; `by` says to which shard.
pub(crate) fn add(pairs: &Pairs, by: ObjectId, now: DateTime) -> Result<(), Failure> {
    let scale = 1.0 / weight(now.millis() - BEGINNING);
    let rows = pairs
        .rows
        .iter()
        .map(|(skill, row)| (row_id(*skill), increments(row.iter().map(|(other, counts)| (other.0, *counts)), scale)));
    let [.., last] = by.bytes();
    let cells = pairs.grid.0.iter().map(|(cell, counts)| (cell.number(), *counts));
    let grid = (shard_id(last % SHARDS), increments(cells, scale));
    let changes: Vec<(String, Document)> = rows.chain([grid]).filter(|(_, change)| !change.is_empty()).collect();
    // A commit takes a hundred writes.
    for some in changes.chunks(100) {
        let mut commit = Commit::new();
        for (id, change) in some {
            commit = commit.update(COLLECTION, doc! { "_id": id.as_str() }, doc! { "$inc": change }).upsert();
        }
        commit.run()?;
    }
    Ok(())
}

fn increments(counts: impl Iterator<Item = (u32, Counts)>, scale: f64) -> Document {
    let mut change = Document::new();
    for (number, counts) in counts {
        for (kind, count) in [('a', counts.accepted), ('i', counts.ignored)] {
            if count > 0.0 {
                change.insert(format!("{kind}{number:x}"), count * scale);
            }
        }
    }
    change
}

fn row_id(skill: SkillKey) -> String {
    format!("{VERSION}/{:x}", skill.0)
}

fn shard_id(shard: u8) -> String {
    format!("{VERSION}/grid/{shard}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_counted_is_added() {
        let counts = [(10, Counts { accepted: 2.0, ignored: 0.0 }), (255, Counts { accepted: 0.0, ignored: 1.0 })];
        assert_eq!(increments(counts.into_iter(), 0.5), doc! { "aa": 1.0, "iff": 0.5 });
        assert!(increments([(1, Counts::default())].into_iter(), 1.0).is_empty());
    }

    #[test]
    fn a_row_and_a_shard_have_the_version_in_their_ids() {
        assert_eq!([row_id(SkillKey(0xAB)), shard_id(7)], ["1/ab", "1/grid/7"]);
    }
}
