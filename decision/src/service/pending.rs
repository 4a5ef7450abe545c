//! Requests that are being decided, so that a repeat waits for the first instead of being decided again.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{FutureExt, future::Shared};
use tarim_proto::decision::v1::Decision;
use tokio::sync::oneshot;

/// What a request is known by: member and request id.
pub type Key = (String, String);

/// A request that is being decided.
#[derive(Clone)]
pub struct First {
    /// Of its whole content.
    pub fingerprint: String,
    /// Its decision, when it is made. An error: the request came to nothing.
    pub decision: Shared<oneshot::Receiver<Arc<Decision>>>,
}

/// The requests that are being decided.
#[derive(Clone, Default)]
pub struct Pending(Arc<Mutex<HashMap<Key, First>>>);

/// The right to decide a key. Dropped without [`Claim::resolve`], whoever waits may try for himself.
pub struct Claim {
    pending: Pending,
    key: Key,
    answer: Option<oneshot::Sender<Arc<Decision>>>,
}

impl Pending {
    /// Claims a key, or gives the request that has it.
    pub fn claim(&self, key: Key, fingerprint: &str) -> Result<Claim, First> {
        match self.keys().entry(key) {
            Entry::Occupied(first) => Err(first.get().clone()),
            Entry::Vacant(vacant) => {
                let (answer, decision) = oneshot::channel();
                let key = vacant.key().clone();
                vacant.insert(First { fingerprint: fingerprint.into(), decision: decision.shared() });
                Ok(Claim { pending: self.clone(), key, answer: Some(answer) })
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, First>> {
        self.0.lock().expect("not poisoned")
    }
}

impl Claim {
    /// Gives the decision to everyone who waits for it. It must be in the journal by now, since from here
    /// on that is where the key is found.
    pub fn resolve(mut self, decision: Arc<Decision>) {
        if let Some(answer) = self.answer.take() {
            self.pending.keys().remove(&self.key);
            // Nobody waits any more, perhaps.
            let _ = answer.send(decision);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.answer.is_some() {
            self.pending.keys().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Key {
        ("001".into(), id.into())
    }

    #[tokio::test]
    async fn everyone_gets_the_first_answer() {
        let pending = Pending::default();
        let claim = pending.claim(key("a"), "f").map_err(drop).expect("the first");
        let waiting: Vec<First> =
            (0..3).map(|_| pending.claim(key("a"), "g").err().expect("a repeat")).collect();
        assert!(pending.claim(key("b"), "f").is_ok(), "another key");
        let decision = Arc::new(Decision { request_id: "a".into(), ..Default::default() });
        claim.resolve(decision.clone());
        for first in waiting {
            assert_eq!(first.fingerprint, "f");
            assert_eq!(first.decision.await, Ok(decision.clone()));
        }
        assert!(pending.claim(key("a"), "f").is_ok(), "free again");
    }

    #[tokio::test]
    async fn a_claim_that_comes_to_nothing_lets_others_try() {
        let pending = Pending::default();
        let claim = pending.claim(key("a"), "f");
        let waiting = pending.claim(key("a"), "f").err().expect("a repeat");
        drop(claim);
        assert!(waiting.decision.await.is_err());
        assert!(pending.claim(key("a"), "f").is_ok());
    }
}
