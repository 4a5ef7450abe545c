//! A table read row by row, as its documentation says it, and the property that the index finds the same.

use std::path::Path;

use proptest::{collection::vec, prelude::*, sample::select};
use tarim_datamart::{Place, Type};
use tarim_models::{cell::Cell, domain::Domain};

use super::{Answer, Collect, Hit, Index, Input, Out, Output, Row, Table};

/// What the table says of these keys, and its outputs when that is known.
fn scan(table: &Table, keys: &[Option<i64>]) -> (Answer, Vec<Out>) {
    let rows = || table.rows.iter().map(|row| (matches(table, row, keys), row));
    let certain: Vec<&Row> = rows().filter(|(m, _)| *m == Some(true)).map(|(_, row)| row).collect();
    let perhaps: Vec<&Row> = rows().filter(|(m, _)| m.is_none()).map(|(_, row)| row).collect();
    let all: Vec<(Option<bool>, &Row)> = rows().filter(|(m, _)| *m != Some(false)).collect();
    let said = match table.hit {
        _ if all.is_empty() => return (Answer::NoMatch, Vec::new()),
        _ if certain.is_empty() && table.hit != Hit::First => None,
        Hit::Unique => {
            let last = all[all.len() - 1].1;
            all.iter().all(|(_, row)| row.outs == last.outs).then(|| last.outs.clone())
        }
        Hit::First => {
            let until = all.iter().position(|(m, _)| *m == Some(true));
            until.and_then(|i| {
                let row = all[i].1;
                all[..i].iter().all(|(_, before)| before.outs == row.outs).then(|| row.outs.clone())
            })
        }
        Hit::Collect => (table.outputs.iter().enumerate())
            .map(|(i, output)| {
                let cells: Vec<Out> = certain.iter().map(|row| row.outs[i]).collect();
                let total = total(output, &cells)?;
                // Whatever any one of the others could add must leave the total as it is.
                let with = |row: &Row| self::total(output, &[&cells[..], &[row.outs[i]]].concat());
                perhaps.iter().all(|row| with(row) == Some(total)).then_some(total)
            })
            .collect(),
    };
    said.map_or((Answer::Unknown, Vec::new()), |outs| (Answer::Known, outs))
}

fn matches(table: &Table, row: &Row, keys: &[Option<i64>]) -> Option<bool> {
    let cells = row.cells.iter().zip(keys).zip(&table.inputs).map(|((cell, key), input)| {
        // Where `null` is named, unknown is a value that other cells do not match.
        cell.matches(*key).or(input.names_null.then_some(false))
    });
    let says: Vec<Option<bool>> = cells.collect();
    match says.contains(&Some(false)) {
        true => Some(false),
        false if says.contains(&None) => None,
        false => Some(true),
    }
}

/// Aggregate of the cells of an output of int64; None if it overflows.
fn total(output: &Output, cells: &[Out]) -> Option<Out> {
    let numbers = cells.iter().filter_map(|cell| if let Out::Int64(i) = cell { Some(*i) } else { None });
    Some(match output.collect? {
        Collect::Count => Out::Int64(cells.len() as i64),
        Collect::Sum => Out::Int64(numbers.into_iter().try_fold(0i64, i64::checked_add)?),
        Collect::Min => numbers.min().map_or(Out::Null, Out::Int64),
        Collect::Max => numbers.max().map_or(Out::Null, Out::Int64),
    })
}

/// A cell over small numbers, as an analyst would write it: mostly narrow ones in a long table, or all
/// rows would match.
fn cell() -> impl Strategy<Value = String> {
    let key = || -1i64..25;
    prop_oneof![
        3 => Just("*".to_owned()),
        1 => Just("null".to_owned()),
        4 => key().prop_map(|a| a.to_string()),
        4 => (key(), 0i64..9).prop_map(|(a, n)| format!("[{a},{}]", a + n)),
        2 => (key(), key(), key()).prop_map(|(a, b, c)| format!("{a}|{b}|(,{c})")),
        1 => key().prop_map(|a| format!(">={a}")),
        2 => (key(), key()).prop_map(|(a, b)| format!("{a}|{b}")),
    ]
}

