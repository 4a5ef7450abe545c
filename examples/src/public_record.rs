//! What courts and the company register publish about customers and companies, as events. The hidden risk
//! decides whom it happens to.

use std::io;

use crate::{
    bank::Bank,
    block,
    calendar::Day,
    codes::County,
    company::Company,
    dice::{Dice, Topic, probability},
    events::Event,
    identity,
    person::{Person, round_fen},
    world::World,
};

/// Whom the courts write about.
struct Party<'a> {
    member: usize,
    id: &'a str,
    county: County,
    risk: f64,
    /// Log odds of a case at average risk.
    odds: f64,
    monthly_income_fen: i64,
}

/// Cases of a customer.
pub fn write_person(person: &Person, world: &World, bank: &mut Bank) -> io::Result<()> {
    let party = Party {
        member: person.member,
        id: &person.id,
        county: person.county,
        risk: person.risk,
        odds: -4.2,
        monthly_income_fen: person.income_fen,
    };
    party.write_case(&mut person.dice(world, Topic::Legal), world, bank)
}

/// Cases of a company, and changes of its registration.
pub fn write_company(company: &Company, capital_fen: i64, world: &World, bank: &mut Bank) -> io::Result<()> {
    let party = Party {
        member: company.member,
        id: &company.id,
        county: company.county,
        risk: company.risk,
        odds: -3.0,
        monthly_income_fen: company.yearly_sales_fen / 12,
    };
    // Customers and companies are numbered alike.
    let mut dice = world.dice(Topic::Legal, company.member, company.position | 1 << 31);
    party.write_case(&mut dice, world, bank)?;
    write_registration(company, capital_fen, world, bank)
}

impl Party<'_> {
    /// A case, step by step, if there is one.
    fn write_case(&self, dice: &mut Dice, world: &World, bank: &mut Bank) -> io::Result<()> {
        if !dice.chance(probability(self.odds + 0.8 * self.risk)) {
            return Ok(());
        }
        let filed = Day(dice.small(world.start.0 - 90, world.end.0));
        let court = &self.county.code[2..];
        let case = format!("({})桂{court}民初{}号", &filed.iso()[..4], dice.int(100, 9_999));
        let cause = dice.pick(&[
            "民间借贷纠纷 private loan",
            "金融借款合同纠纷 bank loan",
            "买卖合同纠纷 sale of goods",
            "劳动争议 labour",
        ]);
        let amount = round_fen(self.monthly_income_fen as f64 / 100.0 * dice.between(1.0, 15.0), 100);
        let role = if dice.chance(probability(0.8 + 0.5 * self.risk)) { "defendant" } else { "plaintiff" };
        let loses = role == "defendant" && dice.chance(0.7);
        let pays = dice.chance(probability(0.3 - 0.8 * self.risk));

        let judged = filed + dice.small(30, 120);
        let enforced = judged + dice.small(20, 60);
        let ended = enforced + dice.small(30, 120);
        let last = if pays { "closed" } else { "dishonest" };
        let steps = match loses {
            true => {
                vec![("filed", role, filed), ("judged", role, judged), ("enforced", "executed", enforced)]
            }
            false => vec![("filed", role, filed), ("judged", role, judged), ("closed", role, enforced)],
        };
        let end = loses.then_some((last, "executed", ended));
        for (status, role, on) in steps.into_iter().chain(end) {
            // Published some days after.
            let known = on + dice.small(1, 10);
            let event = Event {
                kind: "legal_case",
                id: &format!("{}-case-{status}", self.id),
                member: &world.members[self.member].code,
                customer: self.id,
                happened: on.at(36_000),
                known: known.at(21_600),
            };
            bank.events.write(&event, |body| {
                body.text("case_id", &case)
                    .text("role", role)
                    .text("cause", cause)
                    .int("amount_fen", amount)
                    .text("status", status);
            })?;
        }
        Ok(())
    }
}

/// Changes of a company's registration, if any: the more its risk, the more there are.
fn write_registration(company: &Company, capital_fen: i64, world: &World, bank: &mut Bank) -> io::Result<()> {
    let mut dice = world.dice(Topic::Registration, company.member, company.position);
    let owner = block::owner_of(world, company.member, company.position);
    let items = ["legal_representative", "address", "capital", "status"];
    for (item, odds) in items.into_iter().zip([-2.8, -2.8, -3.2, -3.6]) {
        let changes = dice.chance(probability(odds + 0.6 * company.risk));
        let on = Day(dice.small(world.start.0.max(company.established.0), world.end.0));
        let (a, b) = (identity::name(&mut dice), identity::name(&mut dice));
        let places = [dice.int(0, 9_999), dice.int(0, 9_999)]
            .map(|home| identity::address(world, company.member, home as u32, company.county));
        let left = round_fen(capital_fen as f64 / 100.0 * dice.between(0.2, 0.8), 10_000);
        // The register is looked up once in a few days.
        let known = on + dice.small(1, 7);
        if !changes {
            continue;
        }
        let (former, present) = match item {
            "legal_representative" => {
                (owner.map_or(a, |position| Person::new(world, company.member, position).name), b)
            }
            "address" => places.into(),
            "capital" => (yuan(capital_fen), yuan(left)),
            _ => ("存续".into(), "列入经营异常名录".into()),
        };
        let event = Event {
            kind: "registration_change",
            id: &format!("{}-{item}", company.id),
            member: &world.members[company.member].code,
            customer: &company.id,
            happened: on.at(32_400),
            known: known.at(21_600),
        };
        bank.events.write(&event, |body| {
            body.text("item", item).text("former", &former).text("present", &present);
        })?;
    }
    Ok(())
}

fn yuan(fen: i64) -> String {
    format!("{} 元", fen / 100)
}
