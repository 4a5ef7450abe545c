//! Servers in processes of their own: `tarim-benches-server`, built beside this program.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use prost::Message;
use tarim_benches::load::Client;
use tarim_proto::decision::v1 as wire;
use tonic::transport::Endpoint;

use super::scraper::Scraper;
use crate::goals::{
    Setting,
    peer::{Contestant, build_ours},
};

/// The executable. Not this one, whose allocator counts.
const NAME: &str = "tarim-benches-server";

/// The file of answers for the echo: each behind its length, as protobuf delimits messages.
const ANSWERS: &str = "answers";

/// How long a server is watched to see whether it is at rest, and how long it may take to be.
const SETTLING: Duration = Duration::from_millis(100);
const SETTLED_AT_LATEST: Duration = Duration::from_secs(30);

/// Builds the servers' executable.
pub fn build(setting: &Setting) -> anyhow::Result<PathBuf> {
    build_ours(setting, NAME)
}

/// A server that runs; it is ended when this is dropped.
pub struct Server {
    address: SocketAddr,
    /// Where it tells how it fares, if it does.
    metrics: Option<SocketAddr>,
    process: Contestant,
}

impl Server {
    /// The service, over what is in a folder.
    pub fn decide(executable: &Path, folder: &Path) -> anyhow::Result<Self> {
        Self::start(executable, "decide", folder)
    }

    /// An echo that gives these answers.
    pub fn echo(executable: &Path, folder: &Path, answers: &[Vec<u8>]) -> anyhow::Result<Self> {
        let mut file = Vec::new();
        for answer in answers {
            // The number is appended anew.
            let mut answer = wire::Decision::decode(&answer[..])?;
            answer.decision_id.clear();
            answer.encode_length_delimited(&mut file)?;
        }
        fs::write(folder.join(ANSWERS), file)?;
        Self::start(executable, "echo", folder)
    }

    fn start(executable: &Path, what: &str, folder: &Path) -> anyhow::Result<Self> {
        let arguments = [what.as_ref(), folder.as_os_str()];
        let (process, told) = Contestant::start(executable, &arguments)?;
        let mut addresses = told.split_whitespace().map(str::parse);
        let address = addresses.next().context("a server prints its address")??;
        Ok(Self { address, metrics: addresses.next().transpose()?, process })
    }

    /// Has its metrics read, if it has any, until what is given ends.
    pub fn watch(&self) -> Option<Scraper> {
        self.metrics.map(Scraper::start)
    }

    /// Nanoseconds that it has been on a processor.
    pub fn processor_ns(&self) -> anyhow::Result<f64> {
        self.process.processor_ns()
    }

    /// Returns once it is hardly ever on a processor: what it puts off until it is at rest is not to be in the way of another.
    pub fn settle(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let before = self.processor_ns()?;
            std::thread::sleep(SETTLING);
            if self.processor_ns()? - before < SETTLING.as_nanos() as f64 / 50.0 {
                return Ok(());
            }
            ensure!(start.elapsed() < SETTLED_AT_LATEST, "a server that nobody asks anything is busy");
        }
    }

    pub async fn connect(&self) -> anyhow::Result<Client> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?.tcp_nodelay(true);
        Ok(Client::connect(endpoint).await?)
    }
}
