use std::path::Path;

use tarim_datamart::{Place, Value};
use tarim_features::expr::{Answers, ExprId};

use super::*;

/// Values of expressions 0, 1, …; None is unknown.
struct Given(Vec<Option<i64>>);

impl Answers for Given {
    fn truth(&self, _: ExprId) -> Option<bool> {
        None
    }
    fn int(&self, id: ExprId) -> Option<i64> {
        self.0[id.0 as usize]
    }
    fn float(&self, _: ExprId) -> Option<f64> {
        None
    }
    fn text(&self, _: ExprId) -> Option<&str> {
        None
    }
    fn date(&self, _: ExprId) -> Option<i32> {
        None
    }
    fn timestamp(&self, _: ExprId) -> Option<i64> {
        None
    }
    fn value(&self, id: ExprId) -> Value {
        self.0[id.0 as usize].map_or(Value::Null, Value::Int64)
    }
}

/// A table over int64 inputs `a` and `b` with one int64 output; rows are (a, b, output).
fn table(hit: Hit, collect: Option<Collect>, rows: &[(&str, &str, Option<i64>)]) -> Table {
    let place = Place::file(Path::new("t.csv"));
    let mut domain = Domain::new(Type::Int64);
    let rows: Vec<Row> = rows
        .iter()
        .map(|(a, b, out)| Row {
            cells: [a, b].map(|text| Cell::parse(text, &mut domain).unwrap()).into(),
            outs: vec![out.map_or(Out::Null, Out::Int64)],
            place: place.clone(),
        })
        .collect();
    let input = |name: &str, i: usize| Input {
        name: name.into(),
        domain: domain.clone(),
        names_null: rows.iter().any(|r: &Row| r.cells[i] == Cell::Null),
    };
    let inputs = vec![input("a", 0), input("b", 1)];
    Table {
        index: Index::of(&inputs, &rows),
        id: "t".into(),
        zh: "表".into(),
        en: "table".into(),
        place,
        hit,
        inputs,
        outputs: vec![Output { name: "out".into(), ty: Type::Int64, collect }],
        rows,
        if_no_match: Some(Effect::Decline),
        if_unknown: Some(Effect::Refer),
        show: Vec::new(),
    }
}

/// What the table says: its output, and what it found.
fn ask(table: &Table, a: Option<i64>, b: Option<i64>) -> (Out, Option<What>) {
    let mut work = Work::default();
    table.run(&Given(vec![a, b]), &mut work);
    assert_eq!(work.left().len(), 1);
    (work.left()[0], work.findings.first().map(|f| f.what))
}

const NO_ROW: (Out, Option<What>) = (Out::Null, Some(What::NoRow));
const UNKNOWN: (Out, Option<What>) = (Out::Null, Some(What::Unknown));

fn known(i: i64) -> (Out, Option<What>) {
    (Out::Int64(i), None)
}

#[test]
fn unique_takes_the_row_that_matches() {
    let t = table(
        Hit::Unique,
        None,
        &[("<10", "*", Some(1)), (">=10", "<5", Some(2)), (">=10", ">=5", Some(3)), ("null", "*", Some(4))],
    );
    assert_eq!(ask(&t, Some(3), None), known(1));
    assert_eq!(ask(&t, Some(10), Some(4)), known(2));
    assert_eq!(ask(&t, Some(10), None), UNKNOWN);
    // `null` stands in the column of a, so unknown is a value there and no other row could match it.
    assert_eq!(ask(&t, None, Some(1)), known(4));
}

#[test]
fn unique_without_a_match_or_with_two_that_disagree() {
    let t = table(Hit::Unique, None, &[("<10", "*", Some(1)), ("*", ">100", Some(2))]);
    assert_eq!(ask(&t, Some(10), Some(1)), NO_ROW);
    assert_eq!(ask(&t, Some(1), Some(101)), UNKNOWN);
    let agreeing = table(Hit::Unique, None, &[("<10", "*", Some(1)), ("*", ">100", Some(1))]);
    assert_eq!(ask(&agreeing, Some(1), Some(101)), known(1));
    assert_eq!(ask(&agreeing, Some(1), None), known(1));
    assert_eq!(ask(&agreeing, None, Some(1)), UNKNOWN);
}

