//! Running test cases.

use std::{collections::BTreeSet, fmt};

use tarim_datamart::{Value, ValueRef, nearest};

use super::Case;
use crate::{
    engine::{Inputs, InputsBuilder, Intake, Origin, Replayer},
    outcome::{Call, Decision},
    policy::reason_ids,
    rulebook::{APPLICATION, Rulebook},
};

/// What came of a case.
#[derive(Debug)]
pub struct TestResult<'c> {
    pub case: &'c Case,
    /// None: it could not be decided, and `mismatches` says why.
    pub decision: Option<Decision>,
    /// Empty: the case passes.
    pub mismatches: Vec<Mismatch>,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub what: &'static str,
    pub expected: String,
    pub got: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, got {}", self.what, self.expected, self.got)
    }
}

/// Decides all cases.
pub fn run<'c>(rulebook: &Rulebook, cases: &'c [Case]) -> Vec<TestResult<'c>> {
    let intake = Intake::new(rulebook);
    let mut builder = InputsBuilder::new(rulebook);
    let mut replayer = Replayer::new(rulebook);
    let ids = reason_ids(rulebook.steps().iter().map(|s| &*s.logic));
    let one = |case: &'c Case| {
        let decided = inputs(case, &intake, &mut builder)
            .and_then(|inputs| asked(rulebook, case, &inputs, &mut replayer));
        match decided {
            Ok(decision) => {
                let mut mismatches = compare(case, &decision);
                mismatches.extend(misspelt(case, &ids));
                TestResult { case, decision: Some(decision), mismatches }
            }
            Err(why) => {
                let wrong = Mismatch { what: "decision", expected: "one".into(), got: why };
                TestResult { case, decision: None, mismatches: vec![wrong] }
            }
        }
    };
    cases.iter().map(one).collect()
}

/// Decides a case, or asks its control point.
fn asked(
    rulebook: &Rulebook,
    case: &Case,
    inputs: &Inputs,
    replayer: &mut Replayer<'_>,
) -> Result<Decision, String> {
    let Some(point) = case.point else {
        return replayer.decide(inputs, Call::All).map_err(|e| e.to_string());
    };
    let plan = rulebook.plan(&case.member, &case.product).map_err(|e| e.to_string())?;
    if !plan.intercepts(point) {
        return Err(format!("the control point {point} has no rules for product `{}`", case.product));
    }
    replayer.decide(inputs, Call::One(point)).map_err(|e| e.to_string())
}

/// Ids that a case does not want and that no reason has: such an expectation could never fail.
fn misspelt<'a>(case: &'a Case, ids: &'a BTreeSet<String>) -> impl Iterator<Item = Mismatch> + 'a {
    case.expected.no_reasons.iter().filter(|id| !ids.contains(*id)).map(|id| {
        let known: Vec<&str> = ids.iter().map(String::as_str).collect();
        let hint = nearest(id, &known).map(|n| format!("; did you mean {n}?")).unwrap_or_default();
        Mismatch {
            what: "no_reasons",
            expected: "ids that a reason can have".into(),
            got: format!("{id}, which none has{hint}"),
        }
    })
}

/// The inputs that a case describes. What a request need not name, a case need not either.
fn inputs(case: &Case, intake: &Intake, builder: &mut InputsBuilder<'_>) -> Result<Inputs, String> {
    builder.start(case.at_us);
    for (column, field) in intake.fields.iter().enumerate() {
        let implied = match field.origin {
            Origin::Product => Some(Value::Utf8(case.product.clone())),
            Origin::Now => Intake::now(case.at_us, field.field.ty).map(ValueRef::to_value),
            Origin::Key => None,
            Origin::Caller => field.field.default.clone(),
        };
        builder.set(APPLICATION, column, &implied.unwrap_or_default()).map_err(|e| e.to_string())?;
    }
    for &entity in &case.known {
        builder.set(entity, 0, &Value::Boolean(true)).map_err(|e| e.to_string())?;
    }
    for ((relation, column), value) in &case.values {
        builder.set(*relation, *column, value).map_err(|e| e.to_string())?;
    }
    for &(relation, group) in &case.stale {
        builder.set_stale(relation, group);
    }
    Ok(builder.finish(&case.member, &case.product))
}

fn compare(case: &Case, got: &Decision) -> Vec<Mismatch> {
    let expected = &case.expected;
    let mut wrong = Vec::new();
    let mut check = |what, expected: Option<String>, got: String| {
        if let Some(expected) = expected.filter(|e| *e != got) {
            wrong.push(Mismatch { what, expected, got });
        }
    };
    check("outcome", expected.outcome.map(|o| o.to_string()), got.outcome.to_string());
    check("verdict", expected.verdict.map(|v| v.to_string()), got.clearance().to_string());
    let number = |n: Option<i64>| n.map_or("none".into(), |n| n.to_string());
    check("limit_fen", expected.limit_fen.map(|n| n.to_string()), number(got.limit_fen));
    check("rate_ppm", expected.rate_ppm.map(|n| n.to_string()), number(got.rate_ppm));
    let score = got.score.as_ref();
    check("grade", expected.grade.clone(), score.map_or("none".into(), |s| s.grade.clone()));
    check(
        "points",
        expected.points.map(|p| p.to_string()),
        score.map_or("none".into(), |s| s.points.to_string()),
    );
    let ids: Vec<&str> = got.reasons.iter().map(|r| r.id.as_str()).collect();
    let told = || if ids.is_empty() { "no reason".into() } else { ids.join(", ") };
    for id in &expected.reasons {
        check("reasons", Some(id.clone()).filter(|id| !ids.contains(&id.as_str())), told());
    }
    for id in &expected.no_reasons {
        check("reasons", ids.contains(&id.as_str()).then(|| format!("no {id}")), told());
    }
    wrong
}
