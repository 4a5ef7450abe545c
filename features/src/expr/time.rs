//! Dates and timestamps: their parts, and their sums with intervals.

use arrow::compute::kernels::cast_utils::{
    IntervalParseConfig, IntervalUnit, parse_interval_month_day_nano_config,
};
use datafusion::sql::sqlparser::ast;
use tarim_datamart::{Problem, Type};

use super::{
    function::Function,
    kernel::{IntFn, Part},
    names::quote,
    plan::{Planner, Typed},
    types::a,
};

impl Planner<'_> {
    /// A date or timestamp plus (or minus) a constant interval.
    pub(super) fn shift(
        &self,
        x: Typed,
        interval: &ast::Interval,
        minus: bool,
        whole: &ast::Expr,
    ) -> Result<Typed, Problem> {
        let wrong = |what: String| {
            self.place.problem(
                what,
                "write for instance INTERVAL '3' MONTH, INTERVAL '7 days' or INTERVAL '90' MINUTE",
            )
        };
        let value = match interval.value.as_ref() {
            ast::Expr::Value(v) => match &v.value {
                ast::Value::SingleQuotedString(s) => s.clone(),
                ast::Value::Number(n, _) => n.clone(),
                _ => return Err(wrong(format!("{} is not a constant interval", quote(interval)))),
            },
            _ => return Err(wrong(format!("{} is not a constant interval", quote(interval)))),
        };
        let value = match &interval.leading_field {
            Some(unit) => format!("{value} {unit}"),
            None => value,
        };
        let config = IntervalParseConfig::new(IntervalUnit::Second);
        let parsed = parse_interval_month_day_nano_config(&value, config)
            .map_err(|e| wrong(format!("{} is not an interval: {e}", quote(interval))))?;
        let sign = if minus { -1 } else { 1 };
        let too_long = || wrong(format!("{} is too long", quote(interval)));
        let months = parsed.months.checked_mul(sign).ok_or_else(too_long)?;
        let days = parsed.days.checked_mul(sign).ok_or_else(too_long)?;
        let us = (parsed.nanoseconds / 1000).checked_mul(i64::from(sign)).ok_or_else(too_long)?;
        if parsed.nanoseconds % 1000 != 0 {
            return Err(wrong(format!("{} is finer than a microsecond", quote(interval))));
        }
        match x.ty {
            Some(Type::Timestamp) => {
                Ok(self.apply(Function::Int(IntFn::ShiftTimestamp { months, days, us }), vec![x.expr]))
            }
            Some(Type::Date32) if us != 0 => Err(self.place.problem(
                format!("{} adds a time of day to a date", quote(whole)),
                "CAST the date AS TIMESTAMP first, or use whole days",
            )),
            Some(Type::Date32) => {
                Ok(self.apply(Function::Int(IntFn::ShiftDate { months, days }), vec![x.expr]))
            }
            other => Err(wrong(format!(
                "{} adds an interval to {}",
                quote(whole),
                other.map_or("NULL".into(), |t| t.to_string())
            ))),
        }
    }

    pub(super) fn date_part(&self, part: &str, x: Typed, whole: &ast::Expr) -> Result<Typed, Problem> {
        let part = part.to_lowercase();
        let found = Part::ALL.iter().find(|(name, _)| *name == part.trim_end_matches('s'));
        let Some((_, found)) = found.or_else(|| Part::ALL.iter().find(|(name, _)| *name == part)) else {
            let names = Part::ALL.map(|(name, _)| name);
            return Err(self.place.problem(
                format!("{part} is not a part of a date"),
                format!("use one of {}", names.join(", ")),
            ));
        };
        match x.ty {
            Some(Type::Date32) => Ok(self.apply(Function::Int(IntFn::DatePart(*found)), vec![x.expr])),
            Some(Type::Timestamp) => {
                Ok(self.apply(Function::Int(IntFn::TimestampPart(*found)), vec![x.expr]))
            }
            other => Err(self.place.problem(
                format!("{} takes a part of {}", quote(whole), other.map_or("NULL".into(), a)),
                "give it a date or a timestamp",
            )),
        }
    }
}
