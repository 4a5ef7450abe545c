//! Evaluating a compiled program, and reading its answers, allocates nothing once the scratch is warm.
//!
//! The allocator is counted by the crate `allocation-counter` (per thread), so that ours needs no `unsafe`.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprSet, Scope, Scratch},
    row::{Column, Dictionary, Row, RowBuilder},
};

use crate::expr_common::generate::{self, Generator, Names, TEMPLATES, TYPES};

#[test]
fn a_warm_evaluation_allocates_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let place = Place::file(Path::new("no_alloc"));
    let layout = Arc::new(generate::layout(&mut rng));
    let names =
        Names { names: layout.columns().iter().map(|c| (format!("customer.{}", c.name), c.ty)).collect() };
    let scope = Scope::new(vec![("customer".into(), layout.clone())]);

    // Five expressions of every construct. A capital sigma is the one exception that the documentation names:
    // neither it nor what `upper` makes it of may occur.
    let mut checked = Vec::new();
    for template in (0..TEMPLATES.len() * 5).map(|i| i % TEMPLATES.len()) {
        let ty = match TEMPLATES[template].0 {
            'x' => TYPES[template % 6],
            'o' => TYPES[1 + template % 5],
            letter => TYPES["biftds".find(letter).expect("a letter of a type")],
        };
        let mut generator = Generator { rng: &mut rng, names: &names };
        let sql = generator.instance(template, ty, 3).sql().replace(['Σ', 'σ', 'ς'], "s");
        // Not simplified: what is folded away would not be run.
        let parsed = scope.parse(&sql, &place).unwrap_or_else(|e| panic!("{sql}: {e}"));
        checked.push(parsed.with_unsimplified(&BTreeMap::new()).unwrap_or_else(|e| panic!("{sql}: {e}")));
    }
    let set = ExprSet::compile(&scope, checked).expect("checked expressions compile");

    let mut dictionary = Dictionary::clone(layout.codes());
    let rows: Vec<Vec<Value>> = (0..50)
        .map(|_| {
            let value = |c: &Column| match generate::value(&mut rng, c, true) {
                Value::Utf8(s) if c.codes.is_empty() => Value::Utf8(s.replace(['Σ', 'σ', 'ς'], "s")),
                value => value,
            };
            layout.columns().iter().map(value).collect()
        })
        .collect();
    for row in &rows {
        for value in row {
            if let Value::Utf8(s) = value
                && s.len() % 2 == 0
            {
                dictionary.intern(s);
            }
        }
    }
    let program = set.program(&scope);
    let bound = program.bind(&[&dictionary]);
    let mut scratch = Scratch::new();
    let mut builder = RowBuilder::new(&layout);

    let mut run = || {
        let mut known = 0_usize;
        for values in &rows {
            builder.clear();
            for (i, value) in values.iter().enumerate() {
                let code = match value {
                    Value::Utf8(s) if layout.columns()[i].codes.is_empty() => dictionary.code(s),
                    _ => None,
                };
                match code {
                    Some(code) => builder.set_text_code(i, code),
                    None => builder.set(i, value),
                }
                .expect("the value fits");
            }
            let row = Row::new(&layout, builder.finish(), &dictionary, 0).expect("a whole row");
            program.evaluate(&bound, &[row], &mut scratch);
            let answers = scratch.answers(&program, 0);
            for id in set.ids() {
                known += usize::from(match set.ty(id) {
                    Type::Boolean => answers.truth(id).is_some(),
                    Type::Int64 => answers.int(id).is_some(),
                    Type::Float64 => answers.float(id).is_some(),
                    Type::Utf8 => answers.text(id).is_some(),
                    Type::Date32 => answers.date(id).is_some(),
                    Type::Timestamp => answers.timestamp(id).is_some(),
                });
            }
        }
        known
    };
    let warm = run();
    let mut again = 0;
    let counted = allocation_counter::measure(|| again = run());
    assert_eq!(counted.count_total, 0, "{counted:?}");
    assert_eq!(warm, again);
    assert!(warm * 3 > rows.len() * set.len(), "only {warm} answers are not NULL");
    // The counter does count.
    assert!(allocation_counter::measure(|| drop(vec![again])).count_total > 0);
}
