//! `policies/credit_limit` by hand: what a Rust programmer would write who has no rulebook. Fields that may be
//! unknown are options, an unknown condition is a reason of its own, and all reasons are kept.

use tarim_decision::outcome::Outcome;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Employment {
    Public,
    Private,
    SelfEmployed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Area {
    City,
    County,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    House,
    Car,
    Consume,
    Business,
}

#[derive(Clone)]
pub struct Applicant {
    pub age: Option<i64>,
    pub employment: Option<Employment>,
    pub area: Option<Area>,
    pub income_fen: Option<i64>,
    pub debt_fen: Option<i64>,
    pub bureau_score: Option<i64>,
    pub dpd_max: Option<i64>,
    pub employed_months: Option<i64>,
    pub enquiries: Option<i64>,
    pub amount_fen: Option<i64>,
    pub term_months: Option<i64>,
    pub purpose: Option<Purpose>,
}

/// Rule or table, and whether it could not be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub id: &'static str,
    pub unknown: bool,
}

/// Limits are whole numbers of these; below one of them nothing is lent.
const STEP_FEN: i64 = 100_000;

/// What is found out on the way.
struct Findings<'r> {
    reasons: &'r mut Vec<Reason>,
    outcome: Outcome,
}

impl Findings<'_> {
    #[inline]
    fn find(&mut self, id: &'static str, unknown: bool, then: Outcome) {
        self.reasons.push(Reason { id, unknown });
        self.outcome = self.outcome.max(then);
    }

    #[inline]
    fn rule(&mut self, id: &'static str, fires: Option<bool>, then: Outcome) {
        match fires {
            Some(false) => {}
            Some(true) => self.find(id, false, then),
            None => self.find(id, true, Outcome::Refer),
        }
    }

    /// What cannot be known refers.
    #[inline]
    fn known(&mut self, id: &'static str, value: Option<i64>) -> Option<i64> {
        if value.is_none() {
            self.find(id, true, Outcome::Refer);
        }
        value
    }
}

/// Outcome and, unless it is a decline, the limit. `reasons` is overwritten.
pub fn decide(a: &Applicant, reasons: &mut Vec<Reason>) -> (Outcome, Option<i64>) {
    reasons.clear();
    let mut f = Findings { reasons, outcome: Outcome::Approve };
    f.rule("E1", a.age.map(|x| x < 18), Outcome::Decline);
    f.rule("E2", a.age.map(|x| x > 65), Outcome::Decline);
    f.rule("E3", a.dpd_max.map(|x| x >= 90), Outcome::Decline);
    f.rule("E4", a.dpd_max.map(|x| (30..90).contains(&x)), Outcome::Refer);
    f.rule("E5", a.bureau_score.map(|x| x < 500), Outcome::Decline);
    f.rule("E6", a.employed_months.map(|x| x < 6), Outcome::Refer);
    f.rule("E7", a.enquiries.map(|x| x >= 8), Outcome::Refer);
    f.rule("E8", a.debt_fen.zip(a.income_fen).map(|(d, i)| d * 10 - i * 7 > 0), Outcome::Decline);
    let times = f.known("multiple", multiple(a.bureau_score, a.dpd_max));
    let ceiling = f.known("ceiling", ceiling(a.employment, a.area));
    let percent = f.known("purpose", percent(a.purpose, a.term_months));
    let limit = f.known("limit", limit(a, times, ceiling, percent));
    if limit == Some(0) {
        f.find("limit", false, Outcome::Decline);
    }
    (f.outcome, limit.filter(|_| f.outcome != Outcome::Decline))
}

fn limit(a: &Applicant, times: Option<i64>, ceiling: Option<i64>, percent: Option<i64>) -> Option<i64> {
    let carried = a.income_fen? as f64 * times? as f64 * percent? as f64 / 100.0;
    let fen = carried.min(ceiling? as f64).min(a.amount_fen? as f64).min(50_000_000.0);
    Some((fen / STEP_FEN as f64).floor() as i64 * STEP_FEN)
}

fn multiple(score: Option<i64>, dpd: Option<i64>) -> Option<i64> {
    Some(match score? {
        750.. if dpd? < 1 => 12,
        750.. => 8,
        650.. if dpd? < 1 => 8,
        650.. => 5,
        550.. => 3,
        _ => 1,
    })
}

fn ceiling(employment: Option<Employment>, area: Option<Area>) -> Option<i64> {
    Some(match (employment?, area?) {
        (Employment::Public, Area::City) => 30_000_000,
        (Employment::Public, Area::County) => 20_000_000,
        (Employment::Private, Area::City) => 20_000_000,
        (Employment::Private, Area::County) => 15_000_000,
        (Employment::SelfEmployed, Area::City) => 12_000_000,
        (Employment::SelfEmployed, Area::County) => 8_000_000,
    })
}

fn percent(purpose: Option<Purpose>, months: Option<i64>) -> Option<i64> {
    Some(match purpose? {
        Purpose::House => 100,
        Purpose::Car if months? <= 36 => 90,
        Purpose::Car => 80,
        Purpose::Consume if months? <= 12 => 80,
        Purpose::Consume => 60,
        Purpose::Business => 70,
    })
}
