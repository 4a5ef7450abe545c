//! What it costs a decision to look at the ledger: the same decision, of one caller, with the look and without.

use std::{
    fs,
    hint::black_box,
    sync::{Arc, mpsc},
    time::Instant,
};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;
use tarim_benches::fixture::{Bank, NOW_US, book::Book};
use tarim_decision::{
    engine::{Application, DecisionScratch, Inputs, Look},
    exposure::{Config, Ledger, Sight},
    outcome::Call,
};

use super::LIMITS;
use crate::goals::{Goal, Line, Quantity, Setting, Wanted};

pub struct ExposureLook;

impl Goal for ExposureLook {
    fn name(&self) -> &'static str {
        "exposure_look"
    }

    fn about(&self) -> &'static str {
        "a full decision that looks at the exposure ledger, beside the same one that does not"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        lines(setting)
    }
}

fn lines(setting: &Setting) -> anyhow::Result<Vec<Line>> {
    let (book, folder) =
        (Book::full(5, 200, 200, setting.size(100_000, 4096)), setting.folder("exposure_look")?);
    let rulebook = folder.join("rulebook");
    book.write(&rulebook)?;
    fs::create_dir_all(rulebook.join("limits"))?;
    fs::write(rulebook.join("limits/limits.toml"), LIMITS)?;
    let bank = Bank::open(&rulebook, &folder.join("store"), &mut &book)?;
    let ledger = Ledger::open(&folder.join("ledger"), Config::new(Arc::new(|| NOW_US)))?;
    ledger.adopt(bank.rulebook.limits().clone())?;
    let applications = book.applications(4096);
    let mut caller = Caller {
        bank: &bank,
        ledger: &ledger,
        inputs: Inputs::new(),
        scratch: DecisionScratch::default(),
        look: Look::default(),
    };
    // Every customer has something out, and so a counter.
    for (i, application) in applications.iter().enumerate() {
        caller.reserve(i, application)?;
    }
    ledger.view()?;
    let mut lines = Vec::new();
    for (what, looks) in [("Decide in process", false), ("Decide in process that looks at the ledger", true)]
    {
        let measured = caller.measure(&applications, looks, setting)?;
        let time = |quantile| Quantity::Time(measured.taken.value_at_quantile(quantile) as f64);
        let told = |of: &str, quantity| Line::new(format!("{what}, {of}"), quantity, Wanted::Told);
        lines.push(told("p50 of one caller", time(0.5)));
        lines.push(told("p99 of one caller", time(0.99)));
        lines.push(told("allocations of the caller", Quantity::Count(measured.allocations)));
    }
    Ok(lines)
}

struct Measured {
    taken: Histogram<u64>,
    allocations: f64,
}

struct Caller<'a> {
    bank: &'a Bank,
    ledger: &'a Ledger,
    inputs: Inputs,
    scratch: DecisionScratch,
    look: Look,
}

impl Caller<'_> {
    fn reserve(&mut self, i: usize, application: &Application) -> anyhow::Result<()> {
        self.bank.engine.gather(application, NOW_US, &mut self.inputs)?;
        let reserve = self.bank.engine.reserve(&self.inputs, &format!("e{i}"), 100, 0)?;
        let (tell, told) = mpsc::channel();
        self.ledger.submit(reserve, move |done| _ = tell.send(done));
        // Few wait at once: the queue is longer than that.
        if i.is_multiple_of(1024) {
            told.recv().context("the ledger answers")??;
        }
        Ok(())
    }

    fn decide(&mut self, application: &Application, looks: bool) -> anyhow::Result<usize> {
        let Self { bank, ledger, inputs, scratch, look } = self;
        let engine = &bank.engine;
        look.take_back(inputs);
        engine.gather(application, NOW_US, inputs)?;
        if looks {
            let asked = engine.asked_fen(inputs);
            let prospect = engine.prospect(inputs)?;
            let see = |seen: &[Sight<'_>]| look.note(seen, asked);
            let told = ledger.glance(move |core, now_us| core.look(&prospect, now_us, see));
            told.context("nothing changes meanwhile")?.map_err(|e| anyhow!("{e}"))?;
            engine.expose(inputs, look);
        }
        Ok(bank.judge(inputs, Call::All, scratch).findings().len())
    }

    fn measure(
        &mut self,
        applications: &[Application],
        looks: bool,
        setting: &Setting,
    ) -> anyhow::Result<Measured> {
        let mut all =
            || applications.iter().try_for_each(|a| self.decide(a, looks).map(|n| _ = black_box(n)));
        // Warms what is reused.
        all()?;
        let mut ended = Ok(());
        let allocated = allocation_counter::measure(|| ended = all());
        ended?;
        let mut taken = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3)?;
        let start = Instant::now();
        while start.elapsed() < setting.budget() {
            for application in applications {
                let start = Instant::now();
                black_box(self.decide(application, looks)?);
                taken.saturating_record(start.elapsed().as_nanos() as u64);
            }
        }
        Ok(Measured { taken, allocations: allocated.count_total as f64 / applications.len() as f64 })
    }
}
