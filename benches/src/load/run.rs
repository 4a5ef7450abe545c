//! Sending.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use prost::bytes::Bytes;
use tarim_proto::decision::v1::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{Client, Measured, Mode, Pace, Plan, Requests, client::error_of};

/// How long answers are waited for once the last request is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most requests that an open loop has in flight: a server this far behind does not keep up.
const BEHIND: usize = 100_000;

/// Sends a load over some connections. `progress` is told now and then how many requests got a decision.
pub async fn run(
    clients: &[Client],
    requests: &Arc<Requests>,
    plan: &Plan,
    progress: &mut dyn FnMut(u64),
) -> anyhow::Result<Measured> {
    if clients.is_empty() {
        bail!("a load needs a connection");
    }
    let start = Instant::now();
    let load = Load {
        requests: requests.clone(),
        plan: *plan,
        from: start + plan.warmup,
        until: start + plan.warmup + plan.duration,
        measured: Arc::default(),
    };
    let (ended, mut all) = mpsc::channel::<anyhow::Result<()>>(1);
    for job in load.jobs(clients) {
        let ended = ended.clone();
        tokio::spawn(async move {
            if let Err(e) = job.await {
                // Nobody listens any more once another has failed.
                let _ = ended.send(Err(e)).await;
            }
        });
    }
    drop(ended);
    let overdue = tokio::time::sleep_until((load.until + PATIENCE).into());
    tokio::pin!(overdue);
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tokio::select! {
            failed = all.recv() => match failed {
                Some(failed) => failed?,
                None => break,
            },
            () = &mut overdue => bail!("answers are still missing {PATIENCE:?} after the last request"),
            _ = tick.tick() => progress(load.measured().answered),
        }
    }
    let mut measured = load.measured().clone();
    measured.elapsed = plan.duration;
    Ok(measured)
}

type Job = std::pin::Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// A load on its way.
#[derive(Clone)]
struct Load {
    requests: Arc<Requests>,
    plan: Plan,
    /// What was due before is warm-up.
    from: Instant,
    until: Instant,
    measured: Arc<Mutex<Measured>>,
}

impl Load {
    fn measured(&self) -> std::sync::MutexGuard<'_, Measured> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be run side by side.
    fn jobs(&self, clients: &[Client]) -> Vec<Job> {
        let connection = |i: usize| clients[i % clients.len()].clone();
        match (self.plan.mode, self.plan.pace) {
            (Mode::Stream, Pace::InFlight(n)) => {
                let window = n.div_ceil(clients.len());
                let all = clients.iter().cloned();
                all.map(|client| Box::pin(self.clone().stream(client, Due::Always, window)) as Job).collect()
            }
            (Mode::Stream, Pace::PerSecond(rate)) => {
                let pacers = self.pacers(rate, clients.len());
                let all = clients.iter().cloned().zip(pacers);
                all.map(|(client, due)| Box::pin(self.clone().stream(client, due, BEHIND)) as Job).collect()
            }
            (_, Pace::InFlight(n)) => {
                (0..n).map(|i| Box::pin(self.clone().closed(connection(i))) as Job).collect()
            }
            (_, Pace::PerSecond(rate)) => {
                let pacers = self.pacers(rate / self.plan.batch() as f64, 1);
                let clients = clients.to_vec();
                pacers
                    .into_iter()
                    .map(|due| Box::pin(self.clone().open(clients.clone(), due)) as Job)
                    .collect()
            }
        }
    }

    /// Sends one call after another.
    async fn closed(self, mut client: Client) -> anyhow::Result<()> {
        loop {
            let due = Instant::now();
            if due >= self.until {
                return Ok(());
            }
            self.call(&mut client, due).await;
        }
    }

    /// Sends a call whenever one is due.
    async fn open(self, clients: Vec<Client>, mut due: Due) -> anyhow::Result<()> {
        let in_flight = Arc::new(tokio::sync::Semaphore::new(BEHIND));
        let mut n = 0;
        while let Some(at) = due.next(self.until).await {
            let slot = in_flight.clone().try_acquire_owned();
            let slot = slot.with_context(|| format!("the server does not keep up: {BEHIND} wait for it"))?;
            let (load, mut client) = (self.clone(), clients[n % clients.len()].clone());
            n += 1;
            tokio::spawn(async move {
                load.call(&mut client, at).await;
                drop(slot);
            });
        }
        // All slots are free: everything is answered.
        drop(in_flight.acquire_many(BEHIND as u32).await);
        Ok(())
    }

