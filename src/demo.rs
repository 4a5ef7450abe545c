//! `tarim demo`: a small bank, taken through everything.
//!
//! Every step is a command that a user could type: the demo prints it and runs it, so what it shows is
//! what the verbs do, and nothing else.

mod copies;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Parser;
use comfy_table::{Table, presets};
use serde_json::Value as Json;
use tarim_decision::service::Threads;
use tarim_examples::Plan;

use self::copies::{copy, differences};
use crate::{Cli, Verb, home::Home, serve};

/// Written into a demo's folder, so that only a demo's folder is ever cleared.
const MARKER: &str = ".tarim-demo";

/// Beside the rulebook of a demo, the same as it was copied: what differs is somebody's work.
const AS_COPIED: &str = ".rulebook-as-copied";

/// Where `synth` puts the newest applications, as a lending system would send them.
const REQUESTS: &str = "requests/requests.ndjson";

/// Where `synth` puts the history of the bank's customers.
const EVENTS: &str = "events/events.ndjson";

/// The bank's last day: what is known, and when the applications are decided.
const AS_OF: &str = "2026-06-30T00:00:00Z";

#[derive(clap::Args)]
#[command(after_help = "Example:\n  tarim demo --customers 5000 --seed 7\n\n\
    The folder is kept, for you to go on with: see the commands printed at the end. Another demo clears it, but refuses \
    to where its rulebook was edited; `diff -r tarim-demo/.rulebook-as-copied tarim-demo/rulebook` shows what was. The \
    demo has a home and a rulebook of its own: --home and --rulebook are refused.")]
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
    /// Clear the folder of an earlier demo even where its rulebook was edited
    #[arg(long)]
    discard_edits: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { folder, from, customers, seed, discard_edits } = args;
    // Before anything is cleared: it may be the work of days.
    if let Some(wrong) = Plan::new(customers, seed).wrong() {
        bail!("{wrong}");
    }
    check_apart(&from, &folder)?;
    if !discard_edits {
        check_unedited(&folder, &from)?;
    }
    start_afresh(&folder)?;
    let rulebook = folder.join("rulebook");
    for to in [&folder.join(AS_COPIED), &rulebook] {
        copy(&from, to).with_context(|| format!("cannot copy the rulebook of {}", from.display()))?;
    }
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

    demo.serve_and_decide(&folder, &Path::new(bank).join(REQUESTS))?;

    demo.step("The journal, decided again: not a bit may differ", &["replay"])?;
    let decisions = folder.join("decisions.ndjson");
    demo.step(
        "All applications that the bank ever had, each as of its own time",
        &["backtest", "--out", path(&decisions)?],
    )?;
    let alerts = folder.join("alerts.ndjson");
    demo.step(
        "What happened to the customers since, through the warning rules",
        &["warn", "replay", "--from", path(&Path::new(bank).join(EVENTS))?, "--to", path(&alerts)?],
    )?;
    let pushes = folder.join("pushes.ndjson");
    demo.step(
        "What their account managers would have been told of it",
        &["warn", "deliver", "--from", path(&alerts)?, "--to", path(&pushes)?, "--limit", "5"],
    )?;
    demo.what_next(&decisions)
}

/// A run of the demo: every command works on the same two folders.
struct Demo {
    home: PathBuf,
    rulebook: PathBuf,
}

impl Demo {
    /// Prints the command as a user would type it, then runs it.
    fn step(&self, title: &str, command: &[&str]) -> anyhow::Result<()> {
        announce(title, command);
        self.cli(command)?.run().with_context(|| format!("tarim {}", command.join(" ")))
    }

    fn cli(&self, command: &[&str]) -> anyhow::Result<Cli> {
        Ok(Cli::try_parse_from(self.line(command)?)?)
    }

