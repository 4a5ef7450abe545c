//! Loans at this bank, what was repaid of them, who guarantees them, and the bureau's reports.

use std::io;

use crate::{
    bank::Bank,
    block,
    calendar::Day,
    company::{self, company_id},
    dice::{Dice, Topic, probability},
    events::Event,
    income::Pay,
    person::{Living, Person, customer_id, round_fen},
    planted::Plant,
    servicing,
    world::World,
};

/// Class of a loan and the days past due from which it has it.
const CLASSES: [(i32, &str); 5] = [(0, "正常"), (31, "关注"), (91, "次级"), (181, "可疑"), (361, "损失")];
/// Days past due after which a loan is written off.
const WRITTEN_OFF: i32 = 420;

/// A loan at this bank.
pub struct Loan {
    pub id: String,
    pub product: &'static str,
    pub company: Option<u32>,
    pub disbursed: Day,
    pub months: i32,
    pub amount_fen: i64,
    pub rate_bp: i64,
    pub guarantee: &'static str,
    /// First instalment that was missed for good, or until it was cured.
    trouble: Option<i32>,
    /// Days after which a troubled loan was cured.
    cured: Option<i32>,
}

impl Loan {
    /// All loans of a customer: the same every time.
    pub fn all_of(person: &Person, world: &World) -> Vec<Loan> {
        let mut dice = person.dice(world, Topic::Credit);
        let in_circle = block::circle_next(world, person.member, person.position).is_some();
        let owns = person.owns.is_some();
        let count = match dice.chance(0.35) {
            true => dice.small(1, 2),
            false => i32::from(in_circle || owns),
        };
        (0..count)
            .map(|k| {
                let business = owns && k == 0;
                let product = match person.living {
                    _ if business => "business_loan",
                    Living::Farmer => "farmer_loan",
                    _ => dice.pick(&["consumer_loan", "consumer_loan", "card_instalment"]),
                };
                let months = dice.pick(&[12, 24, 24, 36]);
                let age = if in_circle { dice.small(60, 300) } else { dice.small(60, 1000) };
                let scale = if business { 40.0 } else { 7.0 };
                let cny = person.income_fen as f64 / 100.0 * scale * dice.between(0.3, 1.5);
                let trouble = dice.chance(probability(-4.0 + 1.3 * person.risk));
                let first_missed = dice.small(1, months);
                let cured = dice.chance(0.4).then_some(dice.small(35, 80));
                Loan {
                    id: format!("l{}{:07}{k}", world.members[person.member].code, person.position),
                    product,
                    company: person.owns.filter(|_| business),
                    disbursed: (world.end + -age).max(person.opened),
                    months,
                    amount_fen: round_fen(cny, 1000).max(500_000),
                    rate_bp: dice.int(420, 900),
                    guarantee: if in_circle {
                        "guarantee"
                    } else {
                        dice.pick(&["credit", "credit", "guarantee", "mortgage"])
                    },
                    trouble: trouble.then_some(first_missed),
                    cured,
                }
            })
            .collect()
    }

    /// When an instalment falls due.
    pub fn due(&self, instalment: i32) -> Day {
        self.disbursed.plus_months(instalment)
    }

    pub fn instalment_fen(&self) -> i64 {
        self.amount_fen / i64::from(self.months)
    }

    /// Principal outstanding on a day.
    pub fn balance_fen(&self, on: Day) -> i64 {
        let dpd = self.dpd(on);
        let paid = match self.trouble {
            Some(missed) if dpd > 0 => missed - 1,
            _ => (0..=self.months).rev().find(|k| self.due(*k) <= on).unwrap_or(0),
        };
        let settled = dpd == 0 && on >= self.due(self.months);
        if settled { 0 } else { self.amount_fen - self.instalment_fen() * i64::from(paid) }
    }

    /// The day on which it reaches so many days past due, if it ever does.
    pub fn reaches(&self, dpd: i32) -> Option<Day> {
        let day = self.due(self.trouble?) + dpd;
        (self.dpd(day) == dpd).then_some(day)
    }

