//! A range table of 2,000 rows of which the last one hits, beside one of 20 rows.

use std::hint::black_box;

use anyhow::ensure;
use rand::{Rng, SeedableRng};
use tarim_benches::fixture::{
    Bank, Dice, MEMBER,
    bank::key,
    book::{Book, limit},
};
use tarim_datamart::Value;
use tarim_decision::{
    engine::{Application, DecisionScratch, Inputs},
    outcome::{Call, Stage},
};

use super::{Goal, Line, Quantity, Setting, Wanted};
use crate::measure::{rounds, timed};

pub struct BigTable;

const CALL: Call = Call::One(Stage::Limit);

/// Width of a row's interval, in fen.
const STEP: i64 = 10_000;

/// What a row grants beyond the one before it, in fen.
const FEN: i64 = 100_000;

impl Goal for BigTable {
    fn name(&self) -> &'static str {
        "big_table"
    }

    fn about(&self) -> &'static str {
        "a range table of 2,000 rows, last row hits, beside one of 20"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let small = Policy::new(setting, 20)?;
        let large = Policy::new(setting, 2000)?;
        // The same policy whose limit is what the row says, without a table: what remains is the table's.
        let none = Policy::new(setting, 0)?;
        let mut scratch = [(); 3].map(|()| DecisionScratch::default());
        let [a, b, c] = &mut scratch;
        let [small, large, none] = rounds(
            setting.budget(),
            [&mut || Ok(small.pass(a)), &mut || Ok(large.pass(b)), &mut || Ok(none.pass(c))],
        )?;
        let line = |what: &str, large: f64, small: f64| {
            Line::new(what, Quantity::Time(large), Wanted::Slower(2.0))
                .beside("20 rows", Quantity::Time(small))
        };
        Ok(vec![
            line("2,000 rows, last row hits: a decision", large, small),
            line("2,000 rows, last row hits: beyond a decision without a table", large - none, small - none),
        ])
    }
}

/// A policy whose limit is looked up in a table of so many rows.
struct Policy {
    bank: Bank,
    inputs: Vec<Inputs>,
}

impl Policy {
    fn new(setting: &Setting, rows: i64) -> anyhow::Result<Self> {
        let folder = setting.folder(&format!("big_table-{rows}"))?;
        let rulebook = folder.join("rulebook");
        let book = Book::of_rules(1, 10, 0);
        book.write(&rulebook)?;
        let policies = rulebook.join("policies");
        std::fs::create_dir_all(policies.join("tables"))?;
        let last = STEP * rows.max(1);
        let limit_fen = FEN * rows.max(1);
        let fen = if rows > 0 { "ceiling.fen".to_owned() } else { limit_fen.to_string() };
        std::fs::write(policies.join("limit.toml"), limit(&fen))?;
        if rows > 0 {
            let table = "[[table]]\nid = \"ceiling\"\nzh = \"测量用\"\nen = \"for measuring\"\nstage = \"limit\"\n\
                         hit = \"unique\"\ninputs = { amount = \"application.amount_fen\" }\n\
                         outputs = { fen = \"int64\" }\n";
            std::fs::write(policies.join("tables.toml"), table)?;
            let row = |i: i64| format!("\"[{},{})\",{}\n", STEP * i, STEP * (i + 1), FEN * (i + 1));
            let rows: String = (0..rows).map(row).collect();
            std::fs::write(policies.join("tables/ceiling.csv"), format!("amount,fen\n{rows}"))?;
        }
        let bank = Bank::open(&rulebook, &folder.join("store"), &mut &book)?;
        let mut dice = Dice::seed_from_u64(20);
        let applications: Vec<_> = (0..4096)
            .map(|i| {
                let amount = dice.random_range(last - STEP..last).max(1);
                let fields =
                    [("customer_id", Value::Utf8(key("customer", i))), ("amount_fen", Value::Int64(amount))];
                let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
                Application { member: MEMBER.into(), product: "loan0".into(), fields }
            })
            .collect();
        let inputs = bank.gather(&applications)?;
        let mut scratch = DecisionScratch::default();
        for inputs in &inputs {
            let decision = bank.decide(inputs, CALL, &mut scratch);
            ensure!(decision.limit_fen == Some(limit_fen), "the last row did not hit: {decision:?}");
        }
        Ok(Self { bank, inputs })
    }

    fn pass(&self, scratch: &mut DecisionScratch) -> f64 {
        timed(&self.inputs, |i| _ = black_box(self.bank.judge(i, CALL, scratch)))
    }
}
