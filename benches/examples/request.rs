//! All that the service does with a request on the processor, one behind the other on one thread, for a profiler: decode,
//! gather, decide, encode the journal's entry with the answer in it.
//!
//! ```text
//!   cargo build --release -p tarim -p tarim-benches --example request
//!   valgrind --tool=callgrind target/release/examples/request 1000 1
//!   perf record target/release/examples/request 16384 50
//! ```

use std::{hint::black_box, time::Instant};

use prost::Message;
use tarim_benches::fixture::{self, Bank, MEMBER, NOW_US, book::Book};
use tarim_decision::{
    convert,
    engine::{DecisionScratch, Inputs},
    journal::{APPLICATION, EntryHead},
    outcome::Call,
    wire::{Heading, encode_decision},
};
use tarim_proto::encoded::DecisionRequest;

/// As `tarim` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut number = |or| args.next().map_or(Ok(or), |n| n.parse::<usize>());
    let (count, rounds) = (number(16_384)?, number(1)?);
    let folder = tempfile::tempdir()?;
    let book = Book::full(5, 200, 200, if count > 4096 { 100_000 } else { 4096 });
    book.write(&folder.path().join("rulebook"))?;
    let bank = Bank::open(&folder.path().join("rulebook"), &folder.path().join("store"), &mut &book)?;
    let requests: Vec<_> = book
        .applications(count)
        .into_iter()
        .map(|application| {
            let mut request = fixture::request(application);
            request.request_id = "0198e2a4-0000-7000-8000-000000000000".into();
            request.encode_to_vec()
        })
        .collect();
    let (mut inputs, mut scratch) = (Inputs::new(), DecisionScratch::default());
    let (engine, mut laps, mut bytes, mut answer) = (&bank.engine, [0; 4], 0, 0);
    for _ in 0..rounds {
        for request in &requests {
            let start = Instant::now();
            let request = DecisionRequest::decode(&request[..])?;
            let decoded = Instant::now();
            let DecisionRequest { member, product, request_id, .. } = &request;
            engine.gather_fields(member, product, request.application(), NOW_US, &mut inputs)?;
            let gathered = Instant::now();
            let judged = engine.judge(&inputs, Call::All, &mut scratch)?;
            let decided = Instant::now();
            let heading = Heading {
                request_id,
                member: MEMBER,
                product,
                at_us: NOW_US,
                rulebook_version: bank.rulebook.version(),
                feature_version: engine.snapshot().version(),
            };
            let call = convert::wire_call(Call::All);
            let head = EntryHead { member, request_id, call, fingerprint: &[7; 32] };
            let entry = head.encode(
                |out| request.encode_application(APPLICATION, |_| None, out),
                |out| inputs.encode(&bank.rulebook, out),
                |out| encode_decision(&judged, &heading, out),
            )?;
            let encoded = Instant::now();
            bytes += black_box(&entry).payload.len();
            answer += entry.decision.len();
            let times = [start, decoded, gathered, decided, encoded];
            for (lap, ends) in laps.iter_mut().zip(times.windows(2)) {
                *lap += (ends[1] - ends[0]).as_nanos();
            }
        }
    }
    let n = rounds * count;
    let [decode, gather, decide, encode] = laps.map(|lap| lap as f64 / n as f64);
    println!(
        "{n} requests, ns each: decode {decode:.0}, gather {gather:.0}, decide {decide:.0}, encode {encode:.0}; \
         entries of {} bytes with answers of {}",
        bytes / n,
        answer / n
    );
    Ok(())
}
