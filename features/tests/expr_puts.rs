//! What is put between two parts of a program is read by the second as if it had been a row's, whichever way it is
//! read: integers that are only worked with as floats are put as floats.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Given, Number, Program, Scope, Scratch, fuse},
    row::{Dictionary, Row},
};

use crate::expr_common::{NOW_US, layout, packed};

/// What the second part asks of `of.n`: as a float alone, as an integer alone, as both.
const ASKED: [&[&str]; 5] = [
    &["of.n * 2.5"],
    &["of.n"],
    &["of.n > 3"],
    &["of.n * 2.5", "of.n"],
    &["of.n * 2.5 + a.x", "a.x / of.n", "of.n > 3"],
];

fn compile(scope: &Scope, sqls: &[&str]) -> ExprSet {
    let place = Place::file(Path::new("puts"));
    let check = |sql: &&str| scope.parse(sql, &place).and_then(|p| p.with(&BTreeMap::new()));
    let checked = sqls.iter().map(|sql| check(sql).unwrap_or_else(|e| panic!("{e}"))).collect();
    ExprSet::compile(scope, checked).unwrap_or_else(|e| panic!("{e}"))
}

/// The answers of a part.
fn answers(program: &Program, scratch: &Scratch, part: usize, set: &ExprSet) -> Vec<Value> {
    let answers = scratch.answers(program, part);
    set.ids().map(|id: ExprId| answers.value_as(id, set.ty(id))).collect()
}

#[test]
fn an_integer_that_is_put_is_that_of_a_row() {
    let (a, of) = (layout(&[("x", Type::Float64)]), layout(&[("n", Type::Int64)]));
    let scope = Scope::new(vec![("a".into(), a.clone()), ("of".into(), of.clone())]);
    let first = compile(&scope, &["a.x"]);
    let codes = Dictionary::none();
    let x = packed(&a, &[Value::Float64(0.5)], &mut Dictionary::new(), |_| false);
    let x = Row::new(&a, &x, codes, NOW_US).expect("a whole row");
    let mut scratch = Scratch::new();
    for asked in ASKED {
        let second = compile(&scope, asked);
        let whole = second.program(&scope);
        let parts = fuse(&scope, 1, [(&first, Some(1)), (&second, None)]);
        let inlet = parts.inlet(1, 0).expect("the second part reads it");
        for n in [None, Some(0), Some(4), Some(-7), Some(i64::MAX), Some(i64::MIN), Some(1 << 53 | 1)] {
            let value = n.map_or(Value::Null, Value::Int64);
            let row = packed(&of, &[value], &mut Dictionary::new(), |_| false);
            let row = Row::new(&of, &row, codes, NOW_US).expect("a whole row");
            whole.evaluate(&whole.bind(&[codes, codes]), &[x, row], &mut scratch);
            let expected = answers(&whole, &scratch, 0, &second);
            for by_bits in [false, true] {
                let bound = parts.bind(&[codes, codes]);
                let rows = [x];
                let mut evaluation = parts.start(&bound, &rows, codes, &mut scratch);
                evaluation.run(0);
                match n {
                    _ if by_bits => evaluation.put_number(inlet, n.map_or_else(Number::default, Number::int)),
                    Some(n) => evaluation.put(inlet, Given::Int64(n)),
                    None => evaluation.put(inlet, Given::Null),
                }
                evaluation.run(1);
                assert_eq!(answers(&parts, &scratch, 1, &second), expected, "{asked:?} of {n:?}, {by_bits}");
            }
        }
    }
}
