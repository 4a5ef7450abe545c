//! Standing alerts: which rules have lately said what of a customer, so that they do not say it again at once.

use tarim_features::stream::Sections;

/// An alert that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub rule: u32,
    /// How often it was held back since.
    pub repeats: u32,
    /// Hash of the alert's key.
    pub key: u64,
    /// When it was raised, in microseconds.
    pub since_us: i64,
}

/// Most that are kept of a customer; the one that was raised first gives way.
const STANDING_MAX: usize = 128;

const BYTES: usize = 24;

/// Most bytes of a customer's.
pub const STANDING_BYTES_MAX: usize = STANDING_MAX * BYTES;

impl Standing {
    pub fn all(section: &[u8]) -> impl Iterator<Item = Standing> {
        section.chunks_exact(BYTES).map(|record| {
            let int = |at: usize| u64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
            let four = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
            Standing { rule: four(0), repeats: four(4), key: int(8), since_us: int(16) as i64 }
        })
    }

    /// Puts it in the place of record `at`, or adds it. None, and nothing is changed: it does not fit.
    pub fn put(
        self,
        at: Option<usize>,
        sections: &mut Sections,
        (section, count): (usize, usize),
    ) -> Option<()> {
        let all = sections.get(section, count);
        let full = all.len() / BYTES >= STANDING_MAX;
        let first = || Standing::all(all).enumerate().min_by_key(|(_, s)| s.since_us).map(|(i, _)| i);
        let at = at.or_else(|| if full { first() } else { None });
        let record = match at {
            Some(at) => &mut sections.get_mut(section, count)[at * BYTES..(at + 1) * BYTES],
            None => {
                let end = all.len();
                sections.splice(section, count, end, 0, BYTES)?
            }
        };
        record[..4].copy_from_slice(&self.rule.to_le_bytes());
        record[4..8].copy_from_slice(&self.repeats.to_le_bytes());
        record[8..16].copy_from_slice(&self.key.to_le_bytes());
        record[16..].copy_from_slice(&self.since_us.to_le_bytes());
        Some(())
    }
}
