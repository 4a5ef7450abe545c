//! Pushes out.

use std::sync::{Arc, atomic::Ordering};

use super::{
    kafka::{Edge, FeedError},
    tell::{Tell, tell},
};
use crate::{
    delivery::{Push, push_json},
    ledger::Unsent,
};

/// Tells pushes until it is told to stop and has told all.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let topic = Tell {
        topic: &edge.settings.pushes,
        outbox: edge.ledger.pushes(),
        key: |push: &Arc<Push>| format!("{}/{}", push.member, push.reader),
        json: |push: &Unsent<Arc<Push>>| Ok(push_json(&push.wire(edge.ledger.view())?)),
        failed: "cannot send pushes to their topic, which `tarim warn init` makes",
    };
    tell(edge, &topic, |through, count| {
        edge.ledger.pushed(through);
        edge.fed.pushed.fetch_add(count, Ordering::Relaxed);
    })
}
