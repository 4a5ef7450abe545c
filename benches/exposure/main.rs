//! What the goals of the exposure ledger measure, in a process of its own: with the allocator that `tarim` has. Each prints one
//! line of JSON.

mod book;

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use clap::Parser;
use hdrhistogram::Histogram;
use serde_json::{Value as Json, json};
use tarim_decision::{
    exposure::{Adopt, Answer, Commit, Config, Core, Ledger, LedgerError, Operation, Prepared},
    metrics::Totals,
};

use self::book::{COUNTERS, reserve, schemes};

/// As `tarim` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A part of the exposure ledger, to be measured.
#[derive(Parser)]
#[command(name = "tarim-benches-exposure")]
enum Args {
    /// Reserves in memory, on one thread, in a ledger that has so many exposures
    Reserve { exposures: u64, more: u64 },
    /// Writes a ledger of so many exposures to the folder, with a snapshot
    Write { folder: PathBuf, exposures: u64 },
    /// Opens it
    Open { folder: PathBuf },
    /// Durable reserves by so many callers
    Durable { folder: PathBuf, callers: usize, seconds: u64 },
}

fn main() -> anyhow::Result<()> {
    let told = match Args::parse() {
        Args::Reserve { exposures, more } => in_memory(exposures, more)?,
        Args::Write { folder, exposures } => write(&folder, exposures)?,
        Args::Open { folder } => open(&folder)?,
        Args::Durable { folder, callers, seconds } => {
            durable(&folder, callers, Duration::from_secs(seconds))?
        }
    };
    println!("{told}");
    Ok(())
}

fn now_us() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

fn in_memory(exposures: u64, more: u64) -> anyhow::Result<Json> {
    let mut core = Core::new();
    let now = now_us();
    core.apply(&Prepared::new(Operation::Adopt(Adopt { schemes: Some((*schemes()).clone()) })), now)?;
    for number in 0..exposures {
        core.apply(&Prepared::new(reserve(number)), now)?;
    }
    let operations: Vec<_> = (exposures..exposures + more).map(reserve).collect();
    let mut times = Histogram::<u64>::new(3)?;
    let start = Instant::now();
    // What a caller's thread would do, hashing, is part of it here.
    for operation in operations {
        let begun = Instant::now();
        core.apply(&Prepared::new(operation), now)?;
        times.record(begun.elapsed().as_nanos() as u64)?;
    }
    let took = start.elapsed().as_secs_f64();
    core.verify().map_err(anyhow::Error::msg)?;
    Ok(json!({
        "updates_per_s": (more * COUNTERS) as f64 / took,
        "p50_ns": times.value_at_quantile(0.5),
        "p99_ns": times.value_at_quantile(0.99),
        "p9999_ns": times.value_at_quantile(0.9999),
        "counters": core.counters(),
    }))
}

fn config() -> Config {
    Config { snapshot_every: 0, ..Config::new(Arc::new(now_us)) }
}

/// Threads on which callers are, as pgbench has them.
const THREADS: usize = 2;

/// Half of the exposures are drawn.
fn write(folder: &Path, exposures: u64) -> anyhow::Result<Json> {
    let ledger = Ledger::open(folder, config())?;
    ledger.adopt(schemes())?;
    let (sender, answers) = mpsc::channel::<Result<Answer, LedgerError>>();
    let mut waiting = 0;
    let hand_over = |operation: Operation, waiting: &mut u32| -> anyhow::Result<()> {
        let sender = sender.clone();
        ledger.submit(Prepared::new(operation), move |answer| _ = sender.send(answer));
        *waiting += 1;
        while *waiting > 2000 {
            answers.recv()??;
            *waiting -= 1;
        }
        Ok(())
    };
    let start = Instant::now();
    for number in 0..exposures {
        let operation = reserve(number);
        let drawn = match &operation {
            Operation::Reserve(r) if number % 2 == 0 => Some(Operation::Commit(Commit {
                member: r.member.clone(),
                exposure: r.exposure.clone(),
                key: "draw".into(),
                fen: r.fen,
                grow: false,
            })),
            _ => None,
        };
        hand_over(operation, &mut waiting)?;
        if let Some(drawn) = drawn {
            hand_over(drawn, &mut waiting)?;
        }
    }
    for _ in 0..waiting {
        answers.recv()??;
    }
    let written_s = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let longest = longest_wait(&ledger)?;
    let number = ledger.snapshot()?;
    let snapshot_s = start.elapsed().as_secs_f64();
    ledger.close()?;
    let size = std::fs::metadata(folder.join(format!("{number:020}.snapshot")))?.len();
    Ok(json!({
        "written_s": written_s, "snapshot_s": snapshot_s, "snapshot_bytes": size, "view_s": longest,
    }))
}

