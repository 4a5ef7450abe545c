//! A digest: what waited for one reader, grouped, the gravest first.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use tarim_proto::warning::v1::{self as wire, Alert, Level};

use crate::{
    alert::bytes_as_json,
    core::shortened,
    ledger::{Bodies, LedgerError},
    lifecycle::{Head, Id, State, Warning},
};

/// A digest, or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Digest {
    /// Which of the reader's it is, from 1.
    pub number: u32,
    /// From 1.
    pub part: u32,
    pub parts: u32,
    /// The gravest first.
    pub groups: Vec<Group>,
}

/// What belongs together: alerts of one `group` of rules about one customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub name: Arc<str>,
    pub customer: Arc<str>,
    pub level: Level,
    /// The gravest first; not empty.
    pub lines: Vec<Line>,
}

/// A warning in a digest, as it is when the digest is made. What it is about never changes, and is looked up by its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub warning: Id,
    pub level: Level,
    pub state: State,
    pub waited: Waited,
}

/// What waited of a warning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    pub alerts: u32,
    /// Repeats that the rule held back before these.
    pub held_back: u32,
    pub first_us: i64,
    pub last_us: i64,
    /// Whose warning it is, if it was escalated to the reader.
    pub escalated_from: Option<Arc<str>>,
}

impl Waited {
    /// One alert more.
    pub fn add(&mut self, alert: &Head<'_>) {
        let at_us = alert.raised_at_us;
        self.seen(at_us, at_us);
        self.alerts = self.alerts.saturating_add(1);
        self.held_back = self.held_back.saturating_add(alert.repeats);
    }

    /// The whole warning, which is another's.
    pub fn escalate(&mut self, warning: &Warning, from: &Arc<str>) {
        self.seen(warning.first_raised_us, warning.last_raised_us);
        self.escalated_from = Some(from.clone());
    }

    fn seen(&mut self, first_us: i64, last_us: i64) {
        if self.alerts == 0 && self.escalated_from.is_none() {
            (self.first_us, self.last_us) = (first_us, last_us);
        }
        self.first_us = self.first_us.min(first_us);
        self.last_us = self.last_us.max(last_us);
    }
}

/// A part of a digest has no more lines than this, and as JSON no more bytes, unless a single line has: a topic takes a
/// megabyte at once.
const PART_LINES: usize = 500;
const PART_BYTES: usize = 400 << 10;
/// So long a text of a line is told: in both languages, and with six bytes for each of them, a line has room in a record.
/// All of it is in the alert.
const TEXT_MAX: usize = 32 << 10;

impl Line {
    fn new(warning: &Warning, waited: Waited) -> Self {
        let Warning { id, level, state, .. } = *warning;
        Self { warning: id, level, state, waited }
    }

    /// The gravest first; of those, the latest; and no two are alike.
    fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.level), Reverse(self.waited.last_us), self.warning)
    }
}

/// How long a line about a warning is in JSON, at most.
fn bytes(warning: &Warning, waited: &Waited) -> usize {
    let Warning { rule, key, group, customer, text, .. } = warning;
    let texts = [rule, key, group, customer].into_iter().chain(&waited.escalated_from);
    400 + *text as usize + texts.map(|text| bytes_as_json(text.as_bytes())).sum::<usize>()
}

/// How many lines each part has that is still to be made, if that was decided before.
pub type Known<'a> = std::slice::Iter<'a, u32>;

/// What is known of the parts is not true of what waits.
pub const MISFIT: &str = "the parts of a digest have not as many lines as wait";

/// The parts of a digest: as they were made before, if that is `known`, else each as long as it may be.
pub fn parts(
    number: u32,
    waits: impl Iterator<Item = (Arc<Warning>, Waited)>,
    mut known: Option<&mut Known<'_>>,
) -> Result<Vec<Digest>, &'static str> {
    // By group and customer, each line with its length.
    type Lines = Vec<(Line, usize)>;
    let mut groups: BTreeMap<(Arc<str>, Arc<str>), Lines> = BTreeMap::new();
    for (warning, waited) in waits {
        let of = (warning.group.clone(), warning.customer.clone());
        let bytes = bytes(&warning, &waited);
        groups.entry(of).or_default().push((Line::new(&warning, waited), bytes));
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.iter_mut().for_each(|(_, lines)| lines.sort_by_cached_key(|(line, _)| line.rank()));
    groups.sort_by_cached_key(|(_, lines)| lines[0].0.rank());
    let mut parts: Vec<Vec<Group>> = Vec::new();
    let (mut count, mut bytes) = (PART_LINES, 0);
    // Of a part that is known: lines that it still lacks.
    let mut lacks = 0;
    for ((name, customer), lines) in groups {
        let level = lines[0].0.level;
        let mut begun = false;
        for (line, more) in lines {
            let ends = match &mut known {
                None => count == PART_LINES || bytes + more > PART_BYTES,
                Some(known) if lacks == 0 => {
                    lacks = *known.next().filter(|lines| **lines > 0).ok_or(MISFIT)?;
                    true
                }
                Some(_) => false,
            };
            lacks = lacks.saturating_sub(1);
            if ends {
                parts.push(Vec::new());
                (count, bytes, begun) = (0, 0, false);
            }
            let part = parts.last_mut().expect("the first line begins one");
            if !begun {
                let (name, customer) = (name.clone(), customer.clone());
                part.push(Group { name, customer, level, lines: Vec::new() });
                begun = true;
            }
            part.last_mut().expect("it has begun").lines.push(line);
            (count, bytes) = (count + 1, bytes + more);
        }
    }
    if lacks > 0 {
        return Err(MISFIT);
    }
    let all = parts.len() as u32;
    Ok((1..).zip(parts).map(|(part, groups)| Digest { number, part, parts: all, groups }).collect())
}

