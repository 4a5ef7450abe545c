//! Applications, and what became of them.

use std::io;

use crate::{
    bank::Bank,
    calendar::{Day, Time},
    codes::{self, INDUSTRIES},
    company::Company,
    contact,
    dice::{Dice, Topic, probability},
    person::{Living, Person, round_fen},
    planted::Plant,
    world::World,
};

/// One application of a customer.
struct Application<'a> {
    person: &'a Person,
    company: Option<Company>,
    id: String,
    product: &'static str,
    at: Time,
    device: String,
    ip_region: &'static str,
    amount_fen: i64,
    term: i64,
}

/// All applications of a customer, the use of devices that goes with them, and their outcomes.
pub fn write(person: &Person, count: u32, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = person.dice(world, Topic::Application);
    let mut outcomes = person.dice(world, Topic::Outcome);
    for k in 0..count {
        let application = Application::new(person, k, count, &mut dice, world, bank)?;
        application.write(&mut dice, world, bank)?;
        application.write_outcome(&mut outcomes, world, bank)?;
    }
    Ok(())
}

impl<'a> Application<'a> {
    fn new(
        person: &'a Person,
        number: u32,
        count: u32,
        dice: &mut Dice,
        world: &World,
        bank: &mut Bank,
    ) -> io::Result<Self> {
        let product = product(person, dice, world);
        let company =
            person.owns.filter(|_| product == "tax_loan").map(|c| Company::new(world, person.member, c));

        // Many applications of one customer spread over the window, as a renewal would.
        let window = (world.end - world.applying_from + 1) as f64;
        let (on, second) = match person.ring {
            Some(_) => (contact::ring_day(world, person) + dice.small(0, 4), dice.int(0, 86_399)),
            None => {
                let share = (f64::from(number) + dice.unit()) / f64::from(count);
                (world.applying_from + (share * window) as i32, dice.int(28_800, 82_800))
            }
        };
        let at = Day(on.0.clamp(world.applying_from.0, world.end.0)).at(second as u32);

        let strange = if person.ring.is_some() { 0.6 } else { 0.04 };
        let ip_region = if dice.chance(strange) { dice.pick(&codes::ELSEWHERE) } else { person.county.code };
        let new_device = person.ring.is_none() && dice.chance(0.05);
        let device = match new_device {
            true => format!("{}n{number}", person.device),
            false => person.device.clone(),
        };
        if new_device && dice.chance(0.8) {
            contact::write_device(person.member, &device, false, false, at.day() + -1, world, bank)?;
        }
        for before in [dice.int(20, 400), dice.int(86_400, 20 * 86_400)] {
            let action = if before < 1000 { "apply" } else { "login" };
            contact::write_use(person, &device, Time(at.0 - before), action, ip_region, world, bank)?;
        }

        let income = person.income_fen as f64 / 100.0;
        let greed = (0.35 * dice.normal() + 0.1 * person.risk).exp();
        let (cny, terms) = match product {
            "provident_fund_loan" => (income * 17.0 * greed, [12, 24, 36, 36, 60]),
            "salary_loan" => (income * 6.0 * greed, [6, 12, 12, 24, 36]),
            _ => (300_000.0 * greed, [6, 12, 12, 24, 36]),
        };
        let term = if dice.chance(0.01) { 120 } else { dice.pick(&terms) };
        Ok(Self {
            person,
            company,
            id: format!("n{}{:07}{number:03}", world.members[person.member].code, person.position),
            product,
            at,
            device,
            ip_region,
            amount_fen: round_fen(cny, 1000).max(300_000),
            term,
        })
    }

