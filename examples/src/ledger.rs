//! The settlement account: what came in, what went out, what was left.

use std::io;

use crate::{
    bank::Bank,
    calendar::{Day, Time},
    counterparty::Counterparty,
    credit::{Loan, account_id},
    dice::{Dice, Topic},
    events::Event,
    income::Pay,
    pattern::{Customer, Planting},
    person::{Living, Person, round_fen},
    planted::Plant,
    world::World,
};

/// One booking before its balance is known.
pub struct Booking {
    pub at: Time,
    /// In: positive; out: negative.
    pub fen: i64,
    pub kind: &'static str,
    pub channel: &'static str,
    /// With whom, of a booking that belongs to a planted pattern.
    pub planted: Option<Counterparty>,
}

/// Share of bookings that the bank comes to know one to three days late, and 10 to 40 days late.
const LATE: (f64, f64) = (0.005, 0.000_2);
/// Numbers of planted bookings go on from here: ordinary ones keep theirs.
const PLANTED_FROM: u64 = 9_000_000_000;

/// Every so many customers one deposits cash in pieces just below what must be reported (50,000 CNY).
const STRUCTURING_EVERY: u32 = 250;

/// The account and its transactions; what was planted among them, if anything.
pub fn write(
    person: &Person,
    pay: &[Pay],
    repaid: &[Pay],
    loans: &[Loan],
    world: &World,
    bank: &mut Bank,
) -> io::Result<Option<Planting>> {
    let mut dice = person.dice(world, Topic::Ledger);
    let member = &world.members[person.member].code;
    bank.accounts
        .text(member)
        .text(&account_id(world, person))
        .text(&person.id)
        .text(if person.has_payroll { "salary" } else { "settlement" })
        .day(person.opened)
        .text("open")
        .known(person.opened.at(61_200), &mut bank.planted)?;

    let mut bookings = everyday(person, &mut dice, world);
    bookings.extend(pay.iter().map(|p| Booking {
        at: p.on.at(36_000),
        fen: p.fen,
        kind: "salary",
        channel: "batch",
        planted: None,
    }));
    bookings.extend(repaid.iter().map(|p| Booking {
        at: p.on.at(75_600),
        fen: -p.fen,
        kind: "loan_repayment",
        channel: "batch",
        planted: None,
    }));
    let structures = person.position % STRUCTURING_EVERY == (world.plan.seed % 200) as u32 + 20;
    if structures {
        structuring(person, &mut dice, world, &mut bookings);
        bank.planted.note(Plant {
            kind: "structuring",
            member,
            table: "customers",
            key: &person.id,
            cluster: "",
            detail: "cash deposits of 45,000 to 49,900 CNY within days, passed on at once",
        })?;
    }
    bookings.retain(|b| b.at.day() >= person.opened && b.at <= world.cutoff());
    bookings.sort_by_key(|b| b.at);

    let mut planting = None;
    if !structures {
        let customer = Customer { person, loans, has_pay: !pay.is_empty(), bookings: &bookings };
        planting = bank.turns.take(&customer, world);
    }
    if let Some(planting) = &mut planting {
        note(planting, member, &person.id, world, bank)?;
        bookings.append(&mut planting.bookings);
        bookings.sort_by_key(|b| b.at);
    }
    write_bookings(person, &bookings, planting.as_ref(), dice, world, bank)?;
    Ok(planting)
}

/// Notes what is planted. Its cluster is the loan that it is about, or the first of its bookings.
fn note(planting: &Planting, member: &str, customer: &str, world: &World, bank: &mut Bank) -> io::Result<()> {
    let first = planting.bookings.iter().map(|b| b.at.day()).min().unwrap_or(world.end);
    let first_id = planted_id(bank.transactions.planted());
    bank.planted.note(Plant {
        kind: planting.kind,
        member,
        table: "events",
        key: customer,
        cluster: planting.loan.as_ref().unwrap_or(&first_id),
        detail: &format!("from {} on: {}", first.iso(), planting.what),
    })
}

fn planted_id(before: u64) -> String {
    format!("t{:010}", PLANTED_FROM + before + 1)
}

