//! An installation made by the commands that a user types, and servers of it as processes of their own.
use std::{
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// A folder with a rulebook, loaded and materialised, ready to serve.
pub struct Installation {
    folder: TempDir,
}

impl Installation {
    /// The small rulebook of the service's own tests, with three customers of member 001.
    pub fn new() -> Self {
        let installation = Self { folder: tempfile::tempdir().expect("a folder") };
        let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("decision/src/service/tests/rulebook");
        copy(&rulebook, &installation.path("rulebook"));
        let bank = installation.path("bank");
        fs::create_dir(&bank).expect("a folder");
        let customers = "member,customer_id,since,city,salary\n\
            001,c1,2020-01-01T00:00:00Z,Nanning,8000\n\
            001,c2,2020-01-01T00:00:00Z,Guilin,3000\n\
            001,bad,2020-01-01T00:00:00Z,Wuzhou,9000\n";
        fs::write(bank.join("customers.csv"), customers).expect("writable");
        let entries = "member,entry_id,list,customer_id,reason,source,valid_from,expires_at\n\
            001,e1,black,bad,fraud,court,2020-01-01,\n";
        fs::write(bank.join("list_entries.csv"), entries).expect("writable");
        installation.run(&["load", bank.to_str().expect("UTF-8")]);
        installation.run(&["materialize", "--as-of", "2026-06-30"]);
        installation.run(&["rulebook", "publish"]);
        installation
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `tarim` on this installation.
    pub fn command(&self, args: &[&str]) -> Command {
        let rulebook = self.path("rulebook");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tarim"));
        command.arg("--home").arg(self.path("home")).arg("--rulebook").arg(rulebook).args(args);
        command
    }

    /// Runs a command to its end; it must succeed. Gives what it printed.
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "tarim {}:\n{}{}",
            args.join(" "),
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a command to its end; it must fail with exit code 1. Gives what it said on standard error.
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "tarim {}:\n{said}", args.join(" "));
        said
    }

    /// Runs a command to its end, whatever that is.
    pub fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// Starts `tarim serve`, and returns when it accepts connections.
    pub fn serve(&self) -> Server {
        self.serve_with(&[], Stdio::inherit())
    }

    /// As [`Installation::serve`], with more arguments; `log` takes its standard error.
    pub fn serve_with(&self, more: &[&str], log: Stdio) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0"]);
        command.env("TARIM_LOG", "info");
        Server::start(command.args(more).stderr(log), "decisions at ")
    }

    /// Starts `tarim warn serve` with these arguments, and returns when it accepts connections.
    pub fn watch(&self, more: &[&str]) -> Server {
        let mut command = self.command(&["warn", "serve", "--listen", "127.0.0.1:0"]);
        Server::start(command.args(more), "warnings at ")
    }
}

/// A server process; killed when dropped.
pub struct Server {
    pub url: String,
    /// What it printed before it listened.
    said: Vec<String>,
    process: Child,
    /// Kept open, or the server could not print its last line.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a server that says where it listens in a line that begins so.
    pub fn start(command: &mut Command, says: &str) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().expect("the binary runs");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        let url = loop {
            let line = lines.next().expect("it says where it listens").expect("text");
            let url = line.strip_prefix(says).map(str::to_owned);
            said.push(line);
            if let Some(url) = url {
                break url;
            }
        };
        Server { url, said, process, _lines: lines }
    }

    /// All metrics, as Prometheus reads them.
    pub fn metrics(&self) -> String {
        let address = self.said.iter().find_map(|line| line.strip_prefix("metrics at http://"));
        let address = address.and_then(|rest| rest.strip_suffix("/metrics")).expect("it says where");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: {address}\r\n\r\n").expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it closes the connection");
        answer
    }

    /// A metric, as it is told.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = self.metrics();
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not told")).parse().expect("a number")
    }

    /// Asks until a metric is so. What is waited for goes on in other processes, and each question takes its time.
    pub fn wait_for(&self, name: &str, value: f64) {
        let since = Instant::now();
        while self.metric(name) != value {
            assert!(since.elapsed() < Duration::from_secs(120), "{name} is {}", self.metric(name));
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it is our child");
    }

    /// SIGTERM; returns when it has ended.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal("-TERM");
        self.process.wait().expect("it is our child")
    }

    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill(1) runs");
        assert!(sent.success());
    }

    /// Lines of its log, if that was piped.
    pub fn log(&mut self) -> impl Iterator<Item = String> + use<> {
        let log = self.process.stderr.take().expect("it is piped");
        BufReader::new(log).lines().map(|line| line.expect("text"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Metrics that the alerting rules of examples/prometheus ask for, by how they begin: `tarim_warn_` are of `tarim warn run`,
/// `tarim_desk_` of `tarim warn serve`, and all others, for which `tarim_` stands, of `tarim serve`.
pub fn alerted_on(of: &str) -> Vec<String> {
    const OTHERS: [&str; 2] = ["tarim_warn_", "tarim_desk_"];
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/prometheus/alerts.yml");
    let text = fs::read_to_string(file).expect("it is there");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let metrics = words.filter(|word| word.starts_with("tarim_"));
    let metrics = metrics.filter(|metric| match OTHERS.iter().find(|other| metric.starts_with(**other)) {
        Some(other) => *other == of,
        None => of == "tarim_",
    });
    metrics.map(str::to_owned).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let (entry, target) =
            entry.map(|entry| (entry.path(), to.join(entry.file_name()))).expect("an entry");
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(entry, target).expect("a file");
        }
    }
}
