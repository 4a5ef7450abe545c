//! Alerts spread to neighbours: to guarantors and borrowers, to companies and who runs them.
//!
//! ```text
//!  alert ─► which [[spread]] name its rule? ─► neighbours along the edges that stand when it arises
//!                                                │ one event `contagion` for each
//!        the log, in the neighbour's partition ◄─┘
//!          └─► the neighbour's worker: windows and rules, as of any other event
//! ```
//!
//! No worker looks into the state of another's customer: what has spread is an event of the log. So what the edges were is in
//! the log, and taking the events again silently, which throws away the alerts, throws away what they would spread: it is
//! there already. Alerts that rest on such an event spread no further (`core::Outbox::by_contagion`).
//!
//! [`spread`] is pure; a [`Network`] keeps edges of a datamart, and loads them anew.

mod network;

use prost::Message;
use serde_json::{Value as Json, json};
use tarim_features::edges::{Edges, Neighbour, Search};
use tarim_proto::{
    event::v1::{Contagion, Event, event::Kind},
    warning::v1::Alert,
};

pub use network::{Live, Network, NetworkError};

use crate::{alert, rulebook::WarningBook};

/// Adds an event for each neighbour that an alert spreads to. Where several ways of the rulebook lead to a neighbour, the
/// shortest counts, and of those the first. Returns whether there are more than the rulebook lets through.
pub fn spread(book: &WarningBook, edges: &Edges, alert: &Alert, to: &mut Vec<Event>) -> bool {
    let (mut all, mut cut) = (Vec::<Neighbour<'_>>::new(), false);
    for spread in book.spreads().of(&alert.rule_id) {
        let at_us = alert.raised_at_us;
        let search = Search { along: &spread.along, hops: spread.hops, at_us, most: spread.most };
        let near = edges.near(&alert.member, &alert.customer_id, search);
        cut |= near.cut;
        for neighbour in near.found {
            match all.iter_mut().find(|other| other.id == neighbour.id) {
                Some(other) if neighbour.hops < other.hops => *other = neighbour,
                Some(_) => {}
                None => all.push(neighbour),
            }
        }
    }
    to.extend(all.iter().map(|neighbour| event(book, alert, neighbour)));
    cut
}

fn event(book: &WarningBook, alert: &Alert, neighbour: &Neighbour<'_>) -> Event {
    let mut id = blake3::Hasher::new();
    for text in [&alert.alert_id, neighbour.id] {
        id.update(&(text.len() as u64).to_le_bytes());
        id.update(text.as_bytes());
    }
    let level = alert.level().as_str_name().trim_start_matches("LEVEL_").to_lowercase();
    Event {
        event_id: id.finalize().to_hex()[..32].to_owned(),
        member: alert.member.clone(),
        customer_id: neighbour.id.to_owned(),
        happened_at_us: alert.raised_at_us,
        known_at_us: None,
        kind: Some(Kind::Contagion(Contagion {
            source_customer: Some(alert.customer_id.clone()),
            source_rule: Some(alert.rule_id.clone()),
            source_alert: Some(alert.alert_id.clone()),
            source_level: Some(level),
            edge: Some(book.edges().edges()[neighbour.edge].name.clone()),
            hops: Some(neighbour.hops.into()),
            through: neighbour.through.map(str::to_owned),
        })),
    }
}

/// The record that goes into the log: Protobuf.
pub fn record(event: &Event) -> Vec<u8> {
    event.encode_to_vec()
}

/// The same as JSON.
pub fn json(event: &Event) -> Json {
    let mut body = serde_json::Map::new();
    if let Some(Kind::Contagion(contagion)) = &event.kind {
        let Contagion { source_customer, source_rule, source_alert, source_level, edge, hops, through } =
            contagion;
        for (name, value) in [
            ("source_customer", source_customer),
            ("source_rule", source_rule),
            ("source_alert", source_alert),
            ("source_level", source_level),
            ("edge", edge),
            ("through", through),
        ] {
            body.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
        }
        body.extend(hops.map(|hops| ("hops".to_owned(), json!(hops))));
    }
    json!({
        "event_id": event.event_id,
        "member": event.member,
        "customer_id": event.customer_id,
        "happened_at": alert::time(event.happened_at_us),
        "contagion": body,
    })
}
