//! A decision as a card that a loan officer can read.

use std::fmt::Write;

use comfy_table::{Cell, ContentArrangement, Table, presets};
use tarim_proto::decision::v1::{Decision, Effect, Outcome, Reason, Stage};

use super::json;

/// Language of a card's reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Lang {
    Zh,
    En,
    Both,
}

impl Lang {
    /// The text, or both of them.
    pub fn text(self, zh: &str, en: &str) -> String {
        match self {
            Self::Zh => zh.into(),
            Self::En => en.into(),
            Self::Both => format!("{zh} {en}"),
        }
    }
}

/// The card, ending in an empty line. `reserves`: the request was to take room.
pub fn card(decision: &Decision, reserves: bool, lang: Lang) -> String {
    let mut card = String::new();
    let title = format!(
        "{} · {} {} · {}",
        outcome(decision.outcome(), lang),
        lang.text("法人行社", "member"),
        decision.member,
        decision.product,
    );
    let mut line = |text: &str| writeln!(card, "{text}").expect("a string grows");
    line(&title);
    let mut stages = table();
    for stage in &decision.stages {
        stages.add_row([
            self::stage(stage.stage(), lang),
            outcome(stage.outcome(), lang),
            result(decision, stage.stage(), lang),
        ]);
    }
    line(&stages.to_string());
    if !decision.reasons.is_empty() {
        let mut reasons = table();
        for reason in &decision.reasons {
            reasons.add_row([
                Cell::new(effect(reason.effect(), lang)),
                Cell::new(&reason.id),
                Cell::new(reason_text(reason, lang)),
                Cell::new(values(reason)),
            ]);
        }
        line(&reasons.to_string());
    }
    line(&format!(
        "request {} · decision {} · {}",
        decision.request_id,
        decision.decision_id,
        decision.decided_at.as_ref().map(ToString::to_string).unwrap_or_default(),
    ));
    if let Some(reserved) = &decision.reservation {
        line(&format!(
            "{} {} · {} {} · {} {}",
            lang.text("已占用限额", "reserved"),
            yuan(reserved.amount_fen),
            lang.text("敞口", "exposure"),
            reserved.exposure,
            lang.text("至", "until"),
            reserved.expires_at.as_ref().map(ToString::to_string).unwrap_or_default(),
        ));
    }
    if reserves && decision.reservation.is_none() {
        line(&match decision.outcome() {
            // It was decided before, by a request that did not ask for it, or there is no limit to reserve.
            Outcome::Approve => lang.text("未占用限额", "nothing was reserved"),
            _ => lang.text(
                "未占用限额：只有通过的申请才占用",
                "nothing was reserved: only what is approved takes room",
            ),
        });
    }
    line(&format!("rulebook {:.16} · features {}", decision.rulebook_version, decision.feature_version));
    line("");
    card
}

/// An empty table of the form that cards have.
pub fn table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table
}

/// What a stage came to, beside its outcome.
fn result(decision: &Decision, stage: Stage, lang: Lang) -> String {
    match stage {
        Stage::Score => match (decision.score_points, decision.pd) {
            (Some(points), Some(pd)) => format!(
                "{points} {} · {} {} · PD {:.2} %",
                lang.text("分", "points"),
                lang.text("等级", "grade"),
                decision.grade,
                pd * 100.0,
            ),
            _ => String::new(),
        },
        Stage::Limit => decision.limit_fen.map(yuan).unwrap_or_default(),
        Stage::Rate => decision.rate_ppm.map(percent).unwrap_or_default(),
        _ => String::new(),
    }
}

