//! What can be asked of a ledger. Ask a copy where much is read: it stands still, and the ledger goes on.

use super::{
    Core, Exposure, NOBODY, Naming,
    counting::{Counter, Names, Sight, Who},
};
use crate::exposure::{
    operation::{Attribute, CounterUse, Prepared, Refusal, customer_hash, hash},
    prospect::Prospect,
    spare::Spare,
    standing::Seen,
};

/// How an exposure stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExposureState {
    pub member: String,
    pub exposure: String,
    pub customer: String,
    /// Of connected customers, if it belongs to one.
    pub group: Option<String>,
    /// In order of name.
    pub attributes: Vec<Attribute>,
    pub reserved_fen: i64,
    pub outstanding_fen: i64,
    /// None: never, or nothing is reserved.
    pub expires_us: Option<i64>,
}

/// Which counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this member, and of the federation.
    pub member: Option<&'a str>,
    /// Of this limit.
    pub limit: Option<&'a str>,
    /// Of which at least this share of the hard line is used.
    pub used_share: f64,
}

impl Core {
    /// How counters stand, in the order in which they were first used.
    pub fn utilisation<'a>(&'a self, filter: Filter<'a>) -> impl Iterator<Item = CounterUse> + 'a {
        let counting = &self.counting;
        let naming = Naming { core: self, words: &self.words, asking: "" };
        let wanted = move |at: &u32| {
            let counter = counting.counters.get(*at);
            let (scheme, hard) = (counting.scheme_of(counter), counting.lines(counter).hard_fen);
            filter.limit.is_none_or(|limit| limit == scheme.id)
                && filter
                    .member
                    .is_none_or(|m| counter.member == NOBODY || self.words.get(counter.member) == m)
                && counter.used as f64 >= filter.used_share * hard as f64
        };
        (0..counting.counters.len()).filter(wanted).map(move |at| counting.tell(at, &naming))
    }

    /// How many counters are above their warning line, and how many above their hard line, of limits in force.
    pub fn above_lines(&self) -> (u64, u64) {
        let in_force = |c: &&Counter| self.counting.scheme_of(c).in_force(self.now_us);
        self.counting.counters.iter().filter(in_force).fold((0, 0), |(warning, hard), counter| {
            let lines = self.counting.lines(counter);
            (
                warning + u64::from(counter.used > lines.warning_fen),
                hard + u64::from(counter.used > lines.hard_fen),
            )
        })
    }

    /// How the counters stand that a new exposure would touch: those of limits that are in force at a time. Nothing is taken.
    pub fn outlook(&self, reserve: &Prepared, now_us: i64) -> Result<Vec<CounterUse>, Refusal> {
        let not = "only of a reservation can it be told what it would touch";
        let prospect = Prospect::of(reserve).ok_or_else(|| Refusal::Invalid(not.into()))?;
        let tell = |seen: &Sight<'_>| seen.tell(&mut Spare::default());
        self.look(&prospect, now_us, |seen| seen.iter().map(tell).collect())
    }

