//! Counting by other schemes while the ledger goes on.
//!
//! ```text
//!  exposures   0 … cursor … n         begin(schemes)   counters beside, empty
//!              └─counted─┘            advance(some)    the next exposures are counted; then of the next customers and groups
//!                                                      it is looked who crosses the line of large exposures
//!  operations meanwhile               on an exposure before the cursor: counted in both; of a customer: looked at again
//!  Adopt, in the log                  the counters beside take the place of the old ones, between two operations, and who
//!                                     crosses the line becomes large, or is so no more
//! ```
//!
//! What counters come to follows from the exposures alone. So a log in which `Adopt` stands is read back by counting all
//! at once there, and comes to the same.

use std::sync::Arc;

use super::{
    Column, Core, Customer, Exposure, NOBODY, Profile,
    counting::{Counting, Plan, Who},
    large::Crossing,
    text::Words,
};
use crate::exposure::{prospect::pairs, scheme::SchemeSet};

/// Counters that are being built.
#[derive(Clone, Debug)]
pub struct Recount {
    pub counting: Counting,
    /// Exposures before it are counted.
    pub cursor: u32,
    pub customers: Crossing,
    pub groups: Crossing,
}

impl Core {
    /// Begins to count by other schemes. What was begun before is forgotten.
    pub fn begin_recount(&mut self, schemes: Arc<SchemeSet>) {
        let (customers, groups) = Default::default();
        self.next =
            Some(Box::new(Recount { counting: Counting::new(schemes), cursor: 0, customers, groups }));
    }

    /// Counts some more. Whether there is nothing left to count.
    pub fn advance_recount(&mut self, some: u32) -> bool {
        for _ in 0..some {
            if !self.count_one() {
                return true;
            }
        }
        self.next.as_ref().is_none_or(|next| self.is_counted(next))
    }

    /// One exposure, customer or group; false if there is none left.
    fn count_one(&mut self) -> bool {
        let Self { words, profiles, customers, groups, exposures, next, .. } = self;
        let Some(next) = next else { return false };
        if next.cursor < exposures.len() {
            let exposure = exposures.get(next.cursor);
            count(&mut next.counting, (words, profiles, customers), exposure, exposure.used());
            next.cursor += 1;
        } else if next.customers.cursor < customers.len() {
            next.customers.cursor += 1;
            self.look_at_customer(self.next.as_ref().map_or(0, |next| next.customers.cursor - 1));
        } else if next.groups.cursor < groups.len() {
            next.groups.cursor += 1;
            self.look_at_group(self.next.as_ref().map_or(0, |next| next.groups.cursor - 1));
        } else {
            return false;
        }
        true
    }

    fn is_counted(&self, next: &Recount) -> bool {
        next.cursor == self.exposures.len()
            && next.customers.cursor == self.customers.len()
            && next.groups.cursor == self.groups.len()
    }

    /// Whether the line that is to come says something else of a customer; of one that the re-count has not come to it is asked
    /// later.
    pub(super) fn look_at_customer(&mut self, customer: u32) {
        let Self { words, customers, next, .. } = self;
        if let Some(next) = next.as_mut().filter(|next| customer < next.customers.cursor) {
            let row = customers.get(customer);
            let of = (words.get(row.member), row.used, row.large);
            next.customers.look(customer, of, next.counting.schemes());
        }
    }

    pub(super) fn look_at_group(&mut self, group: u32) {
        let Self { words, groups, next, .. } = self;
        if let Some(next) = next.as_mut().filter(|next| group < next.groups.cursor) {
            let row = groups.get(group);
            let of = (words.get(row.member), row.used, row.large);
            next.groups.look(group, of, next.counting.schemes());
        }
    }

    /// Counters by these schemes: those that were built beside, or all anew.
    pub(super) fn recounted(&mut self, schemes: &SchemeSet) -> Recount {
        match self.next.take() {
            Some(next) if **next.counting.schemes() == *schemes && self.is_counted(&next) => *next,
            _ => {
                self.begin_recount(Arc::new(schemes.clone()));
                while !self.advance_recount(u32::MAX) {}
                *self.next.take().expect("it was begun")
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
        if !anew.customers.is_empty() || !anew.groups.is_empty() {
            return Err("who is large is not who is above the line".into());
        }
        // The copy's words go on from this one's, so the numbers are the same.
        let (kept, anew) = (self.counting.totals(), anew.counting.totals());
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
    let plan = counting.plan(&member, &pairs(&of.attributes), words);
    counting.keep_plan(profile, plan)
}

fn who(customers: &Column<Customer>, customer: u32) -> Who {
    let group = customers.get(customer).group;
    Who { customer: Some(customer), group: (group != NOBODY).then_some(group) }
}
