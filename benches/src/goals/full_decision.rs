//! A full decision in process: everything between a decoded request and the outcome with its reasons.

use std::{hint::black_box, time::Instant};

use hdrhistogram::Histogram;
use tarim_benches::fixture::{APPLICATIONS, Bank, NOW_US, book::Book};
use tarim_decision::{
    engine::{Application, DecisionScratch, Inputs},
    outcome::Call,
};

use super::{Goal, Line, Quantity, Setting, Wanted};

pub struct FullDecision;

impl Goal for FullDecision {
    fn name(&self) -> &'static str {
        "full_decision"
    }

    fn about(&self) -> &'static str {
        "five calls in one: 4 rows read, 200 rules, scorecard of 20, 2 tables, limit, rate, reasons"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let (book, folder) =
            (Book::full(5, 200, 200, setting.size(100_000, 4096)), setting.folder("full_decision")?);
        book.write(&folder.join("rulebook"))?;
        let bank = Bank::open(&folder.join("rulebook"), &folder.join("store"), &mut &book)?;
        let applications = book.applications(APPLICATIONS);
        let mut decider = Decider { bank: &bank, inputs: Inputs::new(), scratch: DecisionScratch::default() };
        let mut reasons = 0;
        for application in &applications {
            reasons += decider.decide(application); // Also warms everything that is reused.
        }
        let allocated = allocation_counter::measure(|| {
            for application in &applications {
                black_box(decider.decide(application));
            }
        });
        let mut taken = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let start = Instant::now();
        while start.elapsed() < setting.budget() {
            for application in &applications {
                let start = Instant::now();
                black_box(decider.decide(application));
                taken.saturating_record(start.elapsed().as_nanos() as u64);
            }
        }
        let at = |quantile| Quantity::Time(taken.value_at_quantile(quantile) as f64);
        let n = applications.len() as f64;
        let most = |what: &str, ours, most| Line::new(what, ours, Wanted::AtMost(most));
        let what = format!("p50, {:.1} reasons each", reasons as f64 / n);
        Ok(vec![
            most(&what, at(0.5), Quantity::Time(5_000.0)),
            most("p99", at(0.99), Quantity::Time(15_000.0)),
            most(
                "allocations after decode",
                Quantity::Count(allocated.count_total as f64 / n),
                Quantity::Count(0.0),
            ),
            Line::new("p99.9", at(0.999), Wanted::Told),
            Line::new("decisions on one core", Quantity::Rate(1e9 / taken.mean()), Wanted::Told),
        ])
    }
}

/// A thread of a service.
struct Decider<'a> {
    bank: &'a Bank,
    inputs: Inputs,
    scratch: DecisionScratch,
}

impl Decider<'_> {
    /// Reads the rows, decides; gives the number of reasons.
    #[inline]
    fn decide(&mut self, application: &Application) -> usize {
        let gathered = self.bank.engine.gather(application, NOW_US, &mut self.inputs);
        gathered.expect("the application keeps to its standard");
        self.bank.judge(&self.inputs, Call::All, &mut self.scratch).findings().len()
    }
}
