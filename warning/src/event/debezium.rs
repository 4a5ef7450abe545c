//! Rows in a Debezium envelope, and what its schema says of their times.

use serde_json::{Map, Value as Json};
use tarim_datamart::Type;

use super::Rejected;

/// What an envelope brings.
pub struct Envelope<'j> {
    pub row: &'j Map<String, Json>,
    pub table: Option<&'j str>,
    pub times: Times<'j>,
}

impl<'j> Envelope<'j> {
    /// The envelope that an object is, with its schema around it or not; None: it is none.
    pub fn of(object: &'j Map<String, Json>) -> Result<Option<Self>, Rejected> {
        let (inner, times) = match object.get("payload") {
            Some(Json::Object(payload)) => (payload, Times::of(object.get("schema"))),
            _ => (object, Times::default()),
        };
        let Some(op) = inner.get("op").and_then(Json::as_str).filter(|_| inner.contains_key("after")) else {
            return Ok(None);
        };
        let table = inner.get("source").and_then(|s| s.get("table")).and_then(Json::as_str);
        match (op, inner.get("after")) {
            ("c" | "u" | "r", Some(Json::Object(row))) => Ok(Some(Self { row, table, times })),
            (op, _) => Err(Rejected::because(format!(
                "op: `{op}` brings no row; an event is a row that was inserted (c), changed (u) or read (r)"
            ))),
        }
    }
}

/// In which unit a row's times are, by the envelope's schema; without one, in microseconds.
#[derive(Clone, Copy, Default)]
pub struct Times<'j> {
    /// Fields of the row.
    fields: Option<&'j Vec<Json>>,
}

/// Of times that are numbers, since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Days,
}

/// 1990-01-01T00:00:00Z, in microseconds. Milliseconds that are taken for microseconds are in January 1970, whatever they mean.
const FROM_US: i64 = 631_152_000_000_000;
const DAY_US: i128 = 86_400_000_000;

impl<'j> Times<'j> {
    fn of(schema: Option<&'j Json>) -> Self {
        let fields = |json: &'j Json| json.get("fields").and_then(Json::as_array);
        let after = |field: &&Json| field.get("field").is_some_and(|name| name == "after");
        Self { fields: schema.and_then(fields).and_then(|all| fields(all.iter().find(after)?)) }
    }

    fn unit(self, name: &str) -> Option<Unit> {
        let field = self.fields?.iter().find(|field| field.get("field").is_some_and(|of| of == name))?;
        match field.get("name")?.as_str()? {
            "io.debezium.time.NanoTimestamp" => Some(Unit::Nanoseconds),
            "io.debezium.time.MicroTimestamp" => Some(Unit::Microseconds),
            "io.debezium.time.Timestamp" | "org.apache.kafka.connect.data.Timestamp" => {
                Some(Unit::Milliseconds)
            }
            "io.debezium.time.Date" | "org.apache.kafka.connect.data.Date" => Some(Unit::Days),
            _ => None,
        }
    }

    /// A field's number as its type has it: a timestamp in microseconds, a date in days; what is neither stays as it is.
    pub fn number(self, name: &str, ty: Type, number: i64) -> Result<i64, String> {
        if !matches!(ty, Type::Timestamp | Type::Date32) {
            return Ok(number);
        }
        let us = match (self.unit(name), i128::from(number)) {
            (Some(Unit::Nanoseconds), n) => n.div_euclid(1000),
            (Some(Unit::Microseconds), n) => n,
            (Some(Unit::Milliseconds), n) => n * 1000,
            (Some(Unit::Days), n) => n * DAY_US,
            (None, _) if ty == Type::Date32 => return Ok(number),
            (None, _) if number < FROM_US => {
                return Err(format!(
                    "{name}: {number} is before 1990 in microseconds since 1970, the unit of a time that is a number; if it is \
                     another unit, let the envelope bring its schema (io.debezium.time.…), or write the time in ISO 8601"
                ));
            }
            (None, n) => n,
        };
        let number_of = if ty == Type::Date32 { us.div_euclid(DAY_US) } else { us };
        i64::try_from(number_of).map_err(|_| format!("{name}: {number} is no time"))
    }
}
