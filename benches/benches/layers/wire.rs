//! What a request is read from, and what a decision is written as: the answer, and the inputs that the journal keeps.

use std::hint::black_box;

use criterion::Criterion;
use prost::Message;
use tarim_benches::fixture::{self, Bank, MEMBER, NOW_US, book::Book};
use tarim_decision::{
    engine::DecisionScratch,
    outcome::Call,
    wire::{Heading, encode_decision},
};
use tarim_proto::encoded::DecisionRequest;

pub fn benches(c: &mut Criterion) {
    let folder = crate::folder();
    let book = Book::full(5, 200, 200, 4096);
    book.write(&folder.path().join("rulebook")).expect("a rulebook is written");
    let bank = Bank::open(&folder.path().join("rulebook"), &folder.path().join("store"), &mut &book);
    let bank = bank.expect("a bank that fits its rulebook");
    let requests: Vec<_> =
        book.applications(4096).into_iter().map(|a| fixture::request(a).encode_to_vec()).collect();
    let mut next = requests.iter().cycle();
    c.bench_function("decode/a request", |b| {
        b.iter(|| DecisionRequest::decode(black_box(&next.next().expect("a cycle")[..])).expect("a request"));
    });
    let inputs = bank.gather(&book.applications(1)).expect("the application keeps to its standard");
    let mut scratch = DecisionScratch::default();
    let judged = bank.judge(&inputs[0], Call::All, &mut scratch);
    let heading = Heading {
        request_id: "0198e2a4-0000-7000-8000-000000000000",
        member: MEMBER,
        product: "loan0",
        at_us: NOW_US,
        rulebook_version: bank.rulebook.version(),
        feature_version: bank.engine.snapshot().version(),
    };
    let mut out = Vec::new();
    let mut group = c.benchmark_group("encode");
    group.bench_function("a decision", |b| {
        b.iter(|| {
            out.clear();
            encode_decision(&judged, &heading, &mut out);
            black_box(&out);
        });
    });
    group.bench_function("inputs for the journal", |b| {
        b.iter(|| {
            out.clear();
            inputs[0].encode(&bank.rulebook, &mut out).expect("rows of their layouts");
            black_box(&out);
        });
    });
}
