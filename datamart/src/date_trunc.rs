//! `date_trunc` over microseconds, as far as they reach.
//!
//! DataFusion's goes by way of nanoseconds, which end in the year 2262 ([`crate::times`]): the one row of 9999-12-31 stops the
//! whole query, be it before an aggregate's FILTER or not. What is not in microseconds, and what is no unit, is DataFusion's still.

use std::sync::Arc;

use arrow::{
    array::{AsArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType},
};
use chrono::{DateTime, Datelike, NaiveDate, Weekday};
use datafusion::{
    common::{
        Result, ScalarValue, internal_err,
        types::{NativeType, logical_date, logical_string},
    },
    logical_expr::{
        Coercion, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        TypeSignature, TypeSignatureClass, Volatility,
    },
};

const MICROSECONDS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);
const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// The function that takes the place of DataFusion's.
pub(crate) fn function() -> ScalarUDF {
    let text = || Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
    let texts_and_dates =
        vec![TypeSignatureClass::Native(logical_string()), TypeSignatureClass::Native(logical_date())];
    let time = Coercion::new_implicit(
        TypeSignatureClass::Timestamp,
        texts_and_dates,
        NativeType::Timestamp(TimeUnit::Microsecond, None),
    );
    let time_of_day = Coercion::new_exact(TypeSignatureClass::Time);
    let signatures = [time, time_of_day].map(|of| TypeSignature::Coercible(vec![text(), of]));
    let signature = Signature::one_of(signatures.into(), Volatility::Immutable);
    ScalarUDF::new_from_impl(DateTrunc { signature, other: datafusion::functions::datetime::date_trunc() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    signature: Signature,
    /// DataFusion's own.
    other: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.other.name()
    }

    fn aliases(&self) -> &[String] {
        self.other.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        internal_err!("return_field_from_args should be called instead")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let ty = match args.arg_fields[1].data_type() {
            DataType::Null => MICROSECONDS,
            ty => ty.clone(),
        };
        Ok(Arc::new(Field::new(self.name(), ty, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(unit) = Unit::of(&args.args[0]) else { return self.other.invoke_with_args(args) };
        let scalar = |us: Option<i64>| ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, None));
        match &args.args[1] {
            ColumnarValue::Scalar(ScalarValue::Null) => Ok(scalar(None)),
            ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, None)) => {
                Ok(scalar(us.and_then(|us| unit.start(us))))
            }
            ColumnarValue::Array(times) if *times.data_type() == MICROSECONDS => {
                let times = times.as_primitive::<TimestampMicrosecondType>();
                let starts: TimestampMicrosecondArray = times.unary_opt(|us| unit.start(us));
                Ok(ColumnarValue::Array(Arc::new(starts)))
            }
            _ => self.other.invoke_with_args(args),
        }
    }
}

/// What a time is cut to.
#[derive(Clone, Copy)]
enum Unit {
    /// So many microseconds.
    Span(i64),
    Week,
    Month,
    Quarter,
    Year,
}

impl Unit {
    fn of(name: &ColumnarValue) -> Option<Self> {
        let ColumnarValue::Scalar(name) = name else { return None };
        Some(match name.try_as_str()??.to_lowercase().as_str() {
            "microsecond" => Unit::Span(1),
            "millisecond" => Unit::Span(1_000),
            "second" => Unit::Span(SECOND),
            "minute" => Unit::Span(60 * SECOND),
            "hour" => Unit::Span(3_600 * SECOND),
            "day" => Unit::Span(DAY),
            "week" => Unit::Week,
            "month" => Unit::Month,
            "quarter" => Unit::Quarter,
            "year" => Unit::Year,
            _ => return None,
        })
    }

    /// When the unit began that a time is in; None beyond the calendar (chrono's: 262,143 years either way).
    fn start(self, us: i64) -> Option<i64> {
        let date = || Some(DateTime::from_timestamp_micros(us)?.date_naive());
        let first = match self {
            Unit::Span(span) => return us.checked_sub(us.rem_euclid(span)),
            Unit::Week => date()?.week(Weekday::Mon).checked_first_day(),
            Unit::Month => date()?.with_day(1),
            Unit::Quarter => {
                date().and_then(|d| NaiveDate::from_ymd_opt(d.year(), d.month0() / 3 * 3 + 1, 1))
            }
            Unit::Year => date().and_then(|d| NaiveDate::from_ymd_opt(d.year(), 1, 1)),
        };
        i64::from(first?.to_epoch_days()).checked_mul(DAY)
    }
}
