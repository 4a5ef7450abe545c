//! The warning pipeline at the edge of files: one core, many customers.

mod cpu;
mod ring;

use std::{sync::Arc, time::Instant};

use tarim_benches::fixture::warn::WarnBook;
use tarim_warning::{
    replay::{Replay, replay},
    rulebook::WarningBook,
};

use self::cpu::CpuTime;
use super::{Goal, Line, Quantity, Setting, Wanted};

pub struct WarnFiles;

/// Windows and rules.
const BOOK: (usize, usize) = (40, 200);
/// Events per CPU-second that are wanted.
const WANTED: f64 = 400_000.0;

impl Goal for WarnFiles {
    fn name(&self) -> &'static str {
        "warn_files"
    }

    fn about(&self) -> &'static str {
        "200 warning rules over 40 windows, 1,000,000 customers, from a file to a file, beside a ring alone"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let folder = setting.folder("warn_files")?;
        let customers = setting.size(1_000_000, 20_000);
        let events = setting.size(6_000_000, 200_000);
        let book = WarnBook { windows: BOOK.0, rules: BOOK.1, customers };
        book.write(&folder.join("rulebook"))?;
        let files = Replay {
            from: folder.join("events.pb"),
            to: folder.join("alerts.pb"),
            dead: folder.join("dead.pb"),
        };
        book.write_events(events, &files.from)?;
        let compiled = Arc::new(WarningBook::read(&folder.join("rulebook"))?);

        let (start, cpu) = (Instant::now(), CpuTime::now()?);
        let report = replay(compiled, &files, |_| {})?;
        let (taken, cpu) = (start.elapsed(), cpu.elapsed()?);
        anyhow::ensure!(report.dead == 0, "{} of the events were dead letters", report.dead);
        let rate = |seconds: f64| Quantity::Rate(events as f64 / seconds);
        let ring = ring::rate(&book, events)?;
        let told = |what: String, quantity| Line::new(what, quantity, Wanted::Told);
        let per_customer = report.state_bytes as f64 / report.customers as f64;
        Ok(vec![
            Line::new(
                format!("events per CPU-second, {} rules, {} windows, {customers} customers", BOOK.1, BOOK.0),
                rate(cpu),
                Wanted::AtLeast(Quantity::Rate(WANTED)),
            )
            .beside("a ring of 24 hours alone", Quantity::Rate(ring)),
            told("the same, by the clock on the wall".into(), rate(taken.as_secs_f64())),
            told("alerts".into(), Quantity::Count(report.alerts as f64)),
            told(format!("state of a customer after {events} events"), Quantity::Bytes(per_customer)),
        ])
    }
}
