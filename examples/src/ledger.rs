//! The settlement account: what came in, what went out, what was left.

use std::io;

use crate::{
    bank::Bank,
    calendar::{Day, Time},
    credit::account_id,
    dice::{Dice, Topic},
    income::Pay,
    person::{Living, Person, round_fen},
    planted::Plant,
    world::World,
};

/// One booking before its balance is known.
struct Booking {
    at: Time,
    /// In: positive; out: negative.
    fen: i64,
    kind: &'static str,
    channel: &'static str,
}

/// Every so many customers one deposits cash in pieces just below what must be reported (50,000 CNY).
const STRUCTURING_EVERY: u32 = 250;

/// The account and its transactions.
pub fn write(person: &Person, pay: &[Pay], repaid: &[Pay], world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Ledger);
    let member = &world.members[person.member].code;
    let account = account_id(world, person);
    bank.accounts
        .text(member)
        .text(&account)
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
    }));
    bookings.extend(repaid.iter().map(|p| Booking {
        at: p.on.at(75_600),
        fen: -p.fen,
        kind: "loan_repayment",
        channel: "batch",
    }));
    if person.position % STRUCTURING_EVERY == (world.plan.seed % 200) as u32 + 20 {
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

    let cushion = (0.3 - 0.8 * person.risk + 0.5 * dice.normal()).exp();
    let mut balance = round_fen(person.income_fen as f64 / 100.0 * cushion, 1);
    for booking in bookings {
        // Nobody draws more than he has; what is left then shows how close to the edge he lives.
        let fen = booking.fen.max(-balance);
        if fen == 0 {
            continue;
        }
        balance += fen;
        let id = format!("t{:010}", bank.transactions.rows() + 1);
        // What a shop's terminal took is settled the day after.
        let late = if booking.channel == "pos" { 86_400 } else { 0 };
        bank.transactions
            .text(member)
            .text(&id)
            .text(&account)
            .text(&person.id)
            .time(booking.at)
            .text(if fen > 0 { "C" } else { "D" })
            .int(fen.abs())
            .int(balance)
            .text(booking.kind)
            .text(booking.channel)
            .int(dice.int(100_000, 100_400) + i64::from(person.position % 97))
            .known(Time(booking.at.0 + late), &mut bank.planted)?;
    }
    Ok(())
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
        bookings.push(Booking { at: moment(dice, world), fen: round_fen(cny, 10), kind, channel });
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
        bookings.push(Booking { at: moment(dice, world), fen: -round_fen(cny, 1), kind, channel });
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
        bookings.push(Booking { at, fen, kind: "cash_in", channel: "counter" });
        bookings.push(Booking { at: Time(at.0 + 7_200), fen: -fen, kind: "transfer_out", channel: "mobile" });
    }
}
