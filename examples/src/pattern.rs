//! Patterns that warnings should find, planted in the ledgers of a few customers.
//!
//! Planted bookings stand beside the ordinary ones and never pay out more than they brought in. So the ordinary
//! ones stay as they are, except that the balance is higher in between; only a dormant account goes without some.

use std::ops::Range;

use crate::{
    calendar::{Day, Time},
    counterparty::Counterparty,
    credit::Loan,
    dice::{Dice, Topic},
    ledger::Booking,
    person::{Person, round_fen},
    world::World,
};

/// Of so many customers one shows a pattern, each pattern for itself.
const EVERY: u32 = 400;
/// History that a dormant account needs: some of it before, and some after.
const DORMANT_MARGIN: i32 = 40;

/// Whom a pattern may be planted on.
pub struct Customer<'a> {
    pub person: &'a Person,
    pub loans: &'a [Loan],
    pub has_pay: bool,
    /// Ordinary bookings, in order.
    pub bookings: &'a [Booking],
}

/// What is planted in a customer's ledger.
pub struct Planting {
    pub kind: &'static str,
    pub bookings: Vec<Booking>,
    /// Ordinary bookings of this time do not take place.
    pub silence: Option<Range<Time>>,
    /// The loan that it is about.
    pub loan: Option<String>,
    pub what: &'static str,
}

