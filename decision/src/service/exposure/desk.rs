//! The desk: takes operations and questions to the ledger, and waits for it without holding a thread.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{
    looks::Looks,
    metrics::{self, Metrics},
    refusal::Refusal,
    wire::Asks,
};
use crate::{
    exposure::{Answer, Core, Ledger, Operation, Prepared},
    service::{Deadline, server::Config},
};

/// What every call works with. Clones share everything.
#[derive(Clone)]
pub struct Desk {
    /// There is none until a rulebook has limits.
    ledger: Arc<OnceLock<Arc<Ledger>>>,
    /// One for each operation in flight, and one for each answer that is streamed.
    pub slots: Arc<Semaphore>,
    pub streams: Arc<Semaphore>,
    /// A ledger of the past is read from the disk, and is as large as that of today: one at a time.
    past: Arc<Semaphore>,
    pub metrics: Arc<Metrics>,
    /// How counters stand, for decisions.
    pub looks: Looks,
    /// True once the service is shutting down.
    stopping: watch::Receiver<bool>,
}

impl Desk {
    pub fn new(config: &Config, stopping: watch::Receiver<bool>) -> Self {
        Self {
            ledger: Arc::default(),
            slots: Arc::new(Semaphore::new(config.max_in_flight)),
            streams: Arc::new(Semaphore::new(config.max_streams)),
            past: Arc::new(Semaphore::new(1)),
            metrics: Arc::default(),
            looks: Looks::default(),
            stopping,
        }
    }

    /// The ledger, once there is one.
    pub fn opened(&self) -> Option<&Arc<Ledger>> {
        self.ledger.get()
    }

    /// From now on this is the ledger.
    pub fn open(&self, ledger: Arc<Ledger>) {
        assert!(self.ledger.set(ledger).is_ok(), "it is opened once");
    }

    pub fn ledger(&self) -> Result<&Arc<Ledger>, Refusal> {
        const NONE: &str = "the rulebook has no exposure limits, so there is no ledger: write them in its limits/, and \
                            publish it";
        self.opened().ok_or_else(|| Refusal::Absent(NONE.into()))
    }

    /// A slot at once, or none.
    pub fn slot(&self, slots: &Arc<Semaphore>, what: &str) -> Result<OwnedSemaphorePermit, Refusal> {
        if *self.stopping.borrow() {
            return Err(Refusal::Unavailable(STOPPING.into()));
        }
        slots.clone().try_acquire_owned().map_err(|_| Refusal::Busy(what.into()))
    }

    /// Does an operation; returns when it is durable, or the caller does not wait any more.
    pub async fn operate<R: Asks>(&self, request: R, deadline: Deadline) -> Result<Answer, Refusal> {
        let arrived = Instant::now();
        let (member, of) = request.of();
        let span = (start(member).to_owned(), start(of).to_owned());
        let ended = self.done(request, deadline).await;
        self.metrics.times.time(arrived.elapsed());
        self.metrics.operation(R::KIND, &ended);
        note(&span, metrics::KINDS[R::KIND], &ended);
        ended
    }

    async fn done<R: Asks>(&self, request: R, deadline: Deadline) -> Result<Answer, Refusal> {
        let slot = self.slot(&self.slots, "operations in flight")?;
        let ledger = self.ledger()?;
        let operation: Operation = request.operation()?;
        deadline.check().map_err(|_| Refusal::Late)?;
        let (tell, told) = oneshot::channel();
        ledger.submit(Prepared::new(operation), move |answer| {
            // The slot is held until it is durable, whether or not the caller waits.
            drop(slot);
            let _ = tell.send(answer);
        });
        let told = deadline.wait(told).await.map_err(|_| Refusal::Late)?;
        Ok(told.map_err(|_| closed())??)
    }

    /// The ledger as it stands now, or stood.
    pub async fn view(&self, as_of_us: Option<i64>, deadline: Deadline) -> Result<Core, Refusal> {
        deadline.check().map_err(|_| Refusal::Late)?;
        let ledger = self.ledger()?.clone();
        let view = async {
            match as_of_us {
                None => look(&ledger, Core::clone).await,
                Some(at_us) => {
                    let one = self.slot(&self.past, "callers ask for the past")?;
                    let read = move || {
                        let _one = one;
                        ledger.as_of(at_us)
                    };
                    let read = tokio::task::spawn_blocking(read).await;
                    Ok(read.map_err(|e| Refusal::Internal(e.to_string()))??)
                }
            }
        };
        deadline.wait(view).await.map_err(|_| Refusal::Late)?
    }
}

/// Said to whoever comes too late.
const STOPPING: &str = "the service is shutting down; send what has no answer to another one";

/// Looks at what is durable of a ledger.
async fn look<T: Send + 'static>(
    ledger: &Ledger,
    look: impl FnOnce(&Core) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let (tell, told) = oneshot::channel();
    ledger.look(move |core| _ = tell.send(core.map(look)));
    Ok(told.await.map_err(|_| closed())??)
}

/// Looks at what a ledger has in memory.
pub async fn peek<T: Send + 'static>(
    ledger: &Ledger,
    look: impl FnOnce(&Core) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let (tell, told) = oneshot::channel();
    ledger.peek(move |core| _ = tell.send(core.map(look)));
    Ok(told.await.map_err(|_| closed())??)
}

fn closed() -> Refusal {
    Refusal::Unavailable(
        "the exposure ledger is closed; repeat the request to learn whether it was done".into(),
    )
}

/// A caller chooses these; until they are checked they may be of any length.
fn start(text: &str) -> &str {
    &text[..text.floor_char_boundary(64)]
}

/// Writes to the log how an operation ended.
fn note((member, of): &(String, String), kind: &str, ended: &Result<Answer, Refusal>) {
    match ended {
        Ok(answer) => tracing::debug!(of, member, kind, sequence = answer.sequence, "done"),
        Err(refusal) => note_refusal(member, of, kind, refusal),
    }
}

/// Writes a refusal to the log, as the decision service does.
pub fn note_refusal(member: &str, of: &str, kind: &str, refusal: &Refusal) {
    let (member, code, message) = (start(member), refusal.code(), refusal.message());
    match refusal {
        Refusal::Busy(_) | Refusal::Unavailable(_) => tracing::debug!(of, member, kind, ?code, "{message}"),
        Refusal::Internal(_) => tracing::error!(of, member, kind, ?code, "{message}"),
        _ => tracing::warn!(of, member, kind, ?code, "{message}"),
    }
}
