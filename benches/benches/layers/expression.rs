//! One row through compiled expressions.

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc};

use criterion::Criterion;
use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Scope, Scratch},
    row::{Column, Dictionary, Layout, Row, RowBuilder},
};

/// Of each kind of operation one that lenders write.
const EXPRESSIONS: [(&str, &str); 6] = [
    ("comparison", "c.days_past_due > 30"),
    ("conjunction", "c.days_past_due > 30 and c.balance >= 0.8 * c.line"),
    ("text is", "c.purpose = 'farm'"),
    ("text in", "c.purpose in ('farm', 'shop', 'house', 'car')"),
    ("case", "case when c.days_past_due > 90 then 3.0 when c.days_past_due > 30 then 2.0 else c.balance end"),
    ("date", "months_between(date '2026-06-30', c.since) >= 12"),
];

pub fn benches(c: &mut Criterion) {
    let columns = [
        ("days_past_due", Type::Int64, Value::Int64(12)),
        ("balance", Type::Float64, Value::Float64(81_000.0)),
        ("line", Type::Float64, Value::Float64(100_000.0)),
        ("purpose", Type::Utf8, Value::Utf8("shop".into())),
        ("since", Type::Date32, Value::Date32(19_000)),
    ];
    let layout = columns.iter().map(|(name, ty, _)| Column::new(*name, *ty)).collect();
    let layout = Arc::new(Layout::new(layout, Vec::new()).expect("five columns"));
    let mut dictionary = Dictionary::new();
    let mut builder = RowBuilder::new(&layout);
    for (i, (_, _, value)) in columns.iter().enumerate() {
        match value {
            Value::Utf8(text) => builder.set_text_code(i, dictionary.intern(text)),
            value => builder.set(i, value),
        }
        .expect("a value of the column's type");
    }
    let row = builder.finish();
    let scope = Scope::new(vec![("c".into(), layout.clone())]);
    let place = Place::file(Path::new("bench"));
    let mut group = c.benchmark_group("expression");
    for (name, sql) in EXPRESSIONS {
        let parsed = scope.parse(sql, &place).unwrap_or_else(|e| panic!("{e}"));
        let checked = parsed.with(&BTreeMap::new()).unwrap_or_else(|e| panic!("{e}"));
        let program =
            ExprSet::compile(&scope, vec![checked]).unwrap_or_else(|e| panic!("{e}")).program(&scope);
        let bound = program.bind(&[&dictionary]);
        let mut scratch = Scratch::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let rows = [Row::new(&layout, black_box(row), &dictionary, 0).expect("a row of its layout")];
                program.evaluate(&bound, &rows, &mut scratch);
                black_box(scratch.answers(&program, 0).value(ExprId(0)));
            });
        });
    }
}