type Make = fn(&Customer<'_>, &mut Dice, &World) -> Option<Planting>;
const PATTERNS: [Make; 4] = [loan_diverted, pass_through, fan_in, dormant_active];

/// Whose turn it is: a pattern waits for its number of customers, and then for one whom it fits.
pub struct Turns {
    waited: [u32; PATTERNS.len()],
}

impl Turns {
    /// The first turns come early, so that a small bank has each pattern too.
    pub fn new(world: &World) -> Self {
        let mut dice = world.dice(Topic::Turn, 0, 0);
        Self { waited: PATTERNS.map(|_| EVERY / 2 + dice.int(0, i64::from(EVERY) / 2 - 1) as u32) }
    }

    /// What is planted on the next customer, if anything.
    pub fn take(&mut self, customer: &Customer<'_>, world: &World) -> Option<Planting> {
        self.waited.iter_mut().for_each(|waited| *waited += 1);
        let mut due = self.waited.iter_mut().zip(PATTERNS).filter(|(waited, _)| **waited >= EVERY);
        due.find_map(|(waited, make)| {
            let planting = make(customer, &mut customer.person.dice(world, Topic::Pattern), world)?;
            *waited = 0;
            Some(planting)
        })
    }
}

/// A loan whose proceeds go to shares or a house, whatever it was granted for.
fn loan_diverted(customer: &Customer<'_>, dice: &mut Dice, world: &World) -> Option<Planting> {
    let within = |loan: &&Loan| loan.disbursed >= world.start && loan.disbursed + 7 <= world.end;
    let loan = customer.loans.iter().find(within)?;
    let paid_out = loan.disbursed.at(36_000);
    let lender = Counterparty { number: 100_000, kind: "lender" };
    let mut bookings = vec![transfer(paid_out, loan.amount_fen, "batch", lender)];
    let seller = stranger(dice, ["securities", "securities", "property"]);
    let (parts, share) = (dice.int(2, 4), dice.between(0.88, 0.99));
    for _ in 0..parts {
        let at = Time(paid_out.0 + dice.int(3_600, 5 * 86_400));
        let fen = (loan.amount_fen as f64 * share) as i64 / parts;
        bookings.push(transfer(at, -fen, "mobile", seller));
    }
    Some(Planting {
        kind: "loan_diverted",
        bookings,
        silence: None,
        loan: Some(loan.id.clone()),
        what: "at least 85 % of a loan goes to securities or property within 6 days of its disbursement",
    })
}

/// An account that large amounts only pass through.
fn pass_through(customer: &Customer<'_>, dice: &mut Dice, world: &World) -> Option<Planting> {
    let mut day = first_day(customer, 24, dice, world)?;
    let mut bookings = Vec::new();
    for _ in 0..dice.int(3, 6) {
        let at = day.at(dice.int(30_000, 72_000) as u32);
        let fen = round_fen(dice.between(20_000.0, 90_000.0), 100);
        let passed = (fen as f64 * dice.between(0.96, 1.0)) as i64;
        let (from, to) = (stranger(dice, ["person", "company"]), stranger(dice, ["person", "company"]));
        bookings.push(transfer(at, fen, "mobile", from));
        bookings.push(transfer(Time(at.0 + dice.int(300, 6_600)), -passed, "mobile", to));
        day = day + dice.small(1, 4);
    }
    Some(Planting {
        kind: "pass_through",
        bookings,
        silence: None,
        loan: None,
        what: "on 3 to 6 days 20,000 CNY or more come in and at least 95 % of it leaves within 2 hours",
    })
}

/// An account on which many strangers' money is gathered, and taken away.
fn fan_in(customer: &Customer<'_>, dice: &mut Dice, world: &World) -> Option<Planting> {
    let first = first_day(customer, 7, dice, world)?.at(28_800);
    let number = dice.int(200_000, 299_000);
    let mut bookings = Vec::new();
    for k in 0..dice.int(26, 45) {
        let at = Time(first.0 + dice.int(0, 4 * 86_400));
        let from = Counterparty { number: number + 7 * k, kind: "person" };
        bookings.push(transfer(at, round_fen(dice.between(300.0, 4_000.0), 10), "mobile", from));
    }
    let gathered: i64 = bookings.iter().map(|b| b.fen).sum();
    let at = Time(first.0 + 4 * 86_400 + dice.int(1_800, 36_000));
    let away = (gathered as f64 * dice.between(0.94, 0.99)) as i64;
    bookings.push(transfer(at, -away, "mobile", stranger(dice, ["person", "company"])));
    Some(Planting {
        kind: "fan_in",
        bookings,
        silence: None,
        loan: None,
        what: "at least 25 counterparties pay in within 5 days, then nearly all of it leaves in one transfer",
    })
}

/// An account that is not used for months, then all at once.
fn dormant_active(customer: &Customer<'_>, dice: &mut Dice, world: &World) -> Option<Planting> {
    let history = world.end - world.start;
    // Pay and repayments would have to go on.
    let bound = customer.has_pay || !customer.loans.is_empty();
    if bound || customer.person.opened > world.start || history < 125 + 2 * DORMANT_MARGIN {
        return None;
    }
    let days = dice.small(125, (history - 2 * DORMANT_MARGIN).min(180));
    let woken = Day(dice.small(world.start.0 + DORMANT_MARGIN + days, world.end.0 - 5)).at(32_400);
    let silence = Time(woken.0 - i64::from(days) * 86_400)..woken;
    // What was never used before is new, not dormant. A booking out may have found nothing to take.
    if !customer.bookings.iter().any(|b| b.fen > 0 && b.at < silence.start) {
        return None;
    }
    let mut bookings = Vec::new();
    for k in 0..dice.int(3, 5) {
        let fen = round_fen(dice.between(21_000.0, 80_000.0), 100);
        let at = Time(woken.0 + k * 3_600 + dice.int(0, 3_599));
        bookings.push(transfer(at, fen, "mobile", stranger(dice, ["person", "company"])));
        // Not on the same day: this is no account that money only passes through.
        let away = (fen as f64 * dice.between(0.96, 0.99)) as i64;
        let at = Time(woken.0 + dice.int(86_400, 3 * 86_400 - 3_600));
        bookings.push(transfer(at, -away, "mobile", stranger(dice, ["person", "company"])));
    }
    Some(Planting {
        kind: "dormant_active",
        bookings,
        silence: Some(silence),
        loan: None,
        what: "no booking for at least 120 days, then 6 or more of 20,000 CNY and above within 3 days",
    })
}

/// The first day of something that takes so many days, of the history and while the account is open.
fn first_day(customer: &Customer<'_>, days: i32, dice: &mut Dice, world: &World) -> Option<Day> {
    let (low, high) = (world.start.0.max(customer.person.opened.0 + 1), world.end.0 - days);
    (low <= high).then(|| Day(dice.small(low, high)))
}

/// Someone who is no everyday counterparty.
fn stranger<const N: usize>(dice: &mut Dice, kinds: [&'static str; N]) -> Counterparty {
    Counterparty { number: dice.int(200_000, 299_999), kind: dice.pick(&kinds) }
}

fn transfer(at: Time, fen: i64, channel: &'static str, counterparty: Counterparty) -> Booking {
    let kind = if fen > 0 { "transfer_in" } else { "transfer_out" };
    Booking { at, fen, kind, channel, planted: Some(counterparty) }
}
