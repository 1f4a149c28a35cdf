//! What a host and the process that compiles for it say to each other: compiled functions that the host lends, and those that it
//! gets back. Touches nothing: it reads and writes bytes.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// The name of a compiled function: the hash of all that its machine code is made from.
pub(super) type Key = [u8; 32];

/// The most bytes of compiled functions that a compilation gives back. What is beyond is left out, and compiled again.
pub(super) const MAX_LEARNED: usize = 64 << 20;
/// A function's key and length before its bytes.
const HEAD: usize = size_of::<Key>() + size_of::<u32>();

/// Functions that were lent to a compilation, and what it did with them.
#[derive(Debug)]
pub(super) struct Lent {
    bytes: Vec<u8>,
    places: HashMap<Key, Range<usize>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    used: HashSet<Key>,
    compiled: Vec<(Key, Vec<u8>)>,
    bytes: usize,
}

/// What a compilation did: the lent functions that it used, and those that it compiled.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Learned {
    pub(super) used: Vec<Key>,
    pub(super) compiled: Vec<(Key, Vec<u8>)>,
}

/// Writes functions.
pub(super) fn write<'a>(
    to: &mut impl Write,
    functions: impl Iterator<Item = (&'a Key, &'a [u8])>,
) -> std::io::Result<()> {
    for (key, code) in functions {
        let length = u32::try_from(code.len()).map_err(std::io::Error::other)?;
        to.write_all(key)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(code)?;
    }
    Ok(())
}

/// How many bytes [`write`] writes for a function of this length.
pub(super) fn written(length: usize) -> usize {
    HEAD + length
}

/// Where the functions are in what [`write`] wrote; none when it is not whole.
fn places(bytes: &[u8]) -> Option<Vec<(Key, Range<usize>)>> {
    let (mut places, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let (key, length) = bytes.get(at..at + HEAD)?.split_first_chunk::<32>()?;
        let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
        at += HEAD;
        bytes.get(at..at.checked_add(length)?)?;
        places.push((*key, at..at + length));
        at += length;
    }
    Some(places)
}

impl Lent {
    /// What [`write`] wrote; nothing is lent when it is not whole.
    pub(super) fn read(bytes: Vec<u8>) -> Self {
        let places = places(&bytes).unwrap_or_default().into_iter().collect();
        Self { bytes, places, seen: Mutex::default() }
    }

    /// What the compilation did with them, for [`Learned::read`].
    pub(super) fn learned(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut learned = Vec::with_capacity(seen.used.len() * size_of::<Key>() + seen.bytes + size_of::<u32>());
        learned.extend_from_slice(&u32::try_from(seen.used.len()).unwrap_or_default().to_le_bytes());
        seen.used.iter().for_each(|key| learned.extend_from_slice(key));
        // Writing to a vector does not fail, and a function has less than 4 GiB.
        let _ = write(&mut learned, seen.compiled.iter().map(|(key, code)| (key, code.as_slice())));
        learned
    }
}

impl Learned {
    /// What [`Lent::learned`] wrote; none when it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (count, rest) = bytes.split_first_chunk::<4>()?;
        let used = (u32::from_le_bytes(*count) as usize).checked_mul(size_of::<Key>())?;
        let (used, compiled) = rest.split_at_checked(used)?;
        let used = used.chunks_exact(size_of::<Key>()).filter_map(|key| key.try_into().ok()).collect();
        let found = places(compiled)?.into_iter();
        let compiled = found.filter_map(|(key, place)| Some((key, compiled.get(place)?.to_vec()))).collect();
        Some(Self { used, compiled })
    }
}

