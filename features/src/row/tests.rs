//! Laws of packed rows, over random layouts and values.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Type, Value};

use super::*;

const HOUR: i64 = 3_600_000_000;

fn random_layout(rng: &mut ChaCha8Rng) -> Arc<Layout> {
    let types =
        [Type::Boolean, Type::Int64, Type::Float64, Type::Utf8, Type::Date32, Type::Timestamp, Type::Int64];
    let groups: Vec<Group> = (0..rng.random_range(1..5))
        .map(|i| Group {
            name: format!("g{i}"),
            freshness_us: (i > 0 && rng.random()).then(|| rng.random_range(1..48) * HOUR),
        })
        .collect();
    let columns = (0..rng.random_range(0..60))
        .map(|i| {
            let ty = types[rng.random_range(0..types.len())];
            let range = (matches!(ty, Type::Int64 | Type::Date32) && rng.random()).then(|| {
                let least = if ty == Type::Int64 { 0 } else { 32 };
                let (a, b) = (rng.random::<i64>() >> rng.random_range(least..63), rng.random::<i64>() >> 40);
                (a.min(b), a.max(b))
            });
            let codes = (ty == Type::Utf8 && rng.random()).then(|| {
                let first = rng.random_range(0..300);
                let most = [9, 300][rng.random_range(0..2)];
                (first..first + rng.random_range(1..most)).map(|code| format!("码{code}")).collect()
            });
            Column {
                range,
                codes: codes.unwrap_or_default(),
                group: rng.random_range(0..groups.len() as u8),
                ..Column::new(format!("c{i}"), ty)
            }
        })
        .collect();
    Arc::new(Layout::new(columns, groups).unwrap())
}

fn random_value(rng: &mut ChaCha8Rng, column: &Column) -> Value {
    if rng.random_range(0..5) == 0 {
        return Value::Null;
    }
    match column.ty {
        Type::Boolean => Value::Boolean(rng.random()),
        Type::Int64 => match column.range {
            Some((low, high)) => Value::Int64(match rng.random_range(0..4) {
                0 => low,
                1 => high,
                _ => rng.random_range(low..=high),
            }),
            None => Value::Int64(rng.random()),
        },
        Type::Float64 => Value::Float64(f64::from_bits(rng.random())),
        Type::Utf8 if !column.codes.is_empty() => {
            Value::Utf8(column.codes[rng.random_range(0..column.codes.len())].clone())
        }
        Type::Utf8 => Value::Utf8("借e\0款".repeat(rng.random_range(0..4))),
        Type::Date32 => match column.range {
            Some((low, high)) => Value::Date32(rng.random_range(low as i32..=high as i32)),
            None => Value::Date32(rng.random()),
        },
        Type::Timestamp => Value::Timestamp(rng.random()),
    }
}

#[test]
fn what_is_written_is_read_until_it_is_stale() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..300 {
        let layout = random_layout(&mut rng);
        let mut dictionary = Dictionary::clone(layout.codes());
        let mut builder = RowBuilder::new(&layout);
        for _ in 0..10 {
            builder.clear();
            let values: Vec<Value> = layout.columns().iter().map(|c| random_value(&mut rng, c)).collect();
            for (i, value) in values.iter().enumerate() {
                match value {
                    Value::Utf8(s) if rng.random() => {
                        builder.set_text_code(i, dictionary.intern(s)).unwrap();
                    }
                    value => builder.set(i, value).unwrap(),
                }
            }
            let now = 1_000_000 * HOUR;
            let ages: Vec<Option<i64>> = (0..layout.groups().len())
                .map(|_| (rng.random_range(0..6) > 0).then(|| rng.random_range(-2..60) * HOUR))
                .collect();
            for (group, age) in ages.iter().enumerate() {
                if let Some(age) = age {
                    builder.set_group_time(group, now - age);
                }
            }
            let row = Row::new(&layout, builder.finish(), &dictionary, now).unwrap();
            row.verify().unwrap();
            let mut copy = vec![7; 3];
            row.to_self_contained(&mut copy).unwrap();
            let alone = Row::new(&layout, &copy[3..], layout.codes(), now).unwrap();
            alone.verify().unwrap();
            for (i, column) in layout.columns().iter().enumerate() {
                let group = usize::from(column.group);
                let stale = layout.groups()[group]
                    .freshness_us
                    .is_some_and(|f| ages[group].is_none_or(|age| age > f));
                let expected = if stale { Value::Null } else { values[i].clone() };
                assert_eq!((row.get(i), row.is_stale(i)), (expected.clone(), stale), "{column:?}");
                assert_eq!(alone.get(i), expected);
            }
        }
    }
}