/// Writes the bookings with the balances that they leave, and their events.
fn write_bookings(
    person: &Person,
    bookings: &[Booking],
    planting: Option<&Planting>,
    mut dice: Dice,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let member = &world.members[person.member].code;
    let account = account_id(world, person);
    let silence = planting.and_then(|p| p.silence.clone());
    let mut delays = person.dice(world, Topic::Delay);

    let cushion = (0.3 - 0.8 * person.risk + 0.5 * dice.normal()).exp();
    // What would be on the account if nothing were planted, what is of that, and what is of the planted.
    let mut usual = round_fen(person.income_fen as f64 / 100.0 * cushion, 1);
    let (mut own, mut planted) = (usual, 0);
    for booking in bookings {
        // What a shop's terminal took is settled the day after.
        let known = Time(booking.at.0 + if booking.channel == "pos" { 86_400 } else { 0 });
        let (id, fen, with) = match booking.planted {
            Some(counterparty) => {
                planted += booking.fen;
                (planted_id(bank.transactions.planted()), booking.fen, counterparty)
            }
            None => {
                // Nobody draws more than he has; what is left then shows how close to the edge he lives.
                let fen = booking.fen.max(-usual);
                if fen == 0 {
                    continue;
                }
                usual += fen;
                let number = dice.int(100_000, 100_400) + i64::from(person.position % 97);
                let is_silent = silence.as_ref().is_some_and(|s| s.contains(&booking.at));
                let fen = if is_silent { 0 } else { fen.max(-own) };
                if fen == 0 {
                    bank.transactions.leave_out(known);
                    continue;
                }
                own += fen;
                let id = format!("t{:010}", bank.transactions.rows() + 1);
                (id, fen, Counterparty::everyday(number, booking.kind))
            }
        };
        let direction = if fen > 0 { "C" } else { "D" };
        let sheet = &mut bank.transactions;
        sheet
            .text(member)
            .text(&id)
            .text(&account)
            .text(&person.id)
            .time(booking.at)
            .text(direction)
            .int(fen.abs())
            .int(own + planted)
            .text(booking.kind)
            .text(booking.channel)
            .int(with.number);
        match booking.planted {
            Some(_) => sheet.known_planted(known)?,
            None => sheet.known(known, &mut bank.planted)?,
        }
        let event = Event {
            kind: "transaction",
            id: &id,
            member,
            customer: &person.id,
            happened: booking.at,
            known: match booking.planted {
                Some(_) => known,
                None => delayed(known, &mut delays, world),
            },
        };
        bank.events.write(&event, |body| {
            body.text("account_id", &account)
                .text("direction", direction)
                .int("amount_fen", fen.abs())
                .int("balance_fen", own + planted)
                .text("kind", booking.kind)
                .text("channel", booking.channel)
                .text("counterparty", &with.number.to_string())
                .text("counterparty_kind", with.kind);
        })?;
    }
    Ok(())
}

/// When the event stream tells of a booking: a few come late, but none only after the bank's last day.
fn delayed(known: Time, dice: &mut Dice, world: &World) -> Time {
    let (late, very_late) = LATE;
    let draw = dice.unit();
    let days = match () {
        () if draw < very_late => dice.between(10.0, 40.0),
        () if draw < very_late + late => dice.between(1.0, 3.0),
        () => return known,
    };
    let told = Time(known.0 + (days * 86_400.0) as i64);
    if told > world.cutoff() { known } else { told }
}

/// What a customer of this kind takes in and pays out, besides pay and repayments.
fn everyday(person: &Person, dice: &mut Dice, world: &World) -> Vec<Booking> {
    let days = f64::from(world.end - world.start);
    let monthly = world.plan.monthly_transactions;
    let count = |dice: &mut Dice, share: f64| {
        // Poisson of a year's count as a rounded normal: its mean is too large to multiply uniforms.
        let mean = monthly * share * days / 30.4;
        (mean + mean.sqrt() * dice.normal()).round().max(0.0) as usize
    };
    let (ins, outs) = (count(dice, 0.3), count(dice, 0.7));
    let income = person.income_fen as f64 / 100.0 * days / 30.4;
    let trade = matches!(person.living, Living::SelfEmployed | Living::Farmer);
    let other_income = if person.has_payroll { 0.35 } else { 1.0 } * if trade { 1.3 } else { 1.0 };
    // The share of all income that is spent, except for repayments.
    let spent = (0.84 + 0.05 * person.risk + 0.05 * dice.normal()).clamp(0.5, 1.05);
    let total = income * (other_income + if person.has_payroll { 1.0 } else { 0.0 });

    let mut bookings = Vec::with_capacity(ins + outs);
    for _ in 0..ins {
        let cny = income * other_income / ins as f64 * (0.5 * dice.normal() - 0.125).exp();
        let (kind, channel) = dice.pick(&[
            ("transfer_in", "mobile"),
            ("transfer_in", "mobile"),
            ("cash_in", "counter"),
            ("transfer_in", "counter"),
        ]);
        bookings.push(Booking {
            at: moment(dice, world),
            fen: round_fen(cny, 10),
            kind,
            channel,
            planted: None,
        });
    }
    for _ in 0..outs {
        let cny = total * spent / outs as f64 * (0.7 * dice.normal() - 0.245).exp();
        let (kind, channel) = dice.pick(&[
            ("consumption", "pos"),
            ("consumption", "mobile"),
            ("consumption", "mobile"),
            ("transfer_out", "mobile"),
            ("utility", "batch"),
            ("cash_out", "atm"),
        ]);
        bookings.push(Booking {
            at: moment(dice, world),
            fen: -round_fen(cny, 1),
            kind,
            channel,
            planted: None,
        });
    }
    bookings
}

/// A moment of the history, mostly by day.
fn moment(dice: &mut Dice, world: &World) -> Time {
    let day = Day(dice.small(world.start.0, world.end.0));
    let second = if dice.chance(0.03) { dice.int(0, 21_599) } else { dice.int(25_200, 79_199) };
    day.at(second as u32)
}

fn structuring(person: &Person, dice: &mut Dice, world: &World, bookings: &mut Vec<Booking>) {
    let first = Day(world.application_day(dice).0.max(person.opened.0 + 1));
    for _ in 0..dice.int(4, 8) {
        let at = (first + dice.small(0, 9)).at(dice.int(32_400, 61_200) as u32);
        let fen = round_fen(dice.between(45_000.0, 49_900.0), 100);
        bookings.push(Booking { at, fen, kind: "cash_in", channel: "counter", planted: None });
        let out = Time(at.0 + 7_200);
        bookings.push(Booking { at: out, fen: -fen, kind: "transfer_out", channel: "mobile", planted: None });
    }
}
