//! What was measured: one table for people, the same as JSON.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use comfy_table::{Cell, CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value as Json, json};

/// A measured value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// Nanoseconds.
    Time(f64),
    /// A second.
    Rate(f64),
    Bytes(f64),
    Count(f64),
}

impl Quantity {
    fn value(self) -> f64 {
        let (Self::Time(x) | Self::Rate(x) | Self::Bytes(x) | Self::Count(x)) = self;
        x
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Time(_) => "ns",
            Self::Rate(_) => "1/s",
            Self::Bytes(_) => "bytes",
            Self::Count(_) => "",
        }
    }

    /// How many times as fast as `other` this is: less time, or more a second.
    fn speed_beside(self, other: Self) -> f64 {
        match self {
            Self::Rate(_) => self.value() / other.value(),
            _ => other.value() / self.value(),
        }
    }

    fn json(self) -> Json {
        json!({ "value": self.value(), "unit": self.unit() })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scaled = |f: &mut fmt::Formatter<'_>, x: f64, steps: &[(f64, &str)]| {
            let (size, unit) = steps.iter().rev().find(|(size, _)| x >= *size).unwrap_or(&steps[0]);
            let digits = if x / size < 10.0 { 2 } else { usize::from(x / size < 100.0) };
            write!(f, "{:.digits$}{unit}", x / size)
        };
        match *self {
            Self::Time(ns) => scaled(f, ns, &[(1.0, " ns"), (1e3, " µs"), (1e6, " ms"), (1e9, " s")]),
            Self::Rate(x) => scaled(f, x, &[(1.0, "/s"), (1e3, " k/s"), (1e6, " M/s")]),
            Self::Bytes(x) => {
                let (kib, mib, gib) = (1024.0, 1024.0 * 1024.0, 1024.0 * 1024.0 * 1024.0);
                scaled(f, x, &[(1.0, " B"), (kib, " KiB"), (mib, " MiB"), (gib, " GiB")])
            }
            Self::Count(x) if x.fract() == 0.0 => write!(f, "{x}"),
            Self::Count(x) => write!(f, "{x:.2}"),
        }
    }
}

/// What a goal wants.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// At least so many times as fast as the peer (0.5: half as fast).
    Faster(f64),
    /// At most so many times as slow as the peer.
    Slower(f64),
    /// Whatever the peer does.
    AtMost(Quantity),
    /// Whatever the peer does.
    AtLeast(Quantity),
    /// Nothing: told for its own sake.
    Told,
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faster(x) => write!(f, "≥ {x}× as fast"),
            Self::Slower(x) => write!(f, "≤ {x}× as slow"),
            Self::AtMost(q) => write!(f, "≤ {q}"),
            Self::AtLeast(q) => write!(f, "≥ {q}"),
            Self::Told => f.write_str("told"),
        }
    }
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Line {
    /// What was measured.
    pub what: String,
    pub ours: Quantity,
    /// Who it is compared with, and what that one took.
    pub peer: Option<(String, Quantity)>,
    pub wanted: Wanted,
}

impl Line {
    pub fn new(what: impl Into<String>, ours: Quantity, wanted: Wanted) -> Self {
        Self { what: what.into(), ours, peer: None, wanted }
    }

    pub fn beside(mut self, peer: impl Into<String>, theirs: Quantity) -> Self {
        self.peer = Some((peer.into(), theirs));
        self
    }

    /// How many times as fast as the peer, or as slow, whichever the goal asks for; where it asks for nothing, the figure itself
    /// beside the peer's.
    fn ratio(&self) -> Option<f64> {
        let peer = self.peer.as_ref()?.1;
        // What is the difference of two figures may be nothing, or less: that is no measure.
        let measured = |quantity: Quantity| quantity.value().is_finite() && quantity.value() > 0.0;
        if !(measured(self.ours) && measured(peer)) {
            return None;
        }
        let speed = self.ours.speed_beside(peer);
        Some(match self.wanted {
            Wanted::Faster(_) | Wanted::AtLeast(_) => speed,
            Wanted::Slower(_) | Wanted::AtMost(_) => 1.0 / speed,
            Wanted::Told => self.ours.value() / peer.value(),
        })
    }

    /// None: nothing was wanted.
    fn is_met(&self) -> Option<bool> {
        match self.wanted {
            Wanted::Faster(x) => Some(self.ratio().is_some_and(|r| r >= x)),
            Wanted::Slower(x) => Some(self.ratio().is_some_and(|r| r <= x)),
            Wanted::AtMost(q) => Some(self.ours.value() <= q.value()),
            Wanted::AtLeast(q) => Some(self.ours.value() >= q.value()),
            Wanted::Told => None,
        }
    }
}

