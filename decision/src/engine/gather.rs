//! Gathering: from what the caller sent to the rows that a decision is made from.

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};
use tarim_datamart::{Broken, Field, Type, Value, ValueRef};
use tarim_features::{
    row::RowBuilder,
    store::{ListAnswer, Rows},
};

use super::{
    Application, Engine, FieldError, FieldErrors, Inputs,
    hits::{ListHit, ListHits},
    inputs::Tools,
    intake::{Intake, IntakeField, Origin},
};
use crate::{
    exposure::standing,
    rulebook::{APPLICATION, Source},
};

/// A value as a caller sends it.
pub trait Sent<'v> {
    /// As a value of a field, or what is wrong with it. The field's rules are not yet checked.
    fn value(self, field: &Field) -> Result<ValueRef<'v>, String>;
}

/// Values of an application's fields in the order of its columns.
type Values<'v> = SmallVec<[ValueRef<'v>; 48]>;

impl Engine {
    /// Gathers what is known of an application at `at_us`: see [`Engine::gather_fields`].
    pub fn gather(
        &self,
        application: &Application,
        at_us: i64,
        inputs: &mut Inputs,
    ) -> Result<(), FieldErrors> {
        let Application { member, product, fields } = application;
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value));
        self.gather_fields(member, product, fields, at_us, inputs)
    }

    /// Checks the fields by the standard, tokenises personal ones, and reads what is known at `at_us`
    /// (microseconds since 1970-01-01T00:00:00Z). `inputs` is overwritten; it is of no use after an error, which names every
    /// field that is wrong.
    /// Allocates nothing once it is warm, unless a rule over the whole application that only DataFusion can compute (see
    /// [`super::checks`]) looks at something that is known.
    pub fn gather_fields<'v, S: Sent<'v>>(
        &self,
        member: &str,
        product: &str,
        fields: impl Iterator<Item = (&'v str, S)>,
        at_us: i64,
        inputs: &mut Inputs,
    ) -> Result<(), FieldErrors> {
        // Callers mostly ask for the same again. What went before may have been refused half-way, so a plan is known by
        // its own names; and until all is gathered there is none.
        let same = |&(rulebook, plan): &(u64, usize)| {
            rulebook == self.rulebook.id() && {
                let plan = &self.rulebook.plans()[plan];
                plan.member == member && plan.product == product
            }
        };
        let plan = match inputs.plan.take().filter(same) {
            None => match self.rulebook.plan_index(member, product) {
                Ok(plan) => plan,
                Err(e) => {
                    let mut errors = FieldErrors::default();
                    errors.push(|| e.into());
                    self.admit_each(product, fields, at_us, &mut Values::new(), &mut errors);
                    return Err(errors);
                }
            },
            Some((_, plan)) => plan,
        };
        let mut tools = std::mem::take(&mut inputs.tools);
        let mut tokens = std::mem::take(&mut tools.tokens);
        let gathered =
            self.gather_values(member, product, plan, fields, at_us, &mut tools, &mut tokens, inputs);
        tools.tokens = tokens;
        inputs.tools = tools;
        gathered?;
        inputs.plan = Some((self.rulebook.id(), plan));
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn gather_values<'v, S: Sent<'v>>(
        &self,
        member: &str,
        product: &str,
        plan: usize,
        fields: impl Iterator<Item = (&'v str, S)>,
        at_us: i64,
        tools: &mut Tools,
        tokens: &mut String,
        inputs: &mut Inputs,
    ) -> Result<(), FieldErrors> {
        let mut values = Values::new();
        self.admit(member, product, fields, at_us, &mut values)?;
        self.tokenise(&mut values, tokens, &mut tools.token_ends);
        inputs.member.clear();
        inputs.member.push_str(member);
        inputs.product.clear();
        inputs.product.push_str(product);
        inputs.at_us = at_us;
        inputs.hits.clear();
        inputs.exposed = None;
        inputs.unrounded_points = false;
        // To count one more user of the snapshot is to fight over a cache line with every other thread.
        if !inputs.snapshot.as_ref().is_some_and(|s| Arc::ptr_eq(s, &self.snapshot)) {
            inputs.snapshot = Some(self.snapshot.clone());
        }
        let Inputs { rows, hits, .. } = inputs;
        let found = self.entity_rows(member, &values);
        rows.clear();
        for relation in self.rulebook.given() {
            match relation.source {
                Source::Application => {
                    let packer = tools.packer(&relation.layout);
                    let mut errors = FieldErrors::default();
                    for (column, value) in values.iter().enumerate() {
                        if let Err(e) = packer.set_ref(column, *value) {
                            let field = &self.intake.fields[column].field.name;
                            errors.push(|| FieldError::of(field, e.to_string()));
                        }
                    }
                    errors.or_ok()?;
                    rows.push(packer.finish());
                    let row = rows.get(APPLICATION);
                    told(&self.intake.check_row(member, &values, row, at_us, &mut tools.checks))?;
                }
                Source::Entity(entity) => {
                    let unknown = || self.rulebook.features().entities()[entity].unknown_row();
                    rows.push(found[entity].unwrap_or_else(unknown));
                }
                Source::Warnings => {
                    let packer = tools.packer(&relation.layout);
                    if self.rulebook.plans()[plan].warnings {
                        self.ask_warnings(member, &values, packer);
                    }
                    rows.push(packer.finish());
                }
                // Until the ledger has answered (`Engine::expose`) nothing is known.
                Source::Exposure => {
                    let packer = tools.packer(&relation.layout);
                    standing::pack_unknown(packer)
                        .expect("the relation has the layout of how counters stand");
                    rows.push(packer.finish());
                }
                _ => {
                    let packer = tools.packer(&relation.layout);
                    self.ask_lists(member, &values, at_us, packer, hits);
                    rows.push(packer.finish());
                }
            }
        }
        Ok(())
    }

    /// Adds the values of the application in the order of its columns, checked as far as values can be. (They are many bytes:
    /// they are written where they stay.)
    fn admit<'x, 'v: 'x, S: Sent<'v>>(
        &'x self,
        member: &str,
        product: &'x str,
        sent: impl Iterator<Item = (&'v str, S)>,
        at_us: i64,
        values: &mut Values<'x>,
    ) -> Result<(), FieldErrors> {
        let mut errors = FieldErrors::default();
        self.admit_each(product, sent, at_us, values, &mut errors);
        errors.or_ok()?;
        told(&self.intake.check_values(member, values))
    }

    /// Adds the value of each field by itself, or what is wrong with it: one error of a field.
    fn admit_each<'x, 'v: 'x, S: Sent<'v>>(
        &'x self,
        product: &'x str,
        sent: impl Iterator<Item = (&'v str, S)>,
        at_us: i64,
        values: &mut Values<'x>,
        errors: &mut FieldErrors,
    ) {
        let fields = &self.intake.fields;
        values.resize(fields.len(), ValueRef::Null);
        let mut given: SmallVec<[bool; 48]> = smallvec![false; fields.len()];
        // Columns of which something is told already.
        let mut wrong: SmallVec<[usize; 8]> = SmallVec::new();
        for (name, value) in sent {
            let Some(column) = self.intake.column(name) else {
                errors.push(|| FieldError::of(name, "the standard `applications` has no such field"));
                continue;
            };
            if wrong.contains(&column) {
                continue;
            }
            let value = match std::mem::replace(&mut given[column], true) {
                true => Err("it is given twice".to_owned()),
                false => value.value(&fields[column].field),
            };
            match value {
                Ok(value) => values[column] = value,
                Err(what) => {
                    wrong.push(column);
                    errors.push(|| FieldError::of(name, what));
                }
            }
        }
        for (column, (field, value)) in fields.iter().zip(values).enumerate() {
            let admitted = match wrong.contains(&column) {
                true => Ok(ValueRef::Null),
                false => admit_one(field, *value, product, at_us),
            };
            *value = admitted.unwrap_or_else(|e| {
                errors.push(|| e);
                ValueRef::Null
            });
        }
    }

    /// Puts tokens in the place of what is personal. Only now: checks look at it as it is.
    fn tokenise<'v>(&self, values: &mut Values<'v>, tokens: &'v mut String, ends: &mut Vec<(usize, usize)>) {
        tokens.clear();
        ends.clear();
        for (i, IntakeField { field, .. }) in self.intake.fields.iter().enumerate() {
            if let (true, ValueRef::Utf8(text)) = (field.personal, values[i]) {
                self.tokeniser.write_token(&field.kind, text, tokens);
                ends.push((i, tokens.len()));
            }
        }
        let mut start = 0;
        for (i, end) in ends.iter() {
            values[*i] = ValueRef::Utf8(&tokens[start..*end]);
            start = *end;
        }
    }

    /// The token that stands in the place of a personal field's value in what was gathered last; None: it is not
    /// personal, or not known.
    pub(crate) fn token<'i>(&self, inputs: &'i Inputs, name: &str) -> Option<&'i str> {
        let Tools { tokens, token_ends, .. } = &inputs.tools;
        let at = token_ends.iter().position(|(column, _)| self.intake.fields[*column].field.name == name)?;
        let start = at.checked_sub(1).map_or(0, |before| token_ends[before].1);
        Some(&tokens[start..token_ends[at].1])
    }

    /// The rows of the entities that the application names; None: it names none, or it is unknown.
    fn entity_rows(&self, member: &str, values: &[ValueRef<'_>]) -> Rows<'_> {
        let key = |column: &Option<usize>| match values[(*column)?] {
            ValueRef::Utf8(key) => Some(key),
            _ => None,
        };
        let keys: SmallVec<[Option<&str>; 8]> = self.entity_keys.iter().map(key).collect();
        self.snapshot.of_member(member).get_each(&keys)
    }

    /// What stands against the applicant. A row that is left as it is says that nothing is known.
    fn ask_warnings(&self, member: &str, values: &[ValueRef<'_>], row: &mut RowBuilder) {
        let customer = match self.warned.map(|c| values[c]) {
            Some(ValueRef::Utf8(customer)) => customer,
            _ => return,
        };
        if let Some(standing) = self.warnings.as_ref().and_then(|w| w.of(member, customer)) {
            standing.pack(row).expect("the relation has the layout of what stands");
        }
    }

    fn ask_lists(
        &self,
        member: &str,
        values: &[ValueRef<'_>],
        at_us: i64,
        row: &mut RowBuilder,
        hits: &mut ListHits,
    ) {
        for (i, list) in self.rulebook.features().lists().iter().enumerate() {
            // Without the field that is looked up, nothing is known.
            let Some(ValueRef::Utf8(value)) = self.list_keys[i].map(|c| values[c]) else {
                continue;
            };
            let answer = self.snapshot.list_hit(i, member, value, at_us);
            if let ListAnswer::Hit(entry) = answer {
                hits.push(ListHit {
                    list: &list.name,
                    entry_id: entry.entry_id,
                    reason: entry.reason.unwrap_or_default(),
                    source: entry.source.unwrap_or_default(),
                });
            }
            if let Some(hit) = answer.truth() {
                row.set_bool(i, hit).expect("the layout of lists has a boolean for each");
            }
        }
    }
}

/// Refuses an application that breaks rules over the whole of it.
fn told(broken: &[Broken]) -> Result<(), FieldErrors> {
    if broken.is_empty() {
        return Ok(());
    }
    let told: Vec<String> = broken.iter().map(|b| format!("{}: {}", b.rule, b.message)).collect();
    let mut errors = FieldErrors::default();
    errors.push(|| FieldError { field: "application".into(), message: told.join("; ") });
    Err(errors)
}

/// The value of one field: what was sent, or what stands in for NULL, checked by the standard.
fn admit_one<'v>(
    IntakeField { field, origin }: &'v IntakeField,
    sent: ValueRef<'v>,
    product: &'v str,
    at_us: i64,
) -> Result<ValueRef<'v>, FieldError> {
    let value = match (sent, origin) {
        (ValueRef::Utf8(named), Origin::Product) if named != product => {
            return Err(FieldError::of(
                &field.name,
                format!("it is `{named}`, the request is for `{product}`"),
            ));
        }
        (ValueRef::Null, Origin::Product) => ValueRef::Utf8(product),
        (ValueRef::Null, Origin::Now) => {
            Intake::now(at_us, field.ty).ok_or_else(|| FieldError::of(&field.name, "it is missing"))?
        }
        (ValueRef::Null, Origin::Key) => return Ok(ValueRef::Null),
        (ValueRef::Null, Origin::Caller) => field.default.as_ref().map(Value::as_ref).unwrap_or_default(),
        (value, _) => value,
    };
    let broken = field.check(value);
    if !broken.is_empty() {
        let messages: Vec<&str> = broken.iter().map(|b| b.of_field(&field.name)).collect();
        return Err(FieldError::of(&field.name, messages.join("; ")));
    }
    Ok(value)
}

/// A value that is of the field's type; an integer is a float too, unless it is too large to be one exactly.
impl<'v> Sent<'v> for &'v Value {
    fn value(self, field: &Field) -> Result<ValueRef<'v>, String> {
        match (self.as_ref(), field.ty) {
            (ValueRef::Null, _) => Ok(ValueRef::Null),
            (value, ty) if value.type_of() == Some(ty) => Ok(value),
            (ValueRef::Int64(i), Type::Float64) if i.unsigned_abs() <= 1 << 53 => {
                Ok(ValueRef::Float64(i as f64))
            }
            (_, ty) => Err(format!("it is not a {ty}")),
        }
    }
}
