//! Distinct values: the lowest ones that were met, within a number and within bytes.
//!
//! The result does not depend on the order in which a store meets them. Pure.

use std::collections::BTreeMap;

use bson::{Bson, RawBsonRef};

use crate::documents::order::{Key, count_values, key};
use crate::documents::{Error, MAX_ANSWER, MAX_LIMIT};

/// The lowest distinct values so far: at most [`MAX_LIMIT`], which take at most [`MAX_ANSWER`] bytes in memory.
#[derive(Debug, Default)]
pub struct Lowest {
    /// With what each takes in memory. Equal values take the same.
    values: BTreeMap<Key, (Bson, usize)>,
    /// What all take.
    bytes: usize,
    /// The lowest value that was dropped because of the bytes. The values below it never get fewer, so that neither it nor one
    /// above it will ever fit.
    dropped: Option<Key>,
}

impl Lowest {
    /// Meets a value of a validated document.
    pub fn add(&mut self, value: RawBsonRef<'_>) {
        let key = key(value);
        let full = self.values.len() >= MAX_LIMIT as usize;
        let is_above = full && self.values.last_key_value().is_some_and(|(last, _)| *last < key);
        let never_fits = self.dropped.as_ref().is_some_and(|dropped| *dropped <= key);
        if is_above || never_fits || self.values.contains_key(&key) {
            return;
        }
        let weight = key.len() + count_values(value) * size_of::<Bson>();
        let Ok(value) = Bson::try_from(value) else { return };
        self.bytes += weight;
        self.values.insert(key, (value, weight));
        while self.values.len() > MAX_LIMIT as usize || self.bytes > MAX_ANSWER {
            let in_number = self.values.len() <= MAX_LIMIT as usize;
            let Some((last, (_, weight))) = self.values.pop_last() else { break };
            self.bytes -= weight;
            if in_number {
                self.dropped = Some(last);
            }
        }
    }

    /// The values in order.
    ///
    /// # Errors
    /// [`Error::Invalid`] when those that belong to the answer have more than [`MAX_ANSWER`] bytes.
    pub fn finish(self) -> Result<Vec<Bson>, Error> {
        if self.dropped.is_some() && self.values.len() < MAX_LIMIT as usize {
            return Err(Error::too_large_an_answer());
        }
        Ok(self.values.into_values().map(|(value, _)| value).collect())
    }
}

#[cfg(test)]
mod tests {
    use bson::RawBson;

    use super::*;

    fn lowest(values: impl IntoIterator<Item = Bson>) -> Result<Vec<Bson>, Error> {
        let mut lowest = Lowest::default();
        for value in values {
            lowest.add(RawBson::try_from(value).unwrap().as_raw_bson_ref());
            assert!(lowest.bytes <= MAX_ANSWER && lowest.values.len() <= MAX_LIMIT as usize);
            assert_eq!(lowest.bytes, lowest.values.values().map(|(_, weight)| weight).sum::<usize>());
        }
        lowest.finish()
    }

    /// `count` texts of so many bytes, in order.
    fn texts(first: char, count: usize, bytes: usize) -> Vec<Bson> {
        (0..count).map(|number| Bson::String(format!("{first}{number:05}{}", "x".repeat(bytes)))).collect()
    }

    #[test]
    fn equal_values_are_one_and_the_first_of_them_stays() {
        let values = [Bson::Int32(2), Bson::Int32(1), Bson::Double(2.0), Bson::Int64(1)];
        assert_eq!(lowest(values), Ok(vec![Bson::Int32(1), Bson::Int32(2)]));
        assert_eq!(lowest([]), Ok(vec![]));
    }

    #[test]
    fn no_more_than_a_number_of_them() {
        let values = (0..1_500).rev().map(Bson::Int32);
        assert_eq!(lowest(values), Ok((0..1_000).map(Bson::Int32).collect()));
    }

    #[test]
    fn too_many_bytes_are_an_error_whatever_the_order() {
        let large = texts('a', 30, 1 << 20);
        assert!(matches!(lowest(large.clone()), Err(Error::Invalid(_))));
        assert!(matches!(lowest(large.into_iter().rev()), Err(Error::Invalid(_))));
    }

    #[test]
    fn many_small_values_inside_a_few_count_too() {
        let list = |number: i32| Bson::Array(vec![Bson::Int32(number); 20_000]);
        assert!(lowest((0..5).map(list)).is_ok());
        assert!(lowest((0..20).map(list)).is_err());
    }

    #[test]
    fn large_values_that_lower_ones_displace_are_none_of_the_answer() {
        let (small, large) = (texts('a', 1_000, 1), texts('b', 30, 1 << 20));
        assert_eq!(lowest(large.iter().chain(&small).cloned()), Ok(small.clone()));
        assert_eq!(lowest(small.iter().chain(&large).cloned()), Ok(small.clone()));
        // One small value less, and a large one belongs to the answer.
        let most = [&large[..], &small[1..]].concat();
        assert_eq!(lowest(most).map(|values| values.len()), Ok(1_000));
        let some = [&large[..], &small[..970]].concat();
        assert!(lowest(some).is_err());
    }
}
