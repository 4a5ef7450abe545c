//! Something about customers that readers look up without waiting for anyone.
//!
//! ```text
//!  hash of (member, customer) ──► shard ──► sorted by hash ──► the customer's entry
//!                                   └── swapped as a whole by the one writer, never changed
//! ```
//!
//! A reader takes no lock and allocates nothing: it sees a shard as it was before an [`Edit`] or after, and what it holds
//! stays as it is. There are so many shards that copying one, which the writer does, is little.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use twox_hash::XxHash3_64;

const SHARD_BITS: u32 = 14;

/// Values by member and customer; clones are the same table.
pub struct Table<V>(Arc<Shards<V>>);

struct Shards<V> {
    all: Box<[ArcSwap<Shard<V>>]>,
    customers: AtomicUsize,
}

/// Customers by hash, which stands beside the entry: to look for one touches no other. Of those with the same one, in any order.
type Shard<V> = Vec<(u64, Arc<Entry<V>>)>;

struct Entry<V> {
    /// The member, and behind it the customer: in one piece of memory.
    names: Box<str>,
    /// Where the customer begins.
    customer: usize,
    value: V,
}

impl<V> Entry<V> {
    fn new(member: &str, customer: &str, value: V) -> Self {
        Self { names: [member, customer].concat().into(), customer: member.len(), value }
    }

    fn names(&self) -> (&str, &str) {
        self.names.split_at(self.customer)
    }
}

impl<V> Clone for Table<V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        // One empty shard is enough for all of them.
        let empty = Arc::new(Shard::new());
        let all = (0..1 << SHARD_BITS).map(|_| ArcSwap::new(empty.clone())).collect();
        Self(Arc::new(Shards { all, customers: AtomicUsize::new(0) }))
    }
}

impl<V> Table<V> {
    /// What there is of a customer; `look` copies what it needs.
    pub fn look<T>(&self, member: &str, customer: &str, look: impl FnOnce(&V) -> T) -> Option<T> {
        let hash = hash(member, customer);
        let shard = self.0.all[shard_of(hash)].load();
        find(&shard, hash, member, customer).map(|at| look(&shard[at].1.value))
    }

    /// How many customers it has.
    pub fn customers(&self) -> usize {
        self.0.customers.load(Ordering::Relaxed)
    }

    /// Shows every customer. What changes meanwhile is shown as it was before or after.
    pub fn each(&self, mut show: impl FnMut(&str, &str, &V)) {
        for shard in &self.0.all {
            for (_, entry) in shard.load_full().iter() {
                let (member, customer) = entry.names();
                show(member, customer, &entry.value);
            }
        }
    }

    /// Begins a change. One at a time: the later of two would undo what the other does.
    pub fn edit(&self) -> Edit<'_, V> {
        Edit { table: self, touched: HashMap::new(), customers: self.customers() }
    }
}

/// A change of many customers: readers see none of it before [`Edit::commit`], and each shard as a whole then.
pub struct Edit<'t, V> {
    table: &'t Table<V>,
    /// Each shard is copied once for all that changes in it.
    touched: HashMap<usize, Shard<V>>,
    customers: usize,
}

impl<V> Edit<'_, V> {
    /// Puts what `change` makes of what there is in its place; None: the customer is not in the table (any more).
    pub fn change(&mut self, member: &str, customer: &str, change: impl FnOnce(Option<&V>) -> Option<V>) {
        let hash = hash(member, customer);
        let at = shard_of(hash);
        let shard = self.touched.entry(at).or_insert_with(|| self.table.0.all[at].load().as_ref().clone());
        let found = find(shard, hash, member, customer);
        let entry = |value| (hash, Arc::new(Entry::new(member, customer, value)));
        match (found, change(found.map(|at| &shard[at].1.value))) {
            (Some(at), Some(value)) => shard[at] = entry(value),
            (Some(at), None) => {
                shard.remove(at);
                self.customers -= 1;
            }
            (None, Some(value)) => {
                shard.insert(shard.partition_point(|(h, _)| *h < hash), entry(value));
                self.customers += 1;
            }
            (None, None) => {}
        }
    }

    /// Shows it to readers.
    pub fn commit(self) {
        for (at, shard) in self.touched {
            self.table.0.all[at].store(Arc::new(shard));
        }
        self.table.0.customers.store(self.customers, Ordering::Relaxed);
    }
}

fn find<V>(shard: &Shard<V>, hash: u64, member: &str, customer: &str) -> Option<usize> {
    let first = shard.partition_point(|(h, _)| *h < hash);
    let same = shard[first..].iter().take_while(|(h, _)| *h == hash);
    same.zip(first..).find(|((_, e), _)| e.names() == (member, customer)).map(|(_, at)| at)
}

fn hash(member: &str, customer: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(member.as_bytes()), customer.as_bytes())
}

fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Whatever is done to it, it is a map.
    #[test]
    fn it_is_what_a_map_is() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (table, mut model) = (Table::<u32>::default(), BTreeMap::new());
        for _ in 0..400 {
            let mut edit = table.edit();
            for _ in 0..rng.random_range(0..20) {
                // Names that run into each other, and many that do not.
                let member = ["0", "00", "001", "002"][rng.random_range(0..4)].to_owned();
                let customer = format!("{}1c", "0".repeat(rng.random_range(0..40)));
                let grows = rng.random_bool(0.6);
                let next = |value: Option<&u32>| grows.then(|| value.map_or(1, |v| v + 1));
                edit.change(&member, &customer, next);
                let key = (member, customer);
                let _ = match next(model.get(&key)) {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
            edit.commit();
            let mut all = BTreeMap::new();
            table.each(|m, c, v| _ = all.insert((m.to_owned(), c.to_owned()), *v));
            assert_eq!(all, model);
            assert_eq!(table.customers(), model.len());
            for ((member, customer), value) in &model {
                assert_eq!(table.look(member, customer, |v| *v), Some(*value));
            }
            assert_eq!(table.look("003", "1c", |v| *v), None);
        }
    }

    /// What a reader sees of one customer only ever grows, while the writer goes on.
    #[test]
    fn readers_never_go_back() {
        let table = Table::<u32>::default();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 2000 {
                        let seen = table.look("001", "c1", |v| *v).unwrap_or(0);
                        assert!(seen >= last, "{seen} after {last}");
                        last = seen;
                    }
                });
            }
            for n in 1..=2000 {
                let mut edit = table.edit();
                edit.change("001", "c1", |_| Some(n));
                edit.change("001", &format!("c{n}"), |_| Some(n));
                edit.commit();
            }
        });
    }

    /// An edit that is given up leaves no trace.
    #[test]
    fn nothing_is_seen_before_commit() {
        let table = Table::<u32>::default();
        let mut edit = table.edit();
        edit.change("001", "c1", |_| Some(1));
        assert_eq!((table.look("001", "c1", |v| *v), table.customers()), (None, 0));
        drop(edit);
        assert_eq!((table.look("001", "c1", |v| *v), table.customers()), (None, 0));
    }
}
