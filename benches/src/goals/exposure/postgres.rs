//! PostgreSQL as a ledger: a function that locks twelve counters in the order of their ids, checks, adds, and notes the exposure;
//! called once for each reserve, prepared, over a Unix socket, committed synchronously. pgbench calls it.
//!
//! That is as its users would do it at their best: one round trip, no client that interprets anything, and no deadlock.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, bail};
use tarim_benches::ending::Ending;

/// What pgbench measured.
pub struct Measured {
    pub per_s: f64,
    pub mean_ns: f64,
    /// Transactions that share a sync of the log, and what one takes.
    pub per_sync: f64,
    pub sync_ns: f64,
}

/// Counters as in our own book: 10 of 12 are few and shared, two are a customer's.
const SCHEMA: &str = r"
create table counter (id bigint primary key, used bigint not null, hard bigint not null);
create table exposure (key text primary key, member int not null, customer bigint not null, fen bigint not null);
insert into counter select id, 0, 4611686018427387903 from generate_series(1, 400000 + 83 * 60) id;
create function reserve(k text, m int, c bigint, ids bigint[], amount bigint) returns bigint language plpgsql as $$
declare breached bigint;
begin
  insert into exposure values (k, m, c, amount) on conflict do nothing;
  if not found then return -1; end if;
  select count(*) into breached from
    (select used, hard from counter where id = any(ids) order by id for update) locked where used + amount > hard;
  if breached > 0 then raise exception 'breached'; end if;
  update counter set used = used + amount where id = any(ids);
  return breached;
end $$;
vacuum analyze;
select pg_stat_reset_shared('wal');
";

/// A member's 56 counters of industries, regions, products, purposes and guarantees, one of four of the federation, two of a customer.
const SCRIPT: &str = r"
\set m random(0, 82)
\set c random(1, 200000)
\set i random(0, 7)
\set r random(0, 3)
\set p random(0, 4)
\set u random(0, 3)
\set g random(0, 3)
\set n random(1, 9000000000000000000)
\set b 400000 + :m * 60
select reserve(:n::text, :m, :c, array[:c, 200000 + :c, :b + 1 + :i, :b + 9 + :i, :b + 17 + :i, :b + 25 + :r, :b + 29 + :p, :b + 34 + :u, :b + 38 + :g, :b + 42 + :p, :b + 50, 400001 + 60 * :i + 54]::bigint[], 100000);
";

/// Reserves by so many callers for so many seconds.
pub fn reserves(folder: &Path, callers: usize, seconds: u64) -> anyhow::Result<Measured> {
    let (server, _ending) = Server::start(folder)?;
    server.psql(SCHEMA)?;
    let script = folder.join("reserve.sql");
    std::fs::write(&script, SCRIPT)?;
    let callers = callers.to_string();
    let output = as_user(Command::new("pgbench"), &server.user)
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--jobs=2",
            "--client",
            &callers,
            "--time",
            &seconds.to_string(),
        ])
        .arg("--file")
        .arg(&script)
        .args(["--host", &server.socket(), "postgres"])
        .output()
        .context("pgbench is missing; install postgresql-contrib")?;
    let text = told(output)?;
    let number = |after: &str| -> anyhow::Result<f64> {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(after));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.with_context(|| format!("pgbench does not tell `{after}`: {text}"))?.parse().map_err(Into::into)
    };
    let done = number("number of transactions actually processed: ")?;
    let syncs = told(server.query("select wal_sync, wal_sync_time from pg_stat_wal").output()?)?;
    let mut numbers = syncs.trim().split('|').map(str::parse::<f64>);
    let mut next = || numbers.next().and_then(Result::ok).context("PostgreSQL does not tell its syncs");
    let (syncs, sync_ms) = (next()?, next()?);
    Ok(Measured {
        per_s: number("tps = ")?,
        mean_ns: 1e6 * number("latency average = ")?,
        per_sync: done / syncs,
        sync_ns: 1e6 * sync_ms / syncs,
    })
}

/// A server of our own.
struct Server {
    folder: PathBuf,
    programs: PathBuf,
    user: Option<String>,
}

