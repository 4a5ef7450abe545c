//! From a rule that fires to an alert, or to none.

use tarim_datamart::Value;
use tarim_features::{expr::Given, row::Row};
use tarim_proto::warning::v1::{Alert, EventRef, Evidence};

use super::{
    Counts, Outbox,
    customers::Customers,
    letter::{EVIDENCE_MAX, shortened},
    standing::Standing,
};
use crate::rulebook::{Named, Shown, ShownFrom, WarningBook};

/// Why an alert is raised.
pub struct Raise<'a> {
    pub rule: usize,
    pub customer: u32,
    pub key: &'a str,
    pub at_us: i64,
    pub unknown: bool,
    pub values: Vec<Evidence>,
    pub events: Vec<EventRef>,
    /// One of them is an alert of somebody else that has spread.
    pub by_contagion: bool,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Raised,
    /// An alert of the same rule and key stands.
    Repeated,
    /// One of another rule does.
    Suppressed,
}

impl Raise<'_> {
    /// Raises the alert, unless it is held back.
    pub fn raise(
        self,
        book: &WarningBook,
        customers: &mut Customers,
        (section, count): (usize, usize),
        counts: &mut Counts,
        out: &mut Outbox,
    ) -> Outcome {
        let rule = &book.rules()[self.rule];
        // A crossing fires once: what was told without being known must not hold back what is.
        let apart = self.unknown && book.is_crossing(self.rule);
        let key = twox_hash::XxHash3_64::oneshot_with_seed(u64::from(apart), self.key.as_bytes());
        let sections = &mut customers.get_mut(self.customer).sections;
        let (mut own, mut suppressed) = (None, false);
        for (i, standing) in Standing::all(sections.get(section, count)).enumerate() {
            let of = standing.rule as usize;
            if of == self.rule && standing.key == key {
                own = Some((i, standing));
            }
            if rule.suppressed_by.contains(&of) {
                suppressed |= stands(&standing, book.rules()[of].quiet_us, self.at_us);
            }
        }
        let at = own.map(|(i, _)| i);
        let repeats = own.map_or(0, |(_, standing)| standing.repeats);
        if let Some((_, standing)) = own.filter(|(_, s)| stands(s, rule.quiet_us, self.at_us)) {
            counts.repeated[self.rule] += 1;
            let again = Standing { repeats: standing.repeats.saturating_add(1), ..standing };
            again.put(at, sections, (section, count)).expect("it takes the place of another");
            return Outcome::Repeated;
        }
        if suppressed {
            counts.suppressed[self.rule] += 1;
            return Outcome::Suppressed;
        }
        let standing = Standing { rule: self.rule as u32, repeats: 0, key, since_us: self.at_us };
        // A state that is full cannot remember it: rather twice than not at all.
        let _ = standing.put(at, sections, (section, count));
        counts.raised[self.rule] += 1;
        let (member, customer) = customers.ids(self.customer);
        let mut id = blake3::Hasher::new();
        for text in [member, customer, &rule.id, self.key] {
            id.update(&(text.len() as u64).to_le_bytes());
            id.update(text.as_bytes());
        }
        id.update(&self.at_us.to_le_bytes());
        if apart {
            id.update(b"unknown");
        }
        let id = id.finalize().to_hex();
        if self.by_contagion {
            out.by_contagion.push(out.alerts.len());
        }
        out.alerts.push(Alert {
            alert_id: id[..32].to_owned(),
            member: member.to_owned(),
            customer_id: customer.to_owned(),
            rule_id: rule.id.clone(),
            level: rule.level.wire().into(),
            push: rule.push.wire().into(),
            key: self.key.to_owned(),
            raised_at_us: self.at_us,
            zh: rule.zh.clone(),
            en: rule.en.clone(),
            unknown: self.unknown,
            values: self.values,
            events: self.events,
            rulebook_version: book.version().to_owned(),
            repeats,
            group: rule.group.clone(),
        });
        Outcome::Raised
    }
}

/// Does an alert still stand? One that is raised by a late event stands as if it had come in time.
fn stands(standing: &Standing, quiet_us: i64, at_us: i64) -> bool {
    at_us < standing.since_us.saturating_add(quiet_us)
}

/// The values that an alert shows. Fields of the event are left out where there is none, and so are features of what only it
/// names.
pub fn evidence(
    show: &[Shown],
    row: Option<&Row<'_>>,
    window: impl Fn(usize) -> Given,
    feature: impl Fn((Named, usize)) -> Option<Value>,
) -> Vec<Evidence> {
    let value = |shown: &Shown| {
        Some(match shown.from {
            ShownFrom::Event(column) => row?.get(column),
            ShownFrom::Feature(named, column) => feature((named, column))?,
            ShownFrom::Window(w) => match window(w) {
                Given::Null => Value::Null,
                Given::Boolean(b) => Value::Boolean(b),
                Given::Int64(n) => Value::Int64(n),
                Given::Float64(x) => Value::Float64(x),
                Given::Date32(day) => Value::Date32(day),
                Given::Timestamp(us) => Value::Timestamp(us),
                Given::Text(_) => unreachable!("no window is a text"),
            },
        })
    };
    let told = show.iter().filter_map(|shown| Some((shown, value(shown)?)));
    // What is read by people: nothing that rests on it is computed from it.
    let mut room = EVIDENCE_MAX;
    told.map(|(shown, value)| {
        let text = if value.is_null() { String::new() } else { value.to_string() };
        let len = text.len();
        let value = shortened(text, room);
        room = room.saturating_sub(len);
        Evidence { name: shown.name.clone(), value }
    })
    .collect()
}