impl Digest {
    /// As it is told to a reader of the member, with what its alerts say.
    pub fn wire(&self, member: &str, bodies: &dyn Bodies) -> Result<wire::Digest, LedgerError> {
        let groups = self.groups.iter().map(|group| {
            let lines = group.lines.iter().map(|line| line.wire(member, bodies));
            Ok(wire::DigestGroup {
                group: group.name.to_string(),
                customer_id: group.customer.to_string(),
                level: group.level.into(),
                lines: lines.collect::<Result<_, _>>()?,
            })
        });
        let groups = groups.collect::<Result<_, LedgerError>>()?;
        let (number, part, parts) = (self.number, self.part, self.parts);
        Ok(wire::Digest { number, part, parts, groups })
    }
}

impl Line {
    fn wire(&self, member: &str, bodies: &dyn Bodies) -> Result<wire::DigestLine, LedgerError> {
        let Self { level, state, waited, .. } = self;
        let warning = bodies.warning(member, self.warning)?;
        let Alert { zh, en, .. } = bodies.body(warning.body)?;
        Ok(wire::DigestLine {
            warning_id: warning.id.to_string(),
            rule_id: warning.rule.to_string(),
            key: warning.key.to_string(),
            zh: shortened(zh, TEXT_MAX),
            en: shortened(en, TEXT_MAX),
            level: (*level).into(),
            state: state.wire().into(),
            alerts: waited.alerts,
            held_back: waited.held_back,
            first_raised_at_us: waited.first_us,
            last_raised_at_us: waited.last_us,
            escalated_from: waited.escalated_from.as_deref().unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        core::RECORD_MAX,
        delivery::push_json,
        lifecycle::{Inspections, Lifecycle, NewAlert, Place, Raised},
    };

    /// Warnings with texts, opened one after the other.
    #[derive(Default)]
    struct Texts(Lifecycle, Vec<Alert>);

    impl Bodies for Texts {
        fn body(&self, place: Place) -> Result<Alert, LedgerError> {
            Ok(self.1[place.offset() as usize].clone())
        }

        fn warning(&self, member: &str, id: Id) -> Result<Arc<Warning>, LedgerError> {
            Ok(self.0.by_alert(member, id).unwrap())
        }
    }

    impl Texts {
        fn waits(&mut self, n: u64, customer: &str, level: Level, zh: &str) -> (Arc<Warning>, Waited) {
            let alert = Alert {
                alert_id: format!("{n:032x}"),
                member: "001".into(),
                customer_id: customer.into(),
                rule_id: "W".into(),
                key: n.to_string(),
                level: level.into(),
                zh: zh.into(),
                ..Alert::default()
            };
            self.1.push(alert.clone());
            let alert = NewAlert::new(alert, &Inspections::default(), 0).unwrap();
            match self.0.apply_alert(&alert.head(), Place::new(self.1.len() as u64 - 1, &[])) {
                Raised::Opened(warning) => (warning, Waited { alerts: 1, ..Waited::default() }),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_long_digest_comes_in_parts_and_lacks_nothing() {
        let of = |n: u64| if n.is_multiple_of(2) { "c1" } else { "c2" };
        let mut texts = Texts::default();
        let waits =
            (0..1201).map(|n| texts.waits(n, of(n), if n == 7 { Level::Red } else { Level::Blue }, "贷"));
        let parts = parts(3, waits, None).unwrap();
        let numbers: Vec<_> = parts.iter().map(|digest| (digest.number, digest.part, digest.parts)).collect();
        assert_eq!(numbers, [(3, 1, 3), (3, 2, 3), (3, 3, 3)]);
        let groups: Vec<Vec<_>> = parts
            .iter()
            .map(|d| d.groups.iter().map(|g| (&*g.customer, g.level, g.lines.len())).collect())
            .collect();
        // The gravest group first, whole in what follows, and as grave in each part.
        let wanted = vec![
            vec![("c2", Level::Red, 500)],
            vec![("c2", Level::Red, 100), ("c1", Level::Blue, 400)],
            vec![("c1", Level::Blue, 201)],
        ];
        assert_eq!(groups, wanted);
        assert_eq!(parts[0].groups[0].lines[0].level, Level::Red);
    }

    /// As many lines as are given of as many such characters: parts, none of which is longer than a record may be.
    fn fits(lines: u64, character: &str, times: usize) -> usize {
        let mut texts = Texts::default();
        let zh = character.repeat(times);
        let parts = parts(1, (0..lines).map(|n| texts.waits(n, "c1", Level::Red, &zh)), None).unwrap();
        assert_eq!(parts.iter().map(|d| d.groups[0].lines.len()).sum::<usize>() as u64, lines);
        for digest in &parts {
            let digest = Some(digest.wire("001", &texts).unwrap());
            let push = wire::PushMessage { digest, ..wire::PushMessage::default() };
            let (json, encoded) = (push_json(&push).to_string(), prost::Message::encoded_len(&push));
            assert!(json.len() < RECORD_MAX && encoded < RECORD_MAX, "{} bytes of JSON", json.len());
        }
        parts.len()
    }

    #[test]
    fn a_part_is_no_longer_than_a_topic_takes() {
        assert_eq!(fits(40, "贷", 30_000), 10);
        // One that is longer by itself comes by itself, and is cut.
        assert_eq!(fits(2, "贷", 200_000), 2);
        // As JSON these take two bytes each, and six.
        assert_eq!(fits(40, "\\", 30_000), 7);
        assert_eq!(fits(40, "\u{1}", 30_000), 20);
        assert_eq!(fits(3, "\u{1}", 300_000), 3);
    }
}
