//! Expressions with known answers, and what is refused with what words: `tests/expr/*.toml`.
//!
//! A case gives `sql`, the values of the columns it needs (`row`, the others are NULL) and the answer:
//! `is` (dates and timestamps as texts), or `null = true`. A refusal gives parts of its message.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Scope, Scratch},
    row::{Dictionary, Row},
};

use crate::expr_common::{NOW_US, batch, layout, packed};

const CUSTOMER: [(&str, Type); 10] = [
    ("known", Type::Boolean),
    ("vip", Type::Boolean),
    ("age", Type::Int64),
    ("loans", Type::Int64),
    ("income", Type::Float64),
    ("debt", Type::Float64),
    ("name", Type::Utf8),
    ("city", Type::Utf8),
    ("born", Type::Date32),
    ("seen", Type::Timestamp),
];
const APPLICATION: [(&str, Type); 4] = [
    ("amount_fen", Type::Int64),
    ("purpose", Type::Utf8),
    ("applied_on", Type::Date32),
    ("applied_at", Type::Timestamp),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    #[serde(default)]
    case: Vec<Case>,
    #[serde(default)]
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    sql: String,
    #[serde(default)]
    row: BTreeMap<String, toml::Value>,
    is: Option<toml::Value>,
    #[serde(default)]
    null: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    sql: String,
    /// Each must be part of the message.
    says: Vec<String>,
}

fn scope(place: &Place) -> Scope {
    let mut scope = Scope::new(vec![
        ("customer".into(), layout(&CUSTOMER)),
        ("application".into(), layout(&APPLICATION)),
    ]);
    let mut define = |name, sql| scope.define("let", name, sql, place).unwrap();
    define("leverage", "customer.debt / customer.income");
    define("adult", "customer.age >= 18");
    scope.declare_parameter("param", "age_min", Type::Int64, place).unwrap();
    scope.declare_parameter("param", "rate", Type::Float64, place).unwrap();
    scope.declare_parameter("param", "region", Type::Utf8, place).unwrap();
    scope
}

fn parameters() -> BTreeMap<String, Value> {
    BTreeMap::from([
        ("age_min".into(), Value::Int64(21)),
        ("rate".into(), Value::Int64(3)),
        ("region".into(), Value::Utf8("4501%".into())),
    ])
}

/// The value that TOML writes, as a type.
fn value(ty: Type, written: &toml::Value) -> Value {
    let read = |sql: String| {
        let place = Place::file(Path::new("value"));
        let parsed = Scope::new(vec![]).parse(&sql, &place).unwrap();
        parsed.with(&BTreeMap::new()).unwrap().constant().unwrap()
    };
    match (ty, written) {
        (Type::Boolean, toml::Value::Boolean(b)) => Value::Boolean(*b),
        (Type::Int64, toml::Value::Integer(n)) => Value::Int64(*n),
        (Type::Float64, toml::Value::Integer(n)) => Value::Float64(*n as f64),
        (Type::Float64, toml::Value::Float(x)) => Value::Float64(*x),
        (Type::Utf8, toml::Value::String(s)) => Value::Utf8(s.clone()),
        (Type::Date32, toml::Value::String(s)) => read(format!("DATE '{s}'")),
        (Type::Timestamp, toml::Value::String(s)) => read(format!("TIMESTAMP '{s}'")),
        _ => panic!("{written} is not a {ty}"),
    }
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expr");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    let (mut passed, mut failures) = (0, Vec::new());
    for file in files {
        let cases: Cases = toml::from_str(&std::fs::read_to_string(&file).unwrap())
            .unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        for case in &cases.case {
            match run(case) {
                Ok(()) => passed += 1,
                Err(e) => failures.push(format!("{name}: {}\n    {e}", case.sql)),
            }
        }
        for refused in &cases.refused {
            match refuse(refused) {
                Ok(()) => passed += 1,
                Err(e) => failures.push(format!("{name}: {}\n    {e}", refused.sql)),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n{}",
        failures.len(),
        passed + failures.len(),
        failures.join("\n")
    );
    assert!(passed > 0, "no cases were found");
}

fn run(case: &Case) -> Result<(), String> {
    let place = Place { file: "policies/rules.toml".into(), line: 7 };
    let scope = scope(&place);
    let parsed = scope.parse(&case.sql, &place).map_err(|e| e.to_string())?;
    let simplified = parsed.with(&parameters()).map_err(|e| e.to_string())?;
    let plain = parsed.with_unsimplified(&parameters()).map_err(|e| e.to_string())?;
    let shown = simplified.sql();
    let set = ExprSet::compile(&scope, vec![simplified, plain]).map_err(|e| e.to_string())?;

    let mut columns = Vec::new();
    let mut values = Vec::new();
    let mut rows = Vec::new();
    let mut dictionaries = Vec::new();
    let mut unused = case.row.clone();
    for (relation, layout) in scope.relations() {
        let mut own = Vec::new();
        for c in layout.columns() {
            let name = format!("{relation}.{}", c.name);
            own.push(unused.remove(&name).map_or(Value::Null, |v| value(c.ty, &v)));
            columns.push((name, c.ty));
        }
        let mut dictionary = Dictionary::new();
        // Texts of customers are coded, those of applications are in the row: both ways are tested.
        rows.push(packed(layout, &own, &mut dictionary, |_| relation == "customer"));
        dictionaries.push(dictionary);
        values.extend(own);
    }
    assert!(unused.is_empty(), "unknown columns: {unused:?}");

    let expected = match (&case.is, case.null) {
        (Some(is), false) => value(parsed.ty(), is),
        (None, true) => Value::Null,
        _ => panic!("{}: give either `is` or `null = true`", case.sql),
    };
    let program = set.program(&scope);
    let bound = program.bind(&dictionaries.iter().collect::<Vec<_>>());
    let rows: Vec<Row<'_>> = std::iter::zip(scope.relations(), &rows)
        .zip(&dictionaries)
        .map(|(((_, layout), bytes), d)| Row::new(layout, bytes, d, NOW_US).unwrap())
        .collect();
    let mut scratch = Scratch::new();
    program.evaluate(&bound, &rows, &mut scratch);
    let row = scratch.answers(&program, 0);
    let batch = set.evaluate_batch(&batch(&columns, &[values])).map_err(|e| format!("{e:?}"))?;
    for (what, id) in [("simplified", ExprId(0)), ("as written", ExprId(1))] {
        let (row, batch) = (row.value(id), batch.value(id));
        if row != expected || batch != expected {
            return Err(format!(
                "{what}: the row program gives {row:?}, DataFusion {batch:?}, expected is {expected:?}\n    ({shown})"
            ));
        }
    }
    Ok(())
}

fn refuse(refused: &Refused) -> Result<(), String> {
    let place = Place { file: "policies/rules.toml".into(), line: 7 };
    let problem = match scope(&place).parse(&refused.sql, &place).and_then(|p| p.with(&parameters())) {
        Ok(checked) => return Err(format!("was accepted: {}", checked.sql())),
        Err(problem) => problem.to_string(),
    };
    if !problem.starts_with("policies/rules.toml:7: ") {
        return Err(format!("does not say where: {problem}"));
    }
    match refused.says.iter().find(|part| !problem.contains(*part)) {
        Some(part) => Err(format!("does not say {part:?}: {problem}")),
        None => Ok(()),
    }
}
