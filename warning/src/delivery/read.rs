//! `[delivery]` and `[[escalation]]` of `warnings/*.toml`.

use tarim_datamart::{At, Item, Place, Problems, Section};
use tarim_features::view::{parse_span, show_span};
use tarim_proto::warning::v1::Level;

use super::{Budgets, Calendar, Escalation, Limit, Policy};
use crate::rulebook;

/// What the files say, one after the other.
#[derive(Debug, Default)]
pub struct DeliveryText {
    policy: Option<(Place, Option<Policy>)>,
    pub managers_sql: Option<At<String>>,
    escalations: Vec<At<Escalation>>,
}

const MINUTE_US: i64 = 60_000_000;

/// Farthest that a local time can be from UTC, in minutes.
const OFFSET_MAX: i64 = 14 * 60;

impl DeliveryText {
    /// What one file says.
    pub fn read(&mut self, root: &Section<'_>, problems: &mut Problems) {
        if let Some(section) = root.section("delivery", problems) {
            let place = section.place();
            if let Some((first, _)) = &self.policy {
                problems.push(place.problem(
                    format!("[delivery] is said twice; the other stands at {first}"),
                    "remove one of them",
                ));
            }
            let policy = self.delivery(section, problems);
            self.policy.get_or_insert((place, policy));
        }
        for section in root.sections("escalation", problems) {
            self.escalations.extend(escalation(section, problems));
        }
    }

    fn delivery(&mut self, section: Section<'_>, problems: &mut Problems) -> Option<Policy> {
        let offset = section.need_text("offset", problems).and_then(|text| offset(&text, problems));
        let digests = section.need("digest_at", problems).and_then(|item| digests(&item, problems));
        let common = section.need("budget_per_day", problems).and_then(|item| limit(&item, problems));
        let mut budgets = Budgets { common: common.flatten(), ..Budgets::default() };
        for (level, item) in section.section("budget", problems).iter().flat_map(Section::entries) {
            let level = level.map(str::to_owned);
            let of = rulebook::choice(&level, &rulebook::Level::ALL, problems);
            let (Some(of), Some(limit)) = (of, limit(&item, problems)) else { continue };
            budgets.of_level[of as usize] = Some(limit);
        }
        let repeats = section.text("repeats", problems);
        let repeats = repeats.map(|word| rulebook::choice(&word, &rulebook::Push::ALL, problems));
        self.managers_sql = section.text("managers_sql", problems);
        section.finish(problems);
        common?;
        Some(Policy {
            calendar: Calendar::new(offset?, digests?),
            budgets,
            repeats_wait: repeats.unwrap_or(Some(rulebook::Push::Realtime))? == rulebook::Push::Digest,
            escalations: Vec::new(),
            managers_sql: self.managers_sql.clone().map(|sql| sql.value),
        })
    }

    /// All files together. None: nothing is said, and nothing pushed.
    pub fn finish(self, problems: &mut Problems) -> Option<Policy> {
        let Self { policy, mut escalations, .. } = self;
        if let (None, Some(escalation)) = (&policy, escalations.first()) {
            problems.push(escalation.place.problem(
                "warnings are escalated, and no [delivery] says when and how pushes are made",
                "write [delivery] with offset, digest_at and budget_per_day (RULEBOOK.md shows an example)",
            ));
        }
        escalations.sort_by_key(|e| (e.value.level, e.value.after_us));
        for (i, escalation) in escalations.iter().enumerate() {
            let same = |other: &&At<Escalation>| {
                (other.value.level, &other.value.to) == (escalation.value.level, &escalation.value.to)
            };
            if let Some(other) = escalations[..i].iter().find(same) {
                let to = &escalation.value.to;
                // By its role an escalation is known to have been made.
                escalation_twice(&escalation.place, &other.place, to, problems);
            }
        }
        let mut policy = policy?.1?;
        policy.escalations = escalations.into_iter().map(|e| e.value).collect();
        Some(policy)
    }
}

