//! Decisions from gathered inputs: rules alone, each call of a full policy, all of them, tables of any length.

use std::hint::black_box;

use criterion::Criterion;
use tarim_benches::fixture::{
    Bank,
    book::Book,
    tabled::{self, Tabled},
};
use tarim_decision::{
    engine::{DecisionScratch, Inputs},
    outcome::{Call, Stage},
};

/// Different inputs, so that no branch is learnt by heart.
const INPUTS: usize = 4096;

pub fn benches(c: &mut Criterion) {
    let mut group = c.benchmark_group("decide");
    let (bank, inputs) = open(&Book::of_rules(7, 200, 200));
    let mut decide = |name: &str, bank: &Bank, inputs: &[Inputs], call| {
        let (mut scratch, mut next) = (DecisionScratch::default(), inputs.iter().cycle());
        group.bench_function(name, |b| {
            b.iter(|| {
                black_box(bank.judge(next.next().expect("a cycle"), call, &mut scratch)).verdict().outcome
            });
        });
    };
    decide("200 rules over 200 features", &bank, &inputs, Call::One(Stage::Admission));
    let (bank, inputs) = open(&Book::full(5, 200, 200, 100_000));
    for (name, stage) in [
        ("80 rules over four rows", Stage::Admission),
        ("scorecard of 20 characteristics", Stage::Score),
        ("scorecard, table and limit", Stage::Limit),
        ("scorecard, table and rate", Stage::Rate),
    ] {
        decide(name, &bank, &inputs, Call::One(stage));
    }
    decide("all five calls", &bank, &inputs, Call::All);
    for rows in [0, 20, 2_000] {
        let folder = crate::folder();
        let Tabled { bank, inputs } = Tabled::open(folder.path(), rows).expect("a policy with a table");
        decide(&format!("a table of {rows} rows, the last hits"), &bank, &inputs, tabled::CALL);
    }
}

fn open(book: &Book) -> (Bank, Vec<Inputs>) {
    let folder = crate::folder();
    book.write(&folder.path().join("rulebook")).expect("a rulebook is written");
    let bank = Bank::open(&folder.path().join("rulebook"), &folder.path().join("store"), &mut &*book);
    let bank = bank.expect("a bank that fits its rulebook");
    let inputs = bank.gather(&book.applications(INPUTS)).expect("applications keep to their standard");
    (bank, inputs)
}
