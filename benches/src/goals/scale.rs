//! What members and rules cost: at a decision, and when a rulebook is published.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use tarim_benches::fixture::{APPLICATIONS, Bank, NOW_US, bank::read, book::Book};
use tarim_decision::{
    engine::{Application, DecisionScratch, Inputs},
    outcome::{Call, Stage},
    rulebook,
};

use super::{Goal, Line, Quantity, Setting, Wanted};
use crate::measure::rounds;

pub struct Scale;

const CALL: Call = Call::One(Stage::Admission);

/// How much slower a decision may be where nothing more applies: what is left of the noise after the medians.
const NOISE: f64 = 1.1;

/// Members and rules.
const SIZES: [(usize, usize); 4] = [(1, 50), (83, 50), (1, 5000), (83, 5000)];
/// Products with 50 rules each.
const PRODUCTS: usize = 100;

impl Goal for Scale {
    fn name(&self) -> &'static str {
        "scale"
    }

    fn about(&self) -> &'static str {
        "members 1 to 83, rules 50 to 5,000: time of a decision, publishing, memory"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let mut lines = Vec::new();
        for (members, rules) in SIZES {
            let what = format!("{members} members, {rules} rules");
            lines.extend(publish(setting, members, rules, &what)?);
        }
        let fifty = || book(1, 50);
        let mut base = Federation::new(setting, "1-50", fifty())?;
        let mut members = Federation::new(setting, "83-50", book(83, 50))?;
        let mut rules = Federation::new(setting, "1-5000", book(1, 5000))?;
        let mut products = Federation::new(setting, "products", fifty().with_products(PRODUCTS))?;
        let mut unlike = Federation::new(setting, "unlike", fifty().with_unlike_products(PRODUCTS))?;
        let [base, members, rules, products, unlike] = rounds(
            setting.budget(),
            [
                &mut || base.pass(),
                &mut || members.pass(),
                &mut || rules.pass(),
                &mut || products.pass(),
                &mut || unlike.pass(),
            ],
        )?;
        let line = |what: &str, ours: f64, slower: f64| {
            let beside = "1 member, 50 rules";
            Line::new(what, Quantity::Time(ours), Wanted::Slower(slower)).beside(beside, Quantity::Time(base))
        };
        lines.splice(
            0..0,
            [
                line("a decision: 83 members, 50 rules", members, NOISE),
                line(
                    "a decision: 5,000 rules of which 50 apply, with thresholds of their own",
                    products,
                    NOISE,
                ),
                line("the same, no two products alike", unlike, NOISE),
                line("a decision: 5,000 rules, all apply", rules, 100.0),
            ],
        );
        Ok(lines)
    }
}

/// Reads, checks and compiles a rulebook, and copies it where it is served from.
fn publish(setting: &Setting, members: usize, rules: usize, what: &str) -> anyhow::Result<[Line; 2]> {
    let folder = setting.folder(&format!("scale-publish-{members}-{rules}"))?;
    book(members, rules).write(&folder.join("rulebook"))?;
    let start = Instant::now();
    rulebook::publish(&folder.join("rulebook"), &folder.join("published"))?;
    let took = start.elapsed();
    let mut compiled = None;
    let memory = allocation_counter::measure(|| compiled = Some(read(&folder.join("rulebook"))));
    compiled.expect("it was read")?;
    Ok([
        Line::new(format!("publishing {what}"), Quantity::Time(took.as_nanos() as f64), Wanted::Told),
        Line::new(
            format!("memory of {what}, compiled"),
            Quantity::Bytes(memory.bytes_current as f64),
            Wanted::Told,
        ),
    ])
}

fn book(members: usize, rules: usize) -> Book {
    Book { members, ..Book::of_rules(50, 200, rules) }
}

/// So many applications are gathered before they are decided, and timed, together: their rows fit into the first cache.
///
/// A decision of the service finds its rows in the cache, where gathering has just left them, and so it is here.
const TOGETHER: usize = 16;

/// A rulebook with applications at all of its members.
struct Federation {
    bank: Bank,
    applications: Vec<Application>,
    inputs: Vec<Inputs>,
    scratch: DecisionScratch,
}

impl Federation {
    fn new(setting: &Setting, name: &str, book: Book) -> anyhow::Result<Self> {
        let folder = setting.folder(&format!("scale-{name}"))?;
        book.write(&folder.join("rulebook"))?;
        let bank = Bank::open(&folder.join("rulebook"), &folder.join("store"), &mut &book)?;
        let inputs = (0..TOGETHER).map(|_| Inputs::new()).collect();
        let applications = book.applications(APPLICATIONS);
        Ok(Self { bank, applications, inputs, scratch: DecisionScratch::default() })
    }

    /// Nanoseconds of a decision, without gathering.
    fn pass(&mut self) -> anyhow::Result<f64> {
        let Self { bank, applications, inputs, scratch } = self;
        let mut took = Duration::ZERO;
        for applications in applications.chunks(inputs.len()) {
            for (application, inputs) in applications.iter().zip(&mut *inputs) {
                bank.engine.gather(application, NOW_US, inputs)?;
            }
            let start = Instant::now();
            for inputs in &inputs[..applications.len()] {
                black_box(bank.judge(inputs, CALL, scratch));
            }
            took += start.elapsed();
        }
        Ok(took.as_nanos() as f64 / applications.len() as f64)
    }
}
