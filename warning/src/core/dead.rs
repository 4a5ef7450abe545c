//! Which records were not taken: the offsets of the dead letters.
//!
//! Whether a record is too late, or against the standards, was decided when it came: by the stream's clock at that time and the
//! rulebook that was in force. Whoever reads history again does not decide it anew, but looks here.

/// Offsets of records of one partition, as runs in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadOffsets(Vec<Run>);

/// Offsets from one to before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub from: i64,
    pub to: i64,
}

impl DeadOffsets {
    pub fn add(&mut self, run: Run) {
        let runs = &mut self.0;
        // Nearly always behind all others.
        let at = match runs.last() {
            Some(last) if last.to >= run.from => runs.partition_point(|r| r.to < run.from),
            _ => runs.len(),
        };
        let touched = runs[at..].iter().take_while(|r| r.from <= run.to).count();
        let joined = runs[at..at + touched]
            .iter()
            .fold(run, |all, r| Run { from: all.from.min(r.from), to: all.to.max(r.to) });
        runs.splice(at..at + touched, [joined]);
    }

    pub fn has(&self, offset: i64) -> bool {
        let after = self.0.partition_point(|r| r.to <= offset);
        self.0.get(after).is_some_and(|r| r.from <= offset)
    }

    /// Forgets those before an offset: the log has them no longer.
    pub fn forget_before(&mut self, offset: i64) {
        let gone = self.0.partition_point(|r| r.to <= offset);
        self.0.drain(..gone);
    }

    /// Those from an offset on.
    pub fn since(&self, offset: i64) -> impl Iterator<Item = Run> {
        let known = self.0.partition_point(|r| r.to <= offset);
        self.0[known..].iter().map(move |r| Run { from: r.from.max(offset), to: r.to })
    }
}

impl From<i64> for Run {
    fn from(offset: i64) -> Self {
        Run { from: offset, to: offset + 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Against a set.
    #[test]
    fn offsets_are_what_was_added() {
        for seed in 0..50 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (mut ours, mut plain) = (DeadOffsets::default(), BTreeSet::new());
            for _ in 0..60 {
                let from = rng.random_range(0..200);
                let run = Run { from, to: from + rng.random_range(1..5) };
                ours.add(run);
                plain.extend(run.from..run.to);
            }
            let since = rng.random_range(0..200);
            let behind: Vec<i64> = ours.since(since).flat_map(|r| r.from..r.to).collect();
            assert_eq!(behind, plain.range(since..).copied().collect::<Vec<_>>(), "seed {seed}");
            assert!(ours.0.windows(2).all(|w| w[0].to < w[1].from), "seed {seed}: {ours:?}");
            ours.forget_before(since);
            for offset in 0..210 {
                let wanted = plain.contains(&offset) && (offset >= since || ours.has(offset));
                assert_eq!(ours.has(offset), wanted, "seed {seed}: {offset}");
            }
        }
    }
}
