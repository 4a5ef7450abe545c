//! Events of large exposures as the warning pipeline reads them: `tarim.event.v1`.

use serde_json::json;
use tarim_datamart::Value;
use tarim_proto::event::v1::{Event, ExposureEvent, event::Kind};

use super::core::{LargeChange, LargeEvent};

/// The event. Its id follows from the ledger alone, so that whoever gets it twice knows it. It is of the customer, or of the
/// first customer of the group, by whom a group is called.
pub fn large_event(of: LargeEvent) -> Event {
    let LargeEvent { sequence, at_us, number, what, member, is_customer, id, used_fen, line_fen } = of;
    let to = if is_customer { "customer" } else { "group" };
    let what = match what {
        LargeChange::Recognised => "large",
        LargeChange::Grown => "large_grown",
        LargeChange::Filed => "large_filed",
    };
    Event {
        // With the time: a ledger that was begun anew counts from 1 again.
        event_id: format!("large-{number}-{sequence}-{at_us:x}"),
        member,
        customer_id: id,
        happened_at_us: at_us,
        known_at_us: Some(at_us),
        kind: Some(Kind::Exposure(ExposureEvent {
            counter: Some(format!("large/{to}/{number}")),
            what: Some(what.into()),
            used_fen: Some(used_fen),
            cap_fen: line_fen,
        })),
    }
}

/// The same as a line of JSON, without its end.
pub fn large_event_json(of: LargeEvent) -> String {
    let time = Value::Timestamp(of.at_us).to_string();
    let Event { event_id, member, customer_id, kind, .. } = large_event(of);
    let Some(Kind::Exposure(ExposureEvent { counter, what, used_fen, cap_fen })) = kind else {
        unreachable!("it is an event of an exposure")
    };
    json!({
        "event_id": event_id, "member": member, "customer_id": customer_id, "happened_at": time, "known_at": time,
        "exposure": { "counter": counter, "what": what, "used_fen": used_fen, "cap_fen": cap_fen },
    })
    .to_string()
}
