//! How counters stand, for decisions: at a glance, where nothing is reserved and nothing is just being changed; else many that ask at
//! once are answered by one look at the ledger.
//!
//! ```text
//!  decision ─► waiting ◄─ decision        the first one has the ledger look; whoever comes until it does
//!                 │                       is answered with it
//!                 └─► Core::outlook of each, between two groups
//! ```
//!
//! Who reserves always asks so: what an earlier attempt of the request has handed to the ledger is before it in the queue.
//!
//! A look does not wait for the disk: it sees what is in memory, and why that is enough stands in the ledger's `writer`. So what
//! is in the journal of a decision may be room that was never durable; the reservation is what counts.

use std::sync::{Arc, Mutex};

use tokio::sync::oneshot;

use crate::exposure::{Core, CounterUse, Ledger, LedgerError, Prepared, Prospect, Refusal, Sight};

/// Names of exposures that decisions reserve; nobody else may use such a name.
pub mod names {
    use crate::exposure::NAME_MAX;

    const BEGIN: &str = "decide";
    /// Longest id of a request that reserves, in bytes.
    pub const REQUEST_ID_MAX: usize = NAME_MAX - BEGIN.len() - 4;
    /// Most attempts of one request: one, and one more each time that the service broke down while it was decided.
    pub const ATTEMPTS: u32 = 999;

    /// The exposure that a request reserves at an attempt, from 1: `decide:r1`, `decide2:r1`.
    pub fn of(request_id: &str, attempt: u32) -> String {
        let number = if attempt > 1 { attempt.to_string() } else { String::new() };
        format!("{BEGIN}{number}:{request_id}")
    }

    /// The request that an exposure was reserved by.
    pub fn request_of(exposure: &str) -> Option<&str> {
        let rest = exposure.strip_prefix(BEGIN)?.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.strip_prefix(':')
    }

    #[cfg(test)]
    #[test]
    fn a_name_tells_its_request() {
        for request in ["r1", "2:r1", "decide:x", "号"] {
            for attempt in [1, 2, 10, ATTEMPTS] {
                assert_eq!(request_of(&of(request, attempt)), Some(request));
            }
        }
        assert!(of(&"r".repeat(REQUEST_ID_MAX), ATTEMPTS).len() <= NAME_MAX);
        assert_eq!(request_of("decided:r1"), None);
        assert_eq!(request_of("r1"), None);
    }
}

/// What a decision wants to know.
#[derive(Debug)]
pub struct Question {
    /// The exposure that would come of it; None: it is not known.
    pub reserve: Option<Prepared>,
    /// Member and id of a request that reserves.
    pub of: Option<(String, String)>,
}

/// What it is told.
#[derive(Debug, Default)]
pub struct Stand {
    /// None: it is not known how they stand.
    pub counters: Option<Vec<CounterUse>>,
    /// Of a request that reserves: the first attempt of which the ledger has nothing.
    pub attempt: u32,
    /// Exposures that earlier attempts left behind, which hold room for nothing.
    pub left: Vec<String>,
}

/// Sees how the counters stand that an exposure would touch, on the caller's own thread. The outer None: it cannot be told at once;
/// the inner: it is not known.
#[allow(clippy::option_option)]
pub fn glance<T>(
    ledger: &Ledger,
    prospect: &Prospect<'_>,
    see: impl FnOnce(&[Sight<'_>]) -> T,
) -> Option<Option<T>> {
    ledger.glance(|core, now_us| known(core.look(prospect, now_us, see)))
}

/// Decisions that wait for a look. Clones share everything.
#[derive(Clone, Default)]
pub struct Looks(Arc<Mutex<Vec<Waiting>>>);

struct Waiting {
    question: Question,
    tell: oneshot::Sender<Result<Stand, LedgerError>>,
}

impl Looks {
    /// Looks at the ledger as it is in memory.
    pub async fn look(&self, ledger: &Ledger, question: Question) -> Result<Stand, LedgerError> {
        let (tell, told) = oneshot::channel();
        let is_first = {
            let mut waiting = self.0.lock().expect("not poisoned");
            waiting.push(Waiting { question, tell });
            waiting.len() == 1
        };
        if is_first {
            let turn = Turn { waiting: self.0.clone(), taken: false };
            ledger.peek(move |core| {
                for Waiting { question, tell } in turn.take() {
                    // Whoever asked may have gone.
                    let _ = tell.send(core.clone().map(|core| stand(core, &question)));
                }
            });
        }
        told.await.unwrap_or_else(|_| Err(LedgerError::Closed("its thread has ended".into())))
    }
}

#[cfg(test)]
impl Looks {
    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.0.lock().expect("not poisoned").len()
    }
}

/// The look that all wait for. If it never comes, since the ledger is closed, they are told so: their senders are dropped.
struct Turn {
    waiting: Arc<Mutex<Vec<Waiting>>>,
    taken: bool,
}

impl Turn {
    fn all(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.waiting.lock().expect("not poisoned"))
    }

    fn take(mut self) -> Vec<Waiting> {
        self.taken = true;
        self.all()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Whoever came after it was taken waits for another one.
        if !self.taken {
            drop(self.all());
        }
    }
}

fn stand(core: &Core, question: &Question) -> Stand {
    let mut stand = Stand { attempt: 1, ..Stand::default() };
    if let Some((member, request_id)) = &question.of {
        while let Some(found) = core.exposure(member, &names::of(request_id, stand.attempt)) {
            if found.reserved_fen > 0 {
                stand.left.push(found.exposure);
            }
            stand.attempt += 1;
        }
    }
    let outlook = |reserve: &Prepared| known(core.outlook(reserve, core.now_us()));
    stand.counters = question.reserve.as_ref().and_then(outlook);
    stand
}

/// None: the ledger counts by other limits than the rulebook, or there is no such value.
fn known<T>(told: Result<T, Refusal>) -> Option<T> {
    told.inspect_err(|refusal| tracing::debug!("it is not known how counters stand: {refusal}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{exposure::Config, journal::power::Power};

    /// A look that never comes leaves nobody waiting.
    #[tokio::test]
    async fn a_ledger_that_is_closed_answers_too() {
        let ledger =
            Ledger::open_on(Arc::new(Power::default()), Config::new(Arc::new(|| 0))).expect("a whole disk");
        let looks = Looks::default();
        let question = || Question { reserve: None, of: None };
        assert_eq!(looks.look(&ledger, question()).await.expect("open").counters, None);
        drop(Turn { waiting: looks.0.clone(), taken: false });
        assert_eq!(looks.waiting(), 0);
        ledger.close().expect("in order");
        for _ in 0..2 {
            assert!(matches!(looks.look(&ledger, question()).await, Err(LedgerError::Closed(_))));
        }
        let (tell, told) = oneshot::channel();
        looks.0.lock().expect("not poisoned").push(Waiting { question: question(), tell });
        drop(Turn { waiting: looks.0.clone(), taken: false });
        assert!(told.await.is_err());
    }
}
