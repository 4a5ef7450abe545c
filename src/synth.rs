//! `tarim synth`: the synthetic bank.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use tarim_examples::{NaiveDate, Plan, synthesise};

use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim synth --out bank --customers 2000 --seed 7\n  \
    tarim synth --out bank --customers 20000 --applications 100000\n  \
    tarim synth --out bank --customers 1000000 --dirty 0\n\n\
    The files are what `tarim load bank` reads. truth/planted.csv says which frauds, guarantee circles, defaults \
    and spoiled rows were planted where. The same options give the same bytes.")]
pub struct Args {
    /// Folder to write the files to; files of the same names are overwritten
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Customers of all members together
    #[arg(long, default_value_t = 2000)]
    customers: u64,
    /// Applications of all members together [default: one for every two customers]
    #[arg(long)]
    applications: Option<u64>,
    /// Members of the federation; the example rulebook knows the first four
    #[arg(long, default_value_t = 4)]
    members: usize,
    /// The same seed makes the same bank
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Last day of the history
    #[arg(long, default_value = "2026-06-30", value_name = "DATE")]
    as_of: NaiveDate,
    /// Months of history before the last day
    #[arg(long, default_value_t = 12)]
    months: u32,
    /// A customer's transactions a month, besides pay and repayments
    #[arg(long, default_value_t = 4.0)]
    monthly_transactions: f64,
    /// Share of rows that are spoiled on purpose: bad checksums, impossible dates, repeated keys, …
    #[arg(long, default_value_t = 0.002)]
    dirty: f64,
}

pub fn run(_home: &Home, args: Args) -> anyhow::Result<()> {
    let plan = Plan {
        customers: args.customers,
        applications: args.applications,
        members: args.members,
        seed: args.seed,
        as_of: args.as_of,
        months: args.months,
        monthly_transactions: args.monthly_transactions,
        dirty: args.dirty,
    };
    let progress = ProgressBar::new(args.customers).with_style(ProgressStyle::with_template(
        "{spinner} {human_pos}/{human_len} customers [{wide_bar}] {eta}",
    )?);
    let report = synthesise(plan, &args.out, &progress)?;
    progress.finish_and_clear();

    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["file", "rows", "size"]);
    for file in &report.files {
        table.add_row([
            file.file.into(),
            HumanCount(file.rows).to_string(),
            HumanBytes(file.bytes).to_string(),
        ]);
    }
    for column in [1, 2] {
        table.column_mut(column).expect("three columns").set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    let planted: Vec<String> = report.planted.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    println!("planted: {}", planted.join(", "));
    println!("written to {}", args.out.display());
    Ok(())
}
