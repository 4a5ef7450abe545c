//! Rows at scale: ten million customers with 200 features each, in the embedded store.

use std::{
    hint::black_box,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use anyhow::Context;
use hashbrown::HashMap;
use hdrhistogram::Histogram;
use rand::{Rng, SeedableRng};
use tarim_benches::fixture::{
    Dice, MEMBER,
    bank::{self, Rows, key},
    book::Book,
};
use tarim_datamart::Value;
use tarim_features::{
    entity::Entity,
    store::{EmbeddedStore, OnlineStore, Snapshot},
};

use super::{Goal, Line, Quantity, Setting, Wanted};
use crate::measure::{rounds, timed};

pub struct RowRead;

/// The entity whose rows are read.
const CUSTOMER: &str = "customer";
/// Its index in the rulebook.
const ENTITY: usize = 0;
/// Rows that differ; the bank repeats them, which costs a reader of rows as much as if all did.
const DIFFERENT: u64 = 4096;
/// Keys that are read, in turn: far more than any cache remembers rows of.
const KEYS: usize = 1 << 20;

impl Goal for RowRead {
    fn name(&self) -> &'static str {
        "row_read"
    }

    fn about(&self) -> &'static str {
        "10,000,000 customers × 200 features: reads beside a HashMap, memory, loading, reads while publishing"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let n = setting.size(10_000_000, 100_000);
        let folder = setting.folder("row_read")?;
        let book = Book { known: n, ..Book::of_rules(9, 200, 50) };
        book.write(&folder.join("rulebook"))?;
        let rulebook = bank::read(&folder.join("rulebook"))?;
        let store = folder.join("store");
        bank::prepare(&rulebook, &store)?;
        let mut rows = Repeated::new(&book);
        let (published, ()) = took(|| bank::publish(rulebook.features(), &store, &mut rows))?;
        let before = resident()?;
        let features = Arc::new(rulebook.features().clone());
        let (opened, open) = took(|| Ok(EmbeddedStore::open(&store, features)?))?;
        let memory = resident()? - before;
        let file = open.snapshot().part(ENTITY).written.bytes;

        let keys = Keys::draw(n);
        let quiet = keys.latencies(&open, &AtomicBool::new(true))?;
        let busy = while_publishing(&open, &keys, || {
            bank::publish(rulebook.features(), &store, &mut rows)?;
            open.reload().map(drop).context("the second generation")
        })?;
        // Last: of two generations and a map the memory would not be enough, and a map's is not given back.
        let [ours, theirs, named] = beside_a_map(setting, &open.snapshot(), &keys, n)?;
        let told = |what: String, quantity| Line::new(what, quantity, Wanted::Told);
        let p99 = |h: &Histogram<u64>| Quantity::Time(h.value_at_quantile(0.99) as f64);
        Ok(vec![
            Line::new(
                format!("a row of {n}, keys drawn uniformly"),
                Quantity::Time(ours),
                Wanted::Faster(0.5),
            )
            .beside("HashMap<u64, Box<[u8]>>", Quantity::Time(theirs)),
            told("the same, where each read names its member".into(), Quantity::Time(named)),
            Line::new("resident memory", Quantity::Bytes(memory), Wanted::AtMost(Quantity::Bytes(8.0 * GIB))),
            told("of each customer, key and index included".into(), Quantity::Bytes(file as f64 / n as f64)),
            told("publishing them, packed from values".into(), published),
            told("opening after a restart, all checked".into(), opened),
            told("p99 of a read, nothing else going on".into(), p99(&quiet)),
            told("p99 of a read while a generation is published and loaded".into(), p99(&busy)),
        ])
    }
}

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// Reads of a store, of a map with the same rows, and of the store where each read names its member, in nanoseconds.
fn beside_a_map(setting: &Setting, snapshot: &Snapshot, keys: &Keys, n: u64) -> anyhow::Result<[f64; 3]> {
    let row = |key: &str| snapshot.get(ENTITY, MEMBER, key).context("every customer has a row");
    let mut map: HashMap<u64, Box<[u8]>> = HashMap::with_capacity(n as usize);
    for i in 0..n {
        map.insert(i, row(&key(CUSTOMER, i))?.into());
    }
    for i in 0..keys.ids.len() {
        anyhow::ensure!(row(keys.text(i))? == &*map[&keys.ids[i]], "the same rows");
    }
    // As a caller has them at hand: to cut them out of the long text is no part of a look-up.
    let texts: Vec<&str> = (0..keys.ids.len()).map(|i| keys.text(i)).collect();
    // Whose member it is, the compiler must not know. A decision does not either, and hashes it once for all of its rows.
    let member = black_box(MEMBER);
    let rows = snapshot.of_member(member);
    rounds(
        setting.budget(),
        [
            &mut || Ok(timed(&texts, |key| _ = black_box(rows.get(ENTITY, key).map(ends)))),
            &mut || Ok(timed(&keys.ids, |id| _ = black_box(map.get(id).map(|row| ends(row))))),
            &mut || Ok(timed(&texts, |key| _ = black_box(snapshot.get(ENTITY, member, key).map(ends)))),
        ],
    )
}

