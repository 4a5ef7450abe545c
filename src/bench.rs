//! `tarim bench`: a load on a running server, what it answered how fast, and what it refused.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressStyle};
use tarim_benches::load::{self, Client, Measured, Mode, Pace, Plan, QUANTILES, Requests};

use crate::{
    decide,
    endpoint::{DECISIONS, Tls, not_reached},
    home::Home,
};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim bench --file requests.ndjson --in-flight 64\n  \
    tarim bench --file requests.ndjson --rate 20000 --seconds 30 --json bench.json\n  \
    tarim bench --file requests.ndjson --mode stream --in-flight 512\n  \
    tarim bench --file requests.ndjson --mode batch --batch 200 --in-flight 8\n  \
    tarim bench --file requests.ndjson --server https://risk.example:50051 --tls-ca authority.pem\n\n\
    With --rate, latency counts from when a request was due, not from when it could be sent: a server that \
    stalls is charged for everybody who would have come meanwhile. What is refused (RESOURCE_EXHAUSTED, \
    INVALID_ARGUMENT, …) is counted apart, by code: it is no throughput and has no latency, and the exit code is \
    1. The requests are those that `tarim decide \
    --file` reads, sent in turn under new ids; the server journals what it decides, as it always does.")]
pub struct Args {
    /// Where the server is
    #[arg(long, default_value = "http://127.0.0.1:50051", value_name = "URL")]
    server: String,
    /// Requests, one JSON object a line; - is standard input
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// How requests reach the server
    #[arg(long, value_enum, default_value_t = How::Unary)]
    mode: How,
    /// Requests in one call, for --mode batch
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000), value_name = "N")]
    batch: u16,
    /// Closed loop: so many in flight (of batches, so many batches)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    in_flight: u32,
    /// Open loop: so many requests a second, whatever the answers
    #[arg(long, conflicts_with = "in_flight", value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// Connections
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    connections: u16,
    /// How long to measure
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..), value_name = "SECONDS")]
    seconds: u32,
    /// Sent before anything counts
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    warmup: u32,
    /// Write the result there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    tls: Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum How {
    /// One call each
    Unary,
    /// Down one stream a connection
    Stream,
    /// Many in one call
    Batch,
}

impl Args {
    fn plan(&self) -> anyhow::Result<Plan> {
        let pace = match self.rate {
            Some(rate) if !(rate.is_finite() && rate > 0.0) => bail!("--rate {rate}: give requests a second"),
            Some(rate) => Pace::PerSecond(rate),
            None => Pace::InFlight(self.in_flight as usize),
        };
        let mode = match self.mode {
            How::Unary => Mode::Unary,
            How::Stream => Mode::Stream,
            How::Batch => Mode::Batch(self.batch.into()),
        };
        let seconds = |n: u32| Duration::from_secs(n.into());
        Ok(Plan { mode, pace, warmup: seconds(self.warmup), duration: seconds(self.seconds) })
    }
}

pub fn run(_home: &Home, args: Args) -> anyhow::Result<()> {
    let plan = args.plan()?;
    let requests = decide::read_requests(&args.file)?.collect::<anyhow::Result<Vec<_>>>()?;
    let requests =
        Requests::new(requests, &decide::new_id(0)).with_context(|| args.file.display().to_string())?;
    let measured = tokio::runtime::Runtime::new()?.block_on(send(&args, &plan, &Arc::new(requests)))?;
    println!("{}", table(&plan, &measured));
    let (refused, heard) = (measured.refusals(), measured.heard());
    if refused > 0 {
        let codes: Vec<_> = measured.refused.iter().map(|(code, n)| format!("{n} {code}")).collect();
        let share = 100.0 * refused as f64 / heard as f64;
        println!(
            "refused: {refused} of {heard} requests ({share:.2} %): {}; they are in no other figure",
            codes.join(", ")
        );
    }
    for (why, n) in &measured.said {
        println!("{n} times no decision: {why}");
    }
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&measured.json(&plan))?;
        std::fs::write(file, json + "\n").with_context(|| file.display().to_string())?;
        println!("written to {}", file.display());
    }
    if measured.answered == 0 {
        bail!(
            "no request got a decision within {} s: {refused} were refused, {} came too late\n    fix: see what is said above \
             and in the server's log; a slow server wants more --seconds",
            args.seconds,
            measured.late
        );
    }
    match refused {
        0 => Ok(()),
        n => bail!("{n} of {heard} requests got no decision"),
    }
}

async fn send(args: &Args, plan: &Plan, requests: &Arc<Requests>) -> anyhow::Result<Measured> {
    let endpoint = args.tls.endpoint(&args.server, &DECISIONS)?.tcp_nodelay(true);
    let mut clients = Vec::new();
    for _ in 0..args.connections {
        let client = Client::connect(endpoint.clone()).await;
        clients.push(client.map_err(|error| not_reached(&args.server, &DECISIONS, error))?);
    }
    let whole = plan.warmup + plan.duration;
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:40} {msg}")?;
    let bar = ProgressBar::new(whole.as_millis() as u64).with_style(style);
    let measured = load::run(&clients, requests, plan, &mut |answered| {
        bar.set_position(bar.elapsed().min(whole).as_millis() as u64);
        bar.set_message(format!("{answered} decisions"));
    })
    .await;
    bar.finish_and_clear();
    measured
}

fn table(plan: &Plan, measured: &Measured) -> Table {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::UTF8_FULL_CONDENSED);
    let mut head =
        vec!["mode".to_owned(), "pace".into(), "answered".into(), "refused".into(), "a second".into()];
    head.extend(QUANTILES.iter().map(|(name, _)| format!("{name} µs")));
    table.set_header(head);
    let mut row = vec![
        plan.mode.to_string(),
        plan.pace.to_string(),
        measured.answered.to_string(),
        measured.refusals().to_string(),
        format!("{:.0}", measured.throughput()),
    ];
    row.extend(QUANTILES.iter().map(|(_, quantile)| match measured.at(*quantile) {
        none if none.is_nan() => "–".to_owned(),
        ns => format!("{:.1}", ns / 1e3),
    }));
    table.add_row(row);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
