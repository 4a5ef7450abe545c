//! A digest: what waited for one reader, grouped, the gravest first.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use tarim_proto::warning::v1::{self as wire, Alert, Level};

use crate::{
    ledger::{Bodies, LedgerError},
    lifecycle::{Head, Id, Place, State, Warning},
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
    pub level: Level,
    /// The gravest first; not empty.
    pub lines: Vec<Line>,
}

/// A warning in a digest, as it is when the digest is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub warning: Id,
    pub customer: Arc<str>,
    pub rule: Arc<str>,
    pub key: Arc<str>,
    pub group: Arc<str>,
    /// Where the alert that opened it stands, and how long its texts are.
    pub body: Place,
    pub text: u32,
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

/// A part of a digest has no more lines than this, and no more text: a topic takes a megabyte at once.
const PART_LINES: usize = 500;
const PART_BYTES: usize = 400 << 10;

impl Line {
    pub fn new(warning: &Warning, waited: Waited) -> Self {
        let Warning { customer, rule, key, group, .. } = warning;
        let [customer, rule, key, group] = [customer, rule, key, group].map(Arc::clone);
        let Warning { id, body, text, level, state, .. } = *warning;
        Self { warning: id, customer, rule, key, group, body, text, level, state, waited }
    }

    /// The gravest first; of those, the latest; and no two are alike.
    fn rank(&self) -> impl Ord + use<> {
        (Reverse(self.level), Reverse(self.waited.last_us), self.warning)
    }

    /// About as long as it is in JSON.
    fn bytes(&self) -> usize {
        let Self { rule, key, group, customer, text, .. } = self;
        400 + *text as usize + [rule, key, group, customer].iter().map(|text| text.len()).sum::<usize>()
    }
}

/// The parts of a digest.
pub fn parts(number: u32, lines: impl Iterator<Item = Line>) -> Vec<Digest> {
    let mut groups: BTreeMap<(Arc<str>, Arc<str>), Vec<Line>> = BTreeMap::new();
    for line in lines {
        let of = (line.group.clone(), line.customer.clone());
        groups.entry(of).or_default().push(line);
    }
    let mut groups: Vec<Vec<Line>> = groups.into_values().collect();
    groups.iter_mut().for_each(|lines| lines.sort_by_cached_key(Line::rank));
    groups.sort_by_cached_key(|lines| lines[0].rank());
    let mut parts: Vec<Vec<Group>> = Vec::new();
    let (mut count, mut bytes) = (PART_LINES, 0);
    for lines in groups {
        let level = lines[0].level;
        let mut begun = false;
        for line in lines {
            let more = line.bytes();
            if count == PART_LINES || bytes + more > PART_BYTES {
                parts.push(Vec::new());
                (count, bytes, begun) = (0, 0, false);
            }
            let part = parts.last_mut().expect("the first line begins one");
            if !begun {
                part.push(Group { level, lines: Vec::new() });
                begun = true;
            }
            part.last_mut().expect("it has begun").lines.push(line);
            (count, bytes) = (count + 1, bytes + more);
        }
    }
    let all = parts.len() as u32;
    (1..).zip(parts).map(|(part, groups)| Digest { number, part, parts: all, groups }).collect()
}

impl Group {
    pub fn name(&self) -> &str {
        &self.lines[0].group
    }

    pub fn customer(&self) -> &str {
        &self.lines[0].customer
    }
}

impl Digest {
    /// As it is told, with what its alerts say.
    pub fn wire(&self, bodies: &dyn Bodies) -> Result<wire::Digest, LedgerError> {
        let groups = self.groups.iter().map(|group| {
            let lines = group.lines.iter().map(|line| line.wire(bodies));
            Ok(wire::DigestGroup {
                group: group.name().into(),
                customer_id: group.customer().into(),
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
    fn wire(&self, bodies: &dyn Bodies) -> Result<wire::DigestLine, LedgerError> {
        let Self { warning, rule, key, body, level, state, waited, .. } = self;
        let Alert { zh, en, .. } = bodies.body(*body)?;
        Ok(wire::DigestLine {
            warning_id: warning.to_string(),
            rule_id: rule.to_string(),
            key: key.to_string(),
            zh,
            en,
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

    struct Texts;

    impl Bodies for Texts {
        fn body(&self, place: Place) -> Result<Alert, LedgerError> {
            Ok(Alert { zh: "贷".repeat(place.length() / 3), ..Alert::default() })
        }
    }

    fn line(n: u64, customer: &str, level: Level, text: usize) -> Line {
        let nothing = Arc::<str>::default();
        Line {
            warning: format!("{n:032x}").parse().unwrap(),
            customer: customer.into(),
            rule: nothing.clone(),
            key: nothing.clone(),
            group: nothing,
            // Its texts are read from a place of that length.
            body: Place::new(0, &vec![0; 3 * text]),
            text: 3 * text as u32,
            level,
            state: State::Open,
            waited: Waited { alerts: 1, ..Waited::default() },
        }
    }

    #[test]
    fn a_long_digest_comes_in_parts_and_lacks_nothing() {
        let of = |n: u64| if n.is_multiple_of(2) { "c1" } else { "c2" };
        let lines = (0..1201).map(|n| line(n, of(n), if n == 7 { Level::Red } else { Level::Blue }, 1));
        let parts = parts(3, lines);
        let numbers: Vec<_> = parts.iter().map(|digest| (digest.number, digest.part, digest.parts)).collect();
        assert_eq!(numbers, [(3, 1, 3), (3, 2, 3), (3, 3, 3)]);
        let groups: Vec<Vec<_>> = parts
            .iter()
            .map(|d| d.groups.iter().map(|g| (g.customer(), g.level, g.lines.len())).collect())
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

    #[test]
    fn a_part_is_no_longer_than_a_topic_takes() {
        let parts = parts(1, (0..40).map(|n| line(n, "c1", Level::Red, 30_000)));
        assert_eq!(parts.iter().map(|d| d.groups[0].lines.len()).sum::<usize>(), 40);
        assert!(
            parts
                .iter()
                .all(|digest| prost::Message::encoded_len(&digest.wire(&Texts).unwrap()) < PART_BYTES + 1000)
        );
        // One that is longer by itself comes by itself.
        assert_eq!(super::parts(1, (0..2).map(|n| line(n, "c1", Level::Red, 200_000))).len(), 2);
    }
}
