//! Chance that repeats: the same seed gives the same people on every machine and in every version of a library.
//! Touches nothing.

/// A generator of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of a matter, such as the people or who knows whom. Each matter, and each part of it, has its own, so
    /// that more of one changes nothing of another.
    pub(crate) fn of(matter: &str, part: usize) -> Self {
        let mixed = matter.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(mixed ^ (part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `count`; 0 when that is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        let scaled = (u128::from(self.next()) * count as u128) >> 64;
        usize::try_from(scaled).unwrap_or_default()
    }

    /// Whether something of so many per cent happens.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of some; the default of the type where there is none.
    pub(crate) fn pick<T: Copy + Default>(&mut self, from: &[T]) -> T {
        let at = self.below(from.len());
        from.get(at).copied().unwrap_or_default()
    }

    /// Any order.
    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for at in (1..all.len()).rev() {
            let other = self.below(at + 1);
            all.swap(at, other);
        }
    }

    /// So many different ones of some, or all where there are fewer.
    pub(crate) fn some<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut all = from.to_vec();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_repeats_and_parts_differ() {
        let first = |matter, part| Chance::of(matter, part).below(usize::MAX);
        assert_eq!(first("people", 3), first("people", 3));
        assert_ne!(first("people", 3), first("people", 4));
        assert_ne!(first("people", 3), first("talk", 3));
    }

    #[test]
    fn nothing_is_out_of_bounds() {
        let mut chance = Chance::of("bounds", 0);
        assert_eq!((chance.below(0), chance.below(1), chance.pick::<&str>(&[])), (0, 0, ""));
        let seen: std::collections::BTreeSet<usize> = (0..200).map(|_| chance.below(5)).collect();
        assert_eq!(seen, (0..5).collect());
        let mut some = chance.some(&[1, 2, 3, 4], 9);
        some.sort_unstable();
        assert_eq!(some, [1, 2, 3, 4]);
    }
}