    fn write(&self, dice: &mut Dice, world: &World, bank: &mut Bank) -> io::Result<()> {
        let person = self.person;
        let declared = person.income_fen as f64 / 100.0 * (1.0 + dice.between(0.0, 0.15));
        let inflated = if person.ring.is_some() { declared * 2.0 } else { declared };
        let channel = dice.pick(&["app", "app", "app", "web", "mini_program", "branch"]);
        let guarantee = match self.product {
            "tax_loan" => dice.pick(&["credit", "credit", "guarantee", "mortgage"]),
            _ if dice.chance(0.08) => "guarantee",
            _ => "credit",
        };
        // A tax loan is for the firm's own trade; a few say another one. A personal loan may be for a trade too.
        let of_firm = self.company.as_ref().map(|c| c.industry);
        let industry = match of_firm {
            Some(own) => Some(if dice.chance(0.05) { dice.weighted(&INDUSTRIES) } else { own }),
            None if person.living == Living::SelfEmployed && dice.chance(0.4) => {
                Some(dice.weighted(&INDUSTRIES))
            }
            None => None,
        };
        let purpose = match () {
            () if dice.chance(0.015) => dice.pick(&["house_purchase", "securities", "equity_investment"]),
            () if industry.is_some() => "working_capital",
            () => dice.pick(&[
                "renovation",
                "renovation",
                "appliances",
                "education",
                "medical",
                "travel",
                "vehicle",
                "wedding",
            ]),
        };
        let member = &world.members[person.member].code;
        let income_fen = round_fen(inflated, 100);
        bank.requests.offer(self.at, &self.id, || {
            serde_json::json!({
                "request_id": self.id,
                "member": member,
                "product": self.product,
                "application": {
                    "application_id": self.id,
                    "customer_id": person.id,
                    "company_id": self.company.as_ref().map(|c| &c.id),
                    "id_number": person.id_number,
                    "mobile": person.mobile,
                    "address": person.address,
                    "device_id": self.device,
                    "ip_region": self.ip_region,
                    "amount_fen": self.amount_fen,
                    "term_months": self.term,
                    "purpose": purpose,
                    "guarantee_type": guarantee,
                    "section": industry.map(|i| i.section),
                    "division": industry.map(|i| i.division()),
                    "grp": industry.map(|i| i.group()),
                    "class": industry.map(|i| i.class),
                    "income_fen": income_fen,
                    "channel": channel,
                },
            })
        });
        let sheet = &mut bank.applications;
        sheet
            .text(member)
            .text(&self.id)
            .text(self.product)
            .time(self.at)
            .text(&person.id)
            .text(self.company.as_ref().map_or("", |c| &c.id))
            .text(&person.id_number)
            .text(&person.mobile)
            .text(&person.address)
            .text(&self.device)
            .text(self.ip_region)
            .int(self.amount_fen)
            .int(self.term)
            .text(purpose)
            .text(guarantee);
        match industry {
            Some(i) => sheet.text(i.section).text(i.division()).text(i.group()).text(i.class),
            None => sheet.none().none().none().none(),
        };
        sheet.int(income_fen).text(channel).known(self.at, &mut bank.planted)
    }

    /// What becomes of the loan within a year, if it is granted: what the bank would like to know.
    fn write_outcome(&self, dice: &mut Dice, world: &World, bank: &mut Bank) -> io::Result<()> {
        let person = self.person;
        let risk = match &self.company {
            Some(company) => 0.5 * (company.risk + person.risk),
            None => person.risk,
        };
        let burden = self.amount_fen as f64 / (person.income_fen as f64 * 12.0);
        let log_odds = match person.ring {
            Some(_) => 2.2,
            None => -3.2 + 1.25 * risk + 0.3 * burden.min(3.0),
        };
        let bad = dice.chance(probability(log_odds));
        let wobbly = dice.chance(probability(-2.8 + 0.8 * risk));
        let dpd = match (bad, wobbly) {
            (true, _) => dice.int(91, 365),
            (false, true) => dice.int(31, 89),
            (false, false) => {
                if dice.chance(0.08) {
                    dice.int(1, 29)
                } else {
                    0
                }
            }
        };
        let loss = if bad { dice.between(0.4, 0.95) } else { 0.0 };
        let on = self.at.day().plus_months(12);
        let member = &world.members[person.member].code;
        bank.loan_outcomes
            .text(member)
            .text(&self.id)
            .text(&person.id)
            .text(self.product)
            .day(on)
            .text(match dpd {
                91.. => "bad",
                31.. => "indeterminate",
                _ => "good",
            })
            .flag(bad)
            .int(dpd)
            .ratio(loss)
            .known_later(on.at(3_600), &mut bank.planted)?;
        if bad {
            bank.planted.note(Plant {
                kind: "default",
                member,
                table: "applications",
                key: &self.id,
                cluster: "",
                detail: "would be more than 90 days past due within a year",
            })?;
        }
        Ok(())
    }
}

/// What a customer applies for: mostly, but not always, what he is eligible for.
fn product(person: &Person, dice: &mut Dice, world: &World) -> &'static str {
    // The fourth member, and every fourth after it, does not sell tax loans.
    let sells_tax_loans = person.member % 4 != 3;
    if person.owns.is_some() && sells_tax_loans && world.companies(person.member) > 0 && dice.chance(0.3) {
        return "tax_loan";
    }
    let fund = match (person.has_fund, person.has_payroll) {
        (true, true) => 0.70,
        (true, false) => 0.95,
        (false, true) => 0.12,
        (false, false) => 0.55,
    };
    if dice.chance(fund) { "provident_fund_loan" } else { "salary_loan" }
}
