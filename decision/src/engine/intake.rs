//! The fields of an application, as the standard `applications` has them.

use hashbrown::HashMap;
use tarim_datamart::{Broken, Field, Type, ValueRef};

use super::checks::{CheckTools, Checks};
use crate::rulebook::{APPLICATION, Rulebook};

/// Name of the application's field that says which product is applied for.
pub const PRODUCT: &str = "product";

/// The fields of an application and where they come from.
#[derive(Debug)]
pub struct Intake {
    /// In the order of the columns of the relation `application`.
    pub fields: Vec<IntakeField>,
    by_name: HashMap<String, usize>,
    /// Rules over the whole application; None: there are none.
    checks: Option<Checks>,
}

/// One field.
#[derive(Debug)]
pub struct IntakeField {
    pub field: Field,
    pub origin: Origin,
}

/// Where a field comes from when the caller does not send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is NULL, or its default.
    Caller,
    /// It is the product of the request.
    Product,
    /// It is the time of the decision.
    Now,
    /// A key of the table of applications. Online a request has an id of its own, so it may be left out.
    Key,
}

impl Intake {
    pub fn new(rulebook: &Rulebook) -> Self {
        let Some(table) = rulebook.standards().table("applications") else {
            return Self { fields: Vec::new(), by_name: HashMap::new(), checks: None };
        };
        let layout = &rulebook.relations()[APPLICATION].layout;
        let fields: Vec<IntakeField> = layout
            .columns()
            .iter()
            .filter_map(|c| table.field(&c.name))
            .map(|field| {
                let origin = if field.name == PRODUCT {
                    Origin::Product
                } else if field.name == table.event_time || field.name == table.known_at {
                    Origin::Now
                } else if table.key.contains(&field.name) {
                    Origin::Key
                } else {
                    Origin::Caller
                };
                IntakeField { field: field.clone(), origin }
            })
            .collect();
        let by_name: HashMap<_, _> =
            fields.iter().enumerate().map(|(i, f)| (f.field.name.clone(), i)).collect();
        let checks = (!table.checks.is_empty()).then(|| Checks::new(table, layout));
        Self { fields, by_name, checks }
    }

    /// Rules over the whole application that it breaks, as far as its values tell, which are not yet tokenised: see
    /// [`Checks::of_values`]. They are those of the fields, in order.
    pub fn check_values(&self, member: &str, values: &[ValueRef<'_>]) -> Vec<Broken> {
        self.checks.as_ref().map(|checks| checks.of_values(member, values)).unwrap_or_default()
    }

    /// The same, of the row that they were packed to: what it breaks of the other rules.
    pub fn check_row(
        &self,
        member: &str,
        values: &[ValueRef<'_>],
        row: &[u8],
        at_us: i64,
        tools: &mut CheckTools,
    ) -> Vec<Broken> {
        self.checks.as_ref().map(|c| c.of_row(member, values, row, at_us, tools)).unwrap_or_default()
    }

    /// Column of a field in the relation `application`.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The time of a decision as a value of a date or timestamp field.
    pub fn now(at_us: i64, ty: Type) -> Option<ValueRef<'static>> {
        match ty {
            Type::Timestamp => Some(ValueRef::Timestamp(at_us)),
            Type::Date32 => i32::try_from(at_us.div_euclid(86_400_000_000)).ok().map(ValueRef::Date32),
            _ => None,
        }
    }
}
