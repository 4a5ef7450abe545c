//! Pay and provident fund, month by month.

use std::io;

use crate::{
    bank::Bank,
    calendar::Day,
    company::company_id,
    dice::{Dice, Topic, probability},
    person::{Person, round_fen},
    world::World,
};

/// Money that came to a customer on a day.
pub struct Pay {
    pub on: Day,
    pub fen: i64,
}

/// Pay through the bank and provident-fund contributions of the whole history. The pay is returned: it
/// stands in the ledger too.
pub fn write(person: &Person, world: &World, bank: &mut Bank) -> io::Result<Vec<Pay>> {
    let mut dice = person.dice(world, Topic::Income);
    // Losing one's work shows in both, some months before the end.
    let months = world.plan.months as i32;
    let lost = dice.chance(probability(-3.3 + 0.9 * person.risk));
    let last = if lost { world.end.plus_months(-dice.small(0, 6)) } else { world.end };
    let employer = person.employer.map_or(String::new(), |e| company_id(world, person.member, e));

    let mut paid = Vec::new();
    if person.has_payroll {
        let skip = (0.012 * (0.8 * person.risk).exp()).min(0.4);
        let day = dice.small(4, 24);
        for on in days(world, day, months) {
            let fen = round_fen(person.income_fen as f64 / 100.0 * (1.0 + 0.05 * dice.normal()), 1);
            if dice.chance(skip) || on > last || on < person.opened {
                continue;
            }
            paid.push(Pay { on, fen });
            let id = format!("p{:010}", bank.payroll.rows() + 1);
            bank.payroll
                .text(&world.members[person.member].code)
                .text(&id)
                .text(&person.id)
                .text(&employer)
                .day(on)
                .yuan(fen)
                .known(on.at(39_600), &mut bank.planted)?;
        }
    }
    if person.has_fund {
        write_fund(person, &employer, last, &mut dice, world, bank)?;
    }
    Ok(paid)
}

/// The housing provident fund: base, paid by both sides, months paid in all.
fn write_fund(
    person: &Person,
    employer: &str,
    last: Day,
    dice: &mut Dice,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let months = world.plan.months as i32;
    let skip = (0.01 * (0.9 * person.risk).exp()).min(0.4);
    let day = dice.small(8, 20);
    let rate = dice.pick(&[0.10, 0.16, 0.20, 0.24]);
    let base = round_fen(person.income_fen as f64 / 100.0, 10);
    // Months at the start of the history: negative for those who begin within it.
    let mut total = (dice.small(-10, 60)
        + if dice.chance(0.6 - 0.12 * person.risk) { dice.small(0, 140) } else { 0 })
    .min((person.age - 20) * 12);
    for on in days(world, day, months) {
        total += 1;
        if dice.chance(skip) {
            total -= 1;
            continue;
        }
        if total < 1 || on > last {
            continue;
        }
        let id = format!("f{:010}", bank.provident_fund.rows() + 1);
        let paid = round_fen(base as f64 / 100.0 * rate, 1);
        // The fund's file comes some days later.
        let known = on + dice.small(2, 6);
        bank.provident_fund
            .text(&world.members[person.member].code)
            .text(&id)
            .text(&person.id)
            .text(employer)
            .day(on)
            .yuan(base)
            .yuan(paid)
            .int(total.into())
            .known(known.at(21_600), &mut bank.planted)?;
    }
    Ok(())
}

/// This day of each month of the history.
fn days(world: &World, day: i32, months: i32) -> impl Iterator<Item = Day> + use<> {
    let (first, end) = (world.end.month_start(), world.end);
    (0..=months).map(move |k| first.plus_months(k - months) + (day - 1)).filter(move |d| *d <= end)
}
