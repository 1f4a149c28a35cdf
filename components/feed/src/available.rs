//! Whom a member may be shown: every user but the member and those with whom a request exists. There may be very many
//! of either, so users are walked along `_id`, and those left out are named in the queries: a query names at most
//! [`MOST_NAMED`], and so the ids are cut into ranges that each have no more of them.
//! Only users whose `_id` is an ObjectId are seen, as nobody could send a request to any other.

use devconnect_sdk::prelude::*;
use model::{cached, user};

use crate::headcount;

const REQUESTS: &str = "connectionrequests";
/// The most elements that the `$in` and `$nin` of a filter may have.
const MOST_NAMED: usize = 1_000;
/// The most bytes of a user or a request of which one id is read.
const ID_BYTES: u32 = 1 << 10;
/// No id is less.
pub(crate) const LEAST: ObjectId = ObjectId::from_bytes([0; 12]);

/// In which order users are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Who joins comes last, so that pages that were seen stay as they were.
    OldestFirst,
    NewestFirst,
}

/// The users that a member may be shown, known by those who are left out: in order, each once.
#[derive(Debug)]
pub(crate) struct Available {
    left_out: Vec<ObjectId>,
    /// How many of those exist.
    existing: u64,
}

impl Available {
    /// What `member` may be shown. The cache has it until a request of the member comes or changes.
    pub(crate) fn to(member: ObjectId) -> Result<Self, Error> {
        let key = format!("user:{}:requests", member.to_hex());
        if let Ok(Some(kept)) = cache::get(&key)
            && let Some((existing, ids)) = kept.split_first_chunk()
        {
            return Ok(Self { left_out: cached::ids(ids), existing: u64::from_le_bytes(*existing) });
        }
        let mut left_out = vec![member];
        others(member, "fromUserId", "toUserId", &mut left_out)?;
        others(member, "toUserId", "fromUserId", &mut left_out)?;
        let mut available = Self::without(left_out);
        available.existing = available.existing()?;
        let kept = [&available.existing.to_le_bytes()[..], &cached::bytes(&available.left_out)].concat();
        cached::keep(&key, kept);
        Ok(available)
    }

    fn without(mut left_out: Vec<ObjectId>) -> Self {
        left_out.sort_unstable();
        left_out.dedup();
        Self { left_out, existing: 0 }
    }

    /// How many of the left out exist.
    fn existing(&self) -> Result<u64, Error> {
        let existing = |ids: &[ObjectId]| collection(user::COLLECTION).count(doc! { "_id": { "$in": ids } });
        Ok(match self.left_out.as_slice() {
            // Nobody but the member, who was just read.
            [_] => 1,
            ids => ids.chunks(MOST_NAMED).map(existing).sum::<Result<_, _>>()?,
        })
    }

    /// The ids of at most `count` of them, after the first `skip`.
    pub(crate) fn ids(&self, order: Order, mut skip: u32, count: u32) -> Result<Vec<ObjectId>, Error> {
        let (ranges, sort): (Box<dyn Iterator<Item = Document>>, i32) = match order {
            Order::OldestFirst => (Box::new(self.ranges()), 1),
            Order::NewestFirst => (Box::new(self.ranges().rev()), -1),
        };
        let users = collection(user::COLLECTION);
        let (mut found, mut left) = (Vec::new(), self.left_out.len().div_ceil(MOST_NAMED));
        for range in ranges {
            left -= 1;
            // The last range need not be counted: who is past its end is past everybody.
            if skip > 0 && left > 0 {
                let before = u32::try_from(users.count_up_to(range.clone(), skip)?).unwrap_or(skip);
                if before < skip {
                    skip -= before;
                    continue;
                }
            }
            let missing = count - u32::try_from(found.len()).unwrap_or(count);
            let query = users.find(range).sort(doc! { "_id": sort }).project(doc! { "_id": 1 }).row_bytes(ID_BYTES);
            let rows = query.skip(skip).limit(missing).raw()?;
            found.extend(rows.iter().filter_map(|user| Document::from_slice(user).ok()?.get_oid("_id")));
            skip = 0;
            if found.len() >= count as usize {
                break;
            }
        }
        Ok(found)
    }

