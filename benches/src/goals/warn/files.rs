//! The edge of files: one core, many customers.

use tarim_benches::fixture::warn::WarnBook;

use super::NAME;
use crate::{
    goals::{
        Goal, Line, Quantity, Setting, Wanted,
        peer::{build_ours, measured, number},
    },
    measure::median,
};

pub struct WarnFiles;

/// Windows and rules.
const BOOK: (usize, usize) = (40, 200);
/// Events per CPU-second that are wanted.
const WANTED: f64 = 400_000.0;
/// Runs of each, of which the median counts.
const RUNS: usize = 3;

impl Goal for WarnFiles {
    fn name(&self) -> &'static str {
        "warn_files"
    }

    fn about(&self) -> &'static str {
        "200 warning rules over 40 windows, 1,000,000 customers, from a file to a file, beside a ring alone"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let executable = build_ours(setting, NAME)?;
        let folder = setting.folder("warn_files")?;
        let customers = setting.size(1_000_000, 20_000);
        let events = setting.size(6_000_000, 200_000);
        let book = WarnBook { windows: BOOK.0, rules: BOOK.1, customers };
        book.write(&folder.join("rulebook"))?;
        book.write_events(events, &folder.join("events.pb"))?;

        let folder = folder.to_string_lossy().into_owned();
        let (mut ours, mut rings) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            ours.push(measured(&executable, &["replay", &folder])?);
            rings.push(measured(&executable, &["ring", &customers.to_string(), &events.to_string()])?);
        }
        let middle = |runs: &[_], name: &str| {
            runs.iter().map(|run| number(run, name)).collect::<anyhow::Result<Vec<_>>>().map(median)
        };
        anyhow::ensure!(middle(&ours, "dead")? == 0.0, "some of the events were dead letters");
        let rate = |seconds: f64| Quantity::Rate(events as f64 / seconds);
        let per_customer = middle(&ours, "state_bytes")? / middle(&ours, "customers")?;
        let told = |what: String, quantity| Line::new(what, quantity, Wanted::Told);
        Ok(vec![
            Line::new(
                format!("events per CPU-second, {} rules, {} windows, {customers} customers", BOOK.1, BOOK.0),
                rate(middle(&ours, "cpu_s")?),
                Wanted::AtLeast(Quantity::Rate(WANTED)),
            )
            .beside("a ring of 24 hours alone", rate(middle(&rings, "cpu_s")?)),
            told("the same, by the clock on the wall".into(), rate(middle(&ours, "wall_s")?)),
            told("alerts".into(), Quantity::Count(middle(&ours, "alerts")?)),
            told(format!("state of a customer after {events} events"), Quantity::Bytes(per_customer)),
        ])
    }
}
