//! The goals: what is promised of speed, each measured beside what it is compared with.

mod big_table;
mod exposure;
mod full_decision;
mod grpc;
mod peer;
mod report;
mod row_read;
mod rules_200;
mod scale;
mod table_policy;
mod warn;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::bail;
use tarim_benches::ending::{self, Ending};

use self::report::Report;
pub use self::report::{Line, Quantity, Wanted};

/// One goal, or a few that are measured together.
pub trait Goal {
    /// What the command line calls it.
    fn name(&self) -> &'static str;

    /// One line for `--list`.
    fn about(&self) -> &'static str;

    /// Measures. An error is why it cannot be measured here; it counts as not met.
    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>>;
}

/// Every goal, in the order in which they run. To add one, add a file and a line.
fn all() -> Vec<Box<dyn Goal>> {
    vec![
        Box::new(table_policy::TablePolicy),
        Box::new(big_table::BigTable),
        Box::new(rules_200::Rules200),
        Box::new(full_decision::FullDecision),
        Box::new(grpc::Grpc),
        Box::new(grpc::GrpcExposed),
        Box::new(row_read::RowRead),
        Box::new(scale::Scale),
        Box::new(exposure::ExposureReserve),
        Box::new(exposure::ExposureLook),
        Box::new(exposure::ExposureDurable),
        Box::new(exposure::ExposureReopen),
        Box::new(exposure::ExposureCrash),
        Box::new(warn::WarnFiles),
        Box::new(warn::WarnKafka),
        Box::new(warn::WarnCrash),
        Box::new(warn::WarnRestart),
        Box::new(warn::WarnLedger),
        Box::new(warn::WarnFound),
    ]
}

/// Writes what is generated and kept in the repository.
pub fn generate() -> std::io::Result<()> {
    rules_200::write()
}

/// How goals are to be measured.
pub struct Setting {
    /// Smaller sizes and fewer rounds: to see that everything runs, not to quote.
    pub quick: bool,
    /// Where fixtures may be put; emptied afterwards.
    pub work: PathBuf,
    /// The target folder of this build: peers are built beside it.
    pub target: PathBuf,
}

impl Setting {
    /// How long the rounds of one comparison go on, about.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(if self.quick { 300 } else { 4000 })
    }

    /// A number of things: as wanted, or when in a hurry.
    pub fn size(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// A new folder for a fixture.
    pub fn folder(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.work.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

/// The `goals` verb.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo run --release -p tarim-benches -- goals\n  \
    cargo run --release -p tarim-benches -- goals table_policy rules_200\n  \
    cargo run --release -p tarim-benches -- goals --list\n  \
    cargo run --release -p tarim-benches -- goals grpc --disk /dev/shm\n\n\
    Prints one table, and writes the same to goals.json in the target folder. Ends with 1 if a goal is not \
    met, or cannot be measured here. Ctrl-c ends the servers that were started, and removes what was written.")]
pub struct Args {
    /// Which goals; all of them if none is named
    names: Vec<String>,
    /// Say what goals there are, and measure nothing
    #[arg(long)]
    list: bool,
    /// Smaller sizes and fewer rounds: shows that everything runs; its figures are not to be quoted
    #[arg(long)]
    quick: bool,
    /// Where fixtures, journals and ledgers are put, so whose disk is measured; the target folder if not given. In
    /// memory, as above, shows what is left without a disk, and is not to be quoted
    #[arg(long, value_name = "FOLDER")]
    disk: Option<PathBuf>,
}

/// Measures what the arguments name; true if all of it is met.
pub fn run(args: &Args) -> anyhow::Result<bool> {
    let goals = all();
    if args.list {
        for goal in &goals {
            println!("{:<16} {}", goal.name(), goal.about());
        }
        return Ok(true);
    }
    if let Some(unknown) = args.names.iter().find(|n| !goals.iter().any(|g| g.name() == n.as_str())) {
        let known: Vec<_> = goals.iter().map(|g| g.name()).collect();
        bail!("there is no goal `{unknown}`; there are {}", known.join(", "));
    }
    if cfg!(debug_assertions) {
        eprintln!("*** not a release build: nothing here is to be quoted; run with cargo run --release ***");
    }
    let target = target_folder()?;
    ending::on_interrupt()?;
    let disk = args.disk.as_ref().unwrap_or(&target);
    let work = tempfile::Builder::new().prefix("goals-").tempdir_in(disk)?.keep();
    let emptied = work.clone();
    let _work = Ending::new(move || {
        if let Err(e) = std::fs::remove_dir_all(&emptied) {
            eprintln!("{} cannot be removed: {e}", emptied.display());
        }
    });
    let setting = Setting { quick: args.quick, work, target };
    let mut report = Report::new(args.quick, args.disk.as_deref());
    for goal in goals.iter().filter(|g| args.names.is_empty() || args.names.iter().any(|n| n == g.name())) {
        ending::unless_interrupted();
        let start = Instant::now();
        eprintln!("{}: {} …", goal.name(), goal.about());
        let lines = goal.run(&setting);
        eprintln!("{}: {:.1} s", goal.name(), start.elapsed().as_secs_f64());
        report.add(goal.name(), lines);
    }
    ending::unless_interrupted();
    println!("{report}");
    let file = setting.target.join("goals.json");
    std::fs::write(&file, format!("{:#}\n", report.json()))?;
    println!("written to {}", file.display());
    Ok(report.is_met())
}

/// The target folder that this executable was built into: `<target>/<profile>/tarim-benches`.
fn target_folder() -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    match executable.parent().and_then(Path::parent) {
        Some(target) => Ok(target.into()),
        None => bail!("{} is not in a target folder; run it with cargo run", executable.display()),
    }
}
