//! Both engines of checks, held together: `checks.toml`, and random checks, over random applications.

use std::fs;

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use tarim_datamart::{RowCheck, Standards, Value};

use super::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    sql: String,
    engine: Which,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Which {
    Program,
    Datafusion,
}

fn cases() -> Vec<Case> {
    toml::from_str::<File>(include_str!("checks.toml")).expect("cases").case
}

/// The table of applications, still without checks, and the layout of their rows.
fn table() -> (Table, Arc<Layout>) {
    let rulebook = tempfile::tempdir().expect("a folder");
    fs::create_dir(rulebook.path().join("standards")).expect("a folder");
    let path = rulebook.path().join("standards/applications.toml");
    fs::write(path, include_str!("standard.toml")).expect("written");
    let standards = Standards::read(rulebook.path()).unwrap_or_else(|e| panic!("{e}"));
    let table = standards.table("applications").expect("it is there").clone();
    let fields = table.fields.iter().filter(|f| !is_member(f));
    let columns = fields.map(|f| Column::new(f.name.clone(), f.ty)).collect();
    (table, Arc::new(Layout::new(columns, Vec::new()).expect("a layout")))
}

fn with(table: &Table, checks: &[&str]) -> Table {
    let check = |(i, sql): (usize, &&str)| RowCheck {
        id: format!("c{i}"),
        zh: "规则".into(),
        en: "a rule".into(),
        sql: (*sql).to_owned(),
        place: table.place.clone(),
    };
    Table { checks: checks.iter().enumerate().map(check).collect(), ..table.clone() }
}

/// An application as it was sent, and as it is packed.
struct Sent {
    member: String,
    values: Vec<Value>,
    tokenised: Vec<Value>,
    row: Vec<u8>,
}

const TEXTS: [&str; 9] = ["", "A", "a", "AB", "甲", "001", "100%", "2", "B"];
const INTS: [i64; 10] = [i64::MIN, -1, 0, 1, 2, 3, 1 << 53, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
const FLOATS: [f64; 10] = [f64::MIN, -1.5, -0.0, 0.0, 5e-324, 1.0, 1.5, 2.0, 9007199254740992.0, f64::MAX];

fn value(ty: Type, rng: &mut ChaCha8Rng) -> Value {
    if rng.random_range(0..4) == 0 {
        return Value::Null;
    }
    match ty {
        Type::Boolean => Value::Boolean(rng.random()),
        Type::Int64 => Value::Int64(*INTS.choose(rng).expect("some")),
        Type::Float64 => Value::Float64(*FLOATS.choose(rng).expect("some")),
        Type::Utf8 => Value::Utf8((*TEXTS.choose(rng).expect("some")).to_owned()),
        Type::Date32 => Value::Date32(*[i32::MIN, -1, 0, 7305, 7306, i32::MAX].choose(rng).expect("some")),
        Type::Timestamp => Value::Timestamp(*INTS.choose(rng).expect("some")),
    }
}

fn sent(table: &Table, layout: &Arc<Layout>, rng: &mut ChaCha8Rng) -> Sent {
    let field = |name: &str| table.field(name).expect("a column is a field");
    let fields: Vec<&Field> = layout.columns().iter().map(|c| field(&c.name)).collect();
    let values: Vec<Value> = fields.iter().map(|f| value(f.ty, rng)).collect();
    let token = |(field, value): (&&Field, &Value)| match value {
        Value::Utf8(text) if field.personal => Value::Utf8(format!("token of {text}")),
        value => value.clone(),
    };
    let tokenised: Vec<Value> = fields.iter().zip(&values).map(token).collect();
    let mut packer = RowBuilder::new(layout);
    for (column, value) in tokenised.iter().enumerate() {
        packer.set(column, value).expect("a value of the column");
    }
    let member = (*["001", "002"].choose(rng).expect("some")).to_owned();
    Sent { member, values, tokenised, row: packer.finish().to_vec() }
}

impl Sent {
    /// What it is told, on the way that a request goes.
    fn told(&self, checks: &Checks, tools: &mut CheckTools) -> Vec<Broken> {
        match checks.of_values(&self.member, &refs(&self.values)) {
            broken if broken.is_empty() => {
                checks.of_row(&self.member, &refs(&self.tokenised), &self.row, 0, tools)
            }
            broken => broken,
        }
    }

    /// What DataFusion says of it.
    fn broken(&self, checks: &Checks) -> Vec<Broken> {
        checks.ask(&checks.all, &self.member, &refs(&self.values))
    }

    /// What the row program says, if there is one and it knows.
    fn passes(&self, checks: &Checks, tools: &mut CheckTools) -> Option<bool> {
        let program = checks.program.as_ref()?;
        let values = refs(&self.tokenised);
        let knows = !program.has_odd(&values);
        let passes = program.passes(&self.member, &values, &self.row, 0, tools);
        assert!(knows || !passes, "let through unasked");
        knows.then_some(passes)
    }
}

fn refs(values: &[Value]) -> Vec<ValueRef<'_>> {
    values.iter().map(Value::as_ref).collect()
}

