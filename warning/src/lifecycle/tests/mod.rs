//! The table of transitions, what a repeat does, and what a request is answered; random lives in [`model`].

mod model;

use tarim_proto::warning::v1::{Alert, Level};

use super::*;

fn id(n: u64) -> String {
    format!("{n:032x}")
}

fn alert(n: u64, member: &str, customer: &str, level: Level) -> Alert {
    Alert {
        alert_id: id(n),
        member: member.into(),
        customer_id: customer.into(),
        rule_id: "W1".into(),
        level: level.into(),
        raised_at_us: n as i64,
        ..Alert::default()
    }
}

fn new(alert: Alert) -> NewAlert {
    NewAlert::new(alert, &Inspections::default(), 0).unwrap()
}

/// Where its body stands is no matter here.
fn raise(lifecycle: &mut Lifecycle, alert: &NewAlert) -> Raised {
    lifecycle.apply_alert(&alert.head(), Place::default())
}

fn change(member: &str, request: &str, warning: u64, to: State) -> NewChange {
    NewChange {
        member: member.into(),
        request: request.into(),
        warning: id(warning).parse().unwrap(),
        to,
        by: "zhang".into(),
        at_us: 7,
        why: "called".into(),
    }
}

/// A warning in a state, by the shortest way.
fn in_state(state: State) -> Lifecycle {
    use State::{Acknowledged, Closed, Disposed, Escalated, Open};
    let way: &[State] = match state {
        Open => &[],
        Acknowledged => &[Acknowledged],
        Disposed => &[Acknowledged, Disposed],
        Escalated => &[Acknowledged, Escalated],
        Closed => &[Acknowledged, Escalated, Closed],
    };
    let mut lifecycle = Lifecycle::default();
    raise(&mut lifecycle, &new(alert(1, "001", "c1", Level::Red)));
    for (i, to) in way.iter().enumerate() {
        let made = lifecycle.apply_change(&change("001", &format!("way{i}"), 1, *to));
        assert!(matches!(made, Ok(Changed::Made(_))), "{made:?}");
    }
    lifecycle
}

#[test]
fn every_transition_is_as_in_the_table() {
    // From the row to the column: open, acknowledged, disposed, escalated, closed.
    let table = [
        (State::Open, [false, true, false, false, false]),
        (State::Acknowledged, [false, false, true, true, false]),
        (State::Disposed, [false, false, false, false, true]),
        (State::Escalated, [false, false, false, false, true]),
        (State::Closed, [false, false, false, false, false]),
    ];
    for (from, allowed) in table {
        for (to, allowed) in State::ALL.into_iter().zip(allowed) {
            let mut lifecycle = in_state(from);
            let before: Vec<_> = lifecycle.warnings().collect();
            match lifecycle.apply_change(&change("001", "r", 1, to)) {
                Ok(Changed::Made(warning)) => {
                    assert!(allowed, "{from:?} to {to:?}");
                    let step = warning.history.last().unwrap();
                    assert_eq!((warning.state, step.from, step.to), (to, from, to));
                    assert_eq!((&*step.by, step.at_us, &*step.why), ("zhang", 7, "called"));
                    let done = matches!(to, State::Disposed | State::Closed);
                    assert_eq!(warning.inspection.unwrap().done, done);
                }
                Err(Refused::NotAllowed { from: f, to: t }) => {
                    assert!(!allowed && (f, t) == (from, to), "{from:?} to {to:?}");
                    assert_eq!(lifecycle.warnings().collect::<Vec<_>>(), before);
                }
                other => panic!("{from:?} to {to:?}: {other:?}"),
            }
        }
    }
    let refused = Refused::NotAllowed { from: State::Acknowledged, to: State::Closed };
    let said = "the warning is acknowledged, and cannot become closed; next comes disposed or escalated";
    assert_eq!(refused.to_string(), said);
}

