//! Pushes out.

use std::sync::{Arc, atomic::Ordering};

use tarim_proto::warning::v1::{Alert, PushMessage};

use super::{
    kafka::{Edge, FeedError},
    tell::{Tell, tell},
};
use crate::{
    delivery::{Push, What, push_json},
    ledger::{Bodies, LedgerError, Unsent},
    lifecycle::{Id, Place, Warning},
};

/// Tells pushes until it is told to stop and has told all.
pub fn run(edge: &Edge) -> Result<(), FeedError> {
    let topic = Tell {
        topic: &edge.settings.pushes,
        outbox: edge.ledger.pushes(),
        key: |push: &Arc<Push>| format!("{}/{}", push.member, push.reader),
        json: |push: &Unsent<Arc<Push>>| Ok(push_json(&told(push, edge.ledger.view())?)),
        failed: "cannot send pushes to their topic, which `tarim warn init` makes",
    };
    tell(edge, &topic, |through, count| {
        edge.ledger.pushed(through);
        edge.fed.pushed.fetch_add(count, Ordering::Relaxed);
    })
}

/// A push as it is told. Where what an alert says cannot be read any more it is told without that: to stop there would be to
/// tell nobody of anything that comes behind.
fn told(push: &Push, bodies: &dyn Bodies) -> Result<PushMessage, LedgerError> {
    let mut message = push.wire(&Readable(bodies))?;
    let warning = match &push.what {
        What::Alert { warning, .. } | What::Escalation { warning, .. } => Some(*warning),
        What::Digest(_) => None,
    };
    if let (Some(alert), Some(warning)) = (&mut message.alert, warning)
        && alert.alert_id.is_empty()
    {
        // What the warning is about is known without it.
        let warning = bodies.warning(&push.member, warning)?;
        let id = if let What::Alert { alert, .. } = &push.what { *alert } else { warning.id };
        *alert = Alert {
            alert_id: id.to_string(),
            member: warning.member.to_string(),
            customer_id: warning.customer.to_string(),
            rule_id: warning.rule.to_string(),
            key: warning.key.to_string(),
            group: warning.group.to_string(),
            level: warning.level.into(),
            ..Alert::default()
        };
    }
    Ok(message)
}

/// Bodies of which those that cannot be read say nothing.
struct Readable<'b>(&'b dyn Bodies);

impl Bodies for Readable<'_> {
    fn body(&self, place: Place) -> Result<Alert, LedgerError> {
        self.0.body(place).or_else(|e| match e {
            LedgerError::Body { .. } => {
                tracing::error!("it is told without what it says: {e}");
                Ok(Alert::default())
            }
            // It may be readable the next time.
            e => Err(e),
        })
    }

    fn warning(&self, member: &str, id: Id) -> Result<Arc<Warning>, LedgerError> {
        self.0.warning(member, id)
    }
}

#[cfg(test)]
mod tests {
    use tarim_proto::warning::v1::Level;

    use super::*;
    use crate::lifecycle::{Inspections, Lifecycle, NewAlert, Raised};

    /// A warning whose alert cannot be read.
    struct Damaged(Arc<Warning>);

    impl Bodies for Damaged {
        fn body(&self, place: Place) -> Result<Alert, LedgerError> {
            let (file, offset, what) = ("warnings.ledger".into(), place.offset(), "a bad sector".into());
            Err(LedgerError::Body { file, offset, what })
        }

        fn warning(&self, _: &str, _: Id) -> Result<Arc<Warning>, LedgerError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_texts() {
        let alert = Alert {
            alert_id: format!("{:032x}", 7),
            member: "001".into(),
            customer_id: "c1".into(),
            rule_id: "W-1".into(),
            level: Level::Red.into(),
            zh: "文字".into(),
            ..Alert::default()
        };
        let new = NewAlert::new(alert.clone(), &Inspections::default(), 0).unwrap();
        let body = Place::new(0, &[]);
        let Raised::Opened(warning) = Lifecycle::default().apply_alert(&new.head(), body) else {
            panic!("it opens one")
        };
        let (id, level) = (warning.id, warning.level);
        let what = What::Alert { warning: id, alert: id, level, body };
        let push = Push { member: "001".into(), reader: "m1".into(), at_us: 1, what };
        let damaged = Damaged(warning);
        assert!(push.wire(&damaged).is_err());
        let message = told(&push, &damaged).unwrap();
        assert_eq!(message.alert, Some(Alert { zh: String::new(), ..alert }));
        assert_eq!((message.warning_id, message.manager.as_str()), (id.to_string(), "m1"));
    }
}
