//! What is to be done, by a rulebook: how an alert goes to its reader, and what is due.

use std::{collections::BTreeSet, sync::Arc};

use tarim_proto::warning::v1::{self as wire, Level};

use super::{Delivery, Escalation, Managers, Policy, Way};
use crate::lifecycle::{Head, Lifecycle, Warning};

/// Decides. It changes nothing but its own timers, which follow from what is decided.
#[derive(Debug)]
pub struct Stage {
    policy: Policy,
    managers: Managers,
    /// When the next escalation of a warning is due, with its member and number. A timer whose warning was looked into
    /// meanwhile is thrown away when its time comes.
    timers: BTreeSet<(i64, Arc<str>, u32)>,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    Digest { due_us: i64 },
    Escalation { due_us: i64, member: Arc<str>, number: u32, level: Level, step: Escalation },
}

impl Due {
    /// The time that it is due at.
    pub fn at_us(&self) -> i64 {
        match self {
            Self::Digest { due_us } | Self::Escalation { due_us, .. } => *due_us,
        }
    }
}

impl Stage {
    /// Goes on with what a ledger holds.
    pub fn new(policy: Policy, managers: Managers, delivery: &Delivery, lifecycle: &Lifecycle) -> Self {
        let mut stage = Self { policy, managers, timers: BTreeSet::new() };
        if stage.policy.escalations.is_empty() {
            return stage;
        }
        for (member, number, _) in delivery.all_standing() {
            if let Some(warning) = lifecycle.warning(member, number) {
                stage.arm(delivery, &warning);
            }
        }
        stage
    }

    pub fn set_managers(&mut self, managers: Managers) {
        self.managers = managers;
    }

    /// How an alert goes to its reader, which belongs to the warning of that number.
    pub fn way_of_alert(&self, delivery: &Delivery, alert: &Head<'_>, number: u32, now_us: i64) -> Way {
        let Head { member, customer, level, .. } = *alert;
        let before = delivery.standing(member, number);
        let repeats = before.is_some_and(|before| before.level >= level);
        // What an older release raised does not say how: at once, then.
        let wants = alert.push != wire::Push::Digest && !(repeats && self.policy.repeats_wait);
        let reader = self.managers.of(member, customer);
        self.way(delivery, member, reader, level, wants, now_us)
    }

    /// How an escalation goes to the role.
    pub fn way_of_escalation(
        &self,
        delivery: &Delivery,
        member: &str,
        step: &Escalation,
        level: Level,
        now_us: i64,
    ) -> Way {
        let reader = delivery.name(member, &step.to);
        self.way(delivery, member, reader, level, true, now_us)
    }

    fn way(
        &self,
        delivery: &Delivery,
        member: &str,
        reader: Arc<str>,
        level: Level,
        wants: bool,
        now_us: i64,
    ) -> Way {
        let day = delivery.day(member, &reader, self.policy.calendar.day(now_us));
        let (at_once, budget) = match self.policy.budgets.of(level) {
            _ if !wants => (false, None),
            None => (true, None),
            Some((budget, limit)) => {
                let left = delivery.spent(member, &reader, day, budget) < limit;
                (left, left.then_some(budget))
            }
        };
        Way { at_us: now_us, reader, at_once, day, budget }
    }

    /// Sets the timer of a warning's next escalation. To be called after each alert, and after each escalation.
    pub fn arm(&mut self, delivery: &Delivery, warning: &Warning) {
        if let Some((due_us, _)) = self.next_step(delivery, warning) {
            self.timers.insert((due_us, delivery.member_name(&warning.member), warning.number));
        }
    }

    /// What is due first, whenever that is; of one time, escalations come first, so that a digest can have them.
    pub fn next(&mut self, delivery: &Delivery, lifecycle: &Lifecycle) -> Option<Due> {
        let digest = delivery.waits_since_us().map(|since| self.policy.calendar.digest_after(since));
        while let Some((due_us, member, number)) = self.timers.first() {
            if digest.is_some_and(|digest| digest < *due_us) {
                break;
            }
            let warning = lifecycle.warning(member, *number);
            let step = warning.as_ref().and_then(|warning| self.next_step(delivery, warning));
            if let (Some((at_us, step)), Some(warning)) = (step, &warning)
                && at_us == *due_us
            {
                let (step, level) = (step.clone(), warning.level);
                let (due_us, member, number) = (*due_us, member.clone(), *number);
                return Some(Due::Escalation { due_us, member, number, level, step });
            }
            self.timers.pop_first();
        }
        digest.map(|due_us| Due::Digest { due_us })
    }

    /// The next escalation of a warning, and when it is due; None: somebody looks into it, or all is said.
    fn next_step(&self, delivery: &Delivery, warning: &Warning) -> Option<(i64, &Escalation)> {
        if warning.state != crate::lifecycle::State::Open {
            return None;
        }
        let watch = delivery.standing(&warning.member, warning.number)?;
        let steps = self.policy.escalations.iter().filter(|step| step.level == watch.level);
        let step = steps.filter(|step| !warning.was_passed_on(&step.to)).min_by_key(|step| step.after_us)?;
        Some((watch.since_us.saturating_add(step.after_us), step))
    }
}
