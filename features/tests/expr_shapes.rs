//! Programs that differ by constants only share their shape; in turn, with one scratch, each gives its own answers.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Given, Program, Scope, Scratch, Shapes, fuse},
    row::{Dictionary, Row},
};

use crate::expr_common::{NOW_US, layout, packed};

/// Conditions and values with a number of each kind, `{i}` and `{x}`, and a text, `{t}`: compared with columns, with what
/// was computed, worked with, answered as they are.
const ASKED: [&str; 20] = [
    "a.x > {x}",
    "a.x + 1 >= {x}",
    "a.n < {i}",
    "a.n IN ({i}, 77)",
    "char_length(a.t) > {i}",
    "a.t = '{t}'",
    "a.t IN ('{t}', 'other')",
    "a.t LIKE '{t}%'",
    "a.yes AND a.x <> {x}",
    // No conditions themselves: what they compare with stands behind that of predicates, run by run.
    "a.yes AND a.x * 2 < {x}",
    "a.yes OR a.x * 3 < {x}",
    "a.yes AND a.x * 2 >= {x}",
    "a.yes OR char_length(a.t) > {i}",
    "a.yes OR char_length(a.t) IS DISTINCT FROM {i}",
    "a.x = {x} OR a.t = '{t}'",
    "a.x * {x}",
    "coalesce(a.n, {i})",
    "coalesce(a.t, '{t}')",
    "{x}",
    "'{t}'",
];

/// The constants of each program.
const CONSTANTS: [(&str, &str, &str); 4] =
    [("1", "0.5", "甲"), ("2", "-3.25", "乙县"), ("5", "1e9", "a longer text"), ("-4", "2.5", "丁")];

fn compile(
    scope: &Scope,
    sqls: &[&str],
    names: Vec<Option<Vec<String>>>,
    (i, x, t): (&str, &str, &str),
) -> ExprSet {
    let place = Place::file(Path::new("shapes"));
    let check = |sql: &&str| {
        let sql = sql.replace("{i}", i).replace("{x}", x).replace("{t}", t);
        let checked = scope.parse(&sql, &place).and_then(|p| p.with(&BTreeMap::new()));
        checked.unwrap_or_else(|e| panic!("{sql}: {e}"))
    };
    let checked = sqls.iter().map(check).collect();
    ExprSet::with_keys(scope, checked, names).unwrap_or_else(|e| panic!("{e}"))
}

fn answers(program: &Program, scratch: &Scratch, set: &ExprSet) -> Vec<Value> {
    let answers = scratch.answers(program, 0);
    set.ids().map(|id: ExprId| answers.value_as(id, set.ty(id))).collect()
}

#[test]
fn programs_of_one_shape_give_their_own_answers() {
    let a = layout(&[("x", Type::Float64), ("n", Type::Int64), ("t", Type::Utf8), ("yes", Type::Boolean)]);
    let scope = Scope::new(vec![("a".into(), a.clone())]);
    let sets = CONSTANTS.map(|constants| compile(&scope, &ASKED, vec![None; ASKED.len()], constants));
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
            rows.push(packed(&a, &values, &mut dictionary, |_| !in_row));
        }
    }
    let (mut scratch, mut tells_apart) = (Scratch::new(), [false; ASKED.len()]);
    for row in &rows {
        let row = [Row::new(&a, row, &dictionary, NOW_US).expect("a whole row")];
        let mut first = None;
        for (set, shared) in sets.iter().zip(&shared) {
            shared.evaluate(&shared.bind(&[&dictionary]), &row, &mut scratch);
            let own = set.program(&scope);
            let mut own_scratch = Scratch::new();
            own.evaluate(&own.bind(&[&dictionary]), &row, &mut own_scratch);
            let ours = answers(shared, &scratch, set);
            assert_eq!(ours, answers(&own, &own_scratch, set));
            let first = first.get_or_insert_with(|| ours.clone());
            tells_apart.iter_mut().zip(first.iter().zip(&ours)).for_each(|(apart, (a, b))| *apart |= a != b);
        }
    }
    for (sql, apart) in ASKED.iter().zip(tells_apart) {
        assert!(apart, "{sql} has the same answers whatever the constants");
    }
}

