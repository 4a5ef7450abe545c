//! Reads a server's metrics all the while, as Prometheus does: what runs is watched, and that is part of the figures.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};

/// From one read to the next. Prometheus takes 15 seconds if nobody says otherwise.
const EVERY: Duration = Duration::from_secs(1);

/// How long it waits for a part of an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that reads metrics until this goes.
pub struct Scraper {
    end: Sender<()>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Scraper {
    pub fn start(metrics: SocketAddr) -> Self {
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            loop {
                read(metrics).context("the metrics of the server cannot be read")?;
                if ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return Ok(());
                }
            }
        });
        Self { end, thread }
    }

    /// Ends it; an error if metrics could not be read once.
    pub fn end(self) -> anyhow::Result<()> {
        drop(self.end);
        self.thread.join().map_err(|_| anyhow!("who reads the metrics has panicked"))?
    }
}

fn read(metrics: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(metrics)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // As Prometheus does.
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{}", answer.lines().next().unwrap_or_default());
    ensure!(answer.ends_with("# EOF\n"), "they are cut short");
    Ok(())
}
