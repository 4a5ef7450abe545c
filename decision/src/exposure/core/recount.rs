//! Counting by other schemes while the ledger goes on.
//!
//! ```text
//!  exposures   0 … cursor … n         begin(schemes)   counters beside, empty
//!              └─counted─┘            advance(some)    the next exposures are counted
//!  operations meanwhile               on an exposure before the cursor: counted in both
//!  Adopt, in the log                  the counters beside take the place of the old ones, between two operations
//! ```
//!
//! What counters come to follows from the exposures alone. So a log in which `Adopt` stands is read back by counting all
//! at once there, and comes to the same.

use std::sync::Arc;

use super::{
    Column, Core, Customer, Exposure, NOBODY, Profile,
    counting::{Counting, Plan, Who},
    text::Words,
};
use crate::exposure::scheme::SchemeSet;

/// Counters that are being built.
#[derive(Clone, Debug)]
pub struct Recount {
    pub counting: Counting,
    /// Exposures before it are counted.
    pub cursor: u32,
}

impl Core {
    /// Begins to count by other schemes. What was begun before is forgotten.
    pub fn begin_recount(&mut self, schemes: Arc<SchemeSet>) {
        self.next = Some(Box::new(Recount { counting: Counting::new(schemes), cursor: 0 }));
    }

    /// Counts some more exposures. Whether there is nothing left to count.
    pub fn advance_recount(&mut self, some: u32) -> bool {
        let Self { words, profiles, customers, exposures, next, .. } = self;
        let Some(next) = next else { return true };
        let end = next.cursor.saturating_add(some).min(exposures.len());
        while next.cursor < end {
            let exposure = exposures.get(next.cursor);
            count(&mut next.counting, (words, profiles, customers), exposure, exposure.used());
            next.cursor += 1;
        }
        next.cursor == exposures.len()
    }

    /// Counters by these schemes: those that were built beside, or all anew.
    pub(super) fn recounted(&mut self, schemes: &SchemeSet) -> Counting {
        match self.next.take() {
            Some(next) if **next.counting.schemes() == *schemes && next.cursor == self.exposures.len() => {
                next.counting
            }
            _ => {
                self.begin_recount(Arc::new(schemes.clone()));
                self.advance_recount(u32::MAX);
                self.next.take().expect("it was begun").counting
            }
        }
    }

    /// What an exposure uses changes by so much, in all counters that are kept.
    pub(super) fn shift(&mut self, exposure: u32, fen: i64) {
        let Self { counting, words, profiles, customers, exposures, .. } = self;
        count(counting, (words, profiles, customers), exposures.get(exposure), fen);
        self.shift_next(exposure, fen);
    }

    /// The same, in the counters alone that are being built.
    pub(super) fn shift_next(&mut self, exposure: u32, fen: i64) {
        let Self { words, profiles, customers, exposures, next, .. } = self;
        if let Some(next) = next.as_mut().filter(|next| exposure < next.cursor) {
            count(&mut next.counting, (words, profiles, customers), exposures.get(exposure), fen);
        }
    }

    /// The plan of a profile; it is made when it is first asked for.
    pub(super) fn plan_of(&mut self, profile: u32) -> Arc<Plan> {
        plan_of(&mut self.counting, &mut self.words, &self.profiles, profile)
    }

    pub(super) fn who(&self, customer: u32) -> Who {
        who(&self.customers, customer)
    }

    /// Counts everything anew, and says where the ledger and its exposures differ: nowhere, unless it has a defect.
    pub fn verify(&self) -> Result<(), String> {
        let mut copy = self.clone();
        copy.next = None;
        let schemes = self.schemes().clone();
        let anew = copy.recounted(&schemes);
        // The copy's words go on from this one's, so the numbers are the same.
        let (kept, anew) = (self.counting.totals(), anew.totals());
        if kept != anew {
            let differs = kept.iter().find(|(key, used)| anew.get(*key) != Some(used));
            return Err(format!(
                "counters are not the sums of their exposures: {differs:?} of {} and {}",
                kept.len(),
                anew.len()
            ));
        }
        let mut customers = vec![0_i64; self.customers.len() as usize];
        let mut total = 0_i64;
        for (at, exposure) in self.exposures.iter().enumerate() {
            if exposure.reserved < 0 || exposure.outstanding < 0 {
                return Err(format!("exposure {at} is below zero: {exposure:?}"));
            }
            customers[exposure.customer as usize] += exposure.used();
            total += exposure.used();
        }
        let mut groups = vec![0_i64; self.groups.len() as usize];
        for (customer, used) in self.customers.iter().zip(&customers) {
            if customer.used != *used {
                return Err(format!("a customer uses {used}, not {}", customer.used));
            }
            if customer.group != NOBODY {
                groups[customer.group as usize] += used;
            }
        }
        if let Some((group, used)) =
            self.groups.iter().zip(&groups).find(|(group, used)| group.used != **used)
        {
            return Err(format!("a group uses {used}, not {}", group.used));
        }
        if total != self.total_fen {
            return Err(format!("the exposures come to {total}, not {}", self.total_fen));
        }
        Ok(())
    }
}

type Book<'a> = (&'a mut Words, &'a Column<Arc<Profile>>, &'a Column<Customer>);

fn count(counting: &mut Counting, (words, profiles, customers): Book<'_>, exposure: &Exposure, fen: i64) {
    let plan = plan_of(counting, words, profiles, exposure.profile);
    let who = who(customers, exposure.customer);
    let mut touched = counting.touched(&plan, who);
    counting.add(&plan, &mut touched, who, fen);
}

fn plan_of(
    counting: &mut Counting,
    words: &mut Words,
    profiles: &Column<Arc<Profile>>,
    profile: u32,
) -> Arc<Plan> {
    if let Some(plan) = counting.known_plan(profile) {
        return plan.clone();
    }
    let of = profiles.get(profile);
    let member = words.get(of.member).to_owned();
    let plan = counting.plan(&member, &of.attributes, words);
    counting.keep_plan(profile, plan)
}

fn who(customers: &Column<Customer>, customer: u32) -> Who {
    let group = customers.get(customer).group;
    Who { customer: Some(customer), group: (group != NOBODY).then_some(group) }
}
