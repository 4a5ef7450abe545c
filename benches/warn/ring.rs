//! What is least: a ring of 24 hours per customer, looked up, added to and summed. No fields, no rules, no alerts.

use std::hint::black_box;

use hashbrown::HashMap;
use tarim_benches::fixture::warn::WarnBook;

use crate::cpu::CpuTime;

const HOURS: usize = 24;

#[derive(Clone, Copy)]
struct Ring {
    hour: i64,
    sums: [i64; HOURS],
}

/// Processor seconds for so many events.
pub fn cpu_s(book: &WarnBook, count: u64) -> anyhow::Result<f64> {
    // Customer, hour and amount, taken out beforehand.
    let events: Vec<(u64, i64, i64)> = book
        .events(count)
        .map(|e| {
            let customer = e.customer_id[1..].parse().unwrap_or_default();
            (customer, e.happened_at_us.div_euclid(3_600_000_000), e.happened_at_us % 1000)
        })
        .collect();
    let mut rings: HashMap<u64, Ring> = HashMap::new();
    let start = CpuTime::now()?;
    for (customer, hour, amount) in &events {
        let ring = rings.entry(*customer).or_insert(Ring { hour: *hour, sums: [0; HOURS] });
        for gone in 0..(hour - ring.hour).min(HOURS as i64) {
            ring.sums[(ring.hour + 1 + gone) as usize % HOURS] = 0;
        }
        ring.hour = *hour;
        ring.sums[*hour as usize % HOURS] += amount;
        black_box(ring.sums.iter().sum::<i64>());
    }
    start.elapsed()
}
