//! An interception as a card that a loan officer can read.

use comfy_table::Cell;
use tarim_proto::decision::v1::{ControlPoint, Effect, Interception, Reason, Verdict};

use crate::decide::{
    Lang,
    card::{effect, reason_text, table, values},
};

/// The card, ending in an empty line.
pub fn card(of: &Interception, lang: Lang) -> String {
    let mut lines = vec![format!(
        "{} · {} {} · {} {} · {}",
        verdict(of.verdict(), lang),
        point(of.point(), lang),
        of.subject,
        lang.text("法人行社", "member"),
        of.member,
        of.product,
    )];
    if !of.reasons.is_empty() {
        let mut reasons = table();
        for reason in &of.reasons {
            reasons.add_row([
                Cell::new(effect(reason.effect(), lang)),
                Cell::new(&reason.id),
                Cell::new(
                    format!("{}\n{}", reason_text(reason, lang), standing(of, reason, lang)).trim_end(),
                ),
                Cell::new(values(reason)),
            ]);
        }
        lines.push(reasons.to_string());
    }
    lines.push(format!(
        "request {} · interception {} · {}",
        of.request_id,
        of.interception_id,
        of.intercepted_at.as_ref().map(ToString::to_string).unwrap_or_default(),
    ));
    lines.push(format!("rulebook {:.16} · features {}\n", of.rulebook_version, of.feature_version));
    lines.join("\n")
}

/// Who overrode a reason, or who may.
fn standing(of: &Interception, reason: &Reason, lang: Lang) -> String {
    if let Some(done) = of.overrides.iter().find(|done| done.rule == reason.id) {
        let officer = done.officer.clone().unwrap_or_default();
        let at = done.overridden_at.as_ref().map(ToString::to_string).unwrap_or_default();
        let by = lang.text("已由以下人员放行", "overridden by");
        return format!("{by} {} {} ({}) {at}: {}", officer.id, officer.name, officer.role, done.reason);
    }
    match (reason.effect(), &reason.override_roles[..]) {
        (Effect::Block, []) => lang.text("不可放行", "nobody may override"),
        (Effect::Block, roles) => {
            format!("{} {}", lang.text("可放行角色", "may be overridden by"), roles.join(", "))
        }
        _ => String::new(),
    }
}

fn verdict(verdict: Verdict, lang: Lang) -> String {
    match verdict {
        Verdict::Pass => lang.text("通过", "PASS"),
        Verdict::Warn => lang.text("预警", "WARN"),
        Verdict::Block => lang.text("拦截", "BLOCK"),
        Verdict::Unspecified => lang.text("未知", "UNKNOWN"),
    }
}

fn point(point: ControlPoint, lang: Lang) -> String {
    match point {
        ControlPoint::Application => lang.text("申请", "application"),
        ControlPoint::Contract => lang.text("合同", "contract"),
        ControlPoint::Disbursement => lang.text("放款", "disbursement"),
        ControlPoint::Unspecified => lang.text("未知", "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use tarim_proto::decision::v1::{Officer, OverriddenReason};

    use super::*;

    #[test]
    fn a_card_says_who_may_override_and_who_did() {
        let reason = |id: &str, roles: &[&str]| Reason {
            id: id.into(),
            effect: Effect::Block.into(),
            zh: "超限".into(),
            en: "too much".into(),
            override_roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Default::default()
        };
        let done = OverriddenReason {
            rule: "C2".into(),
            reason: "a guarantor signed".into(),
            officer: Some(Officer { id: "o7".into(), name: "王敏".into(), role: "director".into() }),
            ..Default::default()
        };
        let of = Interception {
            verdict: Verdict::Block.into(),
            point: ControlPoint::Contract.into(),
            subject: "k1".into(),
            reasons: vec![reason("C1", &[]), reason("C2", &["director"]), reason("C3", &["risk_officer"])],
            overrides: vec![done],
            ..Default::default()
        };
        let en = card(&of, Lang::En);
        for says in [
            "BLOCK · contract k1",
            "nobody may override",
            "overridden by o7 王敏",
            "may be overridden by risk_officer",
        ] {
            assert!(en.contains(says), "{says} in\n{en}");
        }
        let zh = card(&of, Lang::Zh);
        assert!(zh.contains("拦截") && zh.contains("不可放行") && !zh.contains("too much"), "{zh}");
    }
}
