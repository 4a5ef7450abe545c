//! Peers in processes of their own: built from `peers/`, and asked for one pass at a time. So are executables of ours that
//! have another allocator than this one.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use serde_json::Value as Json;
use tarim_benches::ending::end_child;

use super::Setting;

/// Builds a peer of the workspace `peers/` and gives its executable.
pub fn build(setting: &Setting, name: &str) -> anyhow::Result<PathBuf> {
    let target = setting.target.join("peers");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    eprintln!("building {name} (the first time takes minutes) …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--locked", "--quiet", "--package", name, "--manifest-path"])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("the peer is missing: cargo cannot be run to build it")?;
    if !status.success() {
        bail!("the peer {name} is missing: cargo could not build {} ({status})", manifest.display());
    }
    Ok(target.join("release").join(name))
}

/// A peer that is ready. It writes one line of answers to all of its inputs, then for each line that it is sent
/// one line: the nanoseconds per operation of a pass. It ends with its standard input.
pub struct Contestant {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Contestant {
    /// Starts a peer; gives its first line too.
    pub fn start(executable: &Path, arguments: &[impl AsRef<OsStr>]) -> anyhow::Result<(Self, String)> {
        let mut child = Command::new(executable)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| executable.display().to_string())?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("its standard output is piped")?);
        let mut contestant = Self { child, to, from };
        let first = contestant.line()?;
        Ok((contestant, first))
    }

    /// Has it run once over its inputs; gives nanoseconds per operation.
    pub fn pass(&mut self) -> anyhow::Result<f64> {
        let to = self.to.as_mut().context("the peer has ended")?;
        to.write_all(b"\n")?;
        to.flush()?;
        Ok(self.line()?.trim().parse()?)
    }

    /// Nanoseconds that its threads have been on a processor.
    pub fn processor_ns(&self) -> anyhow::Result<f64> {
        let threads = format!("/proc/{}/task", self.child.id());
        let threads = std::fs::read_dir(threads).context("no /proc of Linux")?;
        let mut all = 0.0;
        for thread in threads {
            let told = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            let first = told.split_whitespace().next().context("schedstat says nothing")?;
            all += first.parse::<f64>()?;
        }
        Ok(all)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.from.read_line(&mut line)?;
        ensure!(read > 0, "the peer ended without an answer; what it said stands above");
        Ok(line)
    }
}

/// How long a peer may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

impl Drop for Contestant {
    fn drop(&mut self) {
        // Its standard input ends, so it does.
        drop(self.to.take());
        end_child(&mut self.child, PATIENCE);
    }
}

/// Builds an executable of this package that is not this one, as this program was built.
pub fn build_ours(setting: &Setting, name: &str) -> anyhow::Result<PathBuf> {
    let this = std::env::current_exe()?;
    let folder = this.parent().context("an executable is in a folder")?;
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--package", "tarim-benches", "--bin", name, "--profile", profile])
        .arg("--manifest-path")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&setting.target)
        .status()
        .with_context(|| format!("{name} is missing: cargo cannot be run to build it"))?;
    if !status.success() {
        bail!("{name} is missing: cargo could not build it ({status})");
    }
    Ok(folder.join(name))
}

/// Runs an executable of ours; gives the line of JSON that it printed.
pub fn measured(executable: &Path, arguments: &[&str]) -> anyhow::Result<Json> {
    let name = executable.display();
    let output = Command::new(executable).args(arguments).output().context("cannot run it")?;
    if !output.status.success() {
        bail!("{name} {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name} prints a line of JSON"))
}

/// A number of what was printed.
pub fn number(told: &Json, name: &str) -> anyhow::Result<f64> {
    told[name].as_f64().with_context(|| format!("the executable does not tell {name}"))
}
