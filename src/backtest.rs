//! `tarim backtest`: a whole table of applications, each decided as of its own time.

use std::{
    io::{BufWriter, IntoInnerError, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use arrow::record_batch::RecordBatch;
use comfy_table::{CellAlignment, Table};
use datafusion::parquet::arrow::ArrowWriter;
use indicatif::{ProgressBar, ProgressStyle};
use tarim_datamart::{Error, WholeFile, WriteMode};
use tarim_decision::{
    batch::{Backtest, Group, Options, Slice, Tally, line, record_batch, schema},
    rulebook::{Rulebook, Source},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    home::Home,
    materialize::{LINES, parse_time},
};

/// So many decisions that differ are shown in full.
const SHOWN: usize = 3;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim backtest\n  \
    tarim backtest --out decisions.ndjson\n  \
    tarim backtest --where \"member = '001' AND amount_fen > 5000000\" --out decisions.parquet\n  \
    tarim backtest --write-table decisions\n  \
    tarim sql \"SELECT outcome, count(*) FROM decisions GROUP BY outcome\"\n  \
    tarim backtest --published --verify-online\n\n\
    Each application is decided with what was known at its own time. With --verify-online each is decided by \
    the online engine too; decisions that differ in any bit are shown, and the exit code is 1. So it is if there is no \
    application to decide.\n\n\
    What is written is there when all of it is whole: after a failure file and table are as they were.")]
pub struct Args {
    /// Table of applications
    #[arg(long, default_value = "applications")]
    table: String,
    /// Only applications for which this SQL condition holds
    #[arg(long = "where", value_name = "SQL")]
    filter: Option<String>,
    /// Decide all of them as of this time: 2026-06-30T00:00:00Z, or a date [default: each as of its own]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    as_of: Option<i64>,
    /// Write the decisions to this file, .ndjson or .parquet
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the decisions to this table of the datamart, in the place of what it holds
    #[arg(long, value_name = "NAME")]
    write_table: Option<String>,
    /// Write the features beside the decisions: true or false [default: true for .ndjson]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    features: Option<bool>,
    /// Decide each application by the online engine too, and compare every bit
    #[arg(long)]
    verify_online: bool,
    /// Take the published rulebook instead of the text
    #[arg(long)]
    published: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let folder = home.rulebook_of(args.published)?;
    let rulebook = Rulebook::read(&folder)?;
    let output =
        args.out.as_deref().map(|path| Output::create(path, &rulebook, args.features)).transpose()?;
    let runtime = tokio::runtime::Runtime::new().context("no threads for the computation")?;
    let tally = runtime.block_on(decide(home, &args, &rulebook, output))?;
    show(&tally, &rulebook.federation().currency, args.verify_online);
    if rulebook.given().iter().any(|relation| relation.source == Source::Warnings) {
        println!(
            "warning.*: what stood against an applicant in the past is not kept, so it was unknown (NULL) for all of them, \
             and a rule that asks for it did what its `if_unknown` says"
        );
    }
    match tally.differing {
        0 => Ok(()),
        n => bail!("the online engine decides {n} of {} applications otherwise", tally.applications),
    }
}

async fn decide(
    home: &Home,
    args: &Args,
    rulebook: &Rulebook,
    mut output: Option<Output>,
) -> anyhow::Result<Tally> {
    let (mart, session) = home.loaded(rulebook.standards().clone()).await?;
    let options = Options {
        table: args.table.clone(),
        filter: args.filter.clone(),
        as_of_us: args.as_of,
        verify_online: args.verify_online,
    };
    let mut backtest = Backtest::start(&session, rulebook, options).await?;
    if backtest.total() == 0 {
        bail!(none_to_decide(args));
    }
    let bar = ProgressBar::new(backtest.total() as u64).with_style(ProgressStyle::with_template(
        "{spinner} decided {human_pos}/{human_len} [{wide_bar}] {per_sec} {eta}",
    )?);
    let features = args.features.unwrap_or(false);
    let (table, batches) = mpsc::channel::<Result<RecordBatch, Error>>(2);
    let deciding = async {
        let decided = async {
            let mut tally = Tally::default();
            let mut differing = 0;
            while let Some(slice) = backtest.next().await? {
                for row in &slice.rows {
                    tally.add(row);
                    if let (Ok(batch), Some(online)) = (&row.decision, &row.online) {
                        differing += 1;
                        if differing <= SHOWN {
                            bar.suspend(|| {
                                println!("{:?}\n  in batch: {batch:?}\n  online:   {online:?}", row.key)
                            });
                        }
                    }
                }
                if let Some(output) = &mut output {
                    output.write(rulebook, &slice)?;
                }
                if args.write_table.is_some()
                    && table.send(Ok(record_batch(rulebook, &slice, features)?)).await.is_err()
                {
                    break; // The writer failed, and says why.
                }
                bar.inc(slice.rows.len() as u64);
            }
            anyhow::Ok((tally, output.map(Output::synced).transpose()?))
        }
        .await;
        if decided.is_err() {
            // The writer commits when the batches end, so it hears of a failure before. If it has failed too,
            // nobody listens.
            let _ = table.send(Err(Error::Incomplete)).await;
        }
        drop(table);
        decided
    };
    let (tally, file) = match &args.write_table {
        None => deciding.await?,
        Some(name) => {
            let batches = ReceiverStream::new(batches);
            let writing = mart.write(name, schema(rulebook, features), batches, WriteMode::Overwrite);
            let (decided, written) = tokio::join!(deciding, writing);
            let decided = decided?;
            let version = written?;
            bar.suspend(|| println!("written to table {name}, version {version}"));
            decided
        }
    };
    // It is on the disk: hardly anything is left that can fail once the table is written.
    if let Some((path, file)) = args.out.as_ref().zip(file) {
        file.keep().with_context(|| format!("cannot write {}", path.display()))?;
    }
    bar.finish_and_clear();
    Ok(tally)
}