/// Everything that was measured.
pub struct Report {
    quick: bool,
    /// Where fixtures were put, if somebody said so.
    disk: Option<PathBuf>,
    goals: Vec<(&'static str, anyhow::Result<Vec<Line>>)>,
}

impl Report {
    pub fn new(quick: bool, disk: Option<&Path>) -> Self {
        Self { quick, disk: disk.map(Path::to_path_buf), goals: Vec::new() }
    }

    pub fn add(&mut self, goal: &'static str, lines: anyhow::Result<Vec<Line>>) {
        self.goals.push((goal, lines));
    }

    /// Was everything measured, and is all of it met?
    pub fn is_met(&self) -> bool {
        self.goals.iter().all(|(_, lines)| {
            lines.as_ref().is_ok_and(|lines| lines.iter().all(|line| line.is_met() != Some(false)))
        })
    }

    pub fn json(&self) -> Json {
        let goals = self.goals.iter().flat_map(|(goal, lines)| match lines {
            Ok(lines) => lines.iter().map(|line| json_of(goal, line)).collect(),
            Err(e) => vec![json!({ "goal": goal, "error": format!("{e:#}"), "met": false })],
        });
        json!({
            "machine": machine(),
            "version": version(),
            "date": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "quick": self.quick,
            "release": !cfg!(debug_assertions),
            "disk": self.disk.as_ref().map(|disk| disk.display().to_string()),
            "goals": goals.collect::<Vec<_>>(),
        })
    }
}

fn json_of(goal: &str, line: &Line) -> Json {
    json!({
        "goal": goal,
        "what": line.what,
        "ours": line.ours.json(),
        "peer": line.peer.as_ref().map(|(name, q)| json!({ "name": name, "took": q.json() })),
        "ratio": line.ratio(),
        "wanted": line.wanted.to_string(),
        "met": line.is_met(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_preset(UTF8_FULL_CONDENSED);
        table.set_header(["goal", "what", "ours", "peer", "ratio", "wanted", "met"]);
        for column in [2, 4] {
            table.column_mut(column).expect("seven columns").set_cell_alignment(CellAlignment::Right);
        }
        let mut unmeasured = Vec::new();
        for (goal, lines) in &self.goals {
            match lines {
                Ok(lines) => {
                    for line in lines {
                        table.add_row(cells(goal, line));
                    }
                }
                Err(e) => {
                    table.add_row([goal, "cannot be measured here", "–", "–", "–", "–", "no"]);
                    unmeasured.push(format!("{goal}: {e:#}"));
                }
            }
        }
        let known = |value: &Json| value.as_str().map_or("unknown".into(), str::to_owned);
        let machine = machine();
        writeln!(
            f,
            "{}, {} cores, {}; version {}; {}",
            known(&machine["cpu"]),
            machine["cores"],
            known(&machine["memory"]),
            version().unwrap_or("unknown".into()),
            chrono::Utc::now().format("%Y-%m-%d")
        )?;
        write!(f, "{table}")?;
        for why in unmeasured {
            write!(f, "\n{why}")?;
        }
        if self.quick {
            f.write_str("\n--quick: small sizes and few rounds; not to be quoted")?;
        }
        if cfg!(debug_assertions) {
            f.write_str("\ndebug build: nothing here is to be quoted; run with cargo run --release")?;
        }
        if let Some(disk) = &self.disk {
            let disk = disk.display();
            write!(
                f,
                "\n--disk {disk}: fixtures, journals and ledgers were there; of another disk this says nothing"
            )?;
        }
        Ok(())
    }
}

fn cells(goal: &str, line: &Line) -> [Cell; 7] {
    let peer = line.peer.as_ref().map_or("–".into(), |(name, q)| format!("{q} {name}"));
    let ratio = line.ratio().map_or("–".into(), |r| format!("{r:.2}"));
    let met = match line.is_met() {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "–",
    };
    let texts = [
        goal.into(),
        line.what.clone(),
        line.ours.to_string(),
        peer,
        ratio,
        line.wanted.to_string(),
        met.into(),
    ];
    texts.map(Cell::new)
}

/// Processor, cores and memory.
fn machine() -> Json {
    let first = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    json!({
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map(usize::from).unwrap_or(1),
        "memory": first("/proc/meminfo", "MemTotal"),
    })
}

/// What `git describe` says of the sources, if they are in a repository.
fn version() -> Option<String> {
    let mut git = std::process::Command::new("git");
    git.args(["describe", "--always", "--dirty"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = git.output().ok().filter(|o| o.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
