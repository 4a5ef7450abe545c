//! `events/events.ndjson`: what happened to the customers, in the order in which the bank came to know it.
//!
//! The bank is made one customer at a time, and each one's events fall on all days of the history. They wait in
//! a bucket for each day on which something became known, partly in memory, partly in `events/.part`; at the end
//! each bucket is sorted in memory, and the sorted ones stand one after another. So the memory is that of the
//! largest bucket, and some more for each day of the history.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use crate::{
    bank::SheetReport,
    calendar::{Day, Time},
};

/// The file, below the bank's folder: a folder of its own keeps it from being loaded as a table.
const FILE: &str = "events/events.ndjson";
/// Bytes of a bucket that are held in memory before they are written to its part.
const HELD: usize = 1 << 15;
/// Bytes before each line of a bucket: when it was known, and when it happened, in digits that sort as text does.
const KEY: usize = 15;

/// What every event has.
pub struct Event<'a> {
    pub kind: &'static str,
    /// Unique within the member and the kind.
    pub id: &'a str,
    pub member: &'a str,
    /// Whom it happened to: a customer, or a company.
    pub customer: &'a str,
    pub happened: Time,
    pub known: Time,
}

/// The fields of an event's kind.
pub struct Body<'a>(&'a mut String);

impl Body<'_> {
    /// Adds a text; an empty one is unknown, and so absent.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.name(name);
            push_text(self.0, value);
        }
        self
    }

    /// Adds a whole number.
    pub fn int(&mut self, name: &str, value: impl Into<i64>) -> &mut Self {
        self.name(name);
        let _ = write!(self.0, "{}", value.into());
        self
    }

    fn name(&mut self, name: &str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        let _ = write!(self.0, "\"{name}\":");
    }
}

/// All events, being collected.
pub struct Events {
    folder: PathBuf,
    first: Day,
    cutoff: Time,
    /// By day of the history.
    buckets: Vec<Vec<u8>>,
    line: String,
}

impl Events {
    /// An empty stream of a history in the bank's folder.
    pub fn create(bank: &Path, first: Day, cutoff: Time) -> io::Result<Self> {
        let folder = bank.join("events");
        let parts = folder.join(".part");
        // What an earlier run that was broken off left behind.
        if parts.exists() {
            fs::remove_dir_all(&parts)?;
        }
        fs::create_dir_all(parts)?;
        let days = usize::try_from(cutoff.day() - first).unwrap_or(0) + 1;
        Ok(Self { folder, first, cutoff, buckets: vec![Vec::new(); days], line: String::new() })
    }

    /// Adds an event, unless it happened before the history or is not known yet at its end. `body` adds the
    /// fields of its kind.
    pub fn write(&mut self, event: &Event<'_>, body: impl FnOnce(&mut Body<'_>)) -> io::Result<()> {
        let Event { kind, id, member, customer, happened, known } = *event;
        debug_assert!(happened <= known, "{kind} {id} is known before it happens");
        if happened < self.first.at(0) || known > self.cutoff {
            return Ok(());
        }
        self.line.clear();
        // Nothing happens before 1970 or after 2286, so ten digits are enough.
        let _ = write!(self.line, "{:05}{:010}", known.second(), happened.0);
        let _ = write!(
            self.line,
            "{{\"event_id\":\"{id}\",\"member\":\"{member}\",\"customer_id\":\"{customer}\",\
             \"happened_at\":\"{happened}\",\"known_at\":\"{known}\",\"{kind}\":{{"
        );
        body(&mut Body(&mut self.line));
        self.line.push_str("}}\n");

        let day = (known.day() - self.first) as usize;
        self.buckets[day].extend_from_slice(self.line.as_bytes());
        if self.buckets[day].len() > HELD { self.spill(day) } else { Ok(()) }
    }

    /// Writes what is held of a day to its part.
    fn spill(&mut self, day: usize) -> io::Result<()> {
        let mut part = OpenOptions::new().create(true).append(true).open(self.part(day))?;
        part.write_all(&self.buckets[day])?;
        self.buckets[day].clear();
        Ok(())
    }

    fn part(&self, day: usize) -> PathBuf {
        self.folder.join(".part").join(day.to_string())
    }

    /// Writes the file, day by day; its rows and bytes.
    pub fn finish(mut self) -> io::Result<SheetReport> {
        let mut out = BufWriter::with_capacity(1 << 16, File::create(self.folder.join("events.ndjson"))?);
        let mut report = SheetReport { file: FILE, rows: 0, bytes: 0 };
        for day in 0..self.buckets.len() {
            let part = self.part(day);
            let mut bucket = if part.exists() { fs::read(&part)? } else { Vec::new() };
            bucket.append(&mut self.buckets[day]);
            let mut lines: Vec<&[u8]> = bucket.split_inclusive(|byte| *byte == b'\n').collect();
            // Stable: what was known and happened in the same second stays in the order of the customers.
            lines.sort_by_key(|line| &line[..KEY]);
            for line in lines {
                out.write_all(&line[KEY..])?;
                report.rows += 1;
                report.bytes += (line.len() - KEY) as u64;
            }
            if part.exists() {
                fs::remove_file(part)?;
            }
        }
        out.flush()?;
        fs::remove_dir_all(self.folder.join(".part"))?;
        Ok(report)
    }
}

fn push_text(line: &mut String, text: &str) {
    if text.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
        line.push_str(&serde_json::Value::from(text).to_string());
    } else {
        line.push('"');
        line.push_str(text);
        line.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_first_stands_first() {
        let folder = tempfile::tempdir().unwrap();
        let (first, last) = (Day(20_000), Day(20_002));
        let mut events = Events::create(folder.path(), first, last.at(86_399)).unwrap();
        let mut add = |id: &str, happened: Time, known: Time| {
            let event = Event { kind: "tick", id, member: "001", customer: "c1", happened, known };
            let long = "\"".repeat(HELD / 3);
            events.write(&event, |body| _ = body.text("none", "").int("one", 1).text("long", &long)).unwrap();
        };
        add("late", first.at(5), last.at(9));
        add("second", first.at(7), first.at(8));
        add("first", first.at(6), first.at(8));
        add("third", first.at(7), first.at(8));
        add("before", (first + -1).at(0), first.at(0));
        add("after", first.at(0), (last + 1).at(0));
        let report = events.finish().unwrap();
        let text = fs::read_to_string(folder.path().join(FILE)).unwrap();
        let ids: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .inspect(|event| assert!(event["tick"]["one"] == 1 && event["tick"].get("none").is_none()))
            .map(|event| event["event_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids, ["first", "second", "third", "late"]);
        assert_eq!((report.rows, report.bytes), (4, text.len() as u64));
        assert_eq!(fs::read_dir(folder.path().join("events")).unwrap().count(), 1);
    }
}
