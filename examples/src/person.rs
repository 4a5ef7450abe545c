//! A customer: who he is, and the hidden risk that the bank never sees.

use crate::{
    block,
    calendar::Day,
    codes::County,
    company::Company,
    dice::{Dice, Topic},
    identity,
    world::World,
};

/// How a customer makes a living; the codes of the standard `customers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Living {
    CivilServant,
    Salaried,
    SelfEmployed,
    Farmer,
    Retired,
}

impl Living {
    pub fn code(self) -> &'static str {
        match self {
            Living::CivilServant => "civil_servant",
            Living::Salaried => "salaried",
            Living::SelfEmployed => "self_employed",
            Living::Farmer => "farmer",
            Living::Retired => "retired",
        }
    }

    /// Added to the hidden risk.
    fn risk(self) -> f64 {
        match self {
            Living::CivilServant => -0.35,
            Living::Salaried | Living::Retired => 0.0,
            Living::Farmer => 0.1,
            Living::SelfEmployed => 0.25,
        }
    }
}

/// One customer of one member.
pub struct Person {
    pub member: usize,
    /// Place within the member, from 0.
    pub position: u32,
    pub id: String,
    /// Hidden: standard normal, shifted; higher is worse.
    pub risk: f64,
    pub living: Living,
    pub income_fen: i64,
    pub age: i32,
    pub birth: Day,
    pub female: bool,
    pub county: County,
    pub name: String,
    pub id_number: String,
    pub mobile: String,
    pub address: String,
    pub device: String,
    pub opened: Day,
    /// Company that pays him.
    pub employer: Option<u32>,
    /// Company that he represents in law.
    pub owns: Option<u32>,
    /// Pays into the housing provident fund.
    pub has_fund: bool,
    /// Is paid through this bank.
    pub has_payroll: bool,
    /// Fraud ring that he belongs to.
    pub ring: Option<u32>,
}

/// Key of a customer.
pub fn customer_id(world: &World, member: usize, position: u32) -> String {
    format!("c{}{position:07}", world.members[member].code)
}

impl Person {
    /// The same customer every time.
    pub fn new(world: &World, member: usize, position: u32) -> Self {
        let m = &world.members[member];
        let mut dice = world.dice(Topic::Person, member, position);
        let ring = block::ring_of(world, member, position);
        let owns = block::company_of(world, member, position);
        let hidden = dice.normal() + m.risk;

        let employer =
            Company::new(world, member, dice.int(0, i64::from(world.companies(member)) - 1) as u32);
        let living = match () {
            () if owns.is_some() => Living::SelfEmployed,
            () if dice.chance(0.18) => Living::Farmer,
            () if dice.chance(0.12) => Living::SelfEmployed,
            () if dice.chance(0.08) => Living::Retired,
            () if employer.industry.is_public() => Living::CivilServant,
            () => Living::Salaried,
        };
        let employed = matches!(living, Living::CivilServant | Living::Salaried);
        let usual = match living {
            Living::CivilServant => 7_000.0,
            Living::Salaried => 5_600.0,
            Living::SelfEmployed => 8_000.0,
            Living::Farmer => 3_600.0,
            Living::Retired => 3_800.0,
        };
        let age = match living {
            Living::Retired => dice.small(56, 72),
            _ => dice.small(20, 59),
        };
        let risk = hidden + living.risk() + if age < 26 { 0.3 } else { 0.0 };
        let income = usual * m.income * (0.3 * dice.normal() - 0.08 * risk).exp();
        let birth = world.end + -(age * 365 + age / 4 + dice.small(1, 364));
        let female = dice.chance(0.48);
        let years = 8.0 * (-0.25 * risk).exp() * dice.unit();
        let opened =
            Day((world.start.0 - (365.0 * years) as i32).max(birth.0 + 18 * 366)).min(world.end + -30);
        // Some of those who live next to each other in the files live together.
        let home = match ring {
            Some(ring) => ring * block::BLOCK,
            None if position % 2 == 1 && dice.chance(0.15) && position > 0 => position - 1,
            None => position,
        };
        let shares_device = home != position && dice.chance(0.3);
        let county = Self::county(world, member, home);

        let mut names = world.dice(Topic::Identity, member, position);
        let origin = if names.chance(0.06) { names.pick(&crate::codes::ELSEWHERE) } else { county.code };
        Self {
            member,
            position,
            id: customer_id(world, member, position),
            risk: if ring.is_some() { risk + 1.0 } else { risk },
            living,
            income_fen: round_fen(income, 100),
            age,
            birth,
            female,
            county,
            name: identity::name(&mut names),
            id_number: identity::identity_number(&mut names, origin, birth, female),
            mobile: Self::mobile(world, member, position, ring),
            address: identity::address(world, member, home, county),
            device: match ring {
                Some(ring) => format!("d{}r{ring:06}", m.code),
                None => format!("d{}{:07}", m.code, if shares_device { home } else { position }),
            },
            opened,
            employer: employed.then_some(employer.position),
            owns,
            has_fund: match living {
                Living::CivilServant => true,
                Living::Salaried => dice.chance(0.6),
                _ => dice.chance(0.04),
            },
            has_payroll: employed && dice.chance(0.75),
            ring,
        }
    }

    fn county(world: &World, member: usize, home: u32) -> County {
        world.dice(Topic::Home, member, home.wrapping_add(1 << 31)).pick(world.members[member].counties)
    }

    /// A ring has two numbers among all its members.
    fn mobile(world: &World, member: usize, position: u32, ring: Option<u32>) -> String {
        let owner = ring.map_or(position, |ring| ring * block::BLOCK + position % 2);
        identity::mobile(&mut world.dice(Topic::Identity, member, owner.wrapping_add(1 << 31)))
    }

    /// The draws of this customer for a topic.
    pub fn dice(&self, world: &World, topic: Topic) -> Dice {
        world.dice(topic, self.member, self.position)
    }
}

/// An amount in CNY as fen, a whole number of `step` CNY.
pub fn round_fen(cny: f64, step: i64) -> i64 {
    (cny / step as f64).round() as i64 * step * 100
}
