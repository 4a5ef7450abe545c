//! Gathering: from what the caller sent to the rows that a decision is made from.

use tarim_datamart::{Type, Value};
use tarim_features::{row::RowBuilder, store::ListAnswer};

use super::{
    Application, Engine, Inputs, ListHit,
    intake::{Intake, IntakeField, Origin},
};
use crate::rulebook::{APPLICATION, NoPlan, Source};

/// What is wrong with a request; the caller must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// `member`, `product`, `application.<field>`, or `application` where a rule over several fields is broken.
    pub field: String,
    pub message: String,
}

impl FieldError {
    fn of(field: &str, message: impl Into<String>) -> Self {
        Self { field: format!("application.{field}"), message: message.into() }
    }
}

impl From<NoPlan> for FieldError {
    fn from(e: NoPlan) -> Self {
        let field = match e {
            NoPlan::UnknownMember(_) => "member",
            NoPlan::UnknownProduct(_) | NoPlan::NotOffered { .. } => "product",
        };
        Self { field: field.into(), message: e.to_string() }
    }
}

impl Engine {
    /// Checks the fields by the standard, tokenises personal ones, and reads what is known at `at_us`
    /// (microseconds since 1970-01-01T00:00:00Z). `inputs` is overwritten; it is of no use after an error.
    pub fn gather(
        &self,
        application: &Application,
        at_us: i64,
        inputs: &mut Inputs,
    ) -> Result<(), FieldError> {
        let Application { member, product, fields } = application;
        self.rulebook.plan(member, product)?;
        let values = self.admit(member, product, fields, at_us)?;
        inputs.member.clone_from(member);
        inputs.product.clone_from(product);
        inputs.at_us = at_us;
        inputs.hits.clear();
        inputs.snapshot = Some(self.snapshot.clone());
        let given = self.rulebook.relations().iter().filter(|r| r.source.is_input()).count();
        inputs.rows.resize_with(given, Vec::new);
        self.pack_application(&values, &mut inputs.rows[APPLICATION])?;
        for (i, relation) in self.rulebook.relations().iter().enumerate().filter(|(_, r)| r.source.is_input())
        {
            let row = &mut inputs.rows[i];
            match relation.source {
                Source::Entity(entity) => {
                    row.clear();
                    row.extend_from_slice(self.entity_row(entity, member, &values));
                }
                Source::Lists => self.ask_lists(member, &values, at_us, row, &mut inputs.hits),
                _ => {}
            }
        }
        Ok(())
    }

    /// Values of the application in the order of its columns, checked and tokenised.
    fn admit(
        &self,
        member: &str,
        product: &str,
        given: &[(String, Value)],
        at_us: i64,
    ) -> Result<Vec<Value>, FieldError> {
        let mut values = vec![None; self.intake.fields.len()];
        for (name, value) in given {
            let Some(column) = self.intake.column(name) else {
                return Err(FieldError::of(name, "the standard `applications` has no such field"));
            };
            if values[column].is_some() {
                return Err(FieldError::of(name, "it is given twice"));
            }
            let ty = self.intake.fields[column].field.ty;
            let value = match value {
                Value::Null => Value::Null,
                value => {
                    of_type(value, ty).ok_or_else(|| FieldError::of(name, format!("it is not a {ty}")))?
                }
            };
            values[column] = Some(value);
        }
        let fields = self.intake.fields.iter().zip(values);
        let mut values = fields
            .map(|(field, value)| admit_one(field, value, product, at_us))
            .collect::<Result<Vec<_>, _>>()?;
        let broken = self.intake.check(member, &values);
        if !broken.is_empty() {
            let told: Vec<String> = broken.iter().map(|b| format!("{}: {}", b.rule, b.message)).collect();
            return Err(FieldError { field: "application".into(), message: told.join("; ") });
        }
        // Only now: checks look at what is personal as it is.
        for (IntakeField { field, .. }, value) in self.intake.fields.iter().zip(&mut values) {
            if let (true, Value::Utf8(text)) = (field.personal, &value) {
                *value = Value::Utf8(self.tokeniser.token(&field.kind, text));
            }
        }
        Ok(values)
    }

