//! `date_trunc` of Tarim's sessions: DataFusion's, as far as nanoseconds reach, and the calendar's beyond.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, TimestampMicrosecondArray},
    datatypes::{Field, TimestampMicrosecondType},
};
use chrono::NaiveDateTime;
use datafusion::{
    config::ConfigOptions,
    logical_expr::{ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF},
    prelude::SessionContext,
    scalar::ScalarValue,
};
use proptest::prelude::*;

const UNITS: [&str; 10] =
    ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"];

/// The function of a session, and DataFusion's.
fn functions() -> [Arc<ScalarUDF>; 2] {
    let session = SessionContext::new();
    tarim_datamart::times::register(&session);
    [&session, &SessionContext::new()].map(|of| of.state().scalar_functions()["date_trunc"].clone())
}

fn call(function: &ScalarUDF, unit: &str, of: ColumnarValue, rows: usize) -> ColumnarValue {
    let unit = ScalarValue::from(unit);
    let fields = [unit.data_type(), of.data_type()].map(|ty| Arc::new(Field::new("", ty, true)));
    let scalars = [Some(&unit), None];
    let returned = ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &scalars };
    let arguments = ScalarFunctionArgs {
        return_field: function.return_field_from_args(returned).expect("types that it takes"),
        args: vec![ColumnarValue::Scalar(unit), of],
        arg_fields: fields.into(),
        number_rows: rows,
        config_options: Arc::new(ConfigOptions::default()),
    };
    function.invoke_with_args(arguments).expect("a unit")
}

fn of_column(function: &ScalarUDF, unit: &str, times: &[Option<i64>]) -> Vec<Option<i64>> {
    let column: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
    let ColumnarValue::Array(cut) = call(function, unit, ColumnarValue::Array(column), times.len()) else {
        panic!("a column is expected")
    };
    cut.as_primitive::<TimestampMicrosecondType>().iter().collect()
}

fn of_constant(function: &ScalarUDF, unit: &str, time: Option<i64>) -> Option<i64> {
    let time = ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(time, None));
    match call(function, unit, time, 1) {
        ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, None)) => us,
        other => panic!("a constant is expected: {other}"),
    }
}

/// Times that nanoseconds reach, a year within, some near the beginning of a day.
fn times() -> impl Strategy<Value = Vec<Option<i64>>> {
    const REACH: i64 = i64::MAX / 1_000 - 400 * 86_400_000_000;
    let near_a_day = (-100_000..100_000_i64, -2..3_i64).prop_map(|(day, us)| day * 86_400_000_000 + us);
    prop::collection::vec(prop::option::of(prop_oneof![-REACH..REACH, near_a_day]), 1..20)
}

proptest! {
    #[test]
    fn it_is_datafusions_as_far_as_that_reaches(times in times(), unit in prop::sample::select(&UNITS[..])) {
        let [own, other] = functions();
        let cut = of_column(&own, unit, &times);
        prop_assert_eq!(&cut, &of_column(&other, unit, &times));
        for (time, cut) in times.iter().zip(cut) {
            prop_assert_eq!(of_constant(&own, unit, *time), cut);
        }
    }
}

#[test]
fn it_reaches_as_far_as_the_calendar() {
    let [own, _] = functions();
    let us = |text: &str| text.parse::<NaiveDateTime>().expect(text).and_utc().timestamp_micros();
    for (unit, time, cut) in [
        ("second", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59"),
        ("DAY", "9999-12-31T23:59:59.999999", "9999-12-31T00:00:00"),
        ("week", "9999-12-31T00:00:00", "9999-12-27T00:00:00"),
        ("month", "9999-12-31T00:00:00", "9999-12-01T00:00:00"),
        ("quarter", "9999-12-31T00:00:00", "9999-10-01T00:00:00"),
        ("Year", "9999-12-31T00:00:00", "9999-01-01T00:00:00"),
        ("hour", "0001-01-01T10:30:00", "0001-01-01T10:00:00"),
        ("week", "0001-01-03T10:30:00", "0001-01-01T00:00:00"),
        ("week", "0001-01-08T00:00:00", "0001-01-08T00:00:00"),
        ("month", "0001-02-28T10:30:00", "0001-02-01T00:00:00"),
        ("quarter", "1600-02-29T10:30:00", "1600-01-01T00:00:00"),
        ("year", "1600-12-31T10:30:00", "1600-01-01T00:00:00"),
    ] {
        let (time, cut) = (Some(us(time)), Some(us(cut)));
        assert_eq!(of_constant(&own, unit, time), cut, "{unit}");
        assert_eq!(of_column(&own, unit, &[None, time]), [None, cut], "{unit}");
    }
    for unit in UNITS {
        // What has no date is cut to none, and stops nobody.
        of_column(&own, unit, &[Some(i64::MIN), Some(i64::MAX)]);
        assert_eq!(of_constant(&own, unit, None), None, "{unit}");
    }
    assert_eq!(of_column(&own, "month", &[Some(i64::MIN), Some(0)]), [None, Some(0)]);
}