/// How long the ledger's thread is held by taking a view.
fn longest_wait(ledger: &Ledger) -> anyhow::Result<f64> {
    let took = ledger.ask(|core| {
        let start = Instant::now();
        let view = core.clone();
        (start.elapsed(), view)
    })?;
    Ok(took.0.as_secs_f64())
}

fn open(folder: &Path) -> anyhow::Result<Json> {
    let start = Instant::now();
    let ledger = Ledger::open(folder, config())?;
    let opened_s = start.elapsed().as_secs_f64();
    let exposures = ledger.ask(Core::exposures)?;
    ledger.call(reserve(u64::from(exposures)))?;
    let first_s = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse()?;
    Ok(json!({
        "opened_s": opened_s, "first_s": first_s, "exposures": exposures, "resident_bytes": resident * 1024,
    }))
}

/// Callers each of whom waits for its answer before it asks again, on two threads.
fn durable(folder: &Path, callers: usize, time: Duration) -> anyhow::Result<Json> {
    let ledger = Ledger::open(folder, config())?;
    ledger.adopt(schemes())?;
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let ask_on = |callers: usize| -> anyhow::Result<Histogram<u64>> {
        let mut times = Histogram::new(3)?;
        let (tell, told) = mpsc::channel::<(Instant, Result<Answer, LedgerError>)>();
        let ask = || {
            let (begun, tell) = (Instant::now(), tell.clone());
            let operation = Prepared::new(reserve(next.fetch_add(1, Ordering::Relaxed)));
            ledger.submit(operation, move |answer| _ = tell.send((begun, answer)));
        };
        (0..callers).for_each(|_| ask());
        while start.elapsed() < time {
            let (begun, answer) = told.recv()?;
            answer?;
            times.record(begun.elapsed().as_nanos() as u64)?;
            ask();
        }
        for _ in 0..callers {
            told.recv()?.1?;
        }
        Ok(times)
    };
    let share = |thread: usize| callers / THREADS + usize::from(thread < callers % THREADS);
    let (ask_on, share) = (&ask_on, &share);
    let times = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || ask_on(share(thread)))).collect();
        let mut all = Histogram::<u64>::new(3)?;
        for thread in threads {
            all.add(thread.join().expect("it does not panic")?)?;
        }
        anyhow::Ok(all)
    })?;
    let took = start.elapsed().as_secs_f64();
    let stats = ledger.stats();
    let (groups, syncs) = (Totals::of([&stats.groups], 1.0), Totals::of([&stats.commits], 1.0));
    ledger.view()?.verify().map_err(anyhow::Error::msg)?;
    Ok(json!({
        "per_s": times.len() as f64 / took,
        "p50_ns": times.value_at_quantile(0.5),
        "p99_ns": times.value_at_quantile(0.99),
        "per_sync": groups.sum / groups.count as f64,
        "sync_ns": syncs.sum / syncs.count as f64,
        "bare_sync_ns": bare_sync(folder)?,
    }))
}

/// What the disk takes to append so much as some thirty reserves are, and sync, when nobody else does anything: the median.
fn bare_sync(folder: &Path) -> anyhow::Result<f64> {
    let path = folder.join("bare");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Histogram::<u64>::new(3)?;
    for _ in 0..500 {
        let begun = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        times.record(begun.elapsed().as_nanos() as u64)?;
    }
    std::fs::remove_file(path)?;
    Ok(times.value_at_quantile(0.5) as f64)
}
