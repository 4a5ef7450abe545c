//! From a rule that fires to an alert, or to none.

use tarim_proto::warning::v1::{Alert, EventRef, Evidence};

use super::{Counts, Outbox, customers::Customers, episodes::Episode, standing::Standing, state::State};
use crate::rulebook::{Pattern, WarningBook};

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

/// An episode that fires.
pub(super) struct Fired<'a> {
    pub(super) customer: u32,
    pub(super) episode: &'a Episode,
    pub(super) at_us: i64,
    pub(super) events: Vec<EventRef>,
    pub(super) values: Vec<Evidence>,
    pub(super) unknown: bool,
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

impl State {
    /// Raises the alert of a pattern.
    pub(super) fn raise(&mut self, pattern: &Pattern, fired: Fired<'_>, out: &mut Outbox) {
        let Fired { customer, episode, at_us, events, values, unknown } = fired;
        let (rule, by_contagion) = (pattern.rule, pattern.by_contagion);
        let raise = Raise { rule, customer, key: &episode.key, at_us, unknown, values, events, by_contagion };
        let Self { book, customers, counts, layout, .. } = self;
        raise.raise(book, customers, layout.standing, counts, out);
    }
}

/// Does an alert still stand? One that is raised by a late event stands as if it had come in time.
fn stands(standing: &Standing, quiet_us: i64, at_us: i64) -> bool {
    at_us < standing.since_us.saturating_add(quiet_us)
}