/// Looks into a row, so that it is read and not only found.
#[inline]
fn ends(row: &[u8]) -> (u8, u8) {
    (row[0], row[row.len() - 1])
}

/// Latencies of reads while `publish` runs.
fn while_publishing(
    store: &EmbeddedStore,
    keys: &Keys,
    publish: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Histogram<u64>> {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| keys.latencies(store, &done));
        let published = publish();
        done.store(true, Ordering::Relaxed);
        let latencies = reader.join().expect("reading does not panic");
        published.and(latencies)
    })
}

/// Keys of customers in no order.
struct Keys {
    ids: Vec<u64>,
    /// The keys, one after the other.
    texts: String,
    len: usize,
}

impl Keys {
    fn draw(n: u64) -> Self {
        let mut dice = Dice::seed_from_u64(3);
        let ids: Vec<u64> = (0..KEYS).map(|_| dice.random_range(0..n)).collect();
        let texts = ids.iter().map(|id| key(CUSTOMER, *id)).collect();
        Self { ids, texts, len: key(CUSTOMER, 0).len() }
    }

    fn text(&self, i: usize) -> &str {
        &self.texts[i * self.len..(i + 1) * self.len]
    }

    /// How long reads take, each as a decision makes them; once through at least, then until `done`.
    fn latencies(&self, store: &EmbeddedStore, done: &AtomicBool) -> anyhow::Result<Histogram<u64>> {
        let mut taken = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
        loop {
            for i in 0..self.ids.len() {
                let start = Instant::now();
                let snapshot = store.snapshot();
                black_box(snapshot.get(ENTITY, MEMBER, self.text(i)).map(ends))
                    .context("every customer has a row")?;
                taken.saturating_record(start.elapsed().as_nanos() as u64);
            }
            if done.load(Ordering::Relaxed) {
                return Ok(taken);
            }
        }
    }
}

/// Gives a bank the same few thousand rows over and over.
struct Repeated {
    rows: Vec<Vec<Value>>,
    count: u64,
}

impl Repeated {
    fn new(book: &Book) -> Self {
        let rows = (0..DIFFERENT.min(book.known)).map(|i| book.values(ENTITY, i).collect()).collect();
        Self { rows, count: book.known }
    }
}

impl Rows for Repeated {
    fn count(&self, _: &str) -> u64 {
        self.count
    }

    fn row(&mut self, _: &Entity, i: u64, values: &mut Vec<Value>) {
        values.extend_from_slice(&self.rows[i as usize % self.rows.len()]);
    }
}

fn took<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Quantity, T)> {
    let start = Instant::now();
    let result = work()?;
    Ok((Quantity::Time(start.elapsed().as_nanos() as f64), result))
}

/// Memory of this process that is in use, in bytes.
fn resident() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(Path::new("/proc/self/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS in /proc")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024.0)
}
