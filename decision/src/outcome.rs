//! What is decided: outcomes, stages, reasons.

use std::fmt;

use tarim_datamart::Value;

/// Answer to an application. Ordered: the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Approve,
    Refer,
    Decline,
}

/// As it stands on the wire and in tests: `APPROVE`, `REFER`, `DECLINE`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Approve => "APPROVE",
            Outcome::Refer => "REFER",
            Outcome::Decline => "DECLINE",
        })
    }
}

/// A stage of a decision, in the order in which they run; then the control points, which come after all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Admission,
    Fraud,
    Score,
    Limit,
    Rate,
    /// The control point of an application that comes in.
    Application,
    /// Before a contract is signed.
    Contract,
    /// Before money goes out.
    Disbursement,
}

impl Stage {
    /// All stages of a decision, in order.
    pub const ALL: [Stage; 5] = [Stage::Admission, Stage::Fraud, Stage::Score, Stage::Limit, Stage::Rate];

    /// The control points, in the order in which a loan passes them.
    pub const POINTS: [Stage; 3] = [Stage::Application, Stage::Contract, Stage::Disbursement];

    /// Stages and points.
    pub const COUNT: usize = Stage::ALL.len() + Stage::POINTS.len();

    /// Is it a control point, rather than a stage of a decision?
    pub fn is_point(self) -> bool {
        self >= Stage::Application
    }

    /// All of them, stages first.
    pub fn every() -> impl Iterator<Item = Stage> {
        Stage::ALL.into_iter().chain(Stage::POINTS)
    }
}

/// As a rulebook writes it: `admission`.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Stage::Admission => "admission",
            Stage::Fraud => "fraud",
            Stage::Score => "score",
            Stage::Limit => "limit",
            Stage::Rate => "rate",
            Stage::Application => "application",
            Stage::Contract => "contract",
            Stage::Disbursement => "disbursement",
        })
    }
}

/// Which stages a call asks for. What a stage needs from an earlier one (the score, a table) is
/// computed either way; rules and outcomes are of the stages asked for only. To ask for a control point is to intercept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    One(Stage),
    /// All stages of a decision, and no control point.
    All,
}

impl Call {
    /// Is this stage asked for?
    pub fn includes(self, stage: Stage) -> bool {
        match self {
            Call::One(one) => one == stage,
            Call::All => !stage.is_point(),
        }
    }
}

/// What a reason does to the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// Why the score is not higher; no effect on the outcome.
    Score,
    /// Told; no effect on the outcome.
    Warn,
    Refer,
    Decline,
    /// At a control point: it must not pass.
    Block,
}

/// As a rulebook writes it: `decline`; `score` for a loss of points.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Effect::Score => "score",
            Effect::Warn => "warn",
            Effect::Refer => "refer",
            Effect::Decline => "decline",
            Effect::Block => "block",
        })
    }
}

impl Effect {
    /// The outcome that this effect forces, if any.
    pub fn outcome(self) -> Outcome {
        match self {
            Effect::Score | Effect::Warn => Outcome::Approve,
            Effect::Refer => Outcome::Refer,
            Effect::Decline | Effect::Block => Outcome::Decline,
        }
    }

    /// What a control point makes of it.
    pub fn clearance(self) -> Clearance {
        match self {
            Effect::Score => Clearance::Pass,
            Effect::Warn | Effect::Refer => Clearance::Warn,
            Effect::Decline | Effect::Block => Clearance::Block,
        }
    }
}

/// What a control point says to a loan. Ordered: the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Clearance {
    Pass,
    Warn,
    Block,
}

impl Clearance {
    /// All of them, in order.
    pub const ALL: [Clearance; 3] = [Clearance::Pass, Clearance::Warn, Clearance::Block];
}

/// As it stands on the wire and in tests: `PASS`, `WARN`, `BLOCK`.
impl fmt::Display for Clearance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Clearance::Pass => "PASS",
            Clearance::Warn => "WARN",
            Clearance::Block => "BLOCK",
        })
    }
}

/// One reason of a decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Rule, table, characteristic or formula.
    pub id: String,
    pub stage: Stage,
    pub effect: Effect,
    pub zh: String,
    pub en: String,
    /// It could not be evaluated, and this is what unknown means for it.
    pub unknown: bool,
    /// What it looked at.
    pub values: Vec<NamedValue>,
    /// Points lost against the best bin; of [`Effect::Score`] only.
    pub points_lost: Option<f64>,
    /// Officers of these roles may override it; of [`Effect::Block`] only.
    pub override_roles: Vec<String>,
}

/// A value that a rule looked at, by its name in the rulebook.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValue {
    pub name: String,
    pub value: Value,
    /// There was a value, but older than its declared freshness: `value` is NULL.
    pub stale: bool,
}

/// The answer to one application. Equality is bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    pub outcome: Outcome,
    /// Of the stages that were asked for, in order.
    pub stages: Vec<(Stage, Outcome)>,
    pub reasons: Vec<Reason>,
    pub score: Option<Score>,
    /// Absent when unknown, not asked for, or the outcome is a decline.
    pub limit_fen: Option<i64>,
    /// Millionths a year; absent as `limit_fen` is.
    pub rate_ppm: Option<i64>,
    /// Room that was taken of exposure limits.
    pub reservation: Option<Reservation>,
}

/// Room that was taken of exposure limits, for an exposure.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Reservation {
    /// Its name in the ledger.
    #[prost(string, tag = "1")]
    pub exposure: String,
    #[prost(int64, tag = "2")]
    pub fen: i64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    #[prost(int64, tag = "3")]
    pub expires_us: i64,
    /// Number of the operation in the ledger.
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
}

impl Decision {
    /// Of a call for a control point: what the point says.
    pub fn clearance(&self) -> Clearance {
        self.reasons.iter().map(|reason| reason.effect.clearance()).max().unwrap_or(Clearance::Pass)
    }
}

/// Result of a scorecard.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub points: f64,
    pub grade: String,
    /// Probability of default, 0 to 1.
    pub pd: f64,
}