    /// Whether `id` may be shown, if there is such a user.
    pub(crate) fn has(&self, id: ObjectId) -> bool {
        self.left_out.binary_search(&id).is_err()
    }

    /// Those who are not among `ids` either. Their number is not known.
    pub(crate) fn besides(&self, ids: &[ObjectId]) -> Self {
        Self::without([&self.left_out, ids].concat())
    }

    /// How many there are: all users as [`headcount`] has them, without those of the left out who still exist.
    pub(crate) fn count(&self) -> Result<u64, Error> {
        Ok(headcount::users()?.saturating_sub(self.existing))
    }

    /// Filters that together match them, each once, from the least ids to the greatest. One at a time: a filter is
    /// several times as large as the ids it names.
    fn ranges(&self) -> impl DoubleEndedIterator<Item = Document> {
        let chunks = self.left_out.chunks(MOST_NAMED);
        let count = chunks.len();
        chunks.enumerate().map(move |(place, chunk)| {
            let before = (place * MOST_NAMED).checked_sub(1).and_then(|last| self.left_out.get(last));
            let mut ids = before.map_or_else(|| doc! { "$gte": LEAST }, |before| doc! { "$gt": before });
            ids.insert("$nin", chunk);
            if let Some(end) = chunk.last().filter(|_| place + 1 < count) {
                ids.insert("$lt", end);
            }
            doc! { "_id": ids }
        })
    }
}

/// Adds whoever is in the field `other` of the requests that have `member` in the field `own`. An index over both
/// fields is walked along the second: each query goes on where the one before it ended, however many there are.
fn others(member: ObjectId, own: &str, other: &str, found: &mut Vec<ObjectId>) -> Result<(), Error> {
    let mut wanted = doc! { "$gte": LEAST };
    loop {
        let query = collection(REQUESTS).find(doc! { own: member, other: &wanted }).sort(doc! { other: 1 });
        let requests = query.project(doc! { "_id": 0, other: 1 }).row_bytes(ID_BYTES).raw()?;
        let ids = requests.iter().filter_map(|request| Document::from_slice(request).ok()?.get_oid(other));
        let before = found.len();
        found.extend(ids);
        let last = found.get(before..).and_then(|new| new.iter().max().copied());
        match last {
            Some(last) if requests.len() >= documents::MOST as usize => wanted = doc! { "$gt": last },
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> ObjectId {
        let [a, b, c, d] = number.to_be_bytes();
        ObjectId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d])
    }

    #[test]
    fn a_few_are_left_out_by_one_filter() {
        let available = Available::without(vec![id(7), id(3), id(7)]);
        assert_eq!(available.ranges().collect::<Vec<_>>(), [doc! { "_id": { "$gte": LEAST, "$nin": [id(3), id(7)] } }]);
    }

    #[test]
    fn many_are_cut_into_ranges_that_touch() {
        let available = Available::without((1..=2_500).map(id).collect());
        let bounds: Vec<_> = available
            .ranges()
            .map(|range| {
                let ids = range.get_document("_id").unwrap();
                let named = ids.get_array("$nin").unwrap().len();
                (ids.get_oid("$gte").or(ids.get_oid("$gt")).unwrap(), ids.get_oid("$lt"), named)
            })
            .collect();
        let expected = [(LEAST, Some(id(1_000)), 1_000), (id(1_000), Some(id(2_000)), 1_000), (id(2_000), None, 500)];
        assert_eq!(bounds, expected);
    }

    #[test]
    fn more_can_be_left_out() {
        let available = Available::without(vec![id(7), id(3)]).besides(&[id(5), id(3)]);
        assert_eq!(available.left_out, [id(3), id(5), id(7)]);
        assert_eq!([3, 4, 5].map(|number| available.has(id(number))), [false, true, false]);
    }

    #[test]
    fn exactly_as_many_as_a_filter_names_need_one() {
        assert_eq!(Available::without((1..=1_000).map(id).collect()).ranges().count(), 1);
        assert_eq!(Available::without((1..=1_001).map(id).collect()).ranges().count(), 2);
    }
}
