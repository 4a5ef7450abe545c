//! A program that was compiled to tell the keys of texts tells those that the texts themselves have.

use std::{collections::BTreeMap, path::Path};

use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Given, OTHER_TEXT, Scope, Scratch, fuse},
    row::{Dictionary, Row},
};

use crate::expr_common::{NOW_US, batch, layout, packed};

const NAMES: [&str; 3] = ["farm", "shop", ""];

fn key(text: &str) -> i64 {
    NAMES.iter().position(|name| *name == text).map_or(OTHER_TEXT, |i| i as i64)
}

fn names() -> Option<Vec<String>> {
    Some(NAMES.map(str::to_owned).to_vec())
}

fn compile(scope: &Scope, sql: &str) -> ExprSet {
    let place = Place::file(Path::new("keys"));
    let checked = scope.parse(sql, &place).and_then(|p| p.with(&BTreeMap::new()));
    let checked = checked.unwrap_or_else(|e| panic!("{e}"));
    ExprSet::with_keys(scope, vec![checked], vec![names()]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_key_is_that_of_the_text_however_the_row_keeps_it() {
    let columns = layout(&[("purpose", Type::Utf8)]);
    let scope = Scope::new(vec![("a".into(), columns.clone())]);
    let sets = ["a.purpose", "lower(a.purpose)", "'shop'", "a.purpose || ''"].map(|sql| compile(&scope, sql));
    let texts = ["farm", "shop", "", "FARM", "house", "Shop "].map(|t| Value::Utf8(t.into()));
    for value in texts.iter().chain([&Value::Null]) {
        for by_code in [true, false] {
            let mut dictionary = Dictionary::new();
            dictionary.intern("so that codes are not keys");
            let bytes = packed(&columns, std::slice::from_ref(value), &mut dictionary, |_| by_code);
            let rows = [Row::new(&columns, &bytes, &dictionary, NOW_US).expect("a whole row")];
            for set in &sets {
                let program = set.program(&scope);
                let mut scratch = Scratch::new();
                program.evaluate(&program.bind(&[&dictionary]), &rows, &mut scratch);
                let never = |_: &str| panic!("the program knows it");
                let batch = batch(&[("a.purpose".into(), Type::Utf8)], &[vec![value.clone()]]);
                let batch = set.evaluate_batch(&batch).expect("the batch has the column");
                let expected = batch.text_key(ExprId(0), key);
                assert_eq!(
                    scratch.answers(&program, 0).text_key(ExprId(0), never),
                    expected,
                    "{value:?} {by_code}"
                );
            }
        }
    }
}

#[test]
fn a_text_that_is_put_between_parts_has_its_key() {
    let grade = layout(&[("grade", Type::Utf8)]);
    let scope = Scope::new(vec![("score".into(), grade)]);
    let (first, second) = (compile(&scope, "'farm'"), compile(&scope, "score.grade"));
    let program = fuse(&scope, 0, [(&first, Some(0)), (&second, None)]);
    let mut texts = Dictionary::new();
    texts.intern("house");
    let shop = texts.intern("shop");
    let bound = program.bind(&[&texts]);
    let mut scratch = Scratch::new();
    let mut evaluation = program.start(&bound, &[], &texts, &mut scratch);
    let inlet = program.inlet(0, 0).expect("the second part reads it");
    for (given, expected) in
        [(Given::Text(shop), Some(1)), (Given::Text(0), Some(OTHER_TEXT)), (Given::Null, None)]
    {
        evaluation.run(0);
        evaluation.put(inlet, given);
        evaluation.run(1);
        assert_eq!(evaluation.answers(1).text_key(ExprId(0), |_| unreachable!()), expected);
    }
}

#[test]
#[should_panic(expected = "was compiled to tell its key, not its text")]
fn to_ask_such_a_program_for_a_text_is_a_slip() {
    let scope = Scope::new(vec![("a".into(), layout(&[("purpose", Type::Utf8)]))]);
    let program = compile(&scope, "'shop'").program(&scope);
    let (columns, dictionary) = (&scope.relations()[0].1, Dictionary::new());
    let bytes = packed(columns, &[Value::Null], &mut Dictionary::new(), |_| false);
    let rows = [Row::new(columns, &bytes, &dictionary, NOW_US).expect("a whole row")];
    let mut scratch = Scratch::new();
    program.evaluate(&program.bind(&[&dictionary]), &rows, &mut scratch);
    scratch.answers(&program, 0).text(ExprId(0));
}