/// What one program has of a second part, of relations that are put, of keys of texts: the next has nothing of it.
#[test]
fn what_is_put_into_one_is_not_seen_by_the_next() {
    let a = layout(&[("x", Type::Float64), ("yes", Type::Boolean)]);
    let b = layout(&[("n", Type::Int64), ("t", Type::Utf8)]);
    let of = layout(&[("n", Type::Int64), ("grade", Type::Utf8), ("ok", Type::Boolean)]);
    let scope = Scope::new(vec![("a".into(), a.clone()), ("b".into(), b.clone()), ("of".into(), of)]);
    let sets = CONSTANTS.map(|constants| {
        let first = ["a.x > {x}", "true", "b.n <= {i}", "a.yes", "b.t = '{t}'"];
        let second =
            ["of.ok", "of.n > {i}", "of.n * 2.5 + {x}", "of.grade = '{t}'", "of.grade || '{t}'", "of.grade"];
        let names = vec![constants.2.to_owned(), "other".into()];
        let keys = [vec![None; 5], vec![Some(names)]].concat();
        (compile(&scope, &first, vec![None; 5], constants), compile(&scope, &second, keys, constants))
    });
    let program = |(first, second): &(ExprSet, ExprSet)| fuse(&scope, 2, [(first, Some(2)), (second, None)]);
    let mut shapes = Shapes::new();
    let shared = sets.each_ref().map(|sets| program(sets).sharing(&mut shapes));
    assert_eq!(shapes.len(), 1);

    let mut codes = Dictionary::new();
    codes.intern("甲");
    let ra = packed(&a, &[Value::Float64(0.75), Value::Boolean(true)], &mut codes, |_| true);
    let rb = packed(&b, &[Value::Int64(2), Value::Utf8("乙县".into())], &mut codes, |_| false);
    let rows = [(&a, &ra), (&b, &rb)]
        .map(|(layout, row)| Row::new(layout, row, &codes, NOW_US).expect("a whole row"));
    let run = |program: &Program, put: bool, scratch: &mut Scratch| {
        let bound = program.bind(&[&codes, &codes, &codes]);
        let mut evaluation = program.start(&bound, &rows, &codes, scratch);
        evaluation.run(0);
        if put {
            for (column, given) in
                [Given::Int64(3), Given::Text(0), Given::Boolean(true)].into_iter().enumerate()
            {
                evaluation.put(program.inlet(2, column).expect("it is read"), given);
            }
        }
        evaluation.run(1);
        let (one, two) = (evaluation.answers(0), evaluation.answers(1));
        let answers =
            |answers: &dyn Fn(ExprId) -> Value| (0..5).map(|id| answers(ExprId(id))).collect::<Vec<_>>();
        (
            answers(&|id| one.value(id)),
            answers(&|id| two.value(id)),
            two.text_key(ExprId(5), |_| unreachable!()),
        )
    };
    let mut scratch = Scratch::new();
    for put in [true, false, true] {
        for (sets, shared) in sets.iter().zip(&shared) {
            let ours = run(shared, put, &mut scratch);
            assert_eq!(ours, run(&program(sets), put, &mut Scratch::new()));
            let nothing = ours.1.iter().all(|value| *value == Value::Null) && ours.2.is_none();
            assert_eq!(nothing, !put);
        }
    }
}

/// Thresholds of one are equal, or occur elsewhere; those of another are not.
#[test]
fn constants_that_happen_to_be_equal_make_no_other_shape() {
    let a = layout(&[("x", Type::Float64), ("y", Type::Float64), ("n", Type::Int64)]);
    let scope = Scope::new(vec![("a".into(), a)]);
    let sqls = ["a.x > {x} * a.y", "a.n / 2 > {x} * a.x"];
    let mut shapes = Shapes::new();
    for [one, other] in [["20", "20"], ["20", "25"], ["5", "7"], ["7", "5"]] {
        let sqls =
            [sqls[0].replace("{x}", one), sqls[1].replace("{x}", other), "a.x + a.y > 5 OR a.n > 5".into()];
        let sqls = sqls.each_ref().map(String::as_str);
        compile(&scope, &sqls, vec![None; 3], CONSTANTS[0]).program(&scope).sharing(&mut shapes);
    }
    assert_eq!(shapes.len(), 1);
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
