//! What each operation does. It is checked whole before anything is changed.

use std::sync::Arc;

use prost::Message;

use super::{
    Applied, Core, Customer, Exposure, Group, MINUTE_US, NOBODY, Naming, Profile,
    checks::{check_attributes, check_fen, check_name, check_schemes},
    counting::Who,
};
use crate::exposure::{
    operation::{
        Adopt, Answer, Commit, CounterUse, Operation, Prepared, Refusal, Regroup, Release, Repay, Reserve,
        TICK_MAX, customer_hash,
    },
    prospect::pairs,
};

/// Most counters that one answer names.
const TOLD_MAX: usize = 256;
/// Most bytes that they take in an answer that is kept, which lies in one block ([`super::text`]): hundreds of long names do not fit.
const WARNINGS_MAX: usize = 48 << 10;

impl Core {
    /// Does an operation at a time, or says why not; then nothing has changed but the time.
    ///
    /// Time does not go back: an earlier one counts as the latest that was told.
    pub fn apply(&mut self, prepared: &Prepared, now_us: i64) -> Result<Applied, Refusal> {
        self.tell_time(now_us);
        let before = self.sequence;
        let applied = match &prepared.operation {
            Operation::Reserve(reserve) => self.reserve(prepared, reserve),
            Operation::Commit(commit) => self.commit(prepared, commit),
            Operation::Repay(repay) => self.repay(prepared, repay),
            Operation::Release(release) => self.release(prepared, release),
            Operation::Regroup(regroup) => self.regroup(prepared, regroup),
            Operation::FileLarge(file) => self.file_large(file),
            Operation::Tick(_) => Ok(self.tick()),
            Operation::Adopt(adopt) => self.adopt(adopt),
        };
        let fresh = applied.as_ref().is_ok_and(|applied| applied.fresh);
        assert_eq!(self.sequence, before + u64::from(fresh), "what was done is numbered, and nothing else");
        applied
    }

    /// The same of what a log says was done: it was accepted, perhaps by an earlier release that looked at less.
    pub fn apply_again(&mut self, prepared: &Prepared, now_us: i64) -> Result<Applied, Refusal> {
        self.reads_back = true;
        let applied = self.apply(prepared, now_us);
        self.reads_back = false;
        applied
    }

    fn reserve(&mut self, prepared: &Prepared, reserve: &Reserve) -> Result<Applied, Refusal> {
        let Reserve { member, exposure: id, customer, attributes, fen, expires_us } = reserve;
        check_name("the exposure's id", id)?;
        check_name("the customer's id", customer)?;
        check_fen(*fen)?;
        if let Some(before) = self.done_before(prepared, id, "")? {
            return Ok(before);
        }
        let expires = self.minute(*expires_us)?;
        if self.schemes().members.binary_search(member).is_err() {
            return Err(Refusal::UnknownMember(member.clone()));
        }
        let profiles = &self.profiles;
        let profile =
            self.profile_index.find(prepared.profile as u64, |at| profiles.get(at).hash == prepared.profile);
        let known = self.find_customer(prepared.customer, member, customer);
        let who = known.map_or(Who { customer: None, group: None }, |known| self.who(known));
        // Of a profile that is known its plan is; of a new one it is made, and kept only if the exposure is.
        let mut words = None;
        let plan = match profile {
            Some(profile) => self.plan_of(profile),
            None => {
                check_attributes(attributes)?;
                Arc::new(self.counting.plan(member, &pairs(attributes), words.insert(self.words.clone())))
            }
        };
        if let (Some(refusal), false) = (&plan.refused, self.reads_back) {
            return Err(refusal.clone());
        }
        self.check_room(*fen)?;
        let touched = self.counting.touched(&plan, who);
        let naming = Naming { core: self, words: words.as_ref().unwrap_or(&self.words), asking: customer };
        let breaches = self.counting.breaches(&plan, &touched, who, *fen, self.now_us, &naming);
        if !breaches.is_empty() {
            return Err(Refusal::Breached(breaches));
        }

        // From here on nothing is refused.
        let member = self.words.intern(member);
        let profile = profile.unwrap_or_else(|| {
            let profile = Profile { hash: prepared.profile, member, attributes: attributes.clone() };
            let at = self.profiles.push(Arc::new(profile));
            self.profile_index.insert(prepared.profile as u64, at);
            at
        });
        let customer = known.unwrap_or_else(|| self.new_customer(prepared.customer, member, customer));
        let id = self.texts.push(id.as_bytes());
        let next = self.customers.get(customer).first;
        let row = Exposure { id, reserved: *fen, outstanding: 0, profile, customer, next, expires };
        let exposure = self.exposures.push(row);
        self.customers.get_mut(customer).first = exposure;
        if expires > 0 {
            Arc::make_mut(Arc::make_mut(&mut self.expiries).entry(expires).or_default()).push(exposure);
        }
        let (warnings, large) = self.grow(exposure, *fen);
        Ok(self.done(prepared, exposure, warnings, large))
    }

