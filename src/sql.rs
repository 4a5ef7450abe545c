//! `tarim sql`: queries over the datamart.

use std::{
    fs,
    io::{self, BufWriter, ErrorKind, Write},
    path::PathBuf,
    pin::pin,
};

use anyhow::{Context, bail};
use arrow::{
    array::RecordBatch, csv, json, util::display::FormatOptions,
    util::pretty::pretty_format_batches_with_options,
};
use datafusion::execution::context::SQLOptions;
use futures::{StreamExt, stream};
use tarim_datamart::{Datamart, Standards};

use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim sql \"SHOW TABLES\"\n  \
    tarim sql \"SELECT file, rows, good, bad, rules FROM loads ORDER BY loaded_at\"\n  \
    tarim sql \"SELECT source_line, rules, broken FROM quarantine_customers LIMIT 10\"\n  \
    tarim sql --format csv -f report.sql > report.csv\n\n\
    Tables are those of the standards, quarantine_<table> and loads, and results that other verbs wrote. \
    The datamart is only read: a statement that would change something is refused.")]
pub struct Args {
    /// The query
    #[arg(required_unless_present = "file")]
    query: Option<String>,
    /// Take the query from a file
    #[arg(short, long, conflicts_with = "query")]
    file: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// For people
    Table,
    /// With a header
    Csv,
    /// One JSON object per line
    Ndjson,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let query = match (&args.query, &args.file) {
        (Some(query), _) => query.clone(),
        (None, Some(file)) => {
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?
        }
        (None, None) => bail!("there is no query"),
    };
    let mart = home.datamart_to_read(Standards::read(home.rulebook())?)?;
    let result = tokio::runtime::Runtime::new()?.block_on(print(&mart, &query, args.format));
    match result {
        // Whoever reads the output has seen enough (`tarim sql … | head`).
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

async fn print(mart: &Datamart, query: &str, format: Format) -> anyhow::Result<()> {
    let session = mart.session().await?;
    let read_only =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    let rows = session.sql_with_options(query, read_only).await?;
    let schema = rows.schema().inner().clone();
    let mut rows = rows.execute_stream().await?;
    let mut out = BufWriter::new(io::stdout().lock());
    match format {
        Format::Table => {
            let mut batches = vec![RecordBatch::new_empty(schema)];
            while let Some(batch) = rows.next().await {
                batches.push(batch?);
            }
            let options = FormatOptions::default().with_display_error(true);
            writeln!(out, "{}", pretty_format_batches_with_options(&batches, &options)?)?;
            let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
            writeln!(out, "{count} row{}", if count == 1 { "" } else { "s" })?;
        }
        Format::Csv => {
            // Through a buffer, so that a reader that has gone is an error of ours and not one of arrow's.
            let mut buffer = Vec::new();
            let mut header = true;
            let first = stream::once(async { Ok(RecordBatch::new_empty(schema)) });
            let mut batches = pin!(first.chain(rows));
            while let Some(batch) = batches.next().await {
                csv::WriterBuilder::new().with_header(header).build(&mut buffer).write(&batch?)?;
                out.write_all(&buffer)?;
                buffer.clear();
                header = false;
            }
        }
        Format::Ndjson => {
            while let Some(batch) = rows.next().await {
                let mut writer = json::LineDelimitedWriter::new(Vec::new());
                writer.write(&batch?)?;
                writer.finish()?;
                out.write_all(&writer.into_inner())?;
            }
        }
    }
    Ok(out.flush()?)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
}