impl Server {
    /// It runs until what is given beside it goes.
    fn start(folder: &Path) -> anyhow::Result<(Self, Ending)> {
        let programs = programs()?;
        // PostgreSQL does not run as root; Debian's package has made a user for it.
        let root = told(Command::new("id").arg("-u").output()?)?.trim() == "0";
        let user = root.then(|| "postgres".to_owned());
        if let Some(user) = &user {
            told(Command::new("chown").args([user.as_ref(), folder.as_os_str()]).output()?)?;
            // The folder of all goals is ours alone; it must be let through.
            let above = folder.parent().context("it is in the folder of all goals")?;
            told(Command::new("chmod").arg("o+x").arg(above).output()?)?;
        }
        let server = Self { folder: folder.into(), programs, user };
        let data = server.data();
        let ending = server.ending();
        told(
            server.program("initdb").args(["--auth=trust", "--no-instructions", "-D"]).arg(&data).output()?,
        )?;
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{}' -c fsync=on -c synchronous_commit=on \
             -c shared_buffers=1GB -c max_connections=200 -c track_wal_io_timing=on -c max_wal_size=8GB -c checkpoint_timeout=30min",
            server.socket()
        );
        let log = folder.join("log");
        told(
            server
                .program("pg_ctl")
                .args(["start", "-w", "-o", &options, "-l"])
                .arg(&log)
                .arg("-D")
                .arg(&data)
                .output()?,
        )?;
        Ok((server, ending))
    }

    fn ending(&self) -> Ending {
        let mut stop = self.program("pg_ctl");
        stop.args(["stop", "-w", "-m", "immediate", "-D"]).arg(self.data());
        // Another ctrl-c is not for it.
        stop.process_group(0);
        let folder = self.folder.clone();
        Ending::new(move || {
            if !stop.output().is_ok_and(|output| output.status.success()) {
                eprintln!("PostgreSQL in {} could not be stopped", folder.display());
            }
        })
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A path of a socket has at most 107 bytes, and a target folder may be deep.
    fn socket(&self) -> String {
        self.data().to_string_lossy().into_owned()
    }

    fn program(&self, name: &str) -> Command {
        let mut command = as_user(Command::new(self.programs.join(name)), &self.user);
        command.current_dir("/");
        command
    }

    /// Rows as lines, with `|` between columns.
    fn query(&self, text: &str) -> Command {
        let mut psql = self.program("psql");
        psql.args(["--no-psqlrc", "-At", "--host", &self.socket(), "postgres", "-c", text]);
        psql
    }

    fn psql(&self, text: &str) -> anyhow::Result<()> {
        for statement in split(text) {
            let mut psql = self.program("psql");
            psql.args([
                "--no-psqlrc",
                "--quiet",
                "-v",
                "ON_ERROR_STOP=1",
                "--host",
                &self.socket(),
                "postgres",
                "-c",
            ]);
            told(psql.arg(statement).output()?)?;
        }
        Ok(())
    }
}

/// Statements, each with a line that ends in `;` where no function's text is open.
fn split(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut quoted = false;
    for line in text.lines() {
        quoted ^= line.matches("$$").count() % 2 == 1;
        let last = all.last_mut().expect("there is one");
        last.push_str(line);
        last.push('\n');
        if !quoted && line.trim_end().ends_with(';') {
            all.push(String::new());
        }
    }
    all.retain(|statement| !statement.trim().is_empty());
    all
}

/// Folder of PostgreSQL's programs: Debian puts them aside by version.
fn programs() -> anyhow::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .context("PostgreSQL is missing: apt-get install postgresql")?;
    let mut found: Vec<PathBuf> = versions.filter_map(|e| Some(e.ok()?.path().join("bin"))).collect();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found.pop().context("PostgreSQL is missing: apt-get install postgresql")
}

/// The same command, run by another user.
fn as_user(command: Command, user: &Option<String>) -> Command {
    let Some(user) = user else { return command };
    let mut other = Command::new("runuser");
    other.args(["-u", user, "--"]).arg(command.get_program()).args(command.get_args());
    other
}

fn told(output: Output) -> anyhow::Result<String> {
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