    fn commit(&mut self, prepared: &Prepared, commit: &Commit) -> Result<Applied, Refusal> {
        let Commit { member, exposure: id, key, fen, grow } = commit;
        check_name("the operation's key", key)?;
        check_fen(*fen)?;
        let exposure = self.find_exposure(member, id)?;
        if let Some(before) = self.done_before(prepared, id, key)? {
            return Ok(before);
        }
        self.check_keys()?;
        let row = *self.exposures.get(exposure);
        if row.reserved > 0 && self.has_expired(&row) {
            return Err(Refusal::Expired(id.clone()));
        }
        let more = (fen - row.reserved).max(0);
        if more > 0 && !grow {
            return Err(Refusal::TooMuch { asked_fen: *fen, left_fen: row.reserved });
        }
        if more > 0 {
            self.check_growth(&row, more)?;
        }

        // What was reserved is used already: only its kind changes.
        let row = self.exposures.get_mut(exposure);
        row.reserved -= fen - more;
        row.outstanding += fen - more;
        let (warnings, large) = match more {
            0 => (self.warnings_of(exposure), Vec::new()),
            more => {
                self.exposures.get_mut(exposure).outstanding += more;
                self.grow(exposure, more)
            }
        };
        Ok(self.done(prepared, exposure, warnings, large))
    }

    fn repay(&mut self, prepared: &Prepared, repay: &Repay) -> Result<Applied, Refusal> {
        let Repay { member, exposure: id, key, fen } = repay;
        check_name("the operation's key", key)?;
        check_fen(*fen)?;
        let exposure = self.find_exposure(member, id)?;
        if let Some(before) = self.done_before(prepared, id, key)? {
            return Ok(before);
        }
        self.check_keys()?;
        let left = self.exposures.get(exposure).outstanding;
        if *fen > left {
            return Err(Refusal::TooMuch { asked_fen: *fen, left_fen: left });
        }
        self.exposures.get_mut(exposure).outstanding -= fen;
        self.shrink(exposure, *fen);
        Ok(self.done(prepared, exposure, Vec::new(), Vec::new()))
    }

    fn release(&mut self, prepared: &Prepared, release: &Release) -> Result<Applied, Refusal> {
        let Release { member, exposure: id, key, fen } = release;
        check_name("the operation's key", key)?;
        if *fen != 0 {
            check_fen(*fen)?;
        }
        let exposure = self.find_exposure(member, id)?;
        if let Some(before) = self.done_before(prepared, id, key)? {
            return Ok(before);
        }
        self.check_keys()?;
        let left = self.exposures.get(exposure).reserved;
        if *fen > left {
            return Err(Refusal::TooMuch { asked_fen: *fen, left_fen: left });
        }
        let fen = if *fen == 0 { left } else { *fen };
        self.exposures.get_mut(exposure).reserved -= fen;
        self.shrink(exposure, fen);
        Ok(self.done(prepared, exposure, Vec::new(), Vec::new()))
    }

    /// Never refused for want of room: who belongs together is a fact. Counters that it puts over a line are told.
    fn regroup(&mut self, prepared: &Prepared, regroup: &Regroup) -> Result<Applied, Refusal> {
        let Regroup { member, customer, group } = regroup;
        check_name("the customer's id", customer)?;
        if !group.is_empty() {
            check_name("the group's id", group)?;
        }
        if self.schemes().members.binary_search(member).is_err() {
            return Err(Refusal::UnknownMember(member.clone()));
        }
        let known = self.find_customer(prepared.customer, member, customer);
        let hash = customer_hash(member, group);
        let found = if group.is_empty() { None } else { self.find_group(hash, member, group) };
        let is_now = known.map_or(NOBODY, |known| self.customers.get(known).group);
        if (group.is_empty() && is_now == NOBODY) || found.is_some_and(|found| found == is_now) {
            let answer = Answer { sequence: self.sequence, ..Answer::default() };
            return Ok(Applied { answer, fresh: false });
        }
        if self.customers.is_full() || self.groups.is_full() || self.texts.is_full() {
            return Err(Refusal::Full("customers"));
        }

        let member = self.words.intern(member);
        let customer = known.unwrap_or_else(|| self.new_customer(prepared.customer, member, customer));
        let to = if group.is_empty() {
            NOBODY
        } else {
            found.unwrap_or_else(|| {
                let name = self.texts.push(group.as_bytes());
                let at = self.groups.push(Group { name, used: 0, member, large: 0 });
                self.group_index.insert(hash, at);
                at
            })
        };
        let mut warnings: Vec<CounterUse> = Vec::new();
        let used = self.customers.get(customer).used;
        self.each_exposure(customer, |core, exposure, used| core.shift(exposure, -used));
        self.customers.get_mut(customer).group = to;
        self.each_exposure(customer, |core, exposure, used| {
            core.shift(exposure, used);
            if used > 0 {
                let above = core.warnings_of(exposure);
                warnings.retain(|told| !above.iter().any(|a| (&a.limit, &a.per) == (&told.limit, &told.per)));
                warnings.extend(above);
                warnings.truncate(TOLD_MAX);
            }
        });
        if is_now != NOBODY {
            self.groups.get_mut(is_now).used -= used;
            self.fall_group(is_now);
        }
        let mut large = Vec::new();
        if to != NOBODY {
            self.groups.get_mut(to).used += used;
            large.extend(if used > 0 { self.rise_group(to) } else { None });
        }
        self.sequence += 1;
        Ok(Applied { answer: Answer { sequence: self.sequence, warnings, large }, fresh: true })
    }