    /// Days past due on a day.
    pub fn dpd(&self, on: Day) -> i32 {
        let Some(missed) = self.trouble else { return 0 };
        let dpd = on - self.due(missed);
        if dpd <= 0 || self.cured.is_some_and(|c| dpd >= c) { 0 } else { dpd }
    }

    /// Is it written off on a day?
    pub fn written_off(&self, on: Day) -> bool {
        self.dpd(on) >= WRITTEN_OFF
    }

    /// The loan's row at each time that something about it changed.
    fn write(&self, person: &Person, world: &World, bank: &mut Bank) -> io::Result<()> {
        let end = self.due(self.months);
        let mut changes: Vec<Day> = (0..self.months).step_by(3).map(|k| self.due(k)).collect();
        changes.push(end);
        if let Some(missed) = self.trouble {
            let steps = CLASSES[1..].iter().map(|c| c.0).chain([WRITTEN_OFF]).chain(self.cured);
            changes.extend(steps.map(|d| self.due(missed) + d));
        }
        changes.sort();
        changes.dedup();
        let member = &world.members[person.member].code;
        for on in changes.into_iter().filter(|d| *d <= world.end) {
            let dpd = self.dpd(on);
            let settled = dpd == 0 && on >= end;
            let status = match () {
                () if self.written_off(on) => "written_off",
                () if settled => "settled",
                () => "active",
            };
            let class = CLASSES.iter().rev().find(|c| dpd >= c.0).map_or("正常", |c| c.1);
            bank.loans
                .text(member)
                .text(&self.id)
                .text(&person.id)
                .text(&self.company.map_or(String::new(), |c| company_id(world, person.member, c)))
                .text(self.product)
                .day(self.disbursed)
                .day(end)
                .int(self.amount_fen)
                .int(self.balance_fen(on))
                .int(self.rate_bp)
                .text(self.guarantee)
                .text(status)
                .text(class)
                .int(dpd.into())
                .known(on.at(79_200), &mut bank.planted)?;
        }
        Ok(())
    }

    /// The instalments that fell due in the history; adds what was paid to `paid`.
    fn write_repayments(
        &self,
        person: &Person,
        dice: &mut Dice,
        world: &World,
        bank: &mut Bank,
        paid: &mut Vec<Pay>,
    ) -> io::Result<()> {
        let late = (0.04 * (0.9 * person.risk).exp()).min(0.7);
        for k in 1..=self.months {
            let due = self.due(k);
            let days = if dice.chance(late) { dice.small(1, 28) } else { 0 };
            let on = match self.trouble {
                Some(missed) if k >= missed => match self.cured {
                    Some(cured) => (self.due(missed) + cured).max(due),
                    None => Day(i32::MAX),
                },
                _ => due + days,
            };
            servicing::write_instalment(self, k, on, person, world, bank)?;
            if due < world.start || due > world.end {
                continue;
            }
            // Missed instalments are known the day after (unless they are paid on it); the same key comes again when
            // they are paid.
            let id = format!("{}-{k:02}", self.id);
            let rows =
                [(on > due + 1).then_some((None, due + 1)), (on <= world.end).then_some((Some(on), on))];
            for (paid_on, known) in rows.into_iter().flatten() {
                bank.repayments
                    .text(&world.members[person.member].code)
                    .text(&id)
                    .text(&self.id)
                    .text(&person.id)
                    .int(k.into())
                    .day(due)
                    .int(self.instalment_fen());
                match paid_on {
                    Some(day) => bank.repayments.day(day).int(self.instalment_fen()),
                    None => bank.repayments.none().int(0),
                };
                bank.repayments.known(known.at(82_800), &mut bank.planted)?;
            }
            if on <= world.end {
                paid.push(Pay { on, fen: self.instalment_fen() });
            }
        }
        Ok(())
    }
}

