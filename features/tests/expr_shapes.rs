//! Programs that differ by constants only share their shape; in turn, with one scratch, each gives its own answers.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Program, Scope, Scratch, Shapes},
    row::{Dictionary, Row},
};

use crate::expr_common::{NOW_US, layout, packed};

/// Conditions and values with a number of each kind, `{i}` and `{x}`, and a text, `{t}`: compared with columns, with what
/// was computed, worked with, answered as they are.
const ASKED: [&str; 14] = [
    "a.x > {x}",
    "a.x + 1 >= {x}",
    "a.n < {i}",
    "a.n IN ({i}, 77)",
    "char_length(a.t) > {i}",
    "a.t = '{t}'",
    "a.t IN ('{t}', 'other')",
    "a.t LIKE '{t}%'",
    "a.yes AND a.x <> {x}",
    "a.x * {x}",
    "coalesce(a.n, {i})",
    "coalesce(a.t, '{t}')",
    "{x}",
    "'{t}'",
];

/// The constants of each program.
const CONSTANTS: [(&str, &str, &str); 4] =
    [("1", "0.5", "甲"), ("2", "-3.25", "乙县"), ("5", "1e9", "a longer text"), ("-4", "2.5", "丁")];

fn compile(scope: &Scope, (i, x, t): (&str, &str, &str)) -> ExprSet {
    let place = Place::file(Path::new("shapes"));
    let check = |sql: &str| {
        let sql = sql.replace("{i}", i).replace("{x}", x).replace("{t}", t);
        scope
            .parse(&sql, &place)
            .and_then(|p| p.with(&BTreeMap::new()))
            .unwrap_or_else(|e| panic!("{sql}: {e}"))
    };
    ExprSet::compile(scope, ASKED.iter().map(|sql| check(sql)).collect()).unwrap_or_else(|e| panic!("{e}"))
}

fn answers(program: &Program, scratch: &Scratch, set: &ExprSet) -> Vec<Value> {
    let answers = scratch.answers(program, 0);
    set.ids().map(|id: ExprId| answers.value_as(id, set.ty(id))).collect()
}

#[test]
fn programs_of_one_shape_give_their_own_answers() {
    let a = layout(&[("x", Type::Float64), ("n", Type::Int64), ("t", Type::Utf8), ("yes", Type::Boolean)]);
    let scope = Scope::new(vec![("a".into(), a.clone())]);
    let sets = CONSTANTS.map(|constants| compile(&scope, constants));
    let mut shapes = Shapes::new();
    let shared = sets.each_ref().map(|set| set.program(&scope).sharing(&mut shapes));
    assert_eq!(shapes.len(), 1);

    let mut dictionary = Dictionary::new();
    let texts = ["甲", "乙县", "a longer text", "a longer text than that", "other", ""];
    let mut rows =
        vec![packed(&a, &[Value::Null, Value::Null, Value::Null, Value::Null], &mut dictionary, |_| false)];
    for (i, text) in texts.into_iter().enumerate() {
        let x = [0.5, -3.25, 1e9, 2.5, -4.25, 0.0][i];
        let n = [1, 2, 5, -4, 77, i64::MIN][i];
        let values =
            [Value::Float64(x), Value::Int64(n), Value::Utf8(text.into()), Value::Boolean(i % 2 == 0)];
        // Texts by code, and in the row.
        for in_row in [false, true] {
            rows.push(packed(&a, &values, &mut dictionary, |_| in_row));
        }
    }
    let mut scratch = Scratch::new();
    for row in &rows {
        let row = [Row::new(&a, row, &dictionary, NOW_US).expect("a whole row")];
        let mut told = Vec::new();
        for (set, shared) in sets.iter().zip(&shared) {
            shared.evaluate(&shared.bind(&[&dictionary]), &row, &mut scratch);
            let own = set.program(&scope);
            let mut own_scratch = Scratch::new();
            own.evaluate(&own.bind(&[&dictionary]), &row, &mut own_scratch);
            let (ours, theirs) = (answers(shared, &scratch, set), answers(&own, &own_scratch, set));
            assert_eq!(ours, theirs);
            told.push(ours);
        }
        assert!(
            (1..told.len()).all(|i| !told[..i].contains(&told[i])),
            "each has answers of its own: {told:?}"
        );
    }
}

#[test]
fn programs_that_do_something_else_have_another_shape() {
    let a = layout(&[("x", Type::Float64), ("y", Type::Float64), ("n", Type::Int64)]);
    let scope = Scope::new(vec![("a".into(), a)]);
    let place = Place::file(Path::new("shapes"));
    let mut shapes = Shapes::new();
    let all = [
        "a.x > 1",
        "a.x <= 1",
        "a.y > 1",
        "a.n > 1",
        "a.x = 1",
        "a.x + 1 > 1",
        "a.x - 1 > 1",
        "a.x > a.y",
        "a.y > a.x",
        "a.x IS NULL",
        "a.x",
        "a.x > 1 AND a.y > 1",
        "a.x > 1 OR a.y > 1",
    ];
    for sql in all {
        let checked = scope.parse(sql, &place).and_then(|p| p.with(&BTreeMap::new()));
        let set = ExprSet::compile(&scope, vec![checked.unwrap_or_else(|e| panic!("{sql}: {e}"))]);
        set.unwrap_or_else(|e| panic!("{sql}: {e}")).program(&scope).sharing(&mut shapes);
    }
    assert_eq!(shapes.len(), all.len());
}
