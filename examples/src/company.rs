//! Companies: employers, and the firms that take tax loans.

use std::io;

use crate::{
    bank::Bank,
    block,
    calendar::Day,
    codes::{self, County, INDUSTRIES, Industry},
    dice::Topic,
    person::{customer_id, round_fen},
    public_record,
    world::World,
};

/// One company or public body.
pub struct Company {
    pub member: usize,
    /// Place within the member, from 0.
    pub position: u32,
    pub id: String,
    pub industry: &'static Industry,
    pub county: County,
    /// Hidden; as [`crate::person::Person::risk`].
    pub risk: f64,
    pub employees: i64,
    pub yearly_sales_fen: i64,
    pub established: Day,
    pub opened: Day,
}

/// Key of a company.
pub fn company_id(world: &World, member: usize, position: u32) -> String {
    format!("e{}{position:07}", world.members[member].code)
}

/// Whose loan a company guarantees because of a guarantee circle of three companies.
pub fn circle_next(world: &World, member: usize, position: u32) -> Option<u32> {
    let whole = position / 30 * 30 + 7 < world.companies(member);
    match position % 30 {
        5 | 6 if whole => Some(position + 1),
        7 => Some(position - 2),
        _ => None,
    }
}

impl Company {
    /// The same company every time.
    pub fn new(world: &World, member: usize, position: u32) -> Self {
        let m = &world.members[member];
        let mut dice = world.dice(Topic::Company, member, position);
        let industry = dice.weighted(&INDUSTRIES);
        let risk = dice.normal() + m.risk + industry.risk;
        let size = (0.9 * dice.normal()).exp();
        let employees = (if industry.is_public() { 60.0 } else { 12.0 } * size).ceil() as i64;
        let sales = industry.sales * employees as f64 * m.income * (0.3 * dice.normal() - 0.15 * risk).exp();
        let established = world.end + -dice.small(200, 6000);
        let opened = (established + dice.small(30, 400)).min(world.end + -60);
        Self {
            member,
            position,
            id: company_id(world, member, position),
            industry,
            county: dice.pick(m.counties),
            risk,
            employees,
            yearly_sales_fen: round_fen(sales, 1000),
            established,
            opened: Day(opened.0.max(established.0)),
        }
    }

    /// The company, and its tax records if it pays tax.
    pub fn write(&self, world: &World, bank: &mut Bank) -> io::Result<()> {
        let mut dice = world.dice(Topic::Tax, self.member, self.position);
        let m = &world.members[self.member];
        let public = self.industry.is_public();
        let number = u64::from(self.position) * 7919 + 104_729 * (self.member as u64 + 1);
        let grade = match self.risk + 0.8 * dice.normal() {
            _ if public => "",
            r if r < -0.6 => "A",
            r if r < 0.5 => "B",
            r if r < 1.1 => "M",
            r if r < 2.2 => "C",
            _ => "D",
        };
        let representative = if public { None } else { block::owner_of(world, self.member, self.position) }
            .map_or(String::new(), |p| customer_id(world, self.member, p));
        let capital_fen = round_fen(10_000.0 * (1 + self.employees * dice.int(1, 8)) as f64, 10_000);
        bank.companies
            .text(&m.code)
            .text(&self.id)
            .text(&format!(
                "{}{}{}",
                self.county.zh,
                ["兴隆", "恒达", "金穗", "永盛", "瑞丰"][number as usize % 5],
                self.industry.zh
            ))
            .text(&codes::credit_code(public, self.county.code, number))
            .text(self.county.code)
            .text(self.industry.section)
            .text(self.industry.division())
            .text(self.industry.group())
            .text(self.industry.class)
            .text(&representative)
            .day(self.established)
            .yuan(capital_fen)
            .int(self.employees)
            .text(grade)
            .day(self.opened)
            .known(self.opened.at(61_200), &mut bank.planted)?;

        if public {
            return Ok(());
        }
        public_record::write_company(self, capital_fen, world, bank)?;
        // A month of no sales, and a late filing, are what the hidden risk shows of itself.
        let idle = (0.04 * (0.7 * self.risk).exp()).min(0.6);
        let late = (0.06 * (0.8 * self.risk).exp()).min(0.8);
        let trend = 0.01 * dice.normal() - 0.008 * self.risk;
        let months = world.plan.months as i32 + 12;
        for k in 0..months {
            let next = world.end.month_start().plus_months(k + 1 - months);
            let end = next + -1;
            let sales = match dice.chance(idle) {
                true => 0,
                false => {
                    let month = self.yearly_sales_fen as f64 / 12.0 * (1.0 + trend * f64::from(k)).max(0.1);
                    round_fen(month / 100.0 * (0.2 * dice.normal()).exp(), 10)
                }
            };
            let is_late = dice.chance(late);
            let filed = next + if is_late { dice.small(18, 50) } else { dice.small(3, 14) };
            if end < self.established {
                continue;
            }
            bank.tax_records
                .text(&m.code)
                .text(&format!("x{}{:07}{:04}", m.code, self.position, end.0 / 28 % 10_000))
                .text(&self.id)
                .compact_day(end)
                .compact_day(filed)
                .int(sales)
                .int(sales * 3 / 100)
                .flag(is_late)
                .known(filed.at(72_000), &mut bank.planted)?;
        }
        Ok(())
    }
}