/// Fen as yuan: 5,000,000 → ¥50,000.00.
fn yuan(fen: i64) -> String {
    let (whole, cents) = (fen.unsigned_abs() / 100, fen.unsigned_abs() % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{}¥{grouped}.{cents:02}", if fen < 0 { "−" } else { "" })
}

/// Millionths a year as percent: 46100 → 4.61 %.
fn percent(ppm: i64) -> String {
    let text = format!("{}.{:04}", ppm / 10_000, ppm.abs() % 10_000);
    // At least two decimals, more where they say something.
    let shown = text.trim_end_matches('0');
    let decimals = shown.len() - shown.find('.').unwrap_or(0) - 1;
    format!("{shown}{} %", "0".repeat(2_usize.saturating_sub(decimals)))
}

/// What a reason says.
pub fn reason_text(reason: &Reason, lang: Lang) -> String {
    let mut text = match lang {
        Lang::Zh => reason.zh.clone(),
        Lang::En => reason.en.clone(),
        Lang::Both => format!("{}\n{}", reason.zh, reason.en),
    };
    if let Some(lost) = reason.points_lost {
        write!(text, "\n{} {lost}", lang.text("失分", "points lost")).expect("a string grows");
    }
    if reason.unknown {
        write!(text, "\n{}", lang.text("（无法判断）", "(could not be evaluated)")).expect("a string grows");
    }
    text
}

/// What it looked at.
pub fn values(reason: &Reason) -> String {
    let values = reason.values.iter().map(|value| {
        let stale = if value.stale { " (stale)" } else { "" };
        format!("{} = {}{stale}", value.name, json::text(value.value.as_ref()))
    });
    values.collect::<Vec<_>>().join("\n")
}

fn outcome(outcome: Outcome, lang: Lang) -> String {
    match outcome {
        Outcome::Approve => lang.text("通过", "APPROVE"),
        Outcome::Refer => lang.text("转人工", "REFER"),
        Outcome::Decline => lang.text("拒绝", "DECLINE"),
        Outcome::Unspecified => lang.text("未知", "UNKNOWN"),
    }
}

fn stage(stage: Stage, lang: Lang) -> String {
    match stage {
        Stage::Admission => lang.text("准入", "admission"),
        Stage::Fraud => lang.text("反欺诈", "anti-fraud"),
        Stage::Score => lang.text("评分", "score"),
        Stage::Limit => lang.text("额度", "limit"),
        Stage::Rate => lang.text("利率", "rate"),
        Stage::Application => lang.text("申请", "application"),
        Stage::Contract => lang.text("合同", "contract"),
        Stage::Disbursement => lang.text("放款", "disbursement"),
        Stage::Unspecified => lang.text("未知", "unknown"),
    }
}

pub fn effect(effect: Effect, lang: Lang) -> String {
    match effect {
        Effect::Decline => lang.text("拒绝", "decline"),
        Effect::Block => lang.text("拦截", "block"),
        Effect::Refer => lang.text("转人工", "refer"),
        Effect::Warn => lang.text("提示", "warn"),
        Effect::Score => lang.text("评分", "score"),
        Effect::Unspecified => lang.text("未知", "unknown"),
    }
}

#[cfg(test)]
mod tests {
    use tarim_proto::decision::v1::Reservation;

    use super::*;

    #[test]
    fn money_and_rates_read_as_people_write_them() {
        for (fen, text) in
            [(0, "¥0.00"), (5, "¥0.05"), (5_000_000, "¥50,000.00"), (123_456_789, "¥1,234,567.89")]
        {
            assert_eq!(yuan(fen), text);
        }
        for (ppm, text) in [(46_100, "4.61 %"), (40_000, "4.00 %"), (46_125, "4.6125 %"), (500, "0.05 %")] {
            assert_eq!(percent(ppm), text);
        }
    }

    #[test]
    fn a_card_speaks_the_language_that_is_asked_for() {
        let reason =
            Reason { id: "A1".into(), zh: "黑名单".into(), en: "blacklist".into(), ..Default::default() };
        let decision = Decision {
            outcome: Outcome::Decline.into(),
            reasons: vec![reason],
            limit_fen: None,
            ..Default::default()
        };
        let [zh, en, both] = [Lang::Zh, Lang::En, Lang::Both].map(|lang| card(&decision, false, lang));
        assert!(zh.contains("拒绝") && zh.contains("黑名单") && !zh.contains("blacklist"), "{zh}");
        assert!(en.contains("DECLINE") && en.contains("blacklist") && !en.contains("黑名单"), "{en}");
        assert!(both.contains("黑名单") && both.contains("blacklist"), "{both}");
    }

    #[test]
    fn a_card_says_that_nothing_was_reserved() {
        let card = |outcome: Outcome, reserves: bool, reservation: Option<Reservation>| {
            let decision = Decision { outcome: outcome.into(), reservation, ..Default::default() };
            card(&decision, reserves, Lang::En)
        };
        for outcome in [Outcome::Refer, Outcome::Decline] {
            assert!(card(outcome, true, None).contains("nothing was reserved: only what is approved"));
            assert!(!card(outcome, false, None).contains("reserved"));
        }
        let approved = card(Outcome::Approve, true, None);
        assert!(approved.contains("nothing was reserved") && !approved.contains("only"), "{approved}");
        let taken = card(Outcome::Approve, true, Some(Reservation::default()));
        assert!(taken.contains("reserved") && !taken.contains("nothing"), "{taken}");
    }
}
