//! The journal: from a record to its place on the disk.

use std::sync::mpsc;

use criterion::{Criterion, Throughput};
use tarim_decision::journal::{Journal, Record};

/// Bytes of a record: a decision with its inputs.
const RECORD: usize = 4096;

pub fn benches(c: &mut Criterion) {
    let folder = crate::folder();
    let journal = Journal::open(folder.path()).expect("a new journal");
    let mut group = c.benchmark_group("journal");
    for n in [1, 64, 1024] {
        group.throughput(Throughput::Elements(n));
        group.bench_function(format!("{n} records, durable"), |b| {
            b.iter(|| {
                let payload = bytes::Bytes::from_static(&[0; RECORD]);
                let records =
                    (0..n).map(|i| Record::new(i, payload.clone()).expect("short enough")).collect();
                let (told, durable) = mpsc::channel();
                journal.submit(records, move |result| _ = told.send(result.map_err(|e| e.to_string())));
                durable.recv().expect("the journal tells").expect("the disk takes it")
            });
        });
    }
    drop(group);
    journal.close().expect("it closes in order");
}