    /// One call, of one request or of a batch.
    async fn call(&self, client: &mut Client, due: Instant) {
        let n = self.plan.batch();
        let refused = match self.plan.mode {
            Mode::Batch(_) => match client.batch(self.requests.next_batch(n), n).await {
                Ok(errors) => errors.into_iter().map(of_answer).collect(),
                // Then none of them has a decision.
                Err(status) => vec![of_call(&status); n],
            },
            _ => client.decide(self.requests.next()).await.err().iter().map(of_call).collect(),
        };
        self.count(n, due, &refused);
    }

    /// Sends down one stream, at most `window` ahead of the answers.
    async fn stream(self, mut client: Client, mut due: Due, window: usize) -> anyhow::Result<()> {
        let (sender, receiver) = mpsc::channel::<Bytes>(window);
        let mut answers = client.stream(ReceiverStream::new(receiver)).await?;
        let mut sender = Some(sender);
        let mut waiting: VecDeque<Instant> = VecDeque::new();
        loop {
            tokio::select! {
                biased;
                at = due.next(self.until), if sender.is_some() && waiting.len() < window => match at {
                    Some(at) => {
                        let sent = sender.as_ref().map(|to| to.try_send(self.requests.next()));
                        if sent.is_none_or(|sent| sent.is_err()) {
                            bail!("the server does not keep up: {window} wait for it");
                        }
                        waiting.push_back(at);
                    }
                    None => sender = None,
                },
                answer = answers.message() => match answer? {
                    Some(answer) => {
                        let at = waiting.pop_front().context("the server answers what it was not asked")?;
                        let refused: Vec<_> = error_of(answer)?.into_iter().map(of_answer).collect();
                        self.count(1, at, &refused);
                    }
                    None if waiting.is_empty() && sender.is_none() => return Ok(()),
                    None => bail!("the server ended the stream; {} requests had no answer", waiting.len()),
                },
            }
        }
    }

    /// Counts what came of one message with `n` requests, of which some were refused.
    fn count(&self, n: usize, due: Instant, refused: &[Refused]) {
        let now = Instant::now();
        if due < self.from {
            return;
        }
        let mut measured = self.measured();
        measured.answer(n.saturating_sub(refused.len()), now - due, now <= self.until);
        for (code, why) in refused {
            measured.refuse(*code, why);
        }
    }

    /// Says when requests are due, `rate` a second in all, dealt out to `n`.
    fn pacers(&self, rate: f64, n: usize) -> Vec<Due> {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..n).map(|_| mpsc::unbounded_channel()).unzip();
        let (start, until) = (Instant::now(), self.until);
        // A thread of its own: a timer of the runtime is a millisecond coarse.
        std::thread::spawn(move || {
            for i in 0.. {
                let at = start + Duration::from_secs_f64(i as f64 / rate);
                if at >= until {
                    return;
                }
                if let Some(early) = at.checked_duration_since(Instant::now()) {
                    std::thread::sleep(early);
                }
                if senders[i % n].send(at).is_err() {
                    return;
                }
            }
        });
        receivers.into_iter().map(Due::At).collect()
    }
}

/// When the next request is due.
enum Due {
    Always,
    At(mpsc::UnboundedReceiver<Instant>),
}

impl Due {
    /// None: no more.
    async fn next(&mut self, until: Instant) -> Option<Instant> {
        match self {
            Self::Always => Some(Instant::now()).filter(|now| *now < until),
            Self::At(due) => due.recv().await,
        }
    }
}

/// Why a request got no decision.
type Refused = (Code, String);

fn of_call(status: &Status) -> Refused {
    (status.code(), status.message().to_owned())
}

fn of_answer(error: Error) -> Refused {
    (Code::from_i32(error.code), error.message)
}
