//! Numbers that pass a line.
//!
//! ```text
//!  `when` may hold ─► look: the number, or the score of the card (once an event, whoever asks)
//!                       │
//!         last look ─► passed? ─► alert, unless it is held back ─► this look, for the next one
//! ```
//!
//! What is not known (the number, or whether `when` holds) may be told, but is never remembered: it neither comes back nor hides a
//! crossing that is known.

use tarim_datamart::Value;
use tarim_features::{
    expr::{Answers, ExprId, Scratch},
    row::Dictionary,
    stream::Moment,
};
use tarim_proto::warning::v1::Evidence;

use super::{
    crossed::Crossed,
    found::Found,
    known::{Met, whose},
    raise::{Outcome, Raise},
};
use crate::rulebook::{Card, Crossing, Measure, Shown, WarningBook};

/// So many characteristics are told that lost most points.
const LOSSES: usize = 4;

/// What a look has found.
#[derive(Debug, Default)]
pub struct Looked {
    scratch: Scratch,
    /// Number of the event that it was looked at with.
    event: u64,
    /// None: it is unknown.
    value: Option<f64>,
    /// Of a score.
    bins: Vec<Option<usize>>,
}

impl Found<'_> {
    /// A number is looked at. `unsure`: it is unknown whether it should be.
    pub(super) fn crossing(&mut self, crossing: usize, look: usize, unsure: bool) {
        let book = self.state.book.clone();
        let Crossing { rule, line, .. } = book.crossings()[crossing];
        let value = self.look(&book, look);
        let mut key_text = std::mem::take(&mut self.state.work.key);
        self.write_key(&mut key_text);
        let key = (!self.ask.key.is_empty()).then(|| twox_hash::XxHash3_64::oneshot(key_text.as_bytes()));
        let (section, count) = self.state.layout.crossed;
        let before = {
            let sections = &self.state.customers.get(self.customer).sections;
            let is = |c: &Crossed| c.rule as usize == rule && c.key == key;
            Crossed::all(sections.get(section, count)).find(|(_, crossed)| is(crossed))
        };
        let last = before.map(|(_, crossed)| crossed);
        let told = last.is_some_and(|crossed| crossed.beyond);
        let unknown = unsure || value.is_none();
        let passes = value.map_or(self.ask.unknown, |value| line.is_passed(value));
        let mut beyond = told && value.is_some_and(|value| !line.is_back(value));
        if passes && !told {
            let values = self.crossing_evidence(&book, (crossing, look), (value, last));
            let raise = Raise {
                rule,
                customer: self.customer,
                key: &key_text,
                at_us: self.event.happened_at_us,
                unknown,
                values,
                events: vec![self.event_ref()],
                by_contagion: book.is_contagion(self.event.kind),
            };
            // What another rule holds back has not been told: it is when that stands no more.
            beyond = self.raise(raise) != Outcome::Suppressed;
        }
        if let Some(value) = value.filter(|_| !unknown) {
            let now = Crossed { rule: rule as u32, key, beyond, value };
            if last != Some(now) {
                let at = before.map(|(at, _)| at);
                let sections = &mut self.state.customers.get_mut(self.customer).sections;
                now.put(at, sections, (section, count));
            }
        }
        self.state.work.key = key_text;
    }

    /// The number as things are: several rules may ask for it.
    fn look(&mut self, book: &WarningBook, look: usize) -> Option<f64> {
        let event = self.state.work.event;
        let looks = &mut self.state.work.looks;
        if looks.len() <= look {
            looks.resize_with(book.looks().len(), Looked::default);
        }
        if looks[look].event == event {
            return looks[look].value;
        }
        let mut looked = std::mem::take(&mut looks[look]);
        let found = &book.looks()[look];
        let count = self.state.layout.count;
        let mut seen = std::mem::take(&mut self.state.work.seen);
        {
            let state = self.state.customers.get(self.customer);
            let features = &self.state.features;
            let whose = whose(book, self.event, self.row, state.now_us);
            let (bound, rows) = features.of(&found.bound, &mut Met::default(), whose);
            let none = Dictionary::none();
            let mut evaluation = found.program.start(bound, &rows, none, &mut looked.scratch);
            let now = Moment::at(state.now_us);
            book.plan().read(&found.windows, &now, &state.sections, count, &mut seen);
            for (window, inlet) in &found.inlets {
                evaluation.put_number(*inlet, seen.get(*window));
            }
            evaluation.run(0);
        }
        self.state.work.seen = seen;
        let answers = looked.scratch.answers(&found.program, 0);
        looked.value = match &found.of {
            Measure::Int64 => answers.int(ExprId(0)).map(|n| n as f64),
            Measure::Float64 => answers.float(ExprId(0)),
            Measure::Score(card) => {
                card.card.bins(&answers, &mut looked.bins);
                card.card.points(&looked.bins)
            }
        };
        looked.event = event;
        let value = looked.value;
        self.state.work.looks[look] = looked;
        value
    }

    fn crossing_evidence(
        &mut self,
        book: &WarningBook,
        (crossing, look): (usize, usize),
        (value, last): (Option<f64>, Option<Crossed>),
    ) -> Vec<Evidence> {
        let Crossing { line, explains, .. } = &book.crossings()[crossing];
        let of = &book.looks()[look].of;
        let name = if let Measure::Score(_) = of { "score" } else { "value" };
        let number = |value: f64| match of {
            Measure::Int64 => Value::Int64(value as i64).to_string(),
            Measure::Float64 | Measure::Score(_) => Value::Float64(value).to_string(),
        };
        let mut values = vec![told(name, value.map(number)), told("line", Some(line.at.to_string()))];
        values.extend(last.map(|last| told("former", Some(number(last.value)))));
        let mut shown = Vec::new();
        if let Measure::Score(card) = of {
            values.extend(
                value.map(|points| {
                    told("grade", Some(card.card.grades()[card.card.grade(points)].name.clone()))
                }),
            );
            let bins = &self.state.work.looks[look].bins;
            lost(card, bins, &mut values, if *explains { Some(&mut shown) } else { None });
        }
        shown.extend_from_slice(&self.ask.show);
        values.extend(self.evidence_of(&shown));
        values
    }
}

/// The characteristics that have no bin for their value, then those that lost most points, each with why; and what they read.
fn lost(card: &Card, bins: &[Option<usize>], values: &mut Vec<Evidence>, shown: Option<&mut Vec<Shown>>) {
    let characteristics = card.card.characteristics();
    let missing = bins.iter().enumerate().filter(|(_, bin)| bin.is_none()).map(|(i, _)| (i, None));
    let losses = card.card.losses::<LOSSES>(bins).into_iter().flatten().map(|loss| {
        let characteristic = &characteristics[loss.characteristic];
        let (zh, en) = match &characteristic.bins()[loss.bin].reason {
            Some(reason) => (&reason.zh, &reason.en),
            None => (&characteristic.zh, &characteristic.en),
        };
        (loss.characteristic, Some(format!("{}: {zh} / {en}", loss.points)))
    });
    let all: Vec<(usize, Option<String>)> = missing.chain(losses).take(LOSSES).collect();
    if let Some(shown) = shown {
        for read in all.iter().flat_map(|(i, _)| &card.show[*i]) {
            if !shown.contains(read) {
                shown.push(read.clone());
            }
        }
    }
    values.extend(all.into_iter().map(|(i, why)| told(&format!("lost.{}", characteristics[i].name), why)));
}

fn told(name: &str, value: Option<String>) -> Evidence {
    Evidence { name: name.to_owned(), value: value.unwrap_or_default() }
}