/// Both engines on a check by itself, and how often it was broken.
fn compare(sql: &str, checks: &Checks, all: &[Sent], tools: &mut CheckTools) -> usize {
    let (mut count, mut known) = (0, 0);
    for sent in all {
        let broken = sent.broken(checks);
        if let Some(passes) = sent.passes(checks, tools) {
            known += 1;
            assert_eq!(passes, broken.is_empty(), "{sql}: {:?} of {}", sent.values, sent.member);
        }
        assert_eq!(sent.told(checks, tools), broken, "{sql}: {:?} of {}", sent.values, sent.member);
        count += broken.len();
    }
    assert!(checks.program.is_none() || known > all.len() / 8, "{sql}: known of {known}");
    count
}

#[test]
fn each_check_has_its_engine_and_is_answered_as_before() {
    let (table, layout) = table();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let all: Vec<Sent> = (0..200).map(|_| sent(&table, &layout, &mut rng)).collect();
    let mut tools = CheckTools::default();
    let mut broken = 0;
    for Case { sql, engine } in cases() {
        let checks = Checks::new(&with(&table, &[&sql]), &layout);
        let is = if checks.program.is_some() { Which::Program } else { Which::Datafusion };
        assert_eq!(is, engine, "{sql}");
        broken += compare(&sql, &checks, &all, &mut tools);
    }
    assert!(broken > 1000, "{broken}");
}

#[test]
fn all_that_is_broken_is_told_in_the_order_of_the_checks() {
    let (table, layout) = table();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let cases = cases();
    let mut tools = CheckTools::default();
    let mut passed = 0;
    for _ in 0..40 {
        let few: Vec<&str> = cases.choose_multiple(&mut rng, 4).map(|case| case.sql.as_str()).collect();
        let checks = Checks::new(&with(&table, &few), &layout);
        for _ in 0..20 {
            let sent = sent(&table, &layout, &mut rng);
            let told = sent.told(&checks, &mut tools);
            assert_eq!(told, sent.broken(&checks), "{few:?}: {:?} of {}", sent.values, sent.member);
            passed += usize::from(told.is_empty());
        }
    }
    assert!(passed > 50, "{passed}");
}

#[test]
fn random_conditions_mean_the_same_to_both() {
    let (table, layout) = table();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let all: Vec<Sent> = (0..40).map(|_| sent(&table, &layout, &mut rng)).collect();
    let mut tools = CheckTools::default();
    let mut broken = 0;
    for _ in 0..150 {
        let sql = condition(3, &mut rng);
        let checks = Checks::new(&with(&table, &[&sql]), &layout);
        assert!(checks.program.is_some(), "{sql}");
        broken += compare(&sql, &checks, &all, &mut tools);
    }
    assert!(broken > 500, "{broken}");
}

fn condition(depth: usize, rng: &mut ChaCha8Rng) -> String {
    let Some(depth) = depth.checked_sub(1) else { return comparison(rng) };
    let (a, b) = (condition(depth, rng), condition(depth, rng));
    match rng.random_range(0..8) {
        0 | 1 => format!("({a} AND {b})"),
        2 | 3 => format!("({a} OR {b})"),
        4 => format!("NOT ({a})"),
        5 => {
            let is = ["IS TRUE", "IS NOT TRUE", "IS NOT FALSE", "IS UNKNOWN", "IS NOT NULL"];
            format!("({a}) {}", is.choose(rng).expect("some"))
        }
        6 => format!("CASE WHEN {a} THEN {b} ELSE {} END", comparison(rng)),
        _ => a,
    }
}

/// Of two operands of one kind.
fn comparison(rng: &mut ChaCha8Rng) -> String {
    const KINDS: [&[&str]; 6] = [
        &["amount_fen", "collateral_fen", "0", "2", "9007199254740993"],
        &["share", "rate", "amount_fen", "0.0", "1.5", "-1.5"],
        &["purpose", "channel", "member", "'A'", "'001'", "''"],
        &["born", "signed", "DATE '1990-01-01'"],
        &["applied_at", "due_at", "'1970-01-01 00:00:00'"],
        &["urgent", "secured", "TRUE"],
    ];
    let kind = KINDS.choose(rng).expect("some");
    let mut one = || (*kind.choose(rng).expect("some")).to_owned();
    let (a, b, c) = (one(), one(), one());
    match rng.random_range(0..12) {
        0 => format!("{a} IS NULL"),
        1 => format!("({a} IS NOT DISTINCT FROM {b})"),
        2 => format!("({a} IS DISTINCT FROM {b})"),
        3 => format!("{a} BETWEEN {b} AND {c}"),
        op => format!("{a} {} {b}", ["=", "<>", "<", "<=", ">", ">=", "=", "<="][op - 4]),
    }
}