    /// The same, by whoever sees the counters before they are named. Allocates nothing where something with these attributes was
    /// reserved before, they are at most 8, and at most 32 limits are about it.
    pub fn look<T>(
        &self,
        prospect: &Prospect<'_>,
        now_us: i64,
        see: impl FnOnce(&[Sight<'_>]) -> T,
    ) -> Result<T, Refusal> {
        let Prospect { member, customer, attributes, profile, customer_hash } = prospect;
        if self.schemes().members.binary_search_by(|code| code.as_str().cmp(member)).is_err() {
            return Err(Refusal::UnknownMember((*member).to_owned()));
        }
        // Of what was reserved before the plan is known: a decision asks this each time.
        let same = |at: u32| self.profiles.get(at).hash == *profile;
        let known = self.profile_index.find(*profile as u64, same);
        let (mut words, made);
        let (plan, words) = match known.and_then(|profile| self.counting.known_plan(profile)) {
            Some(plan) => (&**plan, &self.words),
            None => {
                words = self.words.clone();
                made = self.counting.plan(member, attributes, &mut words);
                (&made, &words)
            }
        };
        if let Some(refusal) = &plan.refused {
            return Err(refusal.clone());
        }
        let known = self.find_customer(*customer_hash, member, customer);
        let who = known.map_or(Who { customer: None, group: None }, |known| self.who(known));
        let naming = Naming { core: self, words, asking: customer };
        Ok(see(&self.counting.outlook(plan, who, now_us, &naming)))
    }

    /// How an exposure stands.
    pub fn exposure(&self, member: &str, id: &str) -> Option<ExposureState> {
        let key = hash([member, id, ""].into_iter());
        Some(self.tell_exposure(self.exposures.get(self.keys.find(key)?.exposure)))
    }

    /// Member and id of the exposures that reserve something, until some time, of which nothing was ever drawn.
    pub fn reserved(&self) -> impl Iterator<Item = (&str, &str)> {
        let rows = self.expiries.values().flat_map(|rows| rows.iter()).map(|at| self.exposures.get(*at));
        rows.filter(|row| row.reserved > 0 && row.outstanding == 0).map(|row| self.name(row))
    }

    /// Member and id of the exposures of which something is out. Reads all exposures.
    pub fn drawn(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exposures.iter().filter(|row| row.outstanding > 0).map(|row| self.name(row))
    }

    /// Number of the operation that reserved an exposure.
    pub fn reserved_at(&self, member: &str, id: &str) -> Option<u64> {
        Some(self.keys.find(hash([member, id, ""].into_iter()))?.sequence)
    }

    fn name(&self, row: &Exposure) -> (&str, &str) {
        (self.words.get(self.profiles.get(row.profile).member), self.texts.text(row.id))
    }

    /// Exposures of a customer, the newest first.
    pub fn exposures_of(&self, member: &str, customer: &str) -> impl Iterator<Item = ExposureState> {
        let known = self.find_customer(customer_hash(member, customer), member, customer);
        let mut next = known.map_or(NOBODY, |known| self.customers.get(known).first);
        std::iter::from_fn(move || {
            let row = (next != NOBODY).then(|| self.exposures.get(next))?;
            next = row.next;
            Some(self.tell_exposure(row))
        })
    }

    /// Member, customer and group of all customers that belong to one.
    pub fn grouped(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let grouped = self.customers.iter().filter(|customer| customer.group != NOBODY);
        grouped.map(|customer| {
            let group = self.texts.text(self.groups.get(customer.group).name);
            (self.words.get(customer.member), self.texts.text(customer.name), group)
        })
    }

    /// Exposures that use something of a counter: those behind it. Reads all exposures.
    pub fn behind<'a>(&'a self, counter: &'a CounterUse) -> impl Iterator<Item = ExposureState> + 'a {
        let naming = Naming { core: self, words: &self.words, asking: "" };
        let is = move |at: u32| {
            let told = self.counting.tell(at, &naming);
            (&told.limit, &told.member, &told.per) == (&counter.limit, &counter.member, &counter.per)
        };
        let at = (0..self.counting.counters.len()).find(|at| is(*at));
        let uses = move |row: &&Exposure| {
            // A plan that was not made yet is of a profile of which nothing was counted.
            let plan = self.counting.known_plan(row.profile);
            row.used() > 0
                && at.is_some()
                && plan.is_some_and(|plan| {
                    self.counting
                        .touched(plan, self.who(row.customer))
                        .iter()
                        .any(|(_, counter)| *counter == at)
                })
        };
        self.exposures.iter().filter(uses).map(|row| self.tell_exposure(row))
    }

    /// All exposures, in the order in which they were reserved.
    pub fn all_exposures(&self) -> impl Iterator<Item = ExposureState> {
        self.exposures.iter().map(|row| self.tell_exposure(row))
    }

    /// What is reserved and outstanding of the exposure of an operation; of others, of everything.
    pub(crate) fn amounts(&self, prepared: &Prepared) -> (i64, i64) {
        match self.keys.find(prepared.key).filter(|_| prepared.key != 0) {
            Some(done) => {
                let row = self.exposures.get(done.exposure);
                (row.reserved, row.outstanding)
            }
            None => (self.total_fen, i64::from(self.exposures.len())),
        }
    }

    fn tell_exposure(&self, row: &Exposure) -> ExposureState {
        let naming = Naming { core: self, words: &self.words, asking: "" };
        let profile = self.profiles.get(row.profile);
        let group = self.customers.get(row.customer).group;
        ExposureState {
            member: self.words.get(profile.member).to_owned(),
            exposure: self.texts.text(row.id).to_owned(),
            customer: naming.customer(row.customer).to_owned(),
            group: (group != NOBODY).then(|| naming.group(group).to_owned()),
            attributes: profile.attributes.clone(),
            reserved_fen: row.reserved,
            outstanding_fen: row.outstanding,
            expires_us: (row.expires > 0 && row.reserved > 0)
                .then(|| i64::from(row.expires) * super::MINUTE_US),
        }
    }
}
