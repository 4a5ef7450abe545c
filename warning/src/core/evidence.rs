//! What an alert shows to whoever reads it: fields of the event, windows and features, as text.

use tarim_datamart::Value;
use tarim_features::{expr::Given, row::Row};
use tarim_proto::warning::v1::Evidence;

use super::{
    customers::Customers,
    known::Whose,
    letter::{EVIDENCE_MAX, shortened},
    state::State,
};
use crate::rulebook::{Named, Shown, ShownFrom};

impl State {
    /// What an alert of a time shows.
    pub(super) fn evidence(
        &mut self,
        show: &[Shown],
        row: Option<&Row<'_>>,
        (customer, at_us): (u32, i64),
    ) -> Vec<Evidence> {
        let identity = self.layout.identity;
        let state = self.customers.get(customer);
        let (now_us, count) = (state.now_us.max(at_us), self.layout.count);
        let (member, id) = Customers::ids_of(state.sections.get(identity, count));
        let whose = Whose { set: self.book.entities().set(), member, customer: id, event: row, now_us };
        let window = |w| self.book.plan().value(w, now_us, &state.sections, count);
        evidence(show, row, window, |feature| self.features.value(feature, whose))
    }
}

/// The values that an alert shows. Fields of the event are left out where there is none, and so are features of what only it
/// names.
fn evidence(
    show: &[Shown],
    row: Option<&Row<'_>>,
    window: impl Fn(usize) -> Given,
    feature: impl Fn((Named, usize)) -> Option<Value>,
) -> Vec<Evidence> {
    let value = |shown: &Shown| {
        Some(match shown.from {
            ShownFrom::Event(column) => row?.get(column),
            ShownFrom::Feature(named, column) => feature((named, column))?,
            ShownFrom::Window(w) => match window(w) {
                Given::Null => Value::Null,
                Given::Boolean(b) => Value::Boolean(b),
                Given::Int64(n) => Value::Int64(n),
                Given::Float64(x) => Value::Float64(x),
                Given::Date32(day) => Value::Date32(day),
                Given::Timestamp(us) => Value::Timestamp(us),
                Given::Text(_) => unreachable!("no window is a text"),
            },
        })
    };
    let told = show.iter().filter_map(|shown| Some((shown, value(shown)?)));
    // What is read by people: nothing that rests on it is computed from it.
    let mut room = EVIDENCE_MAX;
    told.map(|(shown, value)| {
        let text = if value.is_null() { String::new() } else { value.to_string() };
        let len = text.len();
        let value = shortened(text, room);
        room = room.saturating_sub(len);
        Evidence { name: shown.name.clone(), value }
    })
    .collect()
}