#[test]
fn a_repeat_while_it_stands_is_counted_and_later_opens_another() {
    for state in State::ALL {
        let mut lifecycle = in_state(state);
        let repeat = new(alert(9, "001", "c1", Level::Red));
        match raise(&mut lifecycle, &repeat) {
            Raised::Repeated(warning) => {
                assert!(state.stands(), "{state:?}");
                let seen = (warning.count, warning.first_raised_us, warning.last_raised_us, warning.state);
                assert_eq!(seen, (2, 1, 9, state));
            }
            Raised::Opened(warning) => {
                assert!(!state.stands(), "{state:?}");
                assert_eq!((warning.id, warning.number, warning.count), (repeat.id(), 1, 1));
            }
            Raised::Known => panic!("{state:?}: it is new"),
        }
        assert_eq!(raise(&mut lifecycle, &repeat), Raised::Known);
    }
}

#[test]
fn closing_one_leaves_the_next_standing() {
    let mut lifecycle = in_state(State::Disposed);
    assert!(matches!(raise(&mut lifecycle, &new(alert(2, "001", "c1", Level::Red))), Raised::Opened(_)));
    lifecycle.apply_change(&change("001", "r", 1, State::Closed)).unwrap();
    assert!(matches!(raise(&mut lifecycle, &new(alert(3, "001", "c1", Level::Red))), Raised::Repeated(_)));
}

#[test]
fn grave_alerts_owe_an_inspection_once() {
    let mut lifecycle = Lifecycle::default();
    let raise = |lifecycle: &mut Lifecycle, n, level| match super::tests::raise(
        lifecycle,
        &new(alert(n, "001", "c", level)),
    ) {
        Raised::Opened(warning) | Raised::Repeated(warning) => warning,
        Raised::Known => panic!("it is new"),
    };
    let day = 86_400_000_000;
    assert_eq!(raise(&mut lifecycle, 1, Level::Yellow).inspection, None);
    let orange = raise(&mut lifecycle, 2, Level::Orange);
    let due = Inspection { due_at_us: 2 + 7 * day, done: false };
    assert_eq!((orange.level, orange.inspection), (Level::Orange, Some(due)));
    let again = raise(&mut lifecycle, 3, Level::Blue);
    assert_eq!((again.level, again.inspection, again.count), (Level::Orange, Some(due), 3));
}

#[test]
fn a_request_is_answered_once() {
    let mut lifecycle = in_state(State::Open);
    let ack = change("001", "r1", 1, State::Acknowledged);
    let Ok(Changed::Made(first)) = lifecycle.apply_change(&ack) else { panic!("it is open") };
    raise(&mut lifecycle, &new(alert(2, "001", "c1", Level::Red)));
    lifecycle.apply_change(&change("001", "r2", 1, State::Disposed)).unwrap();
    // By another alert of the same warning, and later: it is the same request all the same.
    let repeated = NewChange { at_us: 99, ..change("001", "r1", 2, State::Acknowledged) };
    assert_eq!(lifecycle.apply_change(&repeated), Ok(Changed::Before(first)));
    for other in [
        NewChange { to: State::Disposed, ..ack.clone() },
        NewChange { by: "li".into(), ..ack.clone() },
        NewChange { why: "wrote".into(), ..ack.clone() },
        NewChange { warning: id(3).parse().unwrap(), ..ack.clone() },
    ] {
        assert_eq!(lifecycle.apply_change(&other), Err(Refused::Differs));
    }
    let foreign = lifecycle.apply_change(&NewChange { member: "002".into(), ..ack });
    assert!(matches!(foreign, Err(Refused::NotFound { .. })), "another member's");
}

#[test]
fn what_an_alert_must_name() {
    let good = alert(1, "001", "c1", Level::Red);
    let long = "w".repeat(1 << 20);
    for (bad, said) in [
        (Alert { alert_id: "xyz".into(), ..good.clone() }, "alert_id: `xyz`"),
        (Alert { alert_id: id(1).to_uppercase().replace('0', "A"), ..good.clone() }, "alert_id"),
        (Alert { member: String::new(), ..good.clone() }, "member: it is missing"),
        (Alert { customer_id: String::new(), ..good.clone() }, "customer_id"),
        (Alert { rule_id: String::new(), ..good.clone() }, "rule_id"),
        (Alert { level: 0, ..good.clone() }, "level: 0"),
        (Alert { level: 9, ..good.clone() }, "level: 9"),
        (Alert { en: long, ..good.clone() }, "it is 1048"),
    ] {
        let e = NewAlert::new(bad, &Inspections::default(), 0).unwrap_err().to_string();
        assert!(e.starts_with(said), "{e}");
    }
}
