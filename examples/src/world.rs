//! What is asked for, and what all customers of the bank share.

use chrono::NaiveDate;

use crate::{
    calendar::{Day, Time},
    codes::{self, County},
    dice::{Dice, Topic},
};

/// What bank to make.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Customers of all members together.
    pub customers: u64,
    /// Applications of all members together; None: one for every two customers.
    pub applications: Option<u64>,
    /// Members of the federation, 1 to 83. The example rulebook knows the first four.
    pub members: usize,
    /// The same seed and sizes make the same bytes.
    pub seed: u64,
    /// Last day of the history.
    pub as_of: NaiveDate,
    /// Months of history before `as_of`, 2 to 60. Applications fall in its latter half, at most half a year.
    pub months: u32,
    /// Mean of a customer's transactions a month, besides pay and repayments; 1 to 40.
    pub monthly_transactions: f64,
    /// Share of rows that are spoiled on purpose, 0 to 0.5.
    pub dirty: f64,
}

impl Plan {
    /// A bank of this size and seed, everything else as usual.
    pub fn new(customers: u64, seed: u64) -> Self {
        Self {
            customers,
            applications: None,
            members: 4,
            seed,
            as_of: NaiveDate::from_ymd_opt(2026, 6, 30).expect("a day"),
            months: 12,
            monthly_transactions: 4.0,
            dirty: 0.002,
        }
    }

    /// What cannot be made, if anything: the sentence says the bounds.
    pub fn wrong(&self) -> Option<String> {
        let bounds = [
            ("members", self.members as f64, 1.0, 83.0),
            ("customers", self.customers as f64, self.members as f64 * 100.0, 100e6),
            ("applications", self.applications() as f64, 0.0, 100.0 * self.customers as f64),
            ("months", f64::from(self.months), 2.0, 60.0),
            ("monthly transactions", self.monthly_transactions, 1.0, 40.0),
            ("dirty", self.dirty, 0.0, 0.5),
        ];
        let years = ["1990-01-01", "2060-01-01"].map(|d| d.parse::<NaiveDate>().expect("a day"));
        if !(years[0]..years[1]).contains(&self.as_of) {
            return Some(format!("as-of is {}, and must be in the years 1990 to 2059", self.as_of));
        }
        // Negated so that a NaN is out of bounds too.
        let (name, value, low, high) =
            bounds.into_iter().find(|(_, v, low, high)| !(v >= low && v <= high))?;
        Some(format!("{name} is {value}, and must be between {low} and {high}"))
    }

    /// Applications that will be made.
    pub fn applications(&self) -> u64 {
        self.applications.unwrap_or(self.customers / 2)
    }
}

/// One legal entity of the federation.
#[derive(Clone, Debug)]
pub struct Member {
    /// `001`, `002`, …
    pub code: String,
    /// Counties that it serves.
    pub counties: &'static [County],
    /// Added to every customer's hidden risk.
    pub risk: f64,
    /// Times the usual income.
    pub income: f64,
    /// Its customers.
    pub customers: u32,
}

/// A company for every so many customers.
pub const CUSTOMERS_PER_COMPANY: u32 = 20;

/// Everything that is settled before the first customer is made.
pub struct World {
    pub plan: Plan,
    pub members: Vec<Member>,
    /// First day of the history.
    pub start: Day,
    /// Last day of the history.
    pub end: Day,
    /// First day of the event stream: pay is booked for the whole month in which the history begins.
    pub events_from: Day,
    /// First day on which applications come in.
    pub applying_from: Day,
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let end = Day::of(plan.as_of);
        let start = end.plus_months(-(plan.months as i32));
        let applying_from = Day((end.0 - 182).max((start.0 + end.0) / 2));
        // The first member is the city bank, and the largest; sizes fall off slowly from there.
        let weight = |i: usize| 1.0 / (1.0 + 0.4 * i as f64);
        let total: f64 = (0..plan.members).map(weight).sum();
        let mut left = plan.customers as u32;
        let members = (0..plan.members)
            .map(|i| {
                let share = (plan.customers as f64 * weight(i) / total) as u32;
                let customers = if i + 1 == plan.members { left } else { share };
                left -= customers;
                let (risk, income) = [(-0.15, 1.2), (0.0, 1.05), (0.0, 1.0), (0.25, 0.8)][i % 4];
                Member {
                    code: format!("{:03}", i + 1),
                    counties: codes::counties(i),
                    risk,
                    income,
                    customers,
                }
            })
            .collect();
        let events_from = start.month_start();
        Self { plan, members, start, end, events_from, applying_from }
    }

    /// What is known after this is not in the bank yet.
    pub fn cutoff(&self) -> Time {
        self.end.at(86_399)
    }

    /// The draws of one (topic, member, number).
    pub fn dice(&self, topic: Topic, member: usize, number: u32) -> Dice {
        Dice::new(self.plan.seed, topic, member, number.into())
    }

    /// Companies of a member.
    pub fn companies(&self, member: usize) -> u32 {
        (self.members[member].customers / CUSTOMERS_PER_COMPANY).max(1)
    }

    /// A day of the application window.
    pub fn application_day(&self, dice: &mut Dice) -> Day {
        Day(dice.small(self.applying_from.0, self.end.0))
    }
}
