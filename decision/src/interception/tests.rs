//! What an override may do, case by case.

use tarim_proto::decision::v1 as wire;

use super::*;

fn reason(id: &str, effect: wire::Effect, roles: &[&str]) -> wire::Reason {
    let override_roles = roles.iter().map(|role| (*role).to_owned()).collect();
    wire::Reason { id: id.into(), effect: effect.into(), override_roles, ..Default::default() }
}

fn interception() -> wire::Interception {
    let reasons = vec![
        reason("W", wire::Effect::Warn, &[]),
        reason("B1", wire::Effect::Block, &["risk_officer", "director"]),
        reason("B2", wire::Effect::Block, &["director"]),
        reason("NO", wire::Effect::Block, &[]),
    ];
    wire::Interception { request_id: "i".into(), reasons, ..Default::default() }
}

fn request(role: &str, rules: &[&str]) -> wire::OverrideRequest {
    let officer = wire::Officer { id: "o7".into(), name: "王敏".into(), role: role.into() };
    let one = |rule: &&str| wire::OverrideReason {
        rule: (*rule).to_owned(),
        reason: "collateral was added".into(),
    };
    wire::OverrideRequest {
        request_id: "r".into(),
        member: "001".into(),
        interception: "i".into(),
        officer: Some(officer),
        overrides: rules.iter().map(one).collect(),
    }
}

#[test]
fn a_verdict_is_that_of_its_worst_reason() {
    let of = |reasons: Vec<wire::Reason>| standing(&wire::Interception { reasons, ..Default::default() });
    assert_eq!(of(vec![]), Clearance::Pass);
    assert_eq!(of(vec![reason("W", wire::Effect::Warn, &[])]), Clearance::Warn);
    assert_eq!(standing(&interception()), Clearance::Block);
    // What a later release may say is not passed.
    assert_eq!(of(vec![wire::Reason { effect: 99, ..Default::default() }]), Clearance::Block);
}

#[test]
fn each_blocking_reason_wants_its_own_override_and_none_is_forgotten() {
    let mut now = interception();
    now.reasons.truncate(3);
    let now = overridden(&now, &request("risk_officer", &["B1"]), 5).expect("the role may");
    assert_eq!((now.verdict(), now.overrides.len()), (wire::Verdict::Block, 1));
    let now = overridden(&now, &request("director", &["B2"]), 6).expect("the role may");
    assert_eq!((now.verdict(), now.overrides.len()), (wire::Verdict::Warn, 2));
    assert_eq!(now.reasons.len(), 3, "they are told as ever");
    let by: Vec<_> = now.overrides.iter().map(|o| o.officer.as_ref().map_or("", |o| &o.role)).collect();
    assert_eq!(by, ["risk_officer", "director"]);
}

#[test]
fn what_is_not_allowed_changes_nothing_and_names_the_rule() {
    let done = overridden(&interception(), &request("director", &["B1"]), 5).expect("the role may");
    for (of, role, rules, says) in [
        (interception(), "director", &["NO"][..], "rule `NO` allows no override"),
        (
            interception(),
            "clerk",
            &["B1"],
            "rule `B1` may be overridden by risk_officer or director, not by clerk",
        ),
        (interception(), "risk_officer", &["B1", "B2"], "rule `B2` may be overridden by director"),
        (interception(), "director", &["W"], "rule `W` does not block"),
        (interception(), "director", &["B3"], "overrides[0].rule: the interception has no reason `B3`"),
        (interception(), "director", &["B1", "B1"], "overrides[1].rule: `B1` is named twice"),
        (interception(), "director", &[], "overrides: there is none"),
        (done, "director", &["B1"], "rule `B1` was overridden before, by officer o7 with request r"),
    ] {
        let e = overridden(&of, &request(role, rules), 5).expect_err(says).to_string();
        assert!(e.contains(says), "{e}");
    }
}

#[test]
fn an_override_says_who_and_why() {
    type Spoil = fn(&mut wire::OverrideRequest);
    let cases: [(Spoil, &str); 7] = [
        (|r| r.officer = None, "officer: it is missing"),
        (|r| officer(r).id.clear(), "officer.id: it is empty"),
        (|r| officer(r).name = " ".into(), "officer.name: it is empty"),
        (|r| officer(r).role = "x".repeat(65), "officer.role: it has 65 characters"),
        (|r| r.overrides[0].reason = "\n".into(), "overrides[0].reason: it is empty"),
        (|r| r.overrides[0].reason = "长".repeat(1001), "overrides[0].reason: it has 1001 characters"),
        (|r| r.overrides[0].reason = "a\u{1b}[2Jb".into(), "overrides[0].reason: it has control characters"),
    ];
    for (spoil, says) in cases {
        let mut spoilt = request("director", &["B1"]);
        spoil(&mut spoilt);
        let e = check(&spoilt).expect_err(says).to_string();
        assert!(e.contains(says), "{e}");
    }
    check(&request("director", &["B1"])).expect("whole");
}

fn officer(request: &mut wire::OverrideRequest) -> &mut wire::Officer {
    request.officer.as_mut().expect("it has one")
}
