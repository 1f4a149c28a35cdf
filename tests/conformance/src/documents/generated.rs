//! Documents, filters, changes, sorts and projections at random, out of few names and values, so that they meet.

use bson::oid::ObjectId;
use bson::{Binary, Bson, DateTime, Document, Timestamp, doc};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Makes everything from one seed.
pub struct Generator {
    random: SmallRng,
}

impl Generator {
    /// The same seed gives the same things in the same order.
    pub fn new(seed: u64) -> Self {
        Self { random: SmallRng::seed_from_u64(seed) }
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u32) -> bool {
        self.random.random_range(0..times) == 0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.random.random_range(0..all.len())].clone()
    }

    fn name(&mut self) -> String {
        self.one_of(&["a", "a", "b", "b", "c", "d", "0", "1"]).to_owned()
    }

    /// A dotted path.
    pub fn path(&mut self) -> String {
        let deep = self.one_of(&[1, 1, 1, 2, 2, 3]);
        (0..deep).map(|_| self.name()).collect::<Vec<_>>().join(".")
    }

    /// A value that is neither a document nor an array.
    pub fn plain(&mut self) -> Bson {
        match self.below(30) {
            0..=7 => Bson::Int32(self.random.random_range(-1..4)),
            8..=9 => Bson::Int64(self.random.random_range(-1..4)),
            10..=12 => Bson::Double(self.one_of(&[0.0, -0.0, 1.0, 1.5, 2.0, f64::NAN, f64::INFINITY, -1e300])),
            13 => self.one_of(&[
                Bson::Int32(i32::MAX),
                Bson::Int64(i64::MAX),
                Bson::Int64(1 << 53),
                Bson::Double(9_007_199_254_740_992.0),
                Bson::Int64((1 << 53) + 1),
            ]),
            14..=17 => Bson::String(self.one_of(&["", "a", "b", "ab", "a\0b", "ä", "z"]).to_owned()),
            18..=20 => Bson::Null,
            21..=22 => Bson::Boolean(self.once_in(2)),
            23..=24 => Bson::DateTime(DateTime::from_millis(self.random.random_range(-1..2))),
            25..=26 => Bson::ObjectId(ObjectId::from_bytes([self.one_of(&[0, 1, 255]); 12])),
            27 => {
                let bytes = vec![self.one_of(&[0, 1]); self.one_of(&[0, 1, 2])];
                Bson::Binary(Binary { subtype: self.one_of(&[0x00u8, 0x05, 0x80]).into(), bytes })
            }
            28 => Bson::Timestamp(Timestamp { time: self.below(2), increment: 1 }),
            _ => self.one_of(&[Bson::MinKey, Bson::MaxKey, Bson::Null]),
        }
    }

    /// Any value, nested at most this deep.
    pub fn value(&mut self, depth: u32) -> Bson {
        match self.below(10) {
            0..=1 if depth > 0 => Bson::Document(self.fields(depth - 1)),
            2..=4 if depth > 0 => {
                let count = self.below(4);
                Bson::Array((0..count).map(|_| self.value(depth - 1)).collect())
            }
            _ => self.plain(),
        }
    }

    fn fields(&mut self, depth: u32) -> Document {
        let count = self.below(4);
        (0..count).map(|_| (self.name(), self.value(depth))).collect()
    }

    /// A document to store, without an `_id`.
    pub fn document(&mut self) -> Document {
        let mut document = self.fields(3);
        document.extend(self.fields(2));
        document
    }

    /// A filter; now and then one that is refused.
    pub fn filter(&mut self) -> Document {
        self.terms(2)
    }

    fn terms(&mut self, depth: u32) -> Document {
        let count = self.one_of(&[0, 1, 1, 1, 1, 2, 2, 3]);
        let mut filter = Document::new();
        for _ in 0..count {
            if depth > 0 && self.once_in(4) {
                let lists: Vec<Document> = (0..self.below(3) + 1).map(|_| self.terms(depth - 1)).collect();
                let name = self.one_of(&["$and", "$or"]);
                filter.insert(name, lists);
            } else {
                let path = self.path();
                let condition = self.condition(depth);
                filter.insert(path, condition);
            }
        }
        filter
    }

    fn condition(&mut self, depth: u32) -> Bson {
        if self.once_in(3) {
            return self.value(2);
        }
        Bson::Document(self.operators(depth))
    }

    fn operators(&mut self, depth: u32) -> Document {
        let mut all = Document::new();
        for _ in 0..self.one_of(&[1, 1, 1, 2]) {
            let name = self.one_of(&[
                "$eq",
                "$ne",
                "$gt",
                "$gte",
                "$lt",
                "$lte",
                "$in",
                "$nin",
                "$exists",
                "$not",
                "$elemMatch",
                "$elemMatch",
            ]);
            let operand = match name {
                "$in" | "$nin" => Bson::Array((0..self.below(4)).map(|_| self.value(2)).collect()),
                "$exists" => Bson::Boolean(self.once_in(2)),
                "$not" | "$elemMatch" if depth == 0 => continue,
                "$not" => Bson::Document(self.operators(depth - 1)),
                "$elemMatch" if self.once_in(2) => Bson::Document(self.operators(depth - 1)),
                "$elemMatch" => Bson::Document(self.terms(depth - 1)),
                _ => self.value(2),
            };
            all.insert(name, operand);
        }
        if all.is_empty() {
            all.insert("$eq", self.value(1));
        }
        all
    }

    /// An order by up to three fields.
    pub fn sort(&mut self) -> Document {
        let count = self.one_of(&[0, 1, 1, 1, 2, 2, 3]);
        let mut sort = Document::new();
        for _ in 0..count {
            let path = if self.once_in(8) { "_id".to_owned() } else { self.path() };
            // Places of arrays in a sort mean two things at once in MongoDB.
            if !path.contains(['0', '1']) {
                sort.insert(path, self.one_of(&[1, -1]));
            }
        }
        sort
    }

    /// A projection; now and then one that is refused.
    pub fn projection(&mut self) -> Document {
        let keep = i32::from(self.once_in(2));
        let mut projection = Document::new();
        for _ in 0..self.below(4) {
            projection.insert(self.path(), keep);
        }
        if self.once_in(4) {
            projection.insert("_id", i32::from(self.once_in(2)));
        }
        projection
    }

    /// A change; now and then one that is refused.
    pub fn change(&mut self) -> Document {
        let mut change = Document::new();
        for _ in 0..self.one_of(&[1, 1, 1, 2, 3]) {
            let name = self.one_of(&[
                "$set",
                "$set",
                "$unset",
                "$inc",
                "$inc",
                "$min",
                "$max",
                "$push",
                "$push",
                "$addToSet",
                "$pull",
                "$pull",
                "$setOnInsert",
            ]);
            let mut fields = Document::new();
            for _ in 0..self.one_of(&[1, 1, 2]) {
                let path = self.path();
                let operand = self.operand(name);
                fields.insert(path, operand);
            }
            change.insert(name, fields);
        }
        change
    }

    fn operand(&mut self, operator: &str) -> Bson {
        let values = |made: &mut Self| Bson::Array((0..made.below(4)).map(|_| made.value(2)).collect());
        match operator {
            "$unset" => Bson::String(String::new()),
            "$inc" => self.one_of(&[1.into(), (-2).into(), 3i64.into(), 0.5.into(), Bson::Int64(i64::MAX), 0.into()]),
            "$push" if self.once_in(2) => {
                let mut modifiers = doc! { "$each": values(self) };
                if self.once_in(2) {
                    modifiers.insert("$slice", self.random.random_range(-3..4));
                }
                Bson::Document(modifiers)
            }
            "$addToSet" if self.once_in(2) => Bson::Document(doc! { "$each": values(self) }),
            "$pull" if self.once_in(2) => Bson::Document(self.operators(1)),
            "$pull" if self.once_in(2) => Bson::Document(self.terms(1)),
            _ => self.value(2),
        }
    }
}
