//! Rows: found in the online store, packed, and gathered for an application.

use std::{hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion};
use tarim_benches::fixture::{Bank, MEMBER, NOW_US, bank::key, book::Book};
use tarim_decision::engine::Inputs;
use tarim_features::{
    row::RowBuilder,
    warnings::{Feed, Level, Standing, layout},
};

pub fn benches(c: &mut Criterion) {
    let folder = crate::folder();
    let book = Book::full(5, 200, 200, 100_000);
    book.write(&folder.path().join("rulebook")).expect("a rulebook is written");
    let bank = Bank::open(&folder.path().join("rulebook"), &folder.path().join("store"), &mut &book);
    let bank = bank.expect("a bank that fits its rulebook");
    let mut group = c.benchmark_group("row");

    let keys: Vec<String> = book.customers(4096).map(|i| key("customer", i)).collect();
    let mut next = keys.iter().cycle();
    group.bench_function("read of 100,000 customers", |b| {
        b.iter(|| black_box(bank.engine.snapshot().get(0, MEMBER, next.next().expect("a cycle"))));
    });

    let entity = &bank.rulebook.features().entities()[0];
    let values: Vec<_> = book.values(0, 0).collect();
    let mut builder = RowBuilder::new(&entity.layout);
    group.bench_function("pack 50 features", |b| {
        b.iter(|| {
            builder.clear();
            for (column, value) in (1..).zip(&values) {
                builder.set(column, value).expect("a value of the column's type");
            }
            black_box(builder.finish());
        });
    });

    let feed = Feed::new(Duration::MAX);
    let mut red = Standing::default();
    red.add(Level::Red, false, false, 1, 2);
    let warned: Vec<String> = (0..1_000_000).map(|i| key("customer", i)).collect();
    feed.put(warned.iter().map(|customer| (MEMBER, customer.as_str(), red)));
    feed.heard(0);
    let (warnings, mut row) = (feed.warnings(), RowBuilder::new(&layout()));
    // Far from one another, and every other one has no warnings.
    let mut next =
        (0..4096).map(|i| key("customer", i * 7919 % 2_000_000)).collect::<Vec<_>>().into_iter().cycle();
    group.bench_function("what stands against a customer, of 1,000,000 with warnings", |b| {
        b.iter_batched_ref(
            || next.next().expect("a cycle"),
            |customer| {
                row.clear();
                let standing = warnings.of(MEMBER, customer).expect("it is known");
                standing.pack(&mut row).expect("its own layout");
                black_box(row.finish());
            },
            BatchSize::SmallInput,
        );
    });

    let applications = book.applications(4096);
    let mut next = applications.iter().cycle();
    let mut inputs = Inputs::new();
    group.bench_function("gather an application and four rows", |b| {
        b.iter_batched(
            || next.next().expect("a cycle"),
            |application| {
                bank.engine.gather(application, NOW_US, &mut inputs).expect("it keeps to its standard")
            },
            BatchSize::SmallInput,
        );
    });
}