/// Loans and repayments of a customer, and the guarantees that he gives. What he repaid is returned: it
/// stands in the ledger too.
pub fn write(person: &Person, loans: &[Loan], world: &World, bank: &mut Bank) -> io::Result<Vec<Pay>> {
    let mut dice = person.dice(world, Topic::Credit);
    // A different part of the stream than what the loans were drawn from.
    (0..64).for_each(|_| _ = dice.unit());
    let mut paid = Vec::new();
    for loan in loans {
        loan.write(person, world, bank)?;
        loan.write_repayments(person, &mut dice, world, bank, &mut paid)?;
    }
    servicing::write_defaults(person, loans, world, bank)?;
    servicing::write_collateral(person, loans, world, bank)?;
    write_guarantees(person, &mut dice, world, bank)?;
    Ok(paid)
}

fn write_guarantees(person: &Person, dice: &mut Dice, world: &World, bank: &mut Bank) -> io::Result<()> {
    let (member, position) = (person.member, person.position);
    let neighbour = position + 3;
    let by_chance = dice.chance(0.06) && neighbour < world.members[member].customers;
    let circle = block::circle_next(world, member, position);
    for borrower in by_chance.then_some(neighbour).into_iter().chain(circle) {
        let borrower = Person::new(world, member, borrower);
        if let Some(loan) = Loan::all_of(&borrower, world).first() {
            write_guarantee(member, &person.id, "P", &borrower.id, loan, world, bank)?;
        }
    }
    let Some(company) = person.owns else { return Ok(()) };
    let next = company::circle_next(world, member, company);
    let Some(next) = next.and_then(|c| Some((c, block::owner_of(world, member, c)?))) else { return Ok(()) };
    let owner = Person::new(world, member, next.1);
    if let Some(loan) = Loan::all_of(&owner, world).first() {
        let (ours, theirs) = (company_id(world, member, company), company_id(world, member, next.0));
        write_guarantee(member, &ours, "C", &theirs, loan, world, bank)?;
        bank.planted.note(Plant {
            kind: "guarantee_circle",
            member: &world.members[member].code,
            table: "companies",
            key: &ours,
            cluster: &format!("company-circle-{}", company / 30),
            detail: "guarantees a loan of the next in a circle of three",
        })?;
    }
    Ok(())
}

fn write_guarantee(
    member: usize,
    guarantor: &str,
    kind: &str,
    borrower: &str,
    loan: &Loan,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let id = format!("g{:08}", bank.guarantees.rows() + 1);
    bank.guarantees
        .text(&world.members[member].code)
        .text(&id)
        .text(guarantor)
        .text(kind)
        .text(borrower)
        .text(&loan.id)
        .int(loan.amount_fen)
        .day(loan.disbursed)
        .day(loan.due(loan.months))
        .known(loan.disbursed.at(64_800), &mut bank.planted)
}

