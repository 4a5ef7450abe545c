//! The five calls over gRPC, beside an empty echo of the same messages.
//!
//! ```text
//!  this process: load ──┬─► server `decide`: the real service, journal on the disk
//!    one thread         └─► server `echo`: decodes the same requests, answers with the same bytes
//! ```
//!
//! Both servers are processes of their own, with as many threads and the log that `tarim serve` has, and take turns. The
//! service's metrics are read every second.

mod disk;
mod exposed;
mod scraper;
mod server;

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, ensure};
use tarim_benches::{
    fixture::{self, Bank, book::Book},
    load::{self, Client, Measured, Mode, Pace, Plan, Requests},
};
use tarim_decision::rulebook;
use tarim_proto::decision::v1::DecisionRequest;
use tokio::runtime::Runtime;

pub use self::exposed::GrpcExposed;
use self::server::Server;
use super::{Goal, Line, Quantity, Setting, Wanted};
use crate::measure::median;

pub struct Grpc;

/// Single calls in flight.
const UNARY: usize = 64;
/// Requests in flight down a stream.
const STREAM: usize = 512;
/// Requests of a batch, and batches in flight.
const BATCH: (usize, usize) = (200, 4);
/// How much slower than the echo's a high quantile may be, besides a group commit.
const SLOWER: f64 = 1.5;

impl Goal for Grpc {
    fn name(&self) -> &'static str {
        "grpc"
    }

    fn about(&self) -> &'static str {
        "Decide, DecideStream and BatchDecide with the journal on, beside an empty echo of the same messages"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let folder = setting.folder("grpc")?;
        let book = Book::full(5, 200, 200, setting.size(100_000, 4096));
        book.write(&folder.join("rulebook"))?;
        Bank::open(&folder.join("rulebook"), &folder.join("store"), &mut &book)?;
        rulebook::publish(&folder.join("rulebook"), &folder.join("published"))?;
        let requests: Vec<_> = book.applications(16_384).into_iter().map(fixture::request).collect();
        let runtime = caller()?;
        let executable = server::build(setting)?;
        let ours = Server::decide(&executable, &folder)?;
        let answers = first_answers(&runtime, &ours, &requests)?;
        let answer = mean(answers.iter().map(Vec::len));
        let peer = Server::echo(&executable, &folder, &answers)?;
        Arena { ours, peer, runtime, setting }.lines(&folder, &requests, answer)
    }
}

/// One thread sends, and nothing else does.
fn caller() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
}

/// What a service answers to each of the first requests.
fn first_answers(
    runtime: &Runtime,
    server: &Server,
    requests: &[DecisionRequest],
) -> anyhow::Result<Vec<Vec<u8>>> {
    let some = requests.iter().take(1024).cloned();
    let requests = Requests::new(some, "answers")?;
    runtime.block_on(async {
        let mut client = server.connect().await?;
        let mut answers = Vec::with_capacity(requests.len());
        for _ in 0..requests.len() {
            answers.push(client.decide(requests.next()).await?.to_vec());
        }
        Ok(answers)
    })
}

/// The two servers, and who asks them.
struct Arena<'a> {
    ours: Server,
    peer: Server,
    runtime: Runtime,
    setting: &'a Setting,
}

/// A figure of both servers.
struct Pair {
    ours: f64,
    peer: f64,
}

