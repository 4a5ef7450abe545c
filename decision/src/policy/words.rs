//! The words of reasons. They stand in the rulebook and here; none is made when a decision is made.

use std::collections::BTreeSet;

use super::{Finding, Logic, Show, Verdict, answer::What, limit::Limit};
use crate::{
    outcome::{Effect, Stage},
    rulebook::Plan,
};

/// A text in up to three pieces, so that it can be written down without being put together first.
pub type Words<'a> = [&'a str; 3];

/// One reason, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub id: Words<'a>,
    pub zh: Words<'a>,
    pub en: Words<'a>,
    pub stage: Stage,
    pub effect: Effect,
    /// It could not be evaluated.
    pub unknown: bool,
    /// Values to show, of the step.
    pub show: &'a [Show],
    pub step: usize,
    pub points_lost: Option<f64>,
    /// Officers of these roles may override it; of [`Effect::Block`] only.
    pub override_roles: &'a [String],
}

/// One reason of a verdict.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// Of what a step found.
    Found(&'a Finding),
    /// Of no step.
    Bare(Told<'a>),
}

/// Every reason of a verdict, in the order in which it is told.
pub fn lines<'a>(verdict: &Verdict, findings: &'a [Finding]) -> impl Iterator<Item = Line<'a>> {
    let stopped = verdict
        .stopped
        .map(|(stage, effect)| bare(stage, effect, STOPPED, "产品已停办", "the product is stopped"));
    let untold = [
        (Stage::Limit, "limit", "额度未知", "no limit is known"),
        (Stage::Rate, "rate", "利率未知", "no rate is known"),
    ];
    let untold = untold.into_iter().zip(verdict.untold).filter(|(_, untold)| *untold);
    let untold = untold
        .map(|((stage, id, zh, en), _)| Told { unknown: true, ..bare(stage, Effect::Refer, id, zh, en) });
    stopped.into_iter().map(Line::Bare).chain(findings.iter().map(Line::Found)).chain(untold.map(Line::Bare))
}

/// The same, in words.
pub fn reasons<'a>(
    plan: &'a Plan,
    verdict: &Verdict,
    findings: &'a [Finding],
) -> impl Iterator<Item = Told<'a>> {
    lines(verdict, findings).map(|line| match line {
        Line::Found(finding) => {
            let step = &plan.steps[finding.step];
            told(&step.step.logic, step.stage, finding)
        }
        Line::Bare(told) => told,
    })
}

/// Reason of a product that is no longer sold.
pub const STOPPED: &str = "product_stopped";

/// Reasons of a limit that exposure limits leave less room than its formula wants, none, or nobody knows how much.
pub const CAPPED: &str = "exposure.capped";
pub const NO_ROOM: &str = "exposure.no_room";
pub const ROOM_UNKNOWN: &str = "exposure.unknown";

/// A reason that no step gives.
fn bare<'a>(stage: Stage, effect: Effect, id: &'a str, zh: &'a str, en: &'a str) -> Told<'a> {
    let one = |text| [text, "", ""];
    let (id, zh, en) = (one(id), one(zh), one(en));
    Told {
        id,
        zh,
        en,
        stage,
        effect,
        unknown: false,
        show: &[],
        step: 0,
        points_lost: None,
        override_roles: &[],
    }
}

/// The words of what a step of a stage found.
pub fn told<'a>(logic: &'a Logic, stage: Stage, finding: &Finding) -> Told<'a> {
    let told = |id: Words<'a>, zh: Words<'a>, en: Words<'a>, unknown: bool, show: &'a [Show]| Told {
        id,
        zh,
        en,
        stage,
        effect: finding.effect,
        unknown,
        show,
        step: finding.step,
        points_lost: finding.what.points_lost(),
        override_roles: roles(logic, finding),
    };
    let room = |id: Words<'a>, zh: Words<'a>, en: Words<'a>, unknown: bool, limit: &'a Limit| {
        told(id, zh, en, unknown, limit.room.as_deref().unwrap_or_default())
    };
    match (logic, finding.what) {
        (Logic::Rules(set), What::RuleFired(i)) => {
            let rule = &set.rules[i];
            told([&rule.id, "", ""], [&rule.zh, "", ""], [&rule.en, "", ""], false, &rule.show)
        }
        (Logic::Rules(set), What::RuleUnknown(i)) => {
            let rule = &set.rules[i];
            let (zh, en) = (["无法判断：", &rule.zh, ""], ["cannot be told: ", &rule.en, ""]);
            told([&rule.id, "", ""], zh, en, true, &rule.show)
        }
        (Logic::Table(t), What::NoRow) => {
            let (zh, en) = ([&t.zh, "：没有适用的行", ""], [&t.en, ": no row applies", ""]);
            told([&t.id, "", ""], zh, en, false, &t.show)
        }
        (Logic::Table(t), _) => {
            let (zh, en) = ([&t.zh, "：所需信息缺失", ""], [&t.en, ": not enough is known", ""]);
            told([&t.id, "", ""], zh, en, true, &t.show)
        }
        (Logic::Score(score), What::Lost { characteristic, bin, .. }) => {
            let c = &score.card.characteristics()[characteristic];
            let show = &score.show[characteristic];
            match &c.bins()[bin].reason {
                Some(own) => told([&own.id, "", ""], [&own.zh, "", ""], [&own.en, "", ""], false, show),
                None => told([&score.card.id, ".", &c.name], [&c.zh, "", ""], [&c.en, "", ""], false, show),
            }
        }
        (Logic::Score(score), What::NoBin(i)) => {
            let c = &score.card.characteristics()[i];
            let (zh, en) = ([&c.zh, "：无法评分", ""], [&c.en, ": cannot be scored", ""]);
            told([&score.card.id, ".", &c.name], zh, en, true, &score.show[i])
        }
        (Logic::Limit(limit), What::BelowMin) => {
            let (zh, en) = ("可授额度低于产品最低额度", "the limit falls below the product's smallest");
            told(["limit", "", ""], [zh, "", ""], [en, "", ""], false, &limit.show)
        }
        (Logic::Limit(limit), What::Capped) => {
            let (zh, en) = ("额度受敞口限额剩余空间约束", "the limit is what exposure limits leave room for");
            room([CAPPED, "", ""], [zh, "", ""], [en, "", ""], false, limit)
        }
        (Logic::Limit(limit), What::NoRoom) => {
            let (zh, en) = ("敞口限额已无可用空间", "exposure limits leave no room for a limit");
            room([NO_ROOM, "", ""], [zh, "", ""], [en, "", ""], false, limit)
        }
        (Logic::Limit(limit), What::RoomUnknown) => {
            let (zh, en) = ("敞口限额使用情况未知", "it is not known how much room exposure limits leave");
            room([ROOM_UNKNOWN, "", ""], [zh, "", ""], [en, "", ""], true, limit)
        }
        (Logic::Limit(limit), _) => {
            let (zh, en) = ("无法计算额度", "the limit cannot be computed");
            told(["limit", "", ""], [zh, "", ""], [en, "", ""], true, &limit.show)
        }
        (Logic::Rate(rate), _) => {
            let (zh, en) = ("无法计算利率", "the rate cannot be computed");
            told(["rate", "", ""], [zh, "", ""], [en, "", ""], true, &rate.show)
        }
        (Logic::Rules(_) | Logic::Score(_), what) => unreachable!("{what:?} is not of this step"),
    }
}

