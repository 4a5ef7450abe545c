//! A scratch home, and `tarim warn serve` on it as a process of its own.
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value as Json;

pub struct Desk {
    scratch: tempfile::TempDir,
}

impl Desk {
    pub fn new() -> Self {
        Self { scratch: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> String {
        self.scratch.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn tarim(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarim"));
        let rulebook = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/rulebook");
        command.args(["--rulebook", rulebook]).arg("--home").arg(self.scratch.path().join("home"));
        command
    }

    /// Runs a command to its end; it must succeed. Gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        succeeded(self.tarim().args(args).output().unwrap())
    }

    /// Starts `tarim warn serve`, and returns when it accepts connections.
    pub fn serve(&self, more: &[&str]) -> Server<'_> {
        let mut command = self.tarim();
        command.args(["warn", "serve", "--listen", "127.0.0.1:0"]).args(more).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = lines.next().expect("it says where it listens").unwrap();
            if let Some(url) = line.strip_prefix("warnings at ") {
                break url.to_owned();
            }
            said.push(line);
        };
        Server { desk: self, url, said, process, lines }
    }
}

/// A server process; killed when dropped.
pub struct Server<'a> {
    desk: &'a Desk,
    pub url: String,
    /// What it printed before it listened.
    pub said: Vec<String>,
    process: Child,
    /// Kept open, or the server could not print its last line.
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server<'_> {
    /// `tarim warn …` on this server.
    pub fn output(&self, args: &[impl AsRef<OsStr>]) -> Output {
        self.desk.tarim().arg("warn").args(args).args(["--server", &self.url]).output().unwrap()
    }

    pub fn ok(&self, args: &[impl AsRef<OsStr>]) -> String {
        succeeded(self.output(args))
    }

    /// What it prints with --json.
    pub fn json(&self, args: &[&str]) -> Vec<Json> {
        let printed = self.ok(&[args, &["--json"]].concat());
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; returns when it has ended well, with what it printed last.
    pub fn terminate(mut self) -> String {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
        self.lines.by_ref().map(Result::unwrap).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
