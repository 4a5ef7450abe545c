//! Requests that are being decided, so that a repeat waits for the first instead of being decided again.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use bytes::Bytes;
use hashbrown::HashTable;
use tarim_proto::encoded::Decision;
use tokio::sync::Notify;

/// What a request is known by, and what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub member: String,
    pub request_id: String,
    /// Hash of these two, [`crate::journal::Journal::hash`].
    pub hash: u64,
    /// Of its whole content.
    pub fingerprint: [u8; 32],
}

/// A request that is being decided.
pub struct First {
    pub of: Identity,
    /// Set when it is over, to the decision and its number; None: it came to nothing.
    answer: OnceLock<Option<(Bytes, u64)>>,
    over: Notify,
}

impl First {
    /// Its decision, when it is made; None: it came to nothing.
    pub async fn answer(&self) -> Option<Decision> {
        // Made before looking, so that what happens in between is not missed.
        let over = self.over.notified();
        if self.answer.get().is_none() {
            over.await;
        }
        self.answer.get().cloned().flatten().map(|(body, number)| Decision::numbered(body, number))
    }
}

/// The requests that are being decided, by their key.
#[derive(Clone, Default)]
pub struct Pending(Arc<[Shard; 16]>);

type Shard = Mutex<HashTable<Arc<First>>>;

/// The request that has a key, and the one that wanted it.
pub struct Taken {
    pub first: Arc<First>,
    pub repeat: Identity,
}

/// The right to decide a key. Dropped without [`Claim::resolve`], whoever waits may try for himself.
pub struct Claim {
    pending: Pending,
    first: Arc<First>,
}

impl Pending {
    /// Claims a key, or gives the request that has it.
    pub fn claim(&self, of: Identity) -> Result<Claim, Taken> {
        let mut shard = self.shard(of.hash);
        if let Some(first) = shard.find(of.hash, |first| same_key(&first.of, &of)) {
            return Err(Taken { first: first.clone(), repeat: of });
        }
        let first = Arc::new(First { of, answer: OnceLock::new(), over: Notify::new() });
        shard.insert_unique(first.of.hash, first.clone(), |first| first.of.hash);
        drop(shard);
        Ok(Claim { pending: self.clone(), first })
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<Arc<First>>> {
        // The table takes the highest and the lowest bits for itself.
        self.0[(hash >> 32) as usize % self.0.len()].lock().expect("not poisoned")
    }
}

fn same_key(a: &Identity, b: &Identity) -> bool {
    a.request_id == b.request_id && a.member == b.member
}

impl Claim {
    /// The request that has it.
    pub fn of(&self) -> &Identity {
        &self.first.of
    }

    /// Gives the decision to everyone who waits for it. It must be in the journal by now, since from here
    /// on that is where the key is found.
    pub fn resolve(self, body: Bytes, number: u64) {
        // Nobody else sets it: there is one claim.
        let _ = self.first.answer.set(Some((body, number)));
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut shard = self.pending.shard(self.first.of.hash);
        if let Ok(entry) = shard.find_entry(self.first.of.hash, |first| Arc::ptr_eq(first, &self.first)) {
            entry.remove();
        }
        drop(shard);
        // Fails when the claim was resolved, as it should.
        let _ = self.first.answer.set(None);
        self.first.over.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(id: &str, content: u8) -> Identity {
        // One hash for all: keys are told apart by themselves.
        Identity { member: "001".into(), request_id: id.into(), hash: 7, fingerprint: [content; 32] }
    }

    #[tokio::test]
    async fn everyone_gets_the_first_answer() {
        let pending = Pending::default();
        let claim = pending.claim(identity("a", 1)).map_err(drop).expect("the first");
        let waiting: Vec<Arc<First>> =
            (0..3).map(|_| pending.claim(identity("a", 2)).err().expect("a repeat").first).collect();
        assert!(pending.claim(identity("b", 1)).is_ok(), "another key");
        let mut early = Box::pin(waiting[0].answer());
        assert!(futures::poll!(&mut early).is_pending());
        let body = Bytes::from("a decision");
        let decision = Decision::numbered(body.clone(), 7);
        claim.resolve(body, 7);
        assert_eq!(early.await.as_ref(), Some(&decision));
        for first in &waiting {
            assert_eq!(first.of.fingerprint, [1; 32]);
            assert_eq!(first.answer().await.as_ref(), Some(&decision));
        }
        assert!(pending.claim(identity("a", 1)).is_ok(), "free again");
    }

    #[tokio::test]
    async fn a_claim_that_comes_to_nothing_lets_others_try() {
        let pending = Pending::default();
        let claim = pending.claim(identity("a", 1));
        let waiting = pending.claim(identity("a", 1)).err().expect("a repeat").first;
        drop(claim);
        assert_eq!(waiting.answer().await, None);
        assert!(pending.claim(identity("a", 1)).is_ok());
    }
}
