//! The ledger without disk, clock or threads: operations in, answers out.
//!
//! ```text
//!  operation, now ──► idempotent? ──► whose: customer, group, profile ──► check all counters ──► take from all
//!                        │ as before                                        │ refuse, change nothing
//!                        ▼                                                  ▼
//!                      answer                                            refusal
//!
//!  exposures ── 40 bytes ─► customer ─► group          a customer's exposures hang together: next, next, …
//!      └─► profile: member and attributes ─► Plan      (counting)
//! ```
//!
//! The same operations at the same times give the same answers and the same ledger: that is how a log is read back. A
//! [`Core`] is cheap to copy ([`column`]), and the copy stands still.

mod apply;
mod checks;
pub mod column;
pub mod counting;
mod index;
mod keys;
mod large;
mod notice;
mod own;
mod query;
mod recount;
pub mod state;
mod text;

use std::{collections::BTreeMap, sync::Arc};

use self::{
    column::{Column, fixed},
    counting::{Counting, NOBODY, Names},
    index::Index,
    keys::{Keys, Thinning},
    large::LargeRow,
    notice::NoticeRow,
    recount::Recount,
    text::{Ref, Texts, Words},
};
pub use self::{
    counting::Sight,
    large::Large,
    notice::{LargeChange, LargeEvent},
    query::{ExposureState, Filter},
};
use super::{
    operation::{Answer, Attribute},
    scheme::SchemeSet,
};

/// A ledger in memory.
#[derive(Clone, Debug)]
pub struct Core {
    /// The latest time that it was told. It never goes back.
    now_us: i64,
    /// Number of the last operation.
    sequence: u64,
    /// Of all exposures. Fits, and so does every part of it.
    total_fen: i64,
    texts: Texts,
    words: Words,
    customers: Column<Customer>,
    customer_index: Index,
    groups: Column<Group>,
    group_index: Index,
    profiles: Column<Arc<Profile>>,
    profile_index: Index,
    exposures: Column<Exposure>,
    keys: Keys,
    /// Keys of what is gone are being dropped.
    thinning: Option<Box<Thinning>>,
    /// For how long keys are kept once their exposure is closed.
    keep_us: i64,
    /// How many exposures were closed, by day. One that is drawn on again is counted again.
    closings: Arc<BTreeMap<u32, u32>>,
    /// Exposures by the minute in which what they reserve expires. Those that reserve nothing any more stay until then.
    expiries: Arc<BTreeMap<u32, Arc<Vec<u32>>>>,
    larges: Column<LargeRow>,
    notices: Column<NoticeRow>,
    counting: Counting,
    /// Counters by other schemes, while they are being built.
    next: Option<Box<Recount>>,
    /// What is done was done before: [`Core::apply_again`].
    reads_back: bool,
}

/// An operation was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub answer: Answer,
    /// It was done now, and belongs into the log; else before.
    pub fresh: bool,
}

#[derive(Clone, Copy, Debug)]
struct Customer {
    name: Ref,
    used: i64,
    member: u32,
    /// Or [`NOBODY`].
    group: u32,
    /// The newest exposure, or [`NOBODY`].
    first: u32,
    /// Number of the large exposure that it is; 0: it is none.
    large: u32,
}
fixed!(Customer { name: u64, used: i64, member: u32, group: u32, first: u32, large: u32 });

#[derive(Clone, Copy, Debug)]
struct Group {
    name: Ref,
    used: i64,
    member: u32,
    large: u32,
}
fixed!(Group { name: u64, used: i64, member: u32, large: u32 });

#[derive(Clone, Copy, Debug)]
struct Exposure {
    id: Ref,
    reserved: i64,
    outstanding: i64,
    profile: u32,
    customer: u32,
    /// Of the same customer, or [`NOBODY`].
    next: u32,
    /// Minute in which what it reserves expires; 0: never. Once nothing is left of it, the minute in which it was closed.
    expires: u32,
}
fixed!(Exposure {
    id: u64,
    reserved: i64,
    outstanding: i64,
    profile: u32,
    customer: u32,
    next: u32,
    expires: u32
});

impl Exposure {
    fn used(&self) -> i64 {
        self.reserved + self.outstanding
    }
}

/// A member, and attributes in order of name.
#[derive(Clone, Debug, PartialEq)]
struct Profile {
    hash: u128,
    member: u32,
    attributes: Vec<Attribute>,
}

impl Core {
    /// An empty ledger without schemes: nothing is limited, and no member is known, until it adopts some.
    pub fn new() -> Self {
        Self {
            now_us: i64::MIN,
            sequence: 0,
            total_fen: 0,
            texts: Texts::default(),
            words: Words::default(),
            customers: Column::default(),
            customer_index: Index::default(),
            groups: Column::default(),
            group_index: Index::default(),
            profiles: Column::default(),
            profile_index: Index::default(),
            exposures: Column::default(),
            keys: Keys::default(),
            thinning: None,
            keep_us: i64::MAX,
            closings: Arc::default(),
            expiries: Arc::default(),
            larges: Column::default(),
            notices: Column::default(),
            counting: Counting::new(Arc::new(SchemeSet::default())),
            next: None,
            reads_back: false,
        }
    }

    /// Number of the last operation.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The latest time that it was told, in microseconds since 1970.
    pub fn now_us(&self) -> i64 {
        self.now_us
    }

    /// It is at least so late: limits begin and end by it, also while nothing is done. Time does not go back.
    pub(crate) fn tell_time(&mut self, now_us: i64) {
        self.now_us = self.now_us.max(now_us);
    }

    /// What it counts by.
    pub fn schemes(&self) -> &Arc<SchemeSet> {
        self.counting.schemes()
    }

    /// How many exposures it has, closed ones too.
    pub fn exposures(&self) -> u32 {
        self.exposures.len()
    }

    /// How many counters.
    pub fn counters(&self) -> u32 {
        self.counting.counters.len()
    }

    /// Whether something expired that was not released yet.
    pub fn is_due(&self, now_us: i64) -> bool {
        self.next_expiry_us().is_some_and(|due| due <= now_us.max(self.now_us))
    }

    /// When something may expire next.
    pub fn next_expiry_us(&self) -> Option<i64> {
        self.expiries.keys().next().map(|minute| i64::from(*minute) * MINUTE_US)
    }

    fn find_customer(&self, hash: u64, member: &str, name: &str) -> Option<u32> {
        self.customer_index.find(hash, |at| {
            let customer = self.customers.get(at);
            self.words.get(customer.member) == member && self.texts.get(customer.name) == name.as_bytes()
        })
    }

    fn find_group(&self, hash: u64, member: &str, name: &str) -> Option<u32> {
        self.group_index.find(hash, |at| {
            let group = self.groups.get(at);
            self.words.get(group.member) == member && self.texts.get(group.name) == name.as_bytes()
        })
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

const MINUTE_US: i64 = 60_000_000;

/// Names of a ledger, and of a customer and words that it does not have yet.
struct Naming<'a> {
    core: &'a Core,
    words: &'a Words,
    asking: &'a str,
}

impl Names for Naming<'_> {
    fn word(&self, word: u32) -> &str {
        self.words.get(word)
    }

    fn customer(&self, customer: u32) -> &str {
        if customer == NOBODY {
            self.asking
        } else {
            self.core.texts.text(self.core.customers.get(customer).name)
        }
    }

    fn group(&self, group: u32) -> &str {
        if group == NOBODY { "" } else { self.core.texts.text(self.core.groups.get(group).name) }
    }
}