impl Arena<'_> {
    fn lines(&self, folder: &Path, requests: &[DecisionRequest], answer: f64) -> anyhow::Result<Vec<Line>> {
        let watched = self.ours.watch().context("the service has metrics")?;
        let unary = self.throughput(requests, Mode::Unary, UNARY)?;
        let cost = self.cost(requests)?;
        let stream = self.throughput(requests, Mode::Stream, STREAM)?;
        let batch = self.throughput(requests, Mode::Batch(BATCH.0), BATCH.1)?;
        let rate = (unary.ours / 2.0).round();
        let late = self.late(requests, rate)?;
        watched.end()?;
        let record = disk::bytes_per_record(&folder.join("journal"))?;
        let commit = disk::commit_ns(folder, record, rate)?;
        let bound = SLOWER * late.peer + commit;
        let size = format!("answers of {answer:.0} bytes");
        let rates = |what: String, pair: &Pair, wanted| {
            Line::new(what, Quantity::Rate(pair.ours), wanted).beside("empty echo", Quantity::Rate(pair.peer))
        };
        let per_second = Quantity::Rate(rate);
        Ok(vec![
            rates(format!("Decide, {UNARY} in flight, {size}"), &unary, Wanted::Faster(0.8)),
            Line::new(
                format!("Decide at {per_second}, p99; wanted: {SLOWER} × echo + a group commit"),
                Quantity::Time(late.ours),
                Wanted::AtMost(Quantity::Time(bound)),
            )
            .beside("empty echo", Quantity::Time(late.peer)),
            Line::new(
                "Decide, processor time of the server for each",
                Quantity::Time(cost.ours),
                Wanted::Told,
            )
            .beside("empty echo", Quantity::Time(cost.peer)),
            Line::new(
                format!("DecideStream, {STREAM} in flight"),
                Quantity::Rate(stream.ours),
                Wanted::Faster(3.0),
            )
            .beside("Decide", Quantity::Rate(unary.ours)),
            rates(format!("DecideStream, {STREAM} in flight"), &stream, Wanted::Told),
            rates(format!("BatchDecide, {} of {}", BATCH.1, BATCH.0), &batch, Wanted::Told),
            Line::new(
                format!("p99 of a group commit at {per_second}, the disk alone"),
                Quantity::Time(commit),
                Wanted::Told,
            ),
            Line::new("journal, of each decision", Quantity::Bytes(record), Wanted::Told),
        ])
    }

    /// Decisions a second, of each server the median of rounds in which they take turns.
    fn throughput(&self, requests: &[DecisionRequest], mode: Mode, in_flight: usize) -> anyhow::Result<Pair> {
        self.rounds(requests, mode, Pace::InFlight(in_flight), Measured::throughput)
    }

    /// Nanoseconds that each server is on a processor for a single call. (It does not say how well the two processors
    /// are used: server and callers share them.)
    fn cost(&self, requests: &[DecisionRequest]) -> anyhow::Result<Pair> {
        // Without a warm-up: what is used for it would not be told apart.
        let plan = Plan { warmup: Duration::ZERO, ..self.plan(Mode::Unary, Pace::InFlight(UNARY)) };
        self.take_turns(|server, round| {
            let before = server.processor_ns()?;
            let measured = self.once(server, requests, &plan, &format!("cost-{round}"))?;
            Ok((server.processor_ns()? - before) / measured.answered as f64)
        })
    }

    /// 99th percentile of the latency at a rate, in nanoseconds. Of a round in which requests were refused, since the
    /// disk had stood still for too long, it is without end.
    fn late(&self, requests: &[DecisionRequest], rate: f64) -> anyhow::Result<Pair> {
        self.rounds(requests, Mode::Unary, Pace::PerSecond(rate), |m| match m.refused.is_empty() {
            true => m.at(0.99),
            false => f64::INFINITY,
        })
    }

    fn rounds(
        &self,
        requests: &[DecisionRequest],
        mode: Mode,
        pace: Pace,
        figure: fn(&Measured) -> f64,
    ) -> anyhow::Result<Pair> {
        let plan = self.plan(mode, pace);
        self.take_turns(|server, round| {
            let run = format!("{}-{}-{round}", plan.mode, plan.pace);
            Ok(figure(&self.once(server, requests, &plan, &run)?))
        })
    }

    fn plan(&self, mode: Mode, pace: Pace) -> Plan {
        let duration = self.setting.budget() / 4;
        Plan { mode, pace, warmup: duration / 4, duration }
    }

    /// Of each server the median of rounds.
    fn take_turns(&self, figure: impl Fn(&Server, usize) -> anyhow::Result<f64>) -> anyhow::Result<Pair> {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for round in 0..if self.setting.quick { 1 } else { 5 } {
            ours.push(figure(&self.ours, round)?);
            self.ours.settle()?;
            peers.push(figure(&self.peer, round)?);
            self.peer.settle()?;
        }
        Ok(Pair { ours: median(ours), peer: median(peers) })
    }

    fn once(
        &self,
        server: &Server,
        requests: &[DecisionRequest],
        plan: &Plan,
        run: &str,
    ) -> anyhow::Result<Measured> {
        let requests = Arc::new(Requests::new(requests.iter().cloned(), run)?);
        let measured = self.runtime.block_on(async {
            let clients: [Client; 1] = [server.connect().await?];
            load::run(&clients, &requests, plan, &mut |_| {}).await
        })?;
        if !measured.refused.is_empty() {
            eprintln!("grpc: {run}: requests got no decision: {:?}", measured.said);
            // Callers who wait for their answers are not too many.
            ensure!(matches!(plan.pace, Pace::PerSecond(_)), "requests got no decision: {:?}", measured.said);
        }
        Ok(measured)
    }
}

fn mean(sizes: impl ExactSizeIterator<Item = usize>) -> f64 {
    let n = sizes.len() as f64;
    sizes.sum::<usize>() as f64 / n
}
