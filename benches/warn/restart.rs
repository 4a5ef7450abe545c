//! Starting with a state of many customers: from the files to the first alert.

use std::{fs::File, io::BufWriter, path::Path, sync::Arc, thread, time::Instant};

use anyhow::Context;
use prost::Message;
use serde_json::{Value as Json, json};
use tarim_benches::fixture::warn::{LOUD_FEN, WarnBook};
use tarim_proto::event::v1::{Event, event::Kind};
use tarim_warning::{
    core::{Outbox, Position, Span, Worker},
    event::Format,
    rulebook::WarningBook,
};

/// Partitions, each with a worker of its own.
const PARTITIONS: usize = 2;

/// Events of each customer, over a month.
const EVENTS: u64 = 4;

/// Fills workers and writes their states.
pub fn write(folder: &Path, customers: u64) -> anyhow::Result<Json> {
    let book = Arc::new(WarningBook::read(&folder.join("rulebook"))?);
    let each = customers / PARTITIONS as u64;
    let (mut bytes, mut memory, mut known) = (0, 0, 0);
    for partition in 0..PARTITIONS {
        let mut worker = Worker::new(book.clone());
        let mut out = Outbox::default();
        let events = WarnBook { windows: 0, rules: 0, customers: each }.events(EVENTS * each);
        for (i, mut event) in events.enumerate() {
            // Every customer so often, over the month.
            event.customer_id = format!("c{partition}{:09}", i as u64 % each);
            let at = Position { partition: partition as i32, offset: i as i64 };
            worker.take(at, Format::Protobuf, &event.encode_to_vec(), &mut out);
            anyhow::ensure!(out.dead.is_empty(), "{}", out.dead[0].reason);
            out.clear();
        }
        let file =
            BufWriter::with_capacity(1 << 20, File::create(folder.join(format!("state-{partition}")))?);
        bytes += worker.write_snapshot(partition as i32, Span { from: None, to: each as i64 }, file)?;
        memory += worker.state_bytes();
        known += worker.customers();
    }
    Ok(json!({ "customers": known, "bytes": bytes, "state_bytes": memory }))
}

/// Loads them and takes one event that fires.
pub fn load(folder: &Path) -> anyhow::Result<Json> {
    let book = Arc::new(WarningBook::read(&folder.join("rulebook"))?);
    let start = Instant::now();
    let threads: Vec<_> = (0..PARTITIONS)
        .map(|partition| {
            let (book, folder) = (book.clone(), folder.to_path_buf());
            thread::spawn(move || -> anyhow::Result<f64> {
                let file = File::open(folder.join(format!("state-{partition}")))?;
                let (mut worker, at) = Worker::restore(book, partition as i32, [file])?;
                let events = WarnBook { windows: 0, rules: 0, customers: 1 }.events(1000);
                let is_transaction = |e: &Event| matches!(e.kind, Some(Kind::Transaction(_)));
                let mut event = events.into_iter().find(is_transaction).context("most are transactions")?;
                event.happened_at_us += 31 * 86_400_000_000;
                if let Some(Kind::Transaction(t)) = &mut event.kind {
                    t.amount_fen = Some(LOUD_FEN);
                }
                let mut out = Outbox::default();
                let position = Position { partition: partition as i32, offset: at };
                worker.take(position, Format::Protobuf, &event.encode_to_vec(), &mut out);
                anyhow::ensure!(!out.alerts.is_empty(), "no alert came");
                let taken = start.elapsed().as_secs_f64();
                // To give it all back is no part of starting.
                std::mem::forget(worker);
                Ok(taken)
            })
        })
        .collect();
    let mut slowest = 0f64;
    for thread in threads {
        slowest = slowest.max(thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??);
    }
    Ok(json!({ "first_alert_s": slowest }))
}
