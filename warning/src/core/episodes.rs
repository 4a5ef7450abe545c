//! Episodes: patterns that have begun for a customer, and what has followed so far.
//!
//! A section of the customer's state, one record behind the other. Few customers have any, so they are looked through in
//! order.

use tarim_features::stream::Sections;
use tarim_proto::warning::v1::EventRef;

use super::state::State;

/// A pattern that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Episode {
    pub pattern: u16,
    pub started_us: i64,
    /// What follows later does not count.
    pub deadline_us: i64,
    /// What the first event kept; None: it is unknown, or nothing is kept.
    pub kept: Option<i64>,
    /// Of what followed.
    pub sum: i64,
    pub count: u32,
    /// Whether it is not known that something of this happened: a condition was unknown.
    pub unknown: bool,
    /// The event that it began with.
    pub partition: i32,
    pub offset: i64,
    pub event_id: String,
    /// Tells episodes of one pattern apart.
    pub key: String,
}

/// Most episodes of one pattern at a time, for one customer and key. The oldest gives way.
pub const EPISODES_MAX: usize = 16;

/// Bytes before the texts.
const FIXED: usize = 60;
const UNKNOWN_FLAG: u32 = 1;
/// In the place of an unknown amount.
const UNKNOWN: i64 = i64::MIN;

impl Episode {
    /// All episodes of a section.
    pub fn all(section: &[u8]) -> impl Iterator<Item = Episode> {
        let mut rest = section;
        std::iter::from_fn(move || {
            let len = usize::from(u16::from_le_bytes(*rest.first_chunk()?));
            let (record, after) = rest.split_at_checked(len).filter(|_| len >= FIXED)?;
            rest = after;
            Some(Episode::read(record))
        })
    }

    /// Puts these episodes in the place of a section's, in `most` bytes. None, and nothing is changed: they do not fit.
    pub fn write(
        episodes: &[Episode],
        most: usize,
        sections: &mut Sections,
        (section, count): (usize, usize),
        buffer: &mut Vec<u8>,
    ) -> Option<()> {
        buffer.clear();
        for episode in episodes {
            episode.append(buffer)?;
            if buffer.len() > most {
                return None;
            }
        }
        sections.replace(section, count, buffer)
    }

    /// Whether a state can hold it: the ids of an event are as long as the standards let them be.
    pub fn fits(&self) -> bool {
        self.bytes() <= usize::from(u16::MAX)
    }

    /// The event that it began with.
    pub(super) fn first_event(&self) -> EventRef {
        let Episode { partition, offset, .. } = *self;
        EventRef { event_id: self.event_id.clone(), partition, offset }
    }

    fn bytes(&self) -> usize {
        (FIXED + self.event_id.len() + self.key.len()).next_multiple_of(4)
    }

    fn read(record: &[u8]) -> Episode {
        let int = |at: usize| i64::from_le_bytes(record[at..at + 8].try_into().expect("eight bytes"));
        let four = |at: usize| u32::from_le_bytes(record[at..at + 4].try_into().expect("four bytes"));
        let two = |at: usize| u16::from_le_bytes(record[at..at + 2].try_into().expect("two bytes"));
        let (id, key) = (usize::from(two(52)), usize::from(two(54)));
        let text = |from: usize, len: usize| {
            String::from_utf8_lossy(record.get(from..from + len).unwrap_or_default()).into_owned()
        };
        Episode {
            pattern: two(2),
            started_us: int(4),
            deadline_us: int(12),
            kept: Some(int(20)).filter(|kept| *kept != UNKNOWN),
            sum: int(28),
            count: four(36),
            unknown: four(56) & UNKNOWN_FLAG != 0,
            partition: four(40) as i32,
            offset: int(44),
            event_id: text(FIXED, id),
            key: text(FIXED + id, key),
        }
    }

    fn append(&self, out: &mut Vec<u8>) -> Option<()> {
        let len = self.bytes();
        let end = out.len() + len;
        out.extend(u16::try_from(len).ok()?.to_le_bytes());
        out.extend(self.pattern.to_le_bytes());
        for int in [self.started_us, self.deadline_us, self.kept.unwrap_or(UNKNOWN), self.sum] {
            out.extend(int.to_le_bytes());
        }
        out.extend(self.count.to_le_bytes());
        out.extend(self.partition.to_le_bytes());
        out.extend(self.offset.to_le_bytes());
        out.extend(u16::try_from(self.event_id.len()).ok()?.to_le_bytes());
        out.extend(u16::try_from(self.key.len()).ok()?.to_le_bytes());
        out.extend((if self.unknown { UNKNOWN_FLAG } else { 0 }).to_le_bytes());
        out.extend(self.event_id.bytes());
        out.extend(self.key.bytes());
        out.resize(end, 0);
        Some(())
    }
}

impl State {
    /// A customer's episodes.
    pub(super) fn episodes(&mut self, customer: u32) -> Vec<Episode> {
        let (section, count) = self.layout.episodes;
        Episode::all(self.customers.get(customer).sections.get(section, count)).collect()
    }

    /// Writes a customer's episodes; if they do not fit, the oldest give way.
    pub(super) fn write_episodes(&mut self, customer: u32, mut episodes: &[Episode]) {
        let sections = &mut self.customers.get_mut(customer).sections;
        let (most, at) = (self.layout.episode_bytes, self.layout.episodes);
        while Episode::write(episodes, most, sections, at, &mut self.work.buffer).is_none() {
            episodes = &episodes[1..];
            self.counts.displaced += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_come_back() {
        let one = Episode {
            pattern: 3,
            started_us: -5,
            deadline_us: 7,
            kept: None,
            sum: -1,
            count: 2,
            unknown: true,
            partition: 4,
            offset: 1 << 40,
            event_id: "e1".into(),
            key: "贷款/7".into(),
        };
        let two = Episode {
            kept: Some(0),
            unknown: false,
            event_id: String::new(),
            key: String::new(),
            ..one.clone()
        };
        let mut sections = Sections::new(3);
        let mut buffer = Vec::new();
        let all = [one.clone(), two, one];
        Episode::write(&all, 1000, &mut sections, (1, 3), &mut buffer).unwrap();
        assert!(Episode::write(&all, 200, &mut sections, (1, 3), &mut buffer).is_none());
        assert!(Episode::all(sections.get(1, 3)).eq(all));
        Episode::write(&[], 0, &mut sections, (1, 3), &mut buffer).unwrap();
        assert!(sections.get(1, 3).is_empty());
    }
}