fn escalation_twice(place: &Place, other: &Place, to: &str, problems: &mut Problems) {
    problems.push(place.problem(
        format!("a warning of this level is escalated to `{to}` twice; the other stands at {other}"),
        "remove one of them, or name another role",
    ));
}

fn escalation(section: Section<'_>, problems: &mut Problems) -> Option<At<Escalation>> {
    let place = section.place();
    let level = section.need_text("level", problems);
    let level = level.and_then(|word| rulebook::choice(&word, &rulebook::Level::ALL, problems));
    let after = section.need_text("after", problems).and_then(|text| parse_span(&text, problems));
    let to = section.need_text("to", problems);
    section.finish(problems);
    let to = to?;
    let good = to.value.starts_with(|c: char| c.is_ascii_lowercase())
        && to.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        && to.value.len() <= 64;
    if !good {
        problems.push(to.place.problem(
            format!("`{}` cannot be a role", to.value),
            "use small letters, digits and _, with a letter first, such as branch_head",
        ));
        return None;
    }
    let (level, after_us): (Level, i64) = (level?.wire(), after?);
    let why = format!("nobody looked into it within {}", show_span(after_us));
    Some(At { value: Escalation { level, after_us, to: to.value.into(), why }, place })
}

/// "+08:00", in microseconds.
fn offset(text: &At<String>, problems: &mut Problems) -> Option<i64> {
    let parsed = || {
        let (sign, time) = match text.value.split_at_checked(1)? {
            ("+", time) => (1, time),
            ("-", time) => (-1, time),
            _ => return None,
        };
        let minutes = minutes(time)?;
        (minutes <= OFFSET_MAX).then_some(sign * minutes * MINUTE_US)
    };
    let parsed = parsed();
    if parsed.is_none() {
        problems.push(text.place.problem(
            format!("`{}` is no distance from UTC", text.value),
            "write it like \"+08:00\", which is the time of China",
        ));
    }
    parsed
}

/// Times of a day, in microseconds since its beginning; at least one.
fn digests(item: &Item<'_>, problems: &mut Problems) -> Option<Vec<i64>> {
    let (texts, count) = (item.texts(problems), item.items(&mut Problems::default()).len());
    if item.is_empty_list() {
        problems.push(item.place().problem(
            "there is no time of a digest, and what waits would wait for ever",
            "write at least one, such as digest_at = [\"08:30\"]",
        ));
        return None;
    }
    let mut times = Vec::new();
    for text in &texts {
        match minutes(&text.value).filter(|minutes| *minutes < 24 * 60) {
            Some(minutes) if times.contains(&(minutes * MINUTE_US)) => problems
                .push(text.place.problem(format!("`{}` is said twice", text.value), "remove one of them")),
            Some(minutes) => times.push(minutes * MINUTE_US),
            None => problems.push(text.place.problem(
                format!("`{}` is no time of a day", text.value),
                "write it like \"08:30\", from 00:00 to 23:59",
            )),
        }
    }
    (times.len() == count && count > 0).then_some(times)
}

/// Minutes of HH:MM.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str| {
        (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<i64>().ok())?
    };
    Some(number(hours)? * 60 + number(minutes).filter(|minutes| *minutes < 60)?)
}

/// How many a day, or "unlimited".
fn limit(item: &Item<'_>, problems: &mut Problems) -> Option<Limit> {
    let found = match item.is_text() {
        true => item.text(&mut Problems::default()).filter(|text| text.value == "unlimited").map(|_| None),
        false => {
            let number = item.integer(&mut Problems::default());
            number.and_then(|n| u32::try_from(n.value).ok()).map(Some)
        }
    };
    if found.is_none() {
        problems.push(item.place().problem(
            "this is no budget",
            "write how many pushes a reader gets at once on a day, such as 30 or 0, or \"unlimited\"",
        ));
    }
    found
}