#[test]
fn first_does_not_step_over_a_row_that_could_match() {
    let t = table(Hit::First, None, &[("<18", "*", Some(0)), ("*", "1", Some(5)), ("*", "*", Some(7))]);
    assert_eq!(ask(&t, Some(20), Some(1)), known(5));
    assert_eq!(ask(&t, Some(17), None), known(0));
    assert_eq!(ask(&t, None, Some(1)), UNKNOWN);
    assert_eq!(ask(&t, Some(20), None), UNKNOWN);
    let harmless = table(Hit::First, None, &[("<18", "*", Some(7)), ("*", "*", Some(7))]);
    assert_eq!(ask(&harmless, None, None), known(7));
}

#[test]
fn collect_aggregates_what_matches_for_certain() {
    let rows = [("<10", "*", Some(2)), ("<20", "*", Some(3)), ("*", "1", None), ("*", "2", Some(0))];
    for (collect, both, one, none) in [
        (Collect::Sum, known(5), known(3), (Out::Int64(0), Some(What::NoRow))),
        (Collect::Min, known(2), known(3), NO_ROW),
        (Collect::Max, known(3), known(3), NO_ROW),
        (Collect::Count, known(2), known(1), (Out::Int64(0), Some(What::NoRow))),
    ] {
        let t = table(Hit::Collect, Some(collect), &rows);
        assert_eq!(ask(&t, Some(5), Some(9)), both, "{collect:?}");
        assert_eq!(ask(&t, Some(15), Some(9)), one, "{collect:?}");
        assert_eq!(ask(&t, Some(25), Some(9)), none, "{collect:?}");
    }
}

#[test]
fn collect_knows_what_an_unknown_row_cannot_change() {
    let rows = [("<10", "*", Some(2)), ("*", "1", None), ("*", "2", Some(3))];
    let ask = |collect, rows: &[_], b| ask(&table(Hit::Collect, Some(collect), rows), Some(5), b);
    // The rows of b add nothing or 3: a maximum of 2 could rise, a minimum could not.
    assert_eq!(ask(Collect::Max, &rows, None), UNKNOWN);
    assert_eq!(ask(Collect::Min, &rows, None), known(2));
    assert_eq!(ask(Collect::Sum, &rows, None), UNKNOWN);
    assert_eq!(ask(Collect::Sum, &rows[..2], None), known(2));
    assert_eq!(ask(Collect::Count, &rows[..2], None), UNKNOWN);
}

#[test]
fn a_sum_that_overflows_is_unknown() {
    let t = table(Hit::Collect, Some(Collect::Sum), &[("*", "*", Some(i64::MAX)), ("*", "*", Some(1))]);
    assert_eq!(ask(&t, Some(1), Some(1)), UNKNOWN);
}

#[test]
fn analysis_tells_overlaps_gaps_and_rows_never_reached() {
    let t =
        table(Hit::Unique, None, &[("<10", "*", Some(1)), ("[5,20]", "<0", Some(2)), (">20", "*", Some(3))]);
    assert_eq!(analyse(&t, true).overlap, Overlap::Overlapping(vec![(1, 0)]));
    assert_eq!(analyse(&t, false).overlap, Overlap::Undecided(vec![(1, 0)]));
    assert_eq!(analyse(&t, true).gap, Gap::Found("a [10,20], b >= 0".into()));
    let t = table(
        Hit::First,
        None,
        &[("<10", "*", Some(1)), (">=10", "*", Some(2)), ("5", "7", Some(3)), ("*", "*", None)],
    );
    let check = analyse(&t, true);
    assert_eq!((check.gap, check.unreachable), (Gap::None, vec![2]));
    let t = table(
        Hit::First,
        None,
        &[("null", "*", Some(1)), ("<10", "*", Some(1)), (">=10", "*", Some(2)), ("*", "*", None)],
    );
    assert_eq!(analyse(&t, true).unreachable, [3]);
}