#[test]
fn a_value_that_does_not_fit_is_refused() {
    let columns = vec![
        Column { range: Some((18, 100)), ..Column::new("age", Type::Int64) },
        Column::new("name", Type::Utf8),
        Column { range: Some((0, 364)), ..Column::new("day", Type::Date32) },
        Column { codes: vec!["A".into(), "B".into()], ..Column::new("grade", Type::Utf8) },
        Column { codes: vec!["C".into()], ..Column::new("other", Type::Utf8) },
    ];
    let layout = Arc::new(Layout::new(columns, vec![]).unwrap());
    let mut builder = RowBuilder::new(&layout);
    let error = builder.set(0, &Value::Int64(101)).unwrap_err().to_string();
    assert_eq!(
        error,
        "column \"age\": 101 is outside its range 18 to 100; widen the range where it is declared"
    );
    let error = builder.set(1, &Value::Boolean(true)).unwrap_err().to_string();
    assert_eq!(error, "column \"name\" is utf8; it was given boolean");
    let error = builder.set(2, &Value::Date32(365)).unwrap_err().to_string();
    let expected = "column \"day\": 1971-01-01 is outside its range 1970-01-01 to 1970-12-31; widen the range where it \
                    is declared";
    assert_eq!(error, expected);
    let error = builder.set(2, &Value::Int64(5)).unwrap_err().to_string();
    assert_eq!(error, "column \"day\" is date32; it was given int64");
    for column in [3, 4] {
        let error = builder.set(column, &Value::Utf8("D".into())).unwrap_err();
        assert!(matches!(error, CellError::NotACode { .. }), "{error}");
    }
    assert!(matches!(builder.set(3, &Value::Utf8("C".into())), Err(CellError::NotACode { .. })));
    for (column, code) in [(1, 1 << 31), (3, 2), (3, 3), (4, 0)] {
        assert!(matches!(builder.set_text_code(column, code), Err(CellError::Code { .. })));
    }
}

#[test]
fn damaged_bytes_are_noticed_and_read_as_null() {
    let columns = vec![
        Column::new("name", Type::Utf8),
        Column { range: Some((0, 9)), ..Column::new("digit", Type::Int64) },
    ];
    let layout = Arc::new(Layout::new(columns, vec![]).unwrap());
    let dictionary = Dictionary::new();
    let mut builder = RowBuilder::new(&layout);
    builder.set(0, &Value::Utf8("赵".into())).unwrap();
    builder.set(1, &Value::Int64(3)).unwrap();
    let good = builder.finish().to_vec();
    let read = |bytes: &[u8]| {
        Row::new(&layout, bytes, &dictionary, 0).and_then(|row| row.verify().map(|()| row.get(0)))
    };
    assert_eq!(read(&good), Ok(Value::Utf8("赵".into())));
    let cut = read(&good[..layout.fixed_len() - 1]);
    assert_eq!(cut, Err(RowError::TooShort { len: layout.fixed_len() - 1, needed: layout.fixed_len() }));
    assert_eq!(read(&good[..good.len() - 1]), Err(RowError::Text { column: "name".into() }));
    let mut not_utf8 = good.clone();
    *not_utf8.last_mut().unwrap() = 0xff;
    assert_eq!(read(&not_utf8), Err(RowError::Text { column: "name".into() }));
    assert_eq!(Row::new(&layout, &not_utf8, &dictionary, 0).unwrap().get(0), Value::Null);
    let mut code = good.clone();
    code[7] &= 0x7f; // the text cell's high byte: now a code of an empty dictionary
    assert_eq!(read(&code), Err(RowError::Text { column: "name".into() }));
    let mut out = good.clone();
    out[8] = 10;
    assert_eq!(read(&out), Err(RowError::Range { column: "digit".into(), value: 10 }));
}
