//! Counters that were told before. Whoever tells others writes over their texts, so to tell as many again allocates nothing.

use super::operation::{Attribute, CounterUse};

/// Most counters, and attributes, that are kept: far more than a decision is told of mostly.
const KEPT_MAX: usize = 64;

/// What can be written over.
#[derive(Debug, Default)]
pub struct Spare {
    counters: Vec<CounterUse>,
    attributes: Vec<Attribute>,
    text: String,
}

impl Spare {
    /// A counter that is apart by nothing; its figures are still to be written.
    pub fn counter(&mut self, limit: &str, member: &str) -> CounterUse {
        let mut counter = self.counters.pop().unwrap_or_default();
        write(&mut counter.limit, limit);
        write(&mut counter.member, member);
        counter
    }

    pub fn attribute(&mut self, name: &str, value: &str) -> Attribute {
        let mut attribute = self.attributes.pop().unwrap_or_default();
        write(&mut attribute.name, name);
        write(&mut attribute.value, value);
        attribute
    }

    /// An empty one.
    pub fn text(&mut self) -> &mut String {
        self.text.clear();
        &mut self.text
    }

    /// What is told no more.
    pub fn take_back(&mut self, mut counter: CounterUse) {
        let room = KEPT_MAX.saturating_sub(self.attributes.len());
        self.attributes.extend(counter.per.drain(..).take(room));
        if self.counters.len() < KEPT_MAX {
            self.counters.push(counter);
        }
    }
}

fn write(over: &mut String, text: &str) {
    over.clear();
    over.push_str(text);
}