    fn line<'a>(&'a self, command: &[&'a str]) -> anyhow::Result<Vec<&'a str>> {
        let mut line = vec!["tarim", "--home", path(&self.home)?, "--rulebook", path(&self.rulebook)?];
        line.extend(command);
        Ok(line)
    }

    /// Serves, sends the bank's newest applications down one stream, and shows one decision of each outcome.
    fn serve_and_decide(&self, folder: &Path, requests: &Path) -> anyhow::Result<()> {
        let command = ["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--now", AS_OF];
        announce("The service, with its clock on the bank's last day", &command);
        let Verb::Serve(args) = self.cli(&command)?.verb else { unreachable!("the command is serve") };
        let home = Home::at(&self.home, &self.rulebook);
        let (runtime, threads) = Threads::start(None)?;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (running, _hearing) = runtime.block_on(serve::start(&home, &args, threads, async {
            // Either way, told to stop or forgotten, it stops.
            let _ = stopped.await;
        }))?;
        let server = format!("http://{}", running.address());
        println!("decisions at {server}");

        let ask = ["decide", "--server", &server, "--file", path(requests)?, "--stream", "--json"];
        announce("The newest applications, down one stream", &ask);
        let answers = self.output(&ask)?;
        let shown = folder.join("one-of-each.ndjson");
        std::fs::write(&shown, one_of_each(&answers, requests)?)?;

        let again = ["decide", "--server", &server, "--file", path(&shown)?];
        self.step("One of each outcome, asked for again: a repeated request gets its first answer", &again)?;
        drop(stop);
        runtime.block_on(running.ended())?;
        println!("the service has stopped; what it accepted is answered and in the journal");
        Ok(())
    }

    /// What a command prints, run as a process of its own.
    fn output(&self, command: &[&str]) -> anyhow::Result<String> {
        let line = self.line(command)?;
        let output = std::process::Command::new(std::env::current_exe()?)
            .args(&line[1..])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        if !output.status.success() {
            bail!("tarim {} ended with {}", command.join(" "), output.status);
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn what_next(&self, decisions: &Path) -> anyhow::Result<()> {
        let (home, rulebook) = (path(&self.home)?, path(&self.rulebook)?);
        println!(
            "\n── What to try next\n\n\
             export TARIM_HOME={home} TARIM_RULEBOOK={rulebook}\n\
             cargo run -q -- sql 'SELECT file, good, bad FROM loads ORDER BY bad DESC'\n\
             cargo run -q -- features list\n\
             $EDITOR {rulebook}/policies/admission.toml      # a rule of your own\n\
             cargo run -q -- rulebook check\n\
             cargo run -q -- rulebook test\n\
             cargo run -q -- backtest --out {again}   # and compare with {first}\n\
             cargo run -q -- serve --now {AS_OF}\n\n\
             README.md goes through them in ten minutes; RULEBOOK.md is the reference.",
            again = decisions.with_file_name("again.ndjson").display(),
            first = decisions.display(),
        );
        Ok(())
    }
}

fn announce(title: &str, command: &[&str]) {
    println!("\n── {title}\n$ tarim {}\n", command.join(" "));
}

/// Counts the answers by outcome and product, and returns the requests of the first answer of each
/// outcome, one a line.
fn one_of_each(answers: &str, requests: &Path) -> anyhow::Result<String> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut first: BTreeMap<String, String> = BTreeMap::new();
    for line in answers.lines() {
        let answer: Json = serde_json::from_str(line)?;
        let field = |name: &str| answer[name].as_str().unwrap_or("no decision").to_owned();
        let outcome = field("outcome");
        *counts.entry((field("product"), outcome.clone())).or_default() += 1;
        first.entry(outcome).or_insert_with(|| field("request_id"));
    }
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(["product", "outcome", "applications"]);
    for ((product, outcome), n) in counts {
        table.add_row([product, outcome, n.to_string()]);
    }
    println!("{table}");

    let mut lines = String::new();
    for line in std::fs::read_to_string(requests)?.lines() {
        let request: Json = serde_json::from_str(line)?;
        if first.values().any(|id| request["request_id"] == id.as_str()) {
            lines.push_str(line);
            lines.push('\n');
        }
    }
    Ok(lines)
}

/// The rulebook must be there, and elsewhere than the folder that is cleared for the demo.
fn check_apart(from: &Path, folder: &Path) -> anyhow::Result<()> {
    if !from.join("federation.toml").is_file() {
        bail!("no rulebook at {}: run this in Tarim's own folder, or name one with --from", from.display());
    }
    let from = from.canonicalize()?;
    // Only what is there can be cleared, or hold the rulebook.
    let Ok(folder) = folder.canonicalize() else { return Ok(()) };
    if from.starts_with(&folder) || folder.starts_with(&from) {
        bail!(
            "--folder {} and --from {} lie in each other, and the folder of a demo is cleared: copy the rulebook to another \
             place, or name another --folder",
            folder.display(),
            from.display()
        );
    }
    Ok(())
}

/// The rulebook of an earlier demo is as that demo copied it.
fn check_unedited(folder: &Path, from: &Path) -> anyhow::Result<()> {
    let (rulebook, as_copied) = (folder.join("rulebook"), folder.join(AS_COPIED));
    if !rulebook.is_dir() {
        return Ok(());
    }
    // An earlier release kept no copy.
    let as_copied = if as_copied.is_dir() { as_copied } else { from.to_path_buf() };
    let edits = differences(&as_copied, &rulebook)
        .with_context(|| format!("cannot tell whether {} was edited", rulebook.display()))?;
    if edits.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = edits.iter().take(5).map(|file| file.display().to_string()).collect();
    let more = if edits.len() > shown.len() { ", …" } else { "" };
    bail!(
        "{} was edited since it was copied, and the folder of a demo is cleared: {}{more} would be lost\n    fix: copy it to \
         another place, name another --folder, or say --discard-edits",
        rulebook.display(),
        shown.join(", ")
    )
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

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_does_not_clear_what_it_is_made_from() {
        let folder = tempfile::tempdir().unwrap();
        let (demo, rulebook) = (folder.path().join("demo"), folder.path().join("demo/rulebook"));
        std::fs::create_dir_all(&rulebook).unwrap();
        assert!(
            check_apart(&rulebook, &folder.path().join("new"))
                .unwrap_err()
                .to_string()
                .contains("no rulebook at")
        );
        for text in [&rulebook, &demo] {
            std::fs::write(text.join("federation.toml"), "").unwrap();
        }
        for (from, to) in [(&rulebook, &demo), (&demo, &rulebook), (&demo, &demo)] {
            let refused = check_apart(from, to).unwrap_err().to_string();
            assert!(refused.contains("lie in each other"), "{refused}");
        }
        check_apart(&rulebook, &folder.path().join("new")).unwrap();
        check_apart(Path::new("examples/rulebook"), &demo).unwrap();
    }

    /// A demo in this folder, from this rulebook, as it is before it makes a bank.
    fn begun(folder: &Path, from: &Path) {
        start_afresh(folder).unwrap();
        copy(from, &folder.join(AS_COPIED)).unwrap();
        copy(from, &folder.join("rulebook")).unwrap();
    }

    #[test]
    fn a_demo_does_not_clear_edits() {
        let folder = tempfile::tempdir().unwrap();
        let (demo, from) = (folder.path().join("demo"), folder.path().join("from"));
        std::fs::create_dir_all(from.join("policies")).unwrap();
        let write = |file: &Path, text: &str| std::fs::write(file, text).unwrap();
        write(&from.join("federation.toml"), "one");
        write(&from.join("policies/admission.toml"), "two");
        check_unedited(&demo, &from).expect("there was no demo");
        begun(&demo, &from);
        // Whoever edits what the demo was made from has lost nothing.
        write(&from.join("federation.toml"), "three");
        check_unedited(&demo, &from).expect("nobody edited the copy");
        type Edit = fn(&Path);
        let edits: [(Edit, &str); 3] = [
            (
                |r| std::fs::write(r.join("policies/admission.toml"), "mine").unwrap(),
                "policies/admission.toml",
            ),
            (|r| std::fs::write(r.join("policies/mine.toml"), "").unwrap(), "policies/mine.toml"),
            (|r| std::fs::remove_file(r.join("federation.toml")).unwrap(), "federation.toml"),
        ];
        for (edit, file) in edits {
            begun(&demo, &from);
            edit(&demo.join("rulebook"));
            let refused = check_unedited(&demo, &from).unwrap_err().to_string();
            assert!(refused.contains(&format!(": {file} would be lost")), "{refused}");
        }
        // What an editor keeps beside a file is nobody's work.
        begun(&demo, &from);
        write(&demo.join("rulebook/.federation.toml.swp"), "");
        check_unedited(&demo, &from).expect("nothing of the rulebook was edited");
        // A repository is, though nothing that it holds was edited yet.
        let repository = demo.join("rulebook/.git");
        std::fs::create_dir_all(repository.join("objects/pack")).unwrap();
        check_unedited(&demo, &from).expect("an empty folder holds nothing");
        for file in ["HEAD", "config", "objects/pack/a"] {
            write(&repository.join(file), "x");
        }
        let refused = check_unedited(&demo, &from).unwrap_err().to_string();
        assert!(refused.contains(": .git would be lost"), "{refused}");
        // One that came with the rulebook is there twice, and as it came.
        std::fs::create_dir_all(from.join("policies/.git")).unwrap();
        write(&from.join("policies/.git/HEAD"), "x");
        begun(&demo, &from);
        check_unedited(&demo, &from).expect("nobody edited the copy");
        write(&demo.join("rulebook/policies/.git/HEAD"), "y");
        let refused = check_unedited(&demo, &from).unwrap_err().to_string();
        assert!(refused.contains(": policies/.git would be lost"), "{refused}");
        std::fs::remove_dir_all(from.join("policies/.git")).unwrap();
        begun(&demo, &from);
        // A demo of before there were copies.
        std::fs::remove_dir_all(demo.join(AS_COPIED)).unwrap();
        check_unedited(&demo, &from).expect("the same text as it was made from");
        write(&demo.join("rulebook/federation.toml"), "mine");
        check_unedited(&demo, &from).unwrap_err();
    }

    #[test]
    fn a_bank_that_cannot_be_made_clears_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("demo");
        begun(&demo, Path::new("examples/berka/rulebook"));
        let line = ["tarim", "demo", "--customers", "50", "--folder", path(&demo).unwrap()];
        let refused = Cli::try_parse_from(line).unwrap().run().unwrap_err().to_string();
        assert!(refused.contains("customers is 50, and must be between"), "{refused}");
        assert!(demo.join("rulebook/federation.toml").is_file());
    }
}
