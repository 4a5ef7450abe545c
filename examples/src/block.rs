//! Blocks of neighbouring customers: who applies how often, and who belongs to a ring or a circle.
//!
//! Rings and circles need several customers who know of each other. They live within one block, so that
//! each customer can be made alone, in order, and still agree with the others.

use crate::{
    dice::Topic,
    world::{CUSTOMERS_PER_COMPANY, World},
};

/// Customers of a block.
pub const BLOCK: u32 = 32;
/// Every so many blocks of a member there is a fraud ring …
const RING_EVERY: u32 = 12;
/// … of so many customers, the first of the block.
pub const RING_SIZE: u32 = 6;
/// Every so many blocks there is a guarantee circle …
const CIRCLE_EVERY: u32 = 8;
/// … of so many customers, from this place of the block on.
pub const CIRCLE: std::ops::Range<u32> = 8..12;

/// A run of neighbouring customers of one member.
pub struct Block {
    pub member: usize,
    /// Place of its first customer within the member.
    pub first: u32,
    /// How often each of its customers applies.
    pub applications: Vec<u32>,
}

impl Block {
    /// All blocks of the bank, in order.
    pub fn all(world: &World) -> impl Iterator<Item = Block> + '_ {
        let mut before = 0u64;
        world.members.iter().enumerate().flat_map(move |(member, m)| {
            let start = before;
            before += u64::from(m.customers);
            (0..m.customers.div_ceil(BLOCK)).map(move |i| Block::new(world, member, i, start))
        })
    }

    /// Block number `number` of a member that has `before` customers before it.
    fn new(world: &World, member: usize, number: u32, before: u64) -> Self {
        let first = number * BLOCK;
        let len = BLOCK.min(world.members[member].customers - first);
        // The block's exact share of all applications, so that the bank's total is exact.
        let share = |customers: u64| {
            (u128::from(world.plan.applications()) * u128::from(customers) / u128::from(world.plan.customers))
                as u64
        };
        let start = before + u64::from(first);
        let quota = share(start + u64::from(len)) - share(start);

        let mut dice = world.dice(Topic::Block, member, number);
        let mut order: Vec<u32> = (0..len).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, dice.int(0, i as i64) as usize);
        }
        if ring_of(world, member, first).is_some() {
            // Rings exist to apply.
            order.sort_by_key(|i| *i >= RING_SIZE);
        }
        let mut applications = vec![0; len as usize];
        for k in 0..quota as usize {
            applications[order[k % order.len()] as usize] += 1;
        }
        Block { member, first, applications }
    }
}

/// The fraud ring that a customer belongs to: a number within the member.
pub fn ring_of(world: &World, member: usize, position: u32) -> Option<u32> {
    let number = position / BLOCK;
    let offset = (world.plan.seed % u64::from(RING_EVERY)) as u32;
    let head_exists = number * BLOCK + RING_SIZE <= world.members[member].customers;
    (position % BLOCK < RING_SIZE && number % RING_EVERY == offset % RING_EVERY && head_exists)
        .then_some(number)
}

/// Whose loan a customer guarantees because of a guarantee circle: the next in the circle.
pub fn circle_next(world: &World, member: usize, position: u32) -> Option<u32> {
    let (number, place) = (position / BLOCK, position % BLOCK);
    let whole = number * BLOCK + CIRCLE.end <= world.members[member].customers;
    if !CIRCLE.contains(&place) || number % CIRCLE_EVERY != 3 % CIRCLE_EVERY || !whole {
        return None;
    }
    let next = if place + 1 == CIRCLE.end { CIRCLE.start } else { place + 1 };
    Some(number * BLOCK + next)
}

/// The company that a customer owns and represents, if any.
pub fn company_of(world: &World, member: usize, position: u32) -> Option<u32> {
    let company = position / CUSTOMERS_PER_COMPANY;
    (position % CUSTOMERS_PER_COMPANY == 13 && company < world.companies(member)).then_some(company)
}

/// The customer who represents a company in law, if he is a customer.
pub fn owner_of(world: &World, member: usize, company: u32) -> Option<u32> {
    let position = company * CUSTOMERS_PER_COMPANY + 13;
    (position < world.members[member].customers).then_some(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Plan;

    #[test]
    fn applications_are_exact() {
        for (customers, applications) in [(1000, 0), (1000, 377), (1000, 1000), (999, 12_345)] {
            let mut plan = Plan::new(customers, 3);
            plan.applications = Some(applications);
            let world = World::new(plan);
            let made: u64 = Block::all(&world).flat_map(|b| b.applications).map(u64::from).sum();
            assert_eq!(made, applications);
            let people: usize = Block::all(&world).map(|b| b.applications.len()).sum();
            assert_eq!(people as u64, customers);
        }
    }

    #[test]
    fn circles_close() {
        let world = World::new(Plan::new(2000, 3));
        let start = (0..).find(|p| circle_next(&world, 0, *p).is_some()).unwrap();
        let mut at = start;
        for _ in CIRCLE {
            at = circle_next(&world, 0, at).unwrap();
        }
        assert_eq!(at, start);
    }
}
