//! What happens to a loan after it is granted, as events: paid out, instalments due, paid and missed, and what
//! secures it valued again.

use std::io;

use crate::{
    bank::Bank,
    calendar::Day,
    company::Company,
    credit::{Loan, account_id},
    dice::{Dice, Topic},
    events::Event,
    person::{Person, round_fen},
    planted::Plant,
    world::World,
};

/// Days past due at which an unpaid instalment is told of.
const MISSED: [i32; 4] = [1, 30, 60, 90];

/// Each loan that was paid out. Its proceeds go to whom it buys from, except of a loan in `paid_in`: those
/// came to the borrower's own account.
pub fn write_disbursed(
    person: &Person,
    loans: &[Loan],
    paid_in: Option<&str>,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Servicing);
    for loan in loans {
        let purpose = match loan.product {
            "business_loan" | "farmer_loan" => "working_capital",
            _ => dice.pick(&["renovation", "appliances", "education", "medical", "travel", "vehicle"]),
        };
        let industry = loan.company.map(|c| Company::new(world, person.member, c).industry.class);
        let account = account_id(world, person);
        let event = Event {
            kind: "loan_disbursed",
            id: &loan.id,
            member: &world.members[person.member].code,
            customer: &person.id,
            happened: loan.disbursed.at(36_000),
            known: loan.disbursed.at(79_200),
        };
        bank.events.write(&event, |body| {
            body.text("loan_id", &loan.id)
                .text("product", loan.product)
                .int("amount_fen", loan.amount_fen)
                .int("term_months", loan.months)
                .int("rate_ppm", loan.rate_bp * 100)
                .text("purpose", purpose)
                .text("guarantee_type", loan.guarantee)
                .text("account_id", if paid_in == Some(&loan.id) { &account } else { "" })
                .text("industry_class", industry.unwrap_or_default());
        })?;
    }
    Ok(())
}

/// What becomes of an instalment that is paid on a day, or never.
pub fn write_instalment(
    loan: &Loan,
    instalment: i32,
    paid_on: Day,
    person: &Person,
    world: &World,
    bank: &mut Bank,
) -> io::Result<()> {
    let due = loan.due(instalment);
    let id = format!("{}-{instalment:02}", loan.id);
    let mut write = |kind, id: &str, on: Day, happened, known, dpd: Option<i32>| {
        let (happened, known) = (on.at(happened), on.at(known));
        let member = &world.members[person.member].code;
        let event = Event { kind, id, member, customer: &person.id, happened, known };
        bank.events.write(&event, |body| {
            body.text("loan_id", &loan.id)
                .int("instalment", instalment)
                .int("amount_fen", loan.instalment_fen());
            if let Some(dpd) = dpd {
                body.int("dpd", dpd);
            }
        })
    };
    write("repayment_due", &id, due, 0, 0, None)?;
    // The ledger's night run tells of both, once the day's payments are in.
    for dpd in MISSED.into_iter().filter(|dpd| paid_on > due + *dpd) {
        write("repayment_missed", &format!("{id}-{dpd:02}"), due + dpd, 0, 82_800, Some(dpd))?;
    }
    if paid_on <= world.end {
        write("repayment_paid", &id, paid_on, 75_600, 82_800, Some((paid_on - due).max(0)))?;
    }
    Ok(())
}

/// Notes the loans that reach 90 days past due within the history. Those that did before go on to miss instalments,
/// but are not noted.
pub fn write_defaults(person: &Person, loans: &[Loan], world: &World, bank: &mut Bank) -> io::Result<()> {
    for loan in loans {
        if let Some(day) = loan.reaches(90).filter(|day| (world.events_from..=world.end).contains(day)) {
            bank.planted.note(Plant {
                kind: "default_90dpd",
                member: &world.members[person.member].code,
                table: "events",
                key: &person.id,
                cluster: &loan.id,
                detail: &format!("from {} on: a loan is 90 days past due or more", day.iso()),
            })?;
        }
    }
    Ok(())
}

/// Quarter by quarter, what the mortgages of a customer's loans are worth.
pub fn write_collateral(person: &Person, loans: &[Loan], world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Collateral);
    for loan in loans.iter().filter(|loan| loan.guarantee == "mortgage") {
        let category = match loan.product {
            "business_loan" => dice.pick(&["commercial_property", "industrial_property"]),
            _ => "residential_property",
        };
        // Lent against 45 to 70 % of it.
        let mut value = loan.amount_fen as f64 / 100.0 / dice.between(0.45, 0.70);
        for (number, instalment) in (0..loan.months).step_by(3).enumerate() {
            let on = loan.due(instalment);
            value *= movement(&mut dice);
            let known = on + dice.small(1, 4);
            if loan.written_off(on) {
                break;
            }
            let event = Event {
                kind: "collateral_value",
                id: &format!("{}-v{number:02}", loan.id),
                member: &world.members[person.member].code,
                customer: &person.id,
                happened: on.at(34_200),
                known: known.at(32_400),
            };
            bank.events.write(&event, |body| {
                body.text("collateral_id", &loan.id.replacen('l', "m", 1))
                    .text("loan_id", &loan.id)
                    .text("category", category)
                    .int("value_fen", round_fen(value, 100))
                    .int("loan_balance_fen", loan.balance_fen(on));
            })?;
        }
    }
    Ok(())
}

/// What a quarter makes of a value: a little more or less, and now and then a good deal less.
fn movement(dice: &mut Dice) -> f64 {
    let usual = 1.0 + 0.012 * dice.normal();
    if dice.chance(0.06) { usual * dice.between(0.70, 0.90) } else { usual }
}