/// What is said where there is no application: an empty table in the place of yesterday's would say that all is well.
fn none_to_decide(args: &Args) -> String {
    let table = &args.table;
    match &args.filter {
        Some(filter) => format!(
            "no application of the table `{table}` has --where {filter}: nothing was decided or written\n    fix: correct the \
             condition; `tarim sql` shows what the table holds"
        ),
        None => format!(
            "the table `{table}` has no row: nothing was decided or written\n    fix: load applications, or name another \
             table with --table"
        ),
    }
}

/// A file that decisions are written to.
enum Output {
    Ndjson { file: BufWriter<WholeFile>, features: bool },
    Parquet { writer: Box<ArrowWriter<WholeFile>>, features: bool },
}

impl Output {
    fn create(path: &Path, rulebook: &Rulebook, features: Option<bool>) -> anyhow::Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if !["ndjson", "jsonl", "parquet"].contains(&extension) {
            bail!("{}: end the name in .ndjson or .parquet", path.display());
        }
        let file = WholeFile::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        if extension == "parquet" {
            let features = features.unwrap_or(false);
            let writer = ArrowWriter::try_new(file, schema(rulebook, features), None)?;
            return Ok(Self::Parquet { writer: Box::new(writer), features });
        }
        Ok(Self::Ndjson { file: BufWriter::new(file), features: features.unwrap_or(true) })
    }

    fn write(&mut self, rulebook: &Rulebook, slice: &Slice) -> anyhow::Result<()> {
        match self {
            Self::Parquet { writer, features } => writer.write(&record_batch(rulebook, slice, *features)?)?,
            Self::Ndjson { file, features } => {
                for row in 0..slice.rows.len() {
                    serde_json::to_writer(&mut *file, &line(rulebook, slice, row, *features)?)?;
                    file.write_all(b"\n")?;
                }
            }
        }
        Ok(())
    }

    /// All is written, and on the disk; it has not taken its place yet.
    fn synced(self) -> anyhow::Result<WholeFile> {
        let file = match self {
            Self::Parquet { writer, .. } => writer.into_inner()?,
            Self::Ndjson { file, .. } => file.into_inner().map_err(IntoInnerError::into_error)?,
        };
        file.sync()?;
        Ok(file)
    }
}

fn show(tally: &Tally, currency: &str, verified: bool) {
    let mut table = Table::new();
    table.load_preset(LINES);
    table.set_header([
        "member", "product", "decided", "approved", "referred", "declined", "rate", "limit", "interest",
    ]);
    for ((member, product), group) in &tally.groups {
        table.add_row(row(member, product, group));
    }
    if tally.groups.len() > 1 {
        table.add_row(row("all", "", &tally.total()));
    }
    right(&mut table, 2..9);
    println!("{table}");
    println!(
        "rate: approved of decided; limit ({currency}) and interest (a year): means of what was approved"
    );
    if !tally.reasons.is_empty() {
        let mut table = Table::new();
        table.load_preset(LINES);
        table.set_header(["reason", "effect", "times", "unknown", "text"]);
        for (id, effect, reason) in tally.top_reasons(15) {
            let (count, unknown) = (reason.count.to_string(), reason.unknown.to_string());
            table.add_row([
                id,
                &effect.to_string(),
                &count,
                &unknown,
                &format!("{} / {}", reason.zh, reason.en),
            ]);
        }
        right(&mut table, 2..4);
        println!("{table}");
    }
    if tally.without_plan > 0 {
        println!("{} applications are for a product that their member does not offer", tally.without_plan);
    }
    if verified && tally.differing == 0 {
        println!(
            "the online engine decides all {} the same, bit for bit",
            tally.applications - tally.without_plan
        );
    }
}

fn row(member: &str, product: &str, group: &Group) -> [String; 9] {
    let mean = |value: Option<f64>, form: fn(f64) -> String| value.map_or("–".into(), form);
    [
        member.into(),
        product.into(),
        group.decided().to_string(),
        group.approved.to_string(),
        group.referred.to_string(),
        group.declined.to_string(),
        mean(group.approval_rate(), |r| format!("{:.1} %", r * 100.0)),
        mean(group.mean_limit_fen(), |fen| format!("{:.0}", fen / 100.0)),
        mean(group.mean_rate_ppm(), |ppm| format!("{:.3} %", ppm / 1e4)),
    ]
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
