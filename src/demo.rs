//! `tarim demo`: a small bank, taken through everything.
//!
//! Every step is a command that a user could type: the demo prints it and runs it, so what it shows is
//! what the verbs do, and nothing else.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Parser;

use crate::Cli;

/// Written into a demo's folder, so that only a demo's folder is ever cleared.
const MARKER: &str = ".tarim-demo";

/// The bank's last day: what is known, and when the applications are decided.
const AS_OF: &str = "2026-06-30T00:00:00Z";

#[derive(clap::Args)]
#[command(after_help = "Example:\n  tarim demo --customers 5000 --seed 7\n\n\
    The folder is kept, for you to go on with: see the commands printed at the end.")]
pub struct Args {
    /// Folder of the demo's bank, datamart, store, journal and rulebook
    #[arg(long, default_value = "tarim-demo", value_name = "FOLDER")]
    folder: PathBuf,
    /// Rulebook to start from
    #[arg(long, default_value = "examples/rulebook", value_name = "FOLDER")]
    from: PathBuf,
    /// Customers of the bank
    #[arg(long, default_value_t = 1000)]
    customers: u64,
    /// The same seed makes the same bank
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { folder, from, customers, seed } = args;
    start_afresh(&folder)?;
    let rulebook = folder.join("rulebook");
    copy(&from, &rulebook).with_context(|| {
        format!("no rulebook at {}: run this in Tarim's own folder, or name one with --from", from.display())
    })?;
    let bank = folder.join("bank");

    let demo = Demo { home: folder.join("home"), rulebook };
    let (customers, seed) = (customers.to_string(), seed.to_string());
    let bank = path(&bank)?;
    demo.step(
        "A bank, made from a seed",
        &["synth", "--out", bank, "--customers", &customers, "--seed", &seed],
    )?;
    demo.step("Its files, through the quality gate", &["load", bank])?;
    demo.step(
        "Features as of the bank's last day, into the online store",
        &["materialize", "--as-of", AS_OF],
    )?;
    demo.step("The rulebook, checked", &["rulebook", "check"])?;
    demo.step("its cases, run", &["rulebook", "test"])?;
    demo.step("and published", &["rulebook", "publish"])?;
    Ok(())
}

/// A run of the demo: every command works on the same two folders.
struct Demo {
    home: PathBuf,
    rulebook: PathBuf,
}

impl Demo {
    /// Prints the command as a user would type it, then runs it.
    fn step(&self, title: &str, command: &[&str]) -> anyhow::Result<()> {
        println!("\n── {title}\n$ tarim {}\n", command.join(" "));
        let mut line = vec!["tarim", "--home", path(&self.home)?, "--rulebook", path(&self.rulebook)?];
        line.extend(command);
        Cli::try_parse_from(line)?.run().with_context(|| format!("tarim {}", command.join(" ")))
    }
}

/// An empty folder: what an earlier demo left is cleared, what someone else left is not.
fn start_afresh(folder: &Path) -> anyhow::Result<()> {
    let marker = folder.join(MARKER);
    if folder.exists() && folder.read_dir()?.next().is_some() {
        if !marker.exists() {
            bail!("{} is not empty and not a demo's: name another with --folder", folder.display());
        }
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(marker, "Made by `tarim demo`, which clears this folder when it runs again.\n")?;
    Ok(())
}

/// Copies a folder of text, so that a newcomer edits a rulebook of their own.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