/// Who may override what was found.
fn roles<'a>(logic: &'a Logic, finding: &Finding) -> &'a [String] {
    match (logic, finding.what, finding.effect) {
        (Logic::Rules(set), What::RuleFired(i) | What::RuleUnknown(i), Effect::Block) => {
            &set.rules[i].override_roles
        }
        _ => &[],
    }
}

/// Values that are shown beside what was found.
pub fn shown(logic: &Logic, what: What) -> &[Show] {
    match (logic, what) {
        (Logic::Rules(set), What::RuleFired(i) | What::RuleUnknown(i)) => &set.rules[i].show,
        (Logic::Score(score), What::Lost { characteristic, .. }) => &score.show[characteristic],
        (Logic::Score(score), What::NoBin(characteristic)) => &score.show[characteristic],
        (Logic::Table(table), _) => &table.show,
        (Logic::Limit(limit), What::Capped | What::NoRoom | What::RoomUnknown) => {
            limit.room.as_deref().unwrap_or_default()
        }
        (Logic::Limit(limit), _) => &limit.show,
        (Logic::Rate(rate), _) => &rate.show,
        (Logic::Rules(_) | Logic::Score(_), what) => unreachable!("{what:?} is not of this step"),
    }
}

/// Everything that a step can find (points aside), with what it does.
pub fn possible(logic: &Logic) -> Vec<(What, Effect)> {
    let some = |what: What, effect: Option<Effect>| effect.map(|effect| (what, effect));
    match logic {
        Logic::Rules(set) => {
            let of = |(i, rule): (usize, &super::rules::Rule)| {
                let fired = (What::RuleFired(i), rule.then);
                [Some(fired), some(What::RuleUnknown(i), rule.if_unknown)]
            };
            set.rules.iter().enumerate().flat_map(of).flatten().collect()
        }
        Logic::Table(table) => {
            let all = [some(What::NoRow, table.if_no_match), some(What::Unknown, table.if_unknown)];
            all.into_iter().flatten().collect()
        }
        Logic::Score(score) => {
            let mut all = Vec::new();
            for (characteristic, c) in score.card.characteristics().iter().enumerate() {
                all.push((What::NoBin(characteristic), score.if_no_bin()));
                let lost = |bin| What::Lost { characteristic, bin, points: 0.0 };
                all.extend((0..c.bins().len()).map(|bin| (lost(bin), Effect::Score)));
            }
            all
        }
        Logic::Limit(limit) => {
            let room = [
                (What::Capped, Effect::Warn),
                (What::NoRoom, Effect::Decline),
                (What::RoomUnknown, Effect::Refer),
            ];
            let room = room.into_iter().filter(|_| limit.room.is_some());
            [(What::BelowMin, limit.if_below_min), (What::Unknown, limit.if_unknown)]
                .into_iter()
                .chain(room)
                .collect()
        }
        Logic::Rate(rate) => vec![(What::Unknown, rate.if_unknown)],
    }
}

/// Every id that a reason from these steps can have.
pub fn reason_ids<'a>(steps: impl IntoIterator<Item = &'a Logic>) -> BTreeSet<String> {
    let mut ids = BTreeSet::from([STOPPED.to_owned(), "limit".into(), "rate".into()]);
    for logic in steps {
        match logic {
            Logic::Rules(set) => ids.extend(set.rules.iter().map(|r| r.id.clone())),
            Logic::Table(table) => {
                ids.insert(table.id.clone());
            }
            Logic::Score(score) => {
                for c in score.card.characteristics() {
                    ids.insert(format!("{}.{}", score.card.id, c.name));
                    ids.extend(c.bins().iter().filter_map(|b| b.reason.as_ref()).map(|r| r.id.clone()));
                }
            }
            Logic::Limit(limit) if limit.room.is_some() => {
                ids.extend([CAPPED, NO_ROOM, ROOM_UNKNOWN].map(str::to_owned));
            }
            Logic::Limit(_) | Logic::Rate(_) => {}
        }
    }
    ids
}
