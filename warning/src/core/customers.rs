//! Customers by member and id.

use hashbrown::HashTable;
use tarim_features::stream::Sections;

/// All customers of a worker.
#[derive(Debug)]
pub struct Customers {
    /// Slots, by the hash of member and id; these themselves are in the state only.
    slots: HashTable<u32>,
    all: Vec<Customer>,
    changed: Changed,
    /// Sections of a state, and which of them says who it is.
    count: usize,
    identity: usize,
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
const IDS_MAX: usize = 512;

impl Customers {
    pub fn new(count: usize, identity: usize) -> Self {
        Self { slots: HashTable::new(), all: Vec::new(), changed: Changed::default(), count, identity }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Slot of a customer, who is added if new. None: the ids are longer than any that a standard allows.
    pub fn slot(&mut self, member: &str, customer: &str) -> Option<u32> {
        if 4 + member.len() + customer.len() > IDS_MAX {
            return None;
        }
        let mut buffer = [0u8; IDS_MAX];
        let identity = identity(member, customer, &mut buffer);
        let hash = hash(identity);
        let of = |slot: u32| self.all[slot as usize].sections.get(self.identity, self.count);
        if let Some(slot) = self.slots.find(hash, |slot| of(*slot) == identity) {
            return Some(*slot);
        }
        let slot = u32::try_from(self.all.len()).ok()?;
        let mut sections = Sections::new(self.count);
        sections.replace(self.identity, self.count, identity)?;
        self.add(hash, Customer { now_us: i64::MIN, sections });
        Some(slot)
    }

    /// The slot of whoever has the same hash, most likely the customer; None: there is none.
    pub fn likely(&self, member: &str, customer: &str) -> Option<u32> {
        if 4 + member.len() + customer.len() > IDS_MAX {
            return None;
        }
        let hash = hash(identity(member, customer, &mut [0u8; IDS_MAX]));
        self.slots.find(hash, |_| true).copied()
    }

    fn add(&mut self, hash: u64, customer: Customer) {
        let slot = self.all.len() as u32;
        self.all.push(customer);
        self.changed.set(slot);
        let (all, count, at) = (&self.all, self.count, self.identity);
        let rehash = |slot: &u32| self::hash(all[*slot as usize].sections.get(at, count));
        self.slots.insert_unique(hash, slot, rehash);
    }

    /// Puts a customer in the place of a slot's, or in the next one. None: there are none between.
    pub fn put(&mut self, slot: u32, customer: Customer) -> Option<()> {
        let next = self.all.len();
        if slot as usize == next {
            let hash = hash(customer.sections.get(self.identity, self.count));
            self.add(hash, customer);
        } else {
            *self.all.get_mut(slot as usize)? = customer;
        }
        Some(())
    }

    /// The customers that have changed since this was last asked.
    pub fn take_changed(&mut self) -> Changed {
        std::mem::take(&mut self.changed)
    }

    pub fn get(&self, slot: u32) -> &Customer {
        &self.all[slot as usize]
    }

    pub fn get_mut(&mut self, slot: u32) -> &mut Customer {
        self.changed.set(slot);
        &mut self.all[slot as usize]
    }

    /// Member and id.
    pub fn ids(&self, slot: u32) -> (&str, &str) {
        let bytes = self.get(slot).sections.get(self.identity, self.count);
        let len = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (member, customer) = (len(0), len(2));
        let text =
            |from: usize, len: usize| std::str::from_utf8(&bytes[from..from + len]).unwrap_or_default();
        (text(4, member), text(4 + member, customer))
    }

    /// Bytes that all states take, with what is allocated and not used.
    pub fn bytes(&self) -> usize {
        let states: usize = self.all.iter().map(|c| c.sections.capacity()).sum();
        states + self.all.capacity() * size_of::<Customer>() + self.slots.allocation_size()
    }
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

fn hash(identity: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(identity)
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