/// The bureau's reports on a customer: monthly for those who apply, one for the others.
pub fn write_bureau(
    person: &Person,
    applies: bool,
    loans: &[Loan],
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Bureau);
    let risk = person.risk;
    // A few are unknown to the bureau, and of a few the bank has no recent report.
    let unknown = dice.chance(0.02);
    let stale = dice.chance(0.02);

    let overdue_months = dice.poisson((-1.6 + 0.9 * risk).exp()).min(24);
    let worst_month =
        if overdue_months > 0 { (1 + dice.poisson(0.25 * overdue_months as f64)).min(7) } else { 0 };
    let accounts = dice.poisson(2.2);
    let cards = dice.poisson(1.4);
    let overdue_accounts = if dice.chance(probability(-3.4 + 1.0 * risk)) { dice.int(1, 2) } else { 0 };
    let credit =
        round_fen(person.income_fen as f64 / 100.0 * (0.5 + cards as f64) * dice.between(1.0, 4.0), 1000);
    let utilisation = -0.7 + 0.5 * risk + 0.7 * dice.normal();
    let enquiries = (0.85 + 0.38 * risk + 0.3 * dice.normal()).exp();
    let written_off = i64::from(dice.chance(probability(-5.2 + 1.1 * risk)));
    let elsewhere = match dice.unit() {
        u if u < probability(-6.0 + 1.2 * risk) => 4,
        u if u < probability(-4.8 + 1.1 * risk) => 2,
        u if u < probability(-3.2 + 0.9 * risk) => 1,
        _ => 0,
    };
    let bad_guarantees = i64::from(dice.chance(probability(-5.0 + 0.3 * risk)));
    let debt = (0.20 + 0.07 * risk + 0.10 * dice.normal()).clamp(0.0, 0.9);
    let years = f64::from(person.age - 18) * (-0.3 * risk).exp() * dice.unit();
    let first_credit = world.end + -((365.0 * years.min(f64::from(person.age - 17))) as i32 + 100);

    let every = if applies { 30 } else { 400 };
    let last = if stale { world.applying_from + -20 } else { world.end };
    let mut on = Day(world.applying_from.0 - dice.small(2, 30));
    let mut number = 0;
    while on <= last && !unknown {
        let six = dice.poisson(enquiries);
        let three = (0..six).filter(|_| dice.chance(0.5)).count() as i64;
        let one = (0..three).filter(|_| dice.chance(0.33)).count() as i64;
        let own = loans.iter().map(|l| l.dpd(on)).max().unwrap_or(0);
        let own_class = CLASSES.iter().rposition(|c| own >= c.0).unwrap_or(0);
        let own_off = loans.iter().filter(|l| l.written_off(on)).count() as i64;
        let class =
            ["normal", "special_mention", "substandard", "doubtful", "loss"][own_class.max(elsewhere)];
        let used = (credit as f64 * probability(utilisation + 0.2 * dice.normal())) as i64;
        let past_due = if own > 0 { 1 } else { 0 } + overdue_accounts;
        // A correction: the borrower objected, and the bureau took a wrong delinquency back.
        let corrected = (overdue_months > 0 && dice.chance(0.05)).then_some(dice.small(10, 40));
        number += 1;
        let id = format!("r{}{:07}{number:02}", world.members[person.member].code, person.position);
        for (version, months, dpd, known) in [
            Some(("", overdue_months, worst_month * 30, on + 1)),
            corrected.map(|days| {
                let (months, worst) = ((overdue_months - 1).max(0), (worst_month - 1).max(0));
                ("-corrected", months, worst * 30, on + days)
            }),
        ]
        .into_iter()
        .flatten()
        {
            bank.bureau_reports
                .text(&world.members[person.member].code)
                .text(&id)
                .text(&person.id)
                .time(on.at(36_000))
                .int(accounts + loans.len() as i64)
                .int(cards)
                .int(credit)
                .int(used)
                .int(past_due)
                .int(past_due * 80_000)
                .int(months)
                .int(dpd.max(own.into()))
                .int(one)
                .int(three)
                .int(six)
                .int(written_off + own_off)
                .text(class)
                .int(bad_guarantees)
                .int(round_fen(person.income_fen as f64 / 100.0 * debt, 1))
                .day(first_credit.min(on))
                .known(known.at(7_200), &mut bank.planted)?;
            let event = Event {
                kind: "bureau_change",
                id: &format!("{id}{version}"),
                member: &world.members[person.member].code,
                customer: &person.id,
                happened: (known + -1).at(36_000),
                known: known.at(7_200),
            };
            bank.events.write(&event, |body| {
                body.text("report_id", &id)
                    .int("loan_accounts", accounts + loans.len() as i64)
                    .int("overdue_accounts", past_due)
                    .int("overdue_now_fen", past_due * 80_000)
                    .int("max_dpd_24m", dpd.max(own.into()))
                    .int("enquiries_1m", one)
                    .int("credit_fen", credit)
                    .int("used_fen", used)
                    .text("worst_class", class)
                    .int("bad_guarantees", bad_guarantees);
            })?;
        }
        on = on + every;
    }
    Ok(())
}

/// Key of a customer's only settlement account.
pub fn account_id(world: &World, person: &Person) -> String {
    customer_id(world, person.member, person.position).replacen('c', "a", 1)
}
