//! A credit-limit policy of 4 tables and 26 rows, all reasons kept: ours, zen-engine, hand-written Rust.

mod hand_written;
mod inputs;

use std::hint::black_box;

use anyhow::{Context, ensure};
use rand::SeedableRng;
use serde_json::Value as Json;
use tarim_benches::fixture::{APPLICATIONS, Bank, Dice, bank};
use tarim_decision::{
    engine::DecisionScratch,
    outcome::{Call, Decision, Outcome, Stage},
};

use self::{
    hand_written::{Applicant, Reason},
    inputs::Customers,
};
use super::{
    Goal, Line, Quantity, Setting, Wanted,
    peer::{Contestant, build},
};
use crate::measure::{rounds, timed};

pub struct TablePolicy;

/// The stage that the whole policy stands in.
const CALL: Call = Call::One(Stage::Limit);

impl Goal for TablePolicy {
    fn name(&self) -> &'static str {
        "table_policy"
    }

    fn about(&self) -> &'static str {
        "a credit-limit policy of 4 tables and 26 rows, beside zen-engine and hand-written Rust"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let mut dice = Dice::seed_from_u64(26);
        let mut draw =
            |unknown| -> Vec<_> { (0..APPLICATIONS).map(|_| inputs::draw(&mut dice, unknown)).collect() };
        // What zen-engine means by unknown is another thing, so it is timed on what is all known.
        let (known, gaps) = (draw(0.0), draw(0.05));
        let fixture = |name: &str, applicants: &[Applicant]| {
            let store = setting.folder(name)?;
            Bank::open(&bank::policy_folder("credit_limit"), &store, &mut Customers(applicants))
        };
        agree(&fixture("table_policy-gaps", &gaps)?, &gaps)?;
        let bank = fixture("table_policy", &known)?;
        agree(&bank, &known)?;

        // Without it the rest is measured all the same.
        let zen = zen(setting, &known);
        let applications: Vec<_> = known.iter().enumerate().map(|(i, a)| inputs::application(i, a)).collect();
        let inputs = bank.gather(&applications)?;
        let mut scratch = DecisionScratch::default();
        let mut reasons = Vec::new();
        let mut ours = || Ok(timed(&inputs, |i| _ = black_box(bank.judge(i, CALL, &mut scratch))));
        let mut hand = || {
            Ok(timed(&known, |a| {
                black_box(hand_written::decide(black_box(a), &mut reasons));
                black_box(&reasons);
            }))
        };
        let what = "4 tables, 26 rows, all reasons kept";
        let beside_hand = |ours, hand| {
            Line::new(what, Quantity::Time(ours), Wanted::Slower(3.0))
                .beside("hand-written Rust", Quantity::Time(hand))
        };
        match zen {
            Ok(mut zen) => {
                let [ours, zen, hand] = rounds(setting.budget(), [&mut ours, &mut || zen.pass(), &mut hand])?;
                let beside_zen = Line::new(what, Quantity::Time(ours), Wanted::Faster(50.0))
                    .beside("zen-engine", Quantity::Time(zen));
                Ok(vec![beside_zen, beside_hand(ours, hand)])
            }
            Err(e) => {
                let [ours, hand] = rounds(setting.budget(), [&mut ours, &mut hand])?;
                let missing = Line::new(
                    format!("{what}; zen-engine is not beside it: {e:#}"),
                    Quantity::Time(ours),
                    Wanted::Faster(50.0),
                );
                Ok(vec![missing, beside_hand(ours, hand)])
            }
        }
    }
}

/// The peer, which was held to the same decisions.
fn zen(setting: &Setting, known: &[Applicant]) -> anyhow::Result<Contestant> {
    let folder = setting.folder("table_policy-zen")?;
    let file = folder.join("inputs.json");
    let all: Vec<Json> = known.iter().map(inputs::json).collect();
    std::fs::write(&file, serde_json::to_string(&all)?)?;
    let graph = bank::policy_folder("credit_limit.zen.json");
    let zen = build(setting, "peer-zen")?;
    let (zen, theirs) = Contestant::start(&zen, &[&graph, &file])?;
    agree_with_zen(known, &serde_json::from_str::<Vec<Json>>(&theirs)?)?;
    Ok(zen)
}

/// Holds every decision of ours against that of the hand-written policy.
fn agree(bank: &Bank, applicants: &[Applicant]) -> anyhow::Result<()> {
    let applications: Vec<_> =
        applicants.iter().enumerate().map(|(i, a)| inputs::application(i, a)).collect();
    let (mut scratch, mut reasons) = (DecisionScratch::default(), Vec::new());
    for (i, (inputs, applicant)) in bank.gather(&applications)?.iter().zip(applicants).enumerate() {
        let ours = bank.decide(inputs, CALL, &mut scratch);
        let theirs = hand_written::decide(applicant, &mut reasons);
        ensure!(
            (ours.outcome, ours.limit_fen) == theirs && ours_reasons(&ours) == reasons_of(&reasons),
            "applicant {i}: ours is {ours:?}, the hand-written policy's {theirs:?} for {reasons:?}"
        );
    }
    Ok(())
}

fn ours_reasons(decision: &Decision) -> Vec<(&str, bool)> {
    let mut reasons: Vec<_> = decision.reasons.iter().map(|r| (r.id.as_str(), r.unknown)).collect();
    reasons.sort_unstable();
    reasons
}

fn reasons_of(reasons: &[Reason]) -> Vec<(&'static str, bool)> {
    let mut reasons: Vec<_> = reasons.iter().map(|r| (r.id, r.unknown)).collect();
    reasons.sort_unstable();
    reasons
}

/// Holds zen-engine's results against the hand-written policy.
fn agree_with_zen(applicants: &[Applicant], results: &[Json]) -> anyhow::Result<()> {
    ensure!(applicants.len() == results.len(), "zen-engine gave {} results", results.len());
    let mut reasons = Vec::new();
    for (i, (applicant, result)) in applicants.iter().zip(results).enumerate() {
        let (outcome, limit) = hand_written::decide(applicant, &mut reasons);
        let told = result["reasons"].as_array().context("zen-engine gave no reasons")?;
        let told: Vec<_> = told.iter().filter_map(|r| r["id"].as_str()).collect();
        // The limit itself is no row of a table: its reason is ours alone.
        let expected: Vec<_> = reasons.iter().map(|r| r.id).filter(|id| *id != "limit").collect();
        let limit = limit.filter(|_| outcome != Outcome::Decline);
        ensure!(
            result["outcome"] == outcome.to_string()
                && told == expected
                && limit.is_none_or(|fen| result["limit_fen"].as_f64() == Some(fen as f64)),
            "applicant {i}: zen-engine says {result}, we {outcome}, {limit:?}, {expected:?}"
        );
    }
    Ok(())
}
