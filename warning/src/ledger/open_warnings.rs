//! What stands against a customer, for whoever decides: read without waiting for anyone.
//!
//! ```text
//!  hash of (member, customer) ──► shard ──► sorted by hash ──► the customer's warnings that stand
//!                                   └── swapped as a whole by the ledger's writer, never changed
//! ```
//!
//! A reader takes no lock and allocates nothing: it sees a shard as it was before a group of alerts or after, and what it
//! holds stays as it is. There are so many shards that copying one, which the writer does, is little.

use std::{ops::Deref, sync::Arc};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use twox_hash::XxHash3_64;

use crate::lifecycle::Warning;

const SHARD_BITS: u32 = 14;

/// Handle of a reader; clones read the same.
#[derive(Clone)]
pub struct OpenWarnings(Arc<[ArcSwap<Shard>]>);

/// Customers by hash; of those with the same one, in any order.
type Shard = Vec<Arc<Customer>>;

/// A customer with warnings that stand, the oldest first.
#[derive(Debug)]
struct Customer {
    hash: u64,
    member: String,
    customer: String,
    warnings: Vec<Arc<Warning>>,
}

/// The warnings that stand against one customer, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Standing(Option<Arc<Customer>>);

impl Deref for Standing {
    type Target = [Arc<Warning>];

    fn deref(&self) -> &[Arc<Warning>] {
        self.0.as_deref().map_or(&[], |customer| &customer.warnings)
    }
}

impl OpenWarnings {
    pub(super) fn new<'a>(warnings: impl Iterator<Item = &'a Arc<Warning>>) -> Self {
        let mut customers: HashMap<(&str, &str), Vec<Arc<Warning>>> = HashMap::new();
        for warning in warnings.filter(|w| w.state.stands()) {
            customers.entry(key(warning)).or_default().push(warning.clone());
        }
        let mut shards: Vec<Shard> = vec![Vec::new(); 1 << SHARD_BITS];
        for ((member, customer), warnings) in customers {
            let customer = Customer::new(member, customer, warnings);
            shards[shard_of(customer.hash)].push(Arc::new(customer));
        }
        // Most are empty in a small bank: one empty shard is enough for all of them.
        let empty = Arc::new(Shard::new());
        let made = shards.into_iter().map(|mut shard| {
            shard.sort_by_key(|customer| customer.hash);
            ArcSwap::new(if shard.is_empty() { empty.clone() } else { Arc::new(shard) })
        });
        Self(made.collect())
    }

    /// What stands against a customer. Nothing, if nobody of that name is known.
    pub fn of(&self, member: &str, customer: &str) -> Standing {
        let hash = hash(member, customer);
        let shard = self.0[shard_of(hash)].load();
        Standing(find(&shard, hash, member, customer).map(|at| shard[at].clone()))
    }

    /// Takes new versions of warnings. Only the ledger's writer calls this.
    pub(super) fn publish<'a>(&self, versions: impl Iterator<Item = &'a Arc<Warning>>) {
        // Each shard is copied once for all that a group changed in it.
        let mut touched: HashMap<usize, Shard> = HashMap::new();
        for warning in versions {
            let (member, customer) = key(warning);
            let hash = hash(member, customer);
            let at = shard_of(hash);
            let shard = touched.entry(at).or_insert_with(|| self.0[at].load().as_ref().clone());
            let found = find(shard, hash, member, customer);
            let mut warnings = found.map_or_else(Vec::new, |at| shard[at].warnings.clone());
            match warnings.binary_search_by_key(&warning.number, |w| w.number) {
                Ok(at) if warning.state.stands() => warnings[at] = warning.clone(),
                Ok(at) => drop(warnings.remove(at)),
                Err(at) if warning.state.stands() => warnings.insert(at, warning.clone()),
                Err(_) => continue,
            }
            match found {
                Some(at) if warnings.is_empty() => drop(shard.remove(at)),
                Some(at) => shard[at] = Arc::new(Customer::new(member, customer, warnings)),
                None => {
                    let at = shard.partition_point(|c| c.hash < hash);
                    shard.insert(at, Arc::new(Customer::new(member, customer, warnings)));
                }
            }
        }
        for (at, shard) in touched {
            self.0[at].store(Arc::new(shard));
        }
    }
}

impl Customer {
    fn new(member: &str, customer: &str, mut warnings: Vec<Arc<Warning>>) -> Self {
        warnings.sort_by_key(|w| w.number);
        Self { hash: hash(member, customer), member: member.into(), customer: customer.into(), warnings }
    }
}

fn key(warning: &Warning) -> (&str, &str) {
    (&warning.alert.member, &warning.alert.customer_id)
}

fn find(shard: &Shard, hash: u64, member: &str, customer: &str) -> Option<usize> {
    let first = shard.partition_point(|c| c.hash < hash);
    let same = shard[first..].iter().take_while(|c| c.hash == hash);
    same.zip(first..).find(|(c, _)| c.member == member && c.customer == customer).map(|(_, at)| at)
}

fn hash(member: &str, customer: &str) -> u64 {
    XxHash3_64::oneshot_with_seed(XxHash3_64::oneshot(member.as_bytes()), customer.as_bytes())
}

fn shard_of(hash: u64) -> usize {
    (hash >> (u64::BITS - SHARD_BITS)) as usize
}
