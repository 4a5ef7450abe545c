//! Customers by member and id.

use tarim_features::stream::Sections;
use twox_hash::XxHash3_64;

use super::{
    arena::{Arena, At},
    index::Index,
};

/// All customers of a worker.
///
/// One of them is *open*: its state lies in a buffer, in which sections grow and shrink without anybody moving. It goes
/// back to the others when the next one is opened.
#[derive(Debug)]
pub struct Customers {
    /// Slots by the hash of member and id; these themselves are in the state only.
    index: Index,
    all: Vec<Kept>,
    states: Arena,
    changed: Changed,
    open: Option<u32>,
    customer: Customer,
    /// The open one has changed.
    dirty: bool,
    /// Sections of a state, and which of them says who it is.
    count: usize,
    identity: usize,
}

/// Where the state of a customer lies.
#[derive(Clone, Copy, Debug)]
struct Kept {
    now_us: i64,
    at: At,
    len: u32,
}

/// Slots whose customers have changed.
#[derive(Clone, Debug, Default)]
pub struct Changed(Vec<u64>);

impl Changed {
    fn set(&mut self, slot: u32) {
        let word = (slot / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (slot % 64);
    }

    pub fn has(&self, slot: u32) -> bool {
        self.0.get((slot / 64) as usize).is_some_and(|word| word >> (slot % 64) & 1 == 1)
    }
}

/// What is kept of one customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// Latest event time, in microseconds.
    pub now_us: i64,
    pub sections: Sections,
}

/// Bytes of two texts and of their lengths.
pub const IDS_MAX: usize = 512;

impl Customers {
    pub fn new(count: usize, identity: usize) -> Self {
        Self {
            index: Index::new(),
            all: Vec::new(),
            states: Arena::new(Sections::bytes_most(count)),
            changed: Changed::default(),
            open: None,
            customer: Customer { now_us: i64::MIN, sections: Sections::new(count) },
            dirty: false,
            count,
            identity,
        }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Makes room for so many in all: memory that is outgrown was found and written in vain.
    pub fn reserve(&mut self, all: usize) {
        self.all.reserve_exact(all.saturating_sub(self.all.len()));
        self.index.reserve(all);
    }

    /// Slot of a customer, who is added if new. None: the ids are longer than any that a standard allows.
    pub fn slot(&mut self, member: &str, customer: &str) -> Option<u32> {
        if 4 + member.len() + customer.len() > IDS_MAX {
            return None;
        }
        let hash = hash(member.as_bytes(), customer.as_bytes());
        if let Some(slot) = self.index.find(hash, |slot| self.is(slot, member, customer)) {
            return Some(slot);
        }
        let slot = u32::try_from(self.all.len()).ok().filter(|slot| *slot < u32::MAX)?;
        let mut sections = Sections::new(self.count);
        sections.replace(self.identity, self.count, identity(member, customer, &mut [0; IDS_MAX]))?;
        self.add(hash, i64::MIN, sections.bytes());
        Some(slot)
    }

    /// The slot of whoever has this identity, which is that of a customer of a worker.
    pub fn find(&self, identity: &[u8]) -> Option<u32> {
        let (member, customer) = ids(identity);
        self.index.find(hash(member.as_bytes(), customer.as_bytes()), |slot| self.is(slot, member, customer))
    }

    fn add(&mut self, hash: u32, now_us: i64, state: &[u8]) {
        let slot = self.all.len() as u32;
        self.all.push(Kept { now_us, at: self.states.put(slot, state), len: state.len() as u32 });
        self.changed.set(slot);
        self.index.insert(hash, slot);
    }

    /// Puts a state in the place of a slot's, or in the next one. None: there are none between, or it is nobody's.
    pub fn put(&mut self, slot: u32, now_us: i64, state: &[u8]) -> Option<()> {
        let next = self.all.len();
        if slot as usize == next {
            let (member, customer) = try_ids(Sections::section_of(state, self.identity, self.count))?;
            self.add(hash(member.as_bytes(), customer.as_bytes()), now_us, state);
        } else {
            self.all.get(slot as usize)?;
            keep(&mut self.all, &mut self.states, slot, now_us, state);
        }
        Some(())
    }

    /// The customers that have changed since this was last asked.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    /// Opens a customer, to look at.
    pub fn get(&mut self, slot: u32) -> &Customer {
        if self.open != Some(slot) {
            self.close();
            let Kept { now_us, at, len } = self.all[slot as usize];
            self.customer.now_us = now_us;
            self.customer.sections.set(self.states.get(at, len as usize));
            self.open = Some(slot);
        }
        &self.customer
    }

    /// Opens a customer, to change.
    pub fn get_mut(&mut self, slot: u32) -> &mut Customer {
        self.get(slot);
        if !self.dirty {
            self.dirty = true;
            self.changed.set(slot);
        }
        &mut self.customer
    }

    /// Puts the open customer back, if there is one.
    pub fn close(&mut self) {
        if let Some(slot) = self.open.take()
            && std::mem::take(&mut self.dirty)
        {
            let Customer { now_us, sections } = &self.customer;
            keep(&mut self.all, &mut self.states, slot, *now_us, sections.bytes());
        }
    }

    /// Latest event time and state of a customer, as they were when it was last closed.
    #[inline]
    pub fn state(&self, slot: u32) -> (i64, &[u8]) {
        let Kept { now_us, at, len } = self.all[slot as usize];
        (now_us, self.states.get(at, len as usize))
    }

    /// Whether a slot is this customer's.
    #[inline]
    fn is(&self, slot: u32, member: &str, customer: &str) -> bool {
        let bytes = Sections::section_of(self.state(slot).1, self.identity, self.count);
        let lens = [member.len() as u16, customer.len() as u16].map(u16::to_le_bytes);
        let (m, end) = (4 + member.len(), 4 + member.len() + customer.len());
        bytes.len() >= end
            && bytes[..4] == *lens.as_flattened()
            && bytes[4..m] == *member.as_bytes()
            && bytes[m..end] == *customer.as_bytes()
    }

    /// Member and id, of a section that says who it is.
    pub fn ids_of(section: &[u8]) -> (&str, &str) {
        ids(section)
    }

    /// Member and id.
    #[inline]
    pub fn ids(&self, slot: u32) -> (&str, &str) {
        ids(Sections::section_of(self.state(slot).1, self.identity, self.count))
    }

    /// What the customers of these hashes need is read: where they are, where their states lie, and the beginnings of
    /// these. Each in a loop of its own without a branch on what was read, so that the processor waits for many at once.
    pub fn touch<const N: usize>(&self, hashes: &[Option<u32>; N]) -> u64 {
        let cells = hashes.iter().flatten().map(|hash| self.index.touch(*hash));
        let mut sum = cells.fold(0, |sum, cell| sum ^ cell);
        let mut likely = [None; N];
        for (likely, hash) in likely.iter_mut().zip(hashes) {
            *likely = hash.and_then(|hash| self.index.find(hash, |_| true));
        }
        let mut states = [[].as_slice(); N];
        for (state, slot) in states.iter_mut().zip(likely) {
            *state = slot.map_or([].as_slice(), |slot| self.state(slot).1);
        }
        // Lines of 64 bytes: the head says where sections are, and what is before and behind is read too.
        for state in states {
            sum ^= (0..8).map(|i| u64::from(state.get(64 * i).copied().unwrap_or_default())).sum::<u64>();
        }
        sum
    }

    /// Bytes that all states take, with what is allocated and not used.
    pub fn bytes(&self) -> usize {
        self.states.bytes() + self.all.capacity() * size_of::<Kept>() + self.index.bytes()
    }
}

/// Keeps a customer's state in the place of what it was.
fn keep(all: &mut [Kept], states: &mut Arena, slot: u32, now_us: i64, state: &[u8]) {
    let old = all[slot as usize].at;
    let at = states.replace(old, slot, state, |owner, at| all[owner as usize].at = at);
    all[slot as usize] = Kept { now_us, at, len: state.len() as u32 };
}

/// The bytes that say who a customer is: lengths, then the texts, in whole words.
fn identity<'b>(member: &str, customer: &str, buffer: &'b mut [u8; IDS_MAX]) -> &'b [u8] {
    buffer[..2].copy_from_slice(&(member.len() as u16).to_le_bytes());
    buffer[2..4].copy_from_slice(&(customer.len() as u16).to_le_bytes());
    let (m, end) = (4 + member.len(), 4 + member.len() + customer.len());
    buffer[4..m].copy_from_slice(member.as_bytes());
    buffer[m..end].copy_from_slice(customer.as_bytes());
    &buffer[..end.next_multiple_of(4)]
}