impl wasmtime::CacheStore for Lent {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let key: &Key = key.try_into().ok()?;
        let code = self.bytes.get(self.places.get(key)?.clone())?;
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).used.insert(*key);
        Some(Cow::Borrowed(code))
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let Ok(key) = Key::try_from(key) else { return false };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.bytes + written(value.len()) > MAX_LEARNED {
            return false;
        }
        seen.bytes += written(value.len());
        // What was lent and could not be read is compiled: it was not used.
        seen.used.remove(&key);
        seen.compiled.push((key, value));
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use std::sync::Arc;

    use wasmtime::CacheStore as _;

    use super::*;
    use crate::{EngineOptions, build};
    use native::MachineCode;

    /// `(component (core module (func (result i32) i32.const 7)))`, as bytes.
    #[rustfmt::skip]
    const SEVEN: &[u8] = &[
        0, b'a', b's', b'm', 0x0d, 0, 1, 0,
        // The module: its type, function and code.
        0x01, 27, 0, b'a', b's', b'm', 1, 0, 0, 0,
        1, 5, 1, 0x60, 0, 1, 0x7f,
        3, 2, 1, 0,
        10, 6, 1, 4, 0, 0x41, 7, 0x0b,
    ];

    /// Its machine code, with these functions lent, and what is told of them.
    fn compiled(lent: &[(Key, Vec<u8>)]) -> (Vec<u8>, Learned) {
        let mut bytes = Vec::new();
        write(&mut bytes, lent.iter().map(|(key, code)| (key, code.as_slice()))).unwrap();
        let lent = Arc::new(Lent::read(bytes));
        let options = EngineOptions { pooling: false, ..EngineOptions::default() };
        let (engine, _) = build::build(&options, Some(lent.clone())).unwrap();
        let code = MachineCode::compile(&engine, SEVEN).unwrap();
        (code.bytes().to_vec(), Learned::read(&lent.learned()).unwrap())
    }

    #[test]
    fn what_was_compiled_before_is_not_compiled_again() {
        let (code, first) = compiled(&[]);
        assert!(first.used.is_empty() && !first.compiled.is_empty());
        let (same, again) = compiled(&first.compiled);
        assert_eq!((again.used.len(), again.compiled.len()), (first.compiled.len(), 0));
        assert!(same == code, "the same machine code");
        // What can't be read is compiled.
        let cut: Vec<_> =
            first.compiled.iter().map(|(key, code)| (*key, code.iter().copied().take(1).collect())).collect();
        let (same, again) = compiled(&cut);
        assert_eq!((again.used.len(), again.compiled.len()), (0, first.compiled.len()));
        assert!(same == code, "the same machine code");
    }

    fn lent() -> Lent {
        let mut bytes = Vec::new();
        let functions = [([1; 32], vec![7; 5]), ([2; 32], Vec::new()), ([3; 32], vec![9; 300])];
        write(&mut bytes, functions.iter().map(|(key, code)| (key, code.as_slice()))).unwrap();
        Lent::read(bytes)
    }

    #[test]
    fn what_was_lent_is_found_and_what_was_done_is_told() {
        let lent = lent();
        assert_eq!(lent.get(&[1; 32]).unwrap(), vec![7; 5]);
        assert_eq!(lent.get(&[2; 32]).unwrap(), Vec::<u8>::new());
        assert!(lent.get(&[4; 32]).is_none() && lent.get(&[1; 31]).is_none());
        assert!(lent.insert(&[4; 32], vec![1, 2]) && !lent.insert(&[4; 31], Vec::new()));
        // One that could not be read.
        lent.get(&[3; 32]).unwrap();
        assert!(lent.insert(&[3; 32], vec![3]));
        let mut learned = Learned::read(&lent.learned()).unwrap();
        learned.used.sort_unstable();
        let compiled = vec![([4; 32], vec![1, 2]), ([3; 32], vec![3])];
        assert_eq!(learned, Learned { used: vec![[1; 32], [2; 32]], compiled });
        assert_eq!(Learned::read(&Lent::read(Vec::new()).learned()), Some(Learned::default()));
    }

    #[test]
    fn more_than_is_given_back_is_left_out() {
        let lent = Lent::read(Vec::new());
        assert!(lent.insert(&[1; 32], vec![0; MAX_LEARNED / 2]));
        assert!(!lent.insert(&[2; 32], vec![0; MAX_LEARNED / 2]));
        assert!(lent.insert(&[3; 32], vec![0; 9]));
        assert!(lent.learned().len() <= MAX_LEARNED);
    }

    #[test]
    fn what_is_not_whole_is_nothing() {
        let lent = lent();
        for length in 1..lent.bytes.len() {
            let cut = Lent::read(lent.bytes.iter().copied().take(length).collect());
            // At the end of a function it is whole.
            assert!(cut.places.is_empty() || [41, 77].contains(&length), "{length}");
        }
        lent.get(&[1; 32]).unwrap();
        lent.insert(&[4; 32], vec![1, 2]);
        let learned = lent.learned();
        for length in (0..learned.len()).filter(|length| *length != 36) {
            assert_eq!(Learned::read(learned.get(..length).unwrap()), None, "{length}");
        }
        assert_eq!(Learned::read(&[255; 40]), None, "more keys than there are bytes");
    }
}
