//! The ledger of warnings with many alerts: what they take of memory, how fast they are taken, how long it takes to open.

use std::{path::Path, time::Instant};

use anyhow::Context;
use prost::Message;
use serde_json::{Value as Json, json};
use tarim_proto::warning::v1::{Alert, Push};
use tarim_warning::{
    clock::Clock,
    delivery::{Budgets, Calendar, Managers, Policy},
    feed::alert_of_json,
    ledger::{Ledger, Pushing},
    lifecycle::{Inspections, NewAlert},
};

/// Alerts that `tarim warn replay` raised on the demo's bank, two of each rule.
const ALERTS: &str = include_str!("alerts.ndjson");

/// As the feed does it.
const BATCH: usize = 2000;

const MEMBERS: u64 = 83;
/// Warnings of a customer, as on the demo's bank.
const OF_CUSTOMER: u64 = 3;
const START_US: i64 = 1_767_225_600_000_000;
const HALF_A_YEAR_US: i64 = 183 * 86_400_000_000;

/// What is taken: alerts that open warnings, and repeats of them behind those.
#[derive(Clone, Copy, clap::Args)]
pub struct Load {
    opened: u64,
    repeated: u64,
    /// Push each alert at once
    #[arg(long)]
    push: bool,
}

/// Opens a ledger in the folder and takes alerts, as if all of it were told at once.
pub fn fill(folder: &Path, load: Load) -> anyhow::Result<Json> {
    let templates = templates()?;
    let ledger = open(folder, load.push)?;
    let all = load.opened + load.repeated;
    let (mut bytes, mut taking_s) = (0, 0.0);
    let mut opened = 0;
    for first in (0..all).step_by(BATCH) {
        let numbers = first..all.min(first + BATCH as u64);
        let alerts: Vec<NewAlert> = numbers.map(|n| load.alert(&templates, n)).collect::<Result<_, _>>()?;
        bytes += alerts.iter().map(|alert| alert.alert().encoded_len()).sum::<usize>();
        let start = Instant::now();
        let taken = ledger.take_now(alerts, None)?;
        taking_s += start.elapsed().as_secs_f64();
        opened += taken.opened;
        ledger.sent(opened);
        ledger.pushed(if load.push { first + BATCH as u64 } else { 0 });
    }
    anyhow::ensure!(opened == load.opened, "{opened} warnings were opened, not {}", load.opened);
    let start = Instant::now();
    ledger.close()?;
    Ok(json!({
        "alerts": all,
        "per_s": all as f64 / taking_s,
        "close_s": start.elapsed().as_secs_f64(),
        "bytes_of_alert": bytes as f64 / all as f64,
        "log_bytes": std::fs::metadata(folder.join("warnings.ledger"))?.len(),
    }))
}

/// Opens it again.
pub fn reopen(folder: &Path, push: bool) -> anyhow::Result<Json> {
    let before = resident()?;
    let start = Instant::now();
    let ledger = open(folder, push)?;
    let open_s = start.elapsed().as_secs_f64();
    let told = json!({ "open_s": open_s, "resident_bytes": resident()? - before });
    // To give it all back is no part of opening.
    std::mem::forget(ledger);
    Ok(told)
}

fn open(folder: &Path, push: bool) -> anyhow::Result<Ledger> {
    let policy = Policy {
        calendar: Calendar::new(8 * 3_600_000_000, vec![8 * 3_600_000_000]),
        budgets: Budgets::default(),
        repeats_wait: false,
        escalations: Vec::new(),
        managers_sql: None,
    };
    let clock = Clock::Fixed(START_US + HALF_A_YEAR_US);
    let mut managers = Managers::default();
    for member in 0..MEMBERS {
        for customer in 0..20 {
            // Most customers have nobody; that changes nothing here.
            managers.put(&format!("{member:03}"), &customer_id(member + MEMBERS * customer), "m1");
        }
    }
    Ok(match push {
        true => Ledger::open_pushing(folder, Pushing { policy, managers, clock })?,
        false => Ledger::open(folder)?,
    })
}

fn templates() -> anyhow::Result<Vec<Alert>> {
    let alert = |line: &str| alert_of_json(line.as_bytes()).map_err(anyhow::Error::msg);
    ALERTS.lines().map(alert).collect()
}

fn customer_id(customer: u64) -> String {
    format!("c{:03}{customer:09}", customer % MEMBERS)
}

impl Load {
    fn alert(self, templates: &[Alert], n: u64) -> anyhow::Result<NewAlert> {
        // Repeats go to warnings from all over.
        let subject = if n < self.opened { n } else { n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % self.opened };
        let customer = subject / OF_CUSTOMER;
        let template = &templates[(subject % templates.len() as u64) as usize];
        let mut alert = Alert {
            alert_id: format!("{:016x}{:016x}", mixed(n), mixed(!n)),
            member: format!("{:03}", customer % MEMBERS),
            customer_id: customer_id(customer),
            push: Push::Realtime.into(),
            raised_at_us: START_US + (HALF_A_YEAR_US as u64 / (self.opened + self.repeated) * n) as i64,
            ..template.clone()
        };
        // A loan, or a case: of this customer alone.
        if alert.key.starts_with('l') {
            alert.key = format!("l{subject:011}");
        }
        for event in &mut alert.events {
            event.event_id = format!("l{subject:011}-{:02}", n % 100);
            event.offset = n as i64;
        }
        Ok(NewAlert::new(alert, &Inspections::default(), 0)?)
    }
}

/// Evenly spread, as the hashes that alerts are named by.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("no /proc of Linux")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(1024 * resident.trim().trim_end_matches(" kB").parse::<u64>()?)
}