/// What [`identity`] put together.
#[inline]
fn ids(bytes: &[u8]) -> (&str, &str) {
    try_ids(bytes).expect("a state says whose it is")
}

/// The same of bytes that may be damaged.
#[inline]
fn try_ids(bytes: &[u8]) -> Option<(&str, &str)> {
    let ([a, b, c, d], texts) = bytes.split_first_chunk()?;
    let [member, customer] = [[*a, *b], [*c, *d]].map(|len| usize::from(u16::from_le_bytes(len)));
    let text = |from: usize, len: usize| std::str::from_utf8(texts.get(from..from + len)?).ok();
    Some((text(0, member)?, text(member, customer)?))
}

/// Of one text and then of the other: to read back what was just put together would make the processor wait.
#[inline]
pub fn hash(member: &[u8], customer: &[u8]) -> u32 {
    let member = XxHash3_64::oneshot(member);
    (XxHash3_64::oneshot_with_seed(member, customer) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn customers_are_found_by_both_ids() {
        let mut customers = Customers::new(3, 1);
        let slots: Vec<u32> = (0..5000)
            .map(|i| customers.slot(&format!("{:03}", i % 7), &format!("c{}", i / 7)).unwrap())
            .collect();
        assert_eq!(slots, (0..5000).collect::<Vec<u32>>());
        assert_eq!(customers.slot("003", "c10"), Some(73));
        assert_eq!(customers.ids(73), ("003", "c10"));
        assert_ne!(customers.slot("0", "03c10"), customers.slot("00", "3c10"), "no text runs into the other");
        assert_eq!(customers.slot("001", &"x".repeat(600)), None);
    }
}
