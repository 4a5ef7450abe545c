//! Windows have the same values in both worlds: the stream's panes, fed one event at a time by row programs, and SQL
//! over all events.
//!
//! `TARIM_PARITY_EVENTS` says over how many events (CI: a million); the seed is printed when it fails.

use std::{collections::HashMap, path::Path};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Standards, Type, Value};
use tarim_features::{
    expr::{Given, Scratch, fuse},
    row::{Dictionary, Row, RowBuilder},
    stream::{Moment, Plan, Said, Sections, StreamSet, TooLarge, windows_of},
};

const DAY_US: i64 = 86_400_000_000;

fn set() -> StreamSet {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams");
    let standards = Standards::read(&folder).unwrap_or_else(|p| panic!("{p}"));
    StreamSet::read(&folder, &standards).unwrap_or_else(|p| panic!("{p}"))
}

struct Event {
    kind: usize,
    customer: usize,
    values: Vec<Value>,
    time_us: i64,
}

/// Events of a few hundred days, most in order, some late, a few very late; NULLs, ties, repeated values.
fn events(set: &StreamSet, count: usize, customers: usize, rng: &mut ChaCha8Rng) -> Vec<Event> {
    let span = 250 * DAY_US;
    let mut events = Vec::with_capacity(count);
    for i in 0..count {
        let kind = usize::from(rng.random_bool(0.8));
        let kind = set.kind(["login", "transaction"][kind]).unwrap();
        let customer = rng.random_range(0..customers);
        let late = match rng.random_range(0..100) {
            0 => rng.random_range(0..60 * DAY_US),
            1..10 => rng.random_range(0..3 * DAY_US),
            _ => 0,
        };
        let time_us = (span / count as i64 * i as i64 - late).div_euclid(1_000_000) * 1_000_000;
        let mut value = |name: &str| match name {
            "event_id" => Value::Utf8(format!("e{i}")),
            "customer_id" => Value::Utf8(format!("c{customer}")),
            "happened_at" | "known_at" => Value::Timestamp(time_us),
            _ if rng.random_bool(0.1) => Value::Null,
            "direction" => Value::Utf8(["C", "D"][rng.random_range(0..2)].into()),
            "amount_fen" => Value::Int64(match rng.random_range(0..4) {
                0 => rng.random_range(0..20),
                1 => rng.random_range(-1_000_000_000_000..1_000_000_000_000),
                _ => rng.random_range(0..1_000_000),
            }),
            "ratio" => Value::Float64(rng.random_range(-8..9) as f64 / 7.0),
            "counterparty" => Value::Utf8(format!("p{}", rng.random_range(0..40))),
            "due_on" => Value::Date32(rng.random_range(0..400)),
            "cash" => Value::Boolean(rng.random_bool(0.5)),
            name => panic!("{name}"),
        };
        let columns = set.kinds()[kind].layout.columns();
        let values = columns.iter().map(|c| value(&c.name)).collect();
        events.push(Event { kind, customer, values, time_us });
    }
    events
}

/// Per event, the values of all windows.
fn streamed(set: &StreamSet, events: &[Event]) -> Result<Vec<Vec<Given>>, TooLarge> {
    let plan = Plan::new(set);
    let count = plan.sections();
    let programs: Vec<_> = (0..set.kinds().len())
        .map(|kind| {
            let scope = set.scope(kind, []);
            let exprs = plan.exprs(kind, &scope).unwrap_or_else(|p| panic!("{p}"));
            let program = fuse(&scope, 1, [(&exprs, Some(1))]);
            let codes = set.kinds()[kind].layout.codes().clone();
            let bound = program.bind(&[&codes, Dictionary::none()]);
            (program, bound, codes, RowBuilder::new(&set.kinds()[kind].layout))
        })
        .collect();
    let mut builders: Vec<RowBuilder> = programs.iter().map(|p| p.3.clone()).collect();
    let (mut scratch, mut said) = (Scratch::new(), Said::default());
    let mut customers: HashMap<usize, (i64, Sections)> = HashMap::new();
    events
        .iter()
        .map(|event| {
            let (program, bound, codes, _) = &programs[event.kind];
            let builder = &mut builders[event.kind];
            builder.clear();
            for (i, value) in event.values.iter().enumerate() {
                builder.set(i, value).unwrap();
            }
            let rows = [Row::new(&set.kinds()[event.kind].layout, builder.finish(), codes, 0).unwrap()];
            let mut evaluation = program.start(bound, &rows, Dictionary::none(), &mut scratch);
            evaluation.run(0);
            plan.listen(event.kind, &evaluation.answers(0), &mut said)?;
            let (now, sections) =
                customers.entry(event.customer).or_insert_with(|| (i64::MIN, Sections::new(count)));
            *now = event.time_us.max(*now);
            plan.update(event.kind, &said, (event.time_us, &Moment::at(*now)), sections, count).unwrap();
            Ok((0..set.windows().len()).map(|w| plan.value(w, *now, sections, count)).collect())
        })
        .collect()
}

