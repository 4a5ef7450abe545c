//! Decisions and nothing else, for a profiler: what a decision costs in instructions does not depend on what else
//! the machine does.
//!
//! ```text
//!   cargo build --release -p tarim -p tarim-benches --example judge
//!   valgrind --tool=callgrind --toggle-collect='tarim_decision::engine::Engine::judge' \
//!       target/release/examples/judge table_policy 1000       (or rules_50, rules_200, scale, unlike, full_decision)
//! ```

#[allow(dead_code)]
#[path = "../src/goals/table_policy/hand_written.rs"]
mod hand_written;
#[allow(dead_code)]
#[path = "../src/goals/table_policy/inputs.rs"]
mod inputs;

use std::{hint::black_box, time::Instant};

use anyhow::{Context, bail};
use rand::SeedableRng;
use tarim_benches::fixture::{Bank, Dice, bank, book::Book};
use tarim_decision::{
    engine::DecisionScratch,
    outcome::{Call, Stage},
};

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let goal = args
        .next()
        .context("which goal: table_policy, rules_50, rules_200, scale, unlike or full_decision?")?;
    let count: usize = args.next().map_or(Ok(1000), |n| n.parse())?;
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store");
    let of_book = |book: &Book| -> anyhow::Result<_> {
        book.write(&folder.path().join("rulebook"))?;
        let bank = Bank::open(&folder.path().join("rulebook"), &store, &mut &*book)?;
        Ok((bank, book.applications(count)))
    };
    let ((bank, applications), call) = match goal.as_str() {
        "table_policy" => {
            let mut dice = Dice::seed_from_u64(26);
            let known: Vec<_> = (0..count).map(|_| inputs::draw(&mut dice, 0.0)).collect();
            let folder = bank::policy_folder("credit_limit");
            let bank = Bank::open(&folder, &store, &mut inputs::Customers(&known))?;
            let applications = known.iter().enumerate().map(|(i, a)| inputs::application(i, a)).collect();
            ((bank, applications), Call::One(Stage::Limit))
        }
        "rules_200" => (of_book(&Book::of_rules(200, 200, 200))?, Call::One(Stage::Admission)),
        "scale" => {
            let book = Book::of_rules(50, 200, 50).with_products(100);
            (of_book(&book)?, Call::One(Stage::Admission))
        }
        "unlike" => {
            let book = Book::of_rules(50, 200, 50).with_unlike_products(100);
            (of_book(&book)?, Call::One(Stage::Admission))
        }
        "rules_50" => (of_book(&Book::of_rules(50, 200, 50))?, Call::One(Stage::Admission)),
        "full_decision" => (of_book(&Book::full(5, 200, 200, 4096))?, Call::All),
        other => bail!("`{other}` is no goal that can be profiled here"),
    };
    let inputs = bank.gather(&applications)?;
    let mut scratch = DecisionScratch::default();
    let rounds = args.next().map_or(Ok(1), |n| n.parse())?;
    let start = Instant::now();
    for _ in 0..rounds {
        for inputs in &inputs {
            black_box(bank.judge(inputs, call, &mut scratch));
        }
    }
    let each = start.elapsed().as_nanos() as f64 / (rounds * count) as f64;
    println!("{goal}: {count} × {rounds} decisions, {each:.1} ns each");
    Ok(())
}