    /// Releases what has expired.
    fn tick(&mut self) -> Applied {
        let minute = self.now_us.div_euclid(MINUTE_US);
        let mut left = TICK_MAX;
        while left > 0
            && let Some((due, all)) = self.expiries.first_key_value()
            && i64::from(*due) <= minute
        {
            let (due, all) = (*due, all.clone());
            let (now, later) = all.split_at(all.len().min(left));
            left -= now.len();
            for exposure in now {
                let row = self.exposures.get_mut(*exposure);
                let expired = std::mem::take(&mut row.reserved);
                if expired > 0 {
                    self.shrink(*exposure, expired);
                }
            }
            let expiries = Arc::make_mut(&mut self.expiries);
            if later.is_empty() {
                expiries.remove(&due)
            } else {
                expiries.insert(due, Arc::new(later.to_vec()))
            };
        }
        self.sequence += 1;
        Applied { answer: Answer { sequence: self.sequence, ..Answer::default() }, fresh: true }
    }

    /// From now on these schemes count. A counter that is over a line is told, and left as it is.
    fn adopt(&mut self, adopt: &Adopt) -> Result<Applied, Refusal> {
        let schemes =
            adopt.schemes.as_ref().ok_or_else(|| Refusal::Invalid("there are no schemes to adopt".into()))?;
        check_schemes(schemes)?;
        let recounted = self.recounted(schemes);
        self.counting = recounted.counting;
        let large = self.cross(&recounted.customers, &recounted.groups);
        let naming = Naming { core: self, words: &self.words, asking: "" };
        let above = (0..self.counting.counters.len()).filter(|at| {
            let counter = self.counting.counters.get(*at);
            self.counting.scheme_of(counter).in_force(self.now_us)
                && counter.used > self.counting.lines(counter).hard_fen
        });
        let warnings = above.take(TOLD_MAX).map(|at| self.counting.tell(at, &naming)).collect();
        self.sequence += 1;
        Ok(Applied { answer: Answer { sequence: self.sequence, warnings, large }, fresh: true })
    }

    /// Whether an operation of this key was done: its answer. An error if it was another one.
    fn done_before(
        &self,
        prepared: &Prepared,
        exposure: &str,
        key: &str,
    ) -> Result<Option<Applied>, Refusal> {
        let Some(done) = self.keys.find(prepared.key) else { return Ok(None) };
        self.check_gone(done.exposure, exposure)?;
        if done.content != prepared.content {
            return Err(Refusal::Conflict { exposure: exposure.into(), key: key.into() });
        }
        Ok(Some(Applied { answer: self.keys.answer(done), fresh: false }))
    }

    /// Numbers what was done, and keeps its answer.
    fn done(
        &mut self,
        prepared: &Prepared,
        exposure: u32,
        mut warnings: Vec<CounterUse>,
        large: Vec<u32>,
    ) -> Applied {
        let mut bytes = 0;
        let fit = warnings.iter().take_while(|warning| {
            bytes += warning.encoded_len() + size_of::<u64>();
            bytes <= WARNINGS_MAX
        });
        warnings.truncate(fit.count());
        self.sequence += 1;
        let answer = Answer { sequence: self.sequence, warnings, large };
        let opening = matches!(prepared.operation, Operation::Reserve(_));
        self.keep(prepared.key, prepared.content, exposure, opening, &answer);
        Applied { answer, fresh: true }
    }

    /// One that is not gone.
    fn find_exposure(&self, member: &str, id: &str) -> Result<u32, Refusal> {
        // Where room for it was reserved.
        let key = crate::exposure::operation::hash([member, id, ""].into_iter());
        let unknown = || Refusal::UnknownExposure { member: member.into(), exposure: id.into() };
        let exposure = self.keys.find(key).ok_or_else(unknown)?.exposure;
        self.check_gone(exposure, id)?;
        Ok(exposure)
    }