fn batches(set: &StreamSet, events: &[Event]) -> Vec<(usize, RecordBatch)> {
    let of_kind = |kind: usize| {
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        let some: Vec<(usize, &Event)> = events.iter().enumerate().filter(|(_, e)| e.kind == kind).collect();
        let positions = some.iter().map(|(i, _)| Value::Int64(*i as i64)).collect();
        columns.push(("position".into(), array(Type::Int64, positions)));
        columns.push(("member".into(), array(Type::Utf8, vec![Value::Utf8("001".into()); some.len()])));
        for (i, column) in set.kinds()[kind].layout.columns().iter().enumerate() {
            let values = some.iter().map(|(_, e)| e.values[i].clone()).collect();
            columns.push((column.name.clone(), array(column.ty, values)));
        }
        let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)));
        (kind, batch.unwrap())
    };
    (0..set.kinds().len()).map(of_kind).collect()
}

fn array(ty: Type, values: Vec<Value>) -> ArrayRef {
    let scalars = values.into_iter().map(|v| v.into_scalar(ty));
    datafusion::scalar::ScalarValue::iter_to_array(scalars).unwrap()
}

fn given(column: &ArrayRef, row: usize) -> Given {
    if column.is_null(row) {
        return Given::Null;
    }
    match Type::from_arrow(column.data_type()).unwrap() {
        Type::Int64 => Given::Int64(column.as_primitive::<Int64Type>().value(row)),
        Type::Float64 => Given::Float64(column.as_primitive::<Float64Type>().value(row)),
        Type::Date32 => Given::Date32(column.as_primitive::<Date32Type>().value(row)),
        Type::Timestamp => Given::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        ty => panic!("a window is not {ty}"),
    }
}

/// Equal to the bit.
fn same(a: &Given, b: &Given) -> bool {
    match (a, b) {
        (Given::Float64(a), Given::Float64(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_and_batch_agree_at_every_event() {
    let count: usize = std::env::var("TARIM_PARITY_EVENTS").map_or(20_000, |n| n.parse().expect("a number"));
    let seed: u64 = std::env::var("TARIM_PARITY_SEED").map_or(7, |n| n.parse().expect("a number"));
    let set = set();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let events = events(&set, count, (count / 25).max(3), &mut rng);
    let streamed = streamed(&set, &events).unwrap_or_else(|e| panic!("{e}"));
    let batch = windows_of(&set, &batches(&set, &events)).await.unwrap_or_else(|e| panic!("{e:?}"));
    assert_eq!(batch.num_rows(), events.len());
    let mut told = vec![0; set.windows().len()];
    for (row, values) in streamed.iter().enumerate() {
        for (w, (window, ours)) in set.windows().iter().zip(values).enumerate() {
            let theirs = given(batch.column(w + 1), row);
            assert!(
                same(ours, &theirs),
                "seed {seed}, event {row} of customer {}: window {} is {ours:?} on the stream, {theirs:?} in batch",
                events[row].customer,
                window.name
            );
            told[w] += usize::from(*ours != Given::Null);
        }
    }
    for (window, told) in set.windows().iter().zip(told) {
        assert!(told > count / 20, "window {} has hardly ever a value: {told} of {count}", window.name);
    }
    println!("{count} events × {} windows agree", set.windows().len());
}

#[test]
fn a_bound_holds_for_what_its_window_counts() {
    let all = set();
    let names = ["logins_3d", "out_7d", "least_7d"];
    let set = all.only(|window| names.contains(&all.windows()[window].name.as_str()));
    let kind = set.kind("transaction").unwrap();
    let least = set.windows().iter().position(|w| w.name == "least_7d").unwrap();
    // More than can be summed.
    let amount = 2_000_000_000_000_000;
    let heard = |direction: &str| {
        let value = |name: &str| match name {
            "event_id" | "customer_id" => Value::Utf8("1".into()),
            "happened_at" | "known_at" => Value::Timestamp(0),
            "direction" => Value::Utf8(direction.into()),
            "amount_fen" => Value::Int64(amount),
            _ => Value::Null,
        };
        let values = set.kinds()[kind].layout.columns().iter().map(|c| value(&c.name)).collect();
        streamed(&set, &[Event { kind, customer: 1, values, time_us: 0 }]).map(|told| told[0][least])
    };
    // What comes in is not summed by the window over what goes out; the least of all is told.
    assert_eq!(heard("C"), Ok(Given::Int64(amount)));
    let error = heard("D").unwrap_err();
    assert_eq!((&*error.window, error.value), ("out_7d", amount));
}