fn out() -> impl Strategy<Value = Out> {
    prop_oneof![
        2 => Just(Out::Null),
        8 => (-1i64..2).prop_map(Out::Int64),
        1 => select(vec![Out::Int64(i64::MAX), Out::Int64(i64::MIN)]),
    ]
}

/// A long table whose rows are told apart by one column; of a few rows it says more.
fn each_with_its_own_key(mut rows: Vec<(Vec<String>, Vec<Out>)>) -> Vec<(Vec<String>, Vec<Out>)> {
    for (i, (cells, _)) in rows.iter_mut().enumerate().filter(|(i, _)| i % 9 != 8) {
        let at = i % 2 % cells.len();
        cells[at] = i.to_string();
    }
    rows
}

/// Rows of a table with so many inputs and two outputs.
fn rows(inputs: usize) -> impl Strategy<Value = Vec<(Vec<String>, Vec<Out>)>> {
    let row = move || (vec(cell(), inputs), vec(out(), 2));
    // Around a word, and around the 64 words that one word of the top level tells of.
    prop_oneof![
        4 => vec(row(), 1..12),
        2 => vec(row(), 60..70),
        2 => vec(row(), 70..300),
        2 => vec(row(), 65..90).prop_map(each_with_its_own_key),
        1 => (vec(row(), 1..40), 4050usize..4200).prop_map(|(rows, n)| rows.into_iter().cycle().take(n).collect()),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    let hit = select(vec![Hit::Unique, Hit::First, Hit::Collect]);
    let collect = vec(select(vec![Collect::Sum, Collect::Min, Collect::Max, Collect::Count]), 2);
    // Without `null`, unknown inputs are unknown; a few words force columns to be cut coarsely.
    let most = prop_oneof![3 => Just(usize::MAX), 1 => 1usize..200];
    (hit, collect, any::<bool>(), most, (1usize..4).prop_flat_map(rows)).prop_map(build)
}

type Drawn = (Hit, Vec<Collect>, bool, usize, Vec<(Vec<String>, Vec<Out>)>);

fn build((hit, collect, nulls, most, rows): Drawn) -> Table {
    let place = Place::file(Path::new("t.csv"));
    let mut domain = Domain::new(Type::Int64);
    let mut parse = |text: &String| match text.as_str() {
        "null" if !nulls => Cell::Any,
        text => Cell::parse(text, &mut domain).unwrap(),
    };
    let rows: Vec<Row> = rows
        .into_iter()
        .map(|(cells, outs)| Row {
            cells: cells.iter().map(&mut parse).collect(),
            outs,
            place: place.clone(),
        })
        .collect();
    let inputs: Vec<Input> = (0..rows[0].cells.len())
        .map(|i| Input {
            name: format!("input{i}"),
            domain: domain.clone(),
            names_null: rows.iter().any(|row| row.cells[i] == Cell::Null),
        })
        .collect();
    let output = |(i, collect)| Output {
        name: format!("output{i}"),
        ty: Type::Int64,
        collect: (hit == Hit::Collect).then_some(collect),
    };
    Table {
        id: "t".into(),
        zh: "表".into(),
        en: "table".into(),
        place,
        hit,
        outputs: collect.into_iter().enumerate().map(output).collect(),
        index: Index::within(most, &inputs, &rows),
        inputs,
        rows,
        if_no_match: None,
        if_unknown: None,
        show: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_reading_row_by_row_finds(
        table in table(),
        inputs in vec(vec(prop_oneof![1 => Just(None), 3 => (-3i64..28).prop_map(Some)], 3), 20),
    ) {
        let (mut all, mut picks, mut out) = (Vec::new(), Vec::new(), Vec::new());
        for keys in inputs {
            let keys = &keys[..table.inputs.len()];
            out.clear();
            let answer = table.answer(|i| keys[i], &mut all, &mut picks, &mut out);
            if answer != Answer::Known {
                out.clear();
            }
            prop_assert_eq!((answer, out.clone()), scan(&table, keys), "{:?}", keys);
        }
    }
}