    fn pack_application(&self, values: &[Value], row: &mut Vec<u8>) -> Result<(), FieldError> {
        let mut builder = RowBuilder::new(&self.rulebook.relations()[APPLICATION].layout);
        for (column, value) in values.iter().enumerate() {
            let name = &self.intake.fields[column].field.name;
            builder.set(column, value).map_err(|e| FieldError::of(name, e.to_string()))?;
        }
        row.clear();
        row.extend_from_slice(builder.finish());
        Ok(())
    }

    /// The row of the entity that the application names, or that of nobody.
    fn entity_row(&self, index: usize, member: &str, values: &[Value]) -> &[u8] {
        let entity = &self.rulebook.features().entities()[index];
        let key = self.intake.column(&entity.application).map(|c| &values[c]);
        let found = match key {
            Some(Value::Utf8(key)) => self.snapshot.get(index, member, key),
            _ => None,
        };
        found.unwrap_or_else(|| entity.unknown_row())
    }

    fn ask_lists(
        &self,
        member: &str,
        values: &[Value],
        at_us: i64,
        row: &mut Vec<u8>,
        hits: &mut Vec<ListHit>,
    ) {
        let features = self.rulebook.features();
        let mut builder = RowBuilder::new(features.list_layout());
        for (i, list) in features.lists().iter().enumerate() {
            // Without the field that is looked up, nothing is known.
            let Some(Value::Utf8(value)) = self.intake.column(&list.field).map(|c| &values[c]) else {
                continue;
            };
            let answer = self.snapshot.list_hit(i, member, value, at_us);
            if let ListAnswer::Hit(entry) = answer {
                hits.push(ListHit {
                    list: list.name.clone(),
                    entry_id: entry.entry_id.to_owned(),
                    reason: entry.reason.unwrap_or_default().to_owned(),
                    source: entry.source.unwrap_or_default().to_owned(),
                });
            }
            if let Some(hit) = answer.truth() {
                builder.set_bool(i, hit).expect("the layout of lists has a boolean for each");
            }
        }
        row.clear();
        row.extend_from_slice(builder.finish());
    }
}

/// The value of one field: what was sent, or what stands in for it, checked by the standard.
fn admit_one(
    IntakeField { field, origin }: &IntakeField,
    given: Option<Value>,
    product: &str,
    at_us: i64,
) -> Result<Value, FieldError> {
    let value = given.filter(|v| !v.is_null());
    let value = match (value, origin) {
        (Some(Value::Utf8(named)), Origin::Product) if named != product => {
            return Err(FieldError::of(
                &field.name,
                format!("it is `{named}`, the request is for `{product}`"),
            ));
        }
        (Some(value), _) => value,
        (None, Origin::Product) => Value::Utf8(product.to_owned()),
        (None, Origin::Now) => {
            Intake::now(at_us, field.ty).ok_or_else(|| FieldError::of(&field.name, "it is missing"))?
        }
        (None, Origin::Key) => return Ok(Value::Null),
        (None, Origin::Caller) => field.default.clone().unwrap_or_default(),
    };
    let broken = field.check(&value);
    if !broken.is_empty() {
        let messages: Vec<&str> = broken.iter().map(|b| b.message.as_str()).collect();
        return Err(FieldError::of(&field.name, messages.join("; ")));
    }
    Ok(value)
}

/// The value, if it is of a type; an integer is a float too, unless it is too large to be one exactly.
pub(super) fn of_type(value: &Value, ty: Type) -> Option<Value> {
    match (value, ty) {
        (value, ty) if value.type_of() == Some(ty) => Some(value.clone()),
        (Value::Int64(i), Type::Float64) if i.unsigned_abs() <= 1 << 53 => Some(Value::Float64(*i as f64)),
        _ => None,
    }
}
