//! The axis of keys, cut where cells begin and end: inside one interval every cell says the same.
//!
//! ```text
//!   cells       [18,60)   >=40
//!   intervals   (,17]  [18,39]  [40,59]  [60,)
//!   number        0       1        2       3
//! ```
//!
//! So what a column of cells says about a key is worked out once for each interval, and looked up by the
//! number of the key's interval. To find it, the keys from the first boundary to the last are split into
//! parts of one size, each of which knows the boundaries inside it: mostly none or one, whether there are ten
//! boundaries or ten thousand.

/// Numbered from 0, in the order of the keys.
#[derive(Clone, Debug)]
pub struct Intervals {
    /// First key of every interval but interval 0, which begins at the smallest key there is.
    starts: Box<[i64]>,
    /// The key before the first start: where the parts begin.
    base: i64,
    /// A part has 2^shift keys.
    shift: u32,
    /// How many starts lie before each part; in the end, how many there are.
    before: Box<[u32]>,
}

/// Keys that are so close together have a part each: codes, ages, days past due.
const CLOSE: u64 = 256;
/// Otherwise there are about so many parts for each start.
const PARTS: u64 = 4;

impl Intervals {
    /// Cuts where one of these closed ranges begins, and just after where one ends.
    pub fn cut<'a>(ranges: impl Iterator<Item = &'a (i64, i64)>) -> Self {
        let mut starts: Vec<i64> =
            ranges.flat_map(|&(first, last)| [Some(first), last.checked_add(1)]).flatten().collect();
        starts.sort_unstable();
        starts.dedup();
        // Nothing lies before the smallest key: to begin an interval there would leave interval 0 empty.
        Self::starting(starts.into_iter().filter(|start| *start > i64::MIN).collect())
    }

    /// `starts` are in order, and after the smallest key.
    fn starting(starts: Box<[i64]>) -> Self {
        let (Some(first), Some(last)) = (starts.first(), starts.last()) else {
            return Self { starts, base: 0, shift: 0, before: Box::new([0, 0]) };
        };
        let base = first - 1;
        let far = last.abs_diff(base);
        let most = if far < CLOSE { CLOSE } else { PARTS * starts.len() as u64 };
        let shift = (0..u64::BITS).find(|shift| far >> shift < most).unwrap_or(u64::BITS - 1);
        let part = |start: &i64| start.abs_diff(base) >> shift;
        let before = (0..=(far >> shift) + 1).map(|n| starts.partition_point(|start| part(start) < n) as u32);
        Self { base, shift, before: before.collect(), starts }
    }

    /// Fewer intervals: of the boundaries only every so manieth.
    pub fn coarser(&self, every: usize) -> Self {
        Self::starting(self.starts.iter().copied().skip(every - 1).step_by(every).collect())
    }

    /// How many there are, at least one.
    pub fn count(&self) -> usize {
        self.starts.len() + 1
    }

    /// The first key of each.
    pub fn firsts(&self) -> impl Iterator<Item = i64> {
        std::iter::once(i64::MIN).chain(self.starts.iter().copied())
    }

    /// Number of the interval that the key lies in.
    #[inline]
    pub fn of(&self, key: i64) -> usize {
        // Keys beyond the parts are as good as those at their ends.
        let part = key.max(self.base).wrapping_sub(self.base) as u64 >> self.shift;
        let part = (part as usize).min(self.before.len() - 2);
        let to = self.before[part + 1] as usize;
        if self.shift == 0 {
            return to;
        }
        let from = self.before[part] as usize;
        from + self.starts[from..to].partition_point(|start| *start <= key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_begin_where_a_range_begins_and_after_it_ends() {
        let intervals = Intervals::cut([(18, 59), (40, i64::MAX)].iter());
        let of = |key| intervals.of(key);
        assert_eq!([i64::MIN, 17, 18, 39, 40, 59, 60, i64::MAX].map(of), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(intervals.count(), 4);
        let coarser = intervals.coarser(2);
        assert_eq!([17, 39, 40, 60].map(|key| coarser.of(key)), [0, 0, 1, 1]);
        assert_eq!(intervals.coarser(4).count(), 1);
    }

    #[test]
    fn all_keys_are_one_interval() {
        assert_eq!(Intervals::cut([(i64::MIN, i64::MAX)].iter()).count(), 1);
        assert_eq!(Intervals::cut([].iter()).count(), 1);
    }

    #[test]
    fn parts_find_what_counting_the_boundaries_finds() {
        let (min, max) = (i64::MIN, i64::MAX);
        let keys =
            [min, min + 1, min + 255, min + 256, -1000, -1, 0, 1, 255, 256, 1 << 40, max - 255, max - 1, max];
        let pairs = keys.iter().flat_map(|a| keys.map(|b| (*a.min(&b), *a.max(&b))));
        let pairs: Vec<(i64, i64)> = pairs.collect();
        let ranges = pairs.iter().map(std::slice::from_ref).chain(pairs.windows(5)).chain([&pairs[..]]);
        for ranges in ranges {
            let intervals = Intervals::cut(ranges.iter());
            for key in keys.iter().flat_map(|key| [key.saturating_sub(1), *key, key.saturating_add(1)]) {
                let count = intervals.starts.iter().filter(|start| **start <= key).count();
                assert_eq!(intervals.of(key), count, "{key} in {ranges:?}");
            }
        }
    }
}