    fn check_keys(&self) -> Result<(), Refusal> {
        if self.keys.is_full() { Err(Refusal::Full("operations")) } else { Ok(()) }
    }

    fn has_expired(&self, row: &Exposure) -> bool {
        row.expires > 0 && i64::from(row.expires) <= self.now_us.div_euclid(MINUTE_US)
    }

    /// Whether there is room for an exposure to use so much more.
    fn check_growth(&mut self, row: &Exposure, fen: i64) -> Result<(), Refusal> {
        self.check_room(fen)?;
        let plan = self.plan_of(row.profile);
        let who = self.who(row.customer);
        let touched = self.counting.touched(&plan, who);
        let naming = Naming { core: self, words: &self.words, asking: "" };
        let breaches = self.counting.breaches(&plan, &touched, who, fen, self.now_us, &naming);
        if breaches.is_empty() { Ok(()) } else { Err(Refusal::Breached(breaches)) }
    }

    fn check_room(&self, fen: i64) -> Result<(), Refusal> {
        let counters = self.counting.counters.len().checked_add(crate::exposure::scheme::SCHEMES_MAX as u32);
        let full = self.exposures.is_full()
            || self.keys.is_full()
            || self.customers.is_full()
            || self.texts.is_full()
            || counters.is_none()
            || self.counting.parts.len() > u32::MAX / 2;
        if full {
            return Err(Refusal::Full("exposures"));
        }
        self.total_fen.checked_add(fen).map(drop).ok_or(Refusal::Full("fen"))
    }

    /// An exposure uses so much more, for which there is room. Gives what is to be told.
    fn grow(&mut self, exposure: u32, fen: i64) -> (Vec<CounterUse>, Vec<u32>) {
        assert!(fen > 0, "growth is growth");
        self.total_fen = self.total_fen.checked_add(fen).expect("it was checked");
        self.shift(exposure, fen);
        let customer = self.exposures.get(exposure).customer;
        let row = self.customers.get_mut(customer);
        row.used += fen;
        let group = row.group;
        let mut large: Vec<u32> = self.rise_customer(customer).into_iter().collect();
        if group != NOBODY {
            self.groups.get_mut(group).used += fen;
            large.extend(self.rise_group(group));
        }
        (self.warnings_of(exposure), large)
    }

    /// An exposure uses so much less.
    fn shrink(&mut self, exposure: u32, fen: i64) {
        if fen == 0 {
            return;
        }
        self.total_fen -= fen;
        assert!(self.total_fen >= 0, "what is given back was taken");
        self.shift(exposure, -fen);
        let row = self.exposures.get(exposure);
        let customer = row.customer;
        if row.used() == 0 {
            self.close(exposure);
        }
        let row = self.customers.get_mut(customer);
        row.used -= fen;
        let group = row.group;
        self.fall_customer(customer);
        if group != NOBODY {
            self.groups.get_mut(group).used -= fen;
            self.fall_group(group);
        }
    }

    /// Counters of an exposure that are above their warning line.
    fn warnings_of(&mut self, exposure: u32) -> Vec<CounterUse> {
        let Exposure { profile, customer, .. } = *self.exposures.get(exposure);
        let plan = self.plan_of(profile);
        let touched = self.counting.touched(&plan, self.who(customer));
        self.counting.warnings(&touched, self.now_us, &Naming { core: self, words: &self.words, asking: "" })
    }

    fn each_exposure(&mut self, customer: u32, mut visit: impl FnMut(&mut Self, u32, i64)) {
        let mut at = self.customers.get(customer).first;
        while at != NOBODY {
            let row = *self.exposures.get(at);
            visit(self, at, row.used());
            at = row.next;
        }
    }

    fn new_customer(&mut self, hash: u64, member: u32, name: &str) -> u32 {
        let name = self.texts.push(name.as_bytes());
        let row = Customer { name, used: 0, member, group: NOBODY, first: NOBODY, large: 0 };
        let at = self.customers.push(row);
        self.customer_index.insert(hash, at);
        at
    }

    /// The minute at the end of which a reservation expires; 0: never.
    fn minute(&self, expires_us: i64) -> Result<u32, Refusal> {
        if expires_us == 0 {
            return Ok(0);
        }
        if expires_us <= self.now_us {
            return Err(Refusal::Passed { expires_us, now_us: self.now_us });
        }
        let minute = expires_us.div_euclid(MINUTE_US) + i64::from(expires_us.rem_euclid(MINUTE_US) > 0);
        u32::try_from(minute)
            .ok()
            .filter(|minute| *minute > 0)
            .ok_or_else(|| Refusal::Invalid("the reservation expires too far away; 0 is never".into()))
    }
}
