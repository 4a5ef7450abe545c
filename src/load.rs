//! `tarim load`: files through the quality gate into the datamart.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tarim_datamart::{Datamart, LoadError, LoadOptions, LoadRecord, LoadReport, Standards, Tokeniser};

use crate::home::Home;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    tarim load bank                          every file of a folder\n  \
    tarim load transactions_202606.csv --report quality.json\n  \
    tarim load customers.csv --member 001 --max-bad 0.5\n\n\
    A file goes to the first table (by name) with a [[source]] whose `files` matches the file's name. Rows \
    that break a rule are quarantined with every rule that they break, and told; they are no error, unless all rows \
    of a file do: then the exit code is 1, and the file is loaded again once a standard was corrected. A file of which \
    rows were loaded before changes nothing. A load that dies leaves nothing visible: run it again.")]
pub struct Args {
    /// Files, or folders with files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Load into this table; one of its sources must match the file's name
    #[arg(long)]
    table: Option<String>,
    /// The member whose rows these are; rows that say another member are quarantined
    #[arg(long, value_name = "CODE")]
    member: Option<String>,
    /// Load nothing of a file of which more rows than this are bad [default: no limit]
    #[arg(long, value_name = "PERCENT")]
    max_bad: Option<f64>,
    /// Skip files of a folder that no source takes, instead of loading nothing
    #[arg(long)]
    skip_unknown: bool,
    /// Write the quality reports to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Print the quality reports as JSON instead of tables
    #[arg(long)]
    json: bool,
}

pub fn run(home: &Home, args: Args) -> anyhow::Result<()> {
    let standards = Standards::read(home.rulebook())?;
    if let Some(member) = &args.member {
        check_member(home.rulebook(), member)?;
    }
    let mart = Datamart::open(&home.datamart(), standards)?;
    let files = files_to_load(&mart, &args)?;
    let tokeniser = home.tokeniser_to_load()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut reports = Vec::with_capacity(files.len());
    let mut failed = None;
    for file in &files {
        match runtime.block_on(load_one(&mart, &tokeniser, &args, file)) {
            Ok(report) => {
                if !args.json {
                    println!("{report}");
                }
                reports.push(report);
            }
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
    }
    // What was loaded before a failure stays loaded, so its reports are given.
    let json = serde_json::to_string_pretty(&reports)?;
    if args.json {
        println!("{json}");
    } else if files.len() > 1 {
        println!("{}", summary(&reports));
    }
    if let Some(path) = &args.report {
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    // Also one that was tried before: nothing of it is there, however often it is said.
    let useless = reports.iter().filter(|r| r.record.rows > 0 && r.record.good == 0);
    let useless: Vec<String> = useless.map(|report| all_quarantined(&report.record)).collect();
    if !useless.is_empty() {
        bail!(useless.join("\n"));
    }
    Ok(())
}

/// What is said of a file of which no row is good: hardly ever are the rows to blame, and whoever asks the exit code must know.
fn all_quarantined(LoadRecord { file, table, rows, member, .. }: &LoadRecord) -> String {
    let member = member.as_ref().map(|code| format!(", or name another --member than {code}"));
    format!(
        "all {rows} rows of {file} were quarantined: nothing of it is in the table `{table}`\n    fix: correct the file, or the \
         [[source]] that reads it{}, and load it again",
        member.unwrap_or_default()
    )
}

/// The member must be one of the rulebook's: where a file says no member, its rows would be of nobody.
fn check_member(rulebook: &Path, code: &str) -> anyhow::Result<()> {
    let folder = rulebook.join("members");
    // A rulebook may have no members, only standards.
    if !folder.is_dir() {
        return Ok(());
    }
    let mut known = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().join("member.toml").is_file() {
            known.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    if known.iter().any(|member| member == code) {
        return Ok(());
    }
    known.sort();
    bail!(
        "the rulebook has no member `{code}`: nothing was loaded\n    fix: name one of {} with --member, or write {}",
        known.join(", "),
        folder.join(code).join("member.toml").display()
    )
}

async fn load_one(
    mart: &Datamart,
    tokeniser: &Tokeniser,
    args: &Args,
    file: &Path,
) -> Result<LoadReport, LoadError> {
    let bytes = fs::metadata(file).map_or(0, |m| m.len());
    // indicatif draws nothing when standard error is no terminal.
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    let style = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(file.file_name().unwrap_or_default().to_string_lossy().into_owned());
    let progress = bar.clone();
    let options = LoadOptions {
        table: args.table.clone(),
        member: args.member.clone(),
        max_bad_percent: args.max_bad,
        progress: Some(Arc::new(move |bytes| progress.set_position(bytes))),
        ..LoadOptions::default()
    };
    let result = mart.load(file, &options, tokeniser).await;
    bar.finish_and_clear();
    result
}

/// The files that the arguments name, each with a source that takes it: known before anything is loaded.
fn files_to_load(mart: &Datamart, args: &Args) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut unknown = Vec::new();
    for path in &args.files {
        let about = fs::metadata(path).with_context(|| {
            format!(
                "cannot read {}: nothing was loaded\n    fix: name a file, or a folder of files",
                path.display()
            )
        })?;
        if !about.is_dir() {
            mart.source_of(path, args.table.as_deref())?;
            files.push(path.clone());
            continue;
        }
        for file in files_in(path)? {
            match mart.source_of(&file, args.table.as_deref()) {
                Ok(_) => files.push(file),
                Err(LoadError::NoSource { .. }) => unknown.push(file.display().to_string()),
                Err(error) => return Err(error.into()),
            }
        }
    }
    if !unknown.is_empty() {
        let names = unknown.join(", ");
        if !args.skip_unknown {
            bail!(
                "no source takes {names}\n    fix: add a [[source]] to a standard, or give --skip-unknown; nothing was loaded"
            );
        }
        eprintln!("skipped, for no source takes them: {names}");
    }
    if files.is_empty() {
        bail!("there is no file to load");
    }
    Ok(files)
}

/// Files of a folder, by name; hidden ones and folders are left out.
fn files_in(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if entry.path().is_file() && !entry.file_name().to_string_lossy().starts_with('.') {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn summary(reports: &[LoadReport]) -> String {
    let loaded: Vec<_> = reports.iter().filter(|r| !r.already_loaded).map(|r| &r.record).collect();
    let sum = |of: fn(&tarim_datamart::LoadRecord) -> u64| loaded.iter().map(|r| of(r)).sum::<u64>();
    format!(
        "{} files loaded, {} already loaded: {} rows, {} good, {} quarantined",
        loaded.len(),
        reports.len() - loaded.len(),
        sum(|r| r.rows),
        sum(|r| r.good),
        sum(|r| r.bad)
    )
}
