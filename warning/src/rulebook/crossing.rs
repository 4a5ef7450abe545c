//! `[[crossing]]`: a number of the customer passes a line.
//!
//! ```text
//!             above the line          │ below: fires once        │ back, from `again_above` on
//!   value  ───────────────────────────┴──────────────────────────┴──────────────
//! ```
//!
//! It fires between one look and the next, not while the value stays beyond. The first look finds nobody told: what is beyond
//! then fires too.

use tarim_datamart::{At, Place, Problems, Section};
use tarim_features::{
    expr::{Inlet, Program},
    stream::Readings,
};
use tarim_models::{keys::optional_number, scorecard::Scorecard};

use super::{
    Binding, Shown,
    read::{Head, events, head},
};

/// As written.
#[derive(Debug)]
pub struct CrossingText {
    pub head: Head,
    pub events: Vec<At<String>>,
    pub of: MeasureText,
    pub line: Line,
    pub when: Option<At<String>>,
    pub key: Vec<At<String>>,
}

/// What is measured.
#[derive(Clone, Debug)]
pub enum MeasureText {
    /// An expression.
    Value(At<String>),
    /// A scorecard, by id.
    Score(At<String>),
}

/// A rule that watches a line.
#[derive(Debug)]
pub struct Crossing {
    /// Index of its rule.
    pub rule: usize,
    pub line: Line,
    /// What its state is of: measure and key, as written. Of another, what was seen before says nothing.
    pub of: String,
    /// The author did not choose what it shows: it shows what the score was made of.
    pub explains: bool,
}

/// Which side of a line is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Below,
    Above,
}

/// A line, and where a value counts as back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub side: Side,
    pub at: f64,
    /// The line itself, or beyond it: what swings about the line is told once.
    pub again: f64,
}

impl Line {
    /// Is the value beyond the line?
    pub fn is_passed(&self, value: f64) -> bool {
        match self.side {
            Side::Below => value < self.at,
            Side::Above => value > self.at,
        }
    }

    /// Has it come back, so that it can pass again?
    pub fn is_back(&self, value: f64) -> bool {
        match self.side {
            Side::Below => value >= self.again,
            Side::Above => value <= self.again,
        }
    }
}

/// A number that crossings look at, for a kind of events. Several may look at one.
#[derive(Debug)]
pub struct Look {
    pub program: Program,
    pub bound: Binding,
    /// Windows that it reads, and where each is taken.
    pub windows: Readings,
    pub inlets: Vec<(usize, Inlet)>,
    pub of: Measure,
}

/// What a look finds.
#[derive(Debug)]
pub enum Measure {
    Int64,
    Float64,
    Score(Box<Card>),
}

/// A behaviour scorecard.
#[derive(Debug)]
pub struct Card {
    pub card: Scorecard,
    /// Of each characteristic, what its input reads.
    pub show: Vec<Vec<Shown>>,
}

/// Reads a `[[crossing]]`.
pub fn read(section: Section<'_>, problems: &mut Problems) -> Option<CrossingText> {
    let head = head(&section, problems);
    let place = section.place();
    let events = events(&section, problems);
    let of = measure(&section, &place, problems);
    let line = line(&section, &place, problems);
    let when = section.text("when", problems);
    let key = section.texts("key", problems);
    section.finish(problems);
    Some(CrossingText { head: head?, events: events?, of: of?, line: line?, when, key })
}

fn measure(section: &Section<'_>, place: &Place, problems: &mut Problems) -> Option<MeasureText> {
    let (value, score) = (section.text("value", problems), section.text("score", problems));
    match (section.has("value"), section.has("score")) {
        (true, false) => value.map(MeasureText::Value),
        (false, true) => score.map(MeasureText::Score),
        (false, false) => {
            problems.push(place.problem(
                "nothing is measured",
                "add `value = \"window.out_24h_fen\"`, or `score` with the id of a behaviour scorecard",
            ));
            None
        }
        (true, true) => {
            problems.push(place.problem("both `value` and `score` are measured", "write two rules"));
            None
        }
    }
}

fn line(section: &Section<'_>, place: &Place, problems: &mut Problems) -> Option<Line> {
    let mut number = |key| optional_number(section, key, problems);
    let [below, above] = ["below", "above"].map(&mut number);
    let [again_above, again_below] = ["again_above", "again_below"].map(&mut number);
    let (side, at, key, again, other) = match (section.has("below"), section.has("above")) {
        (true, false) => (Side::Below, below?, "again_above", again_above, again_below),
        (false, true) => (Side::Above, above?, "again_below", again_below, again_above),
        (none, _) => {
            let (what, fix) = match none {
                false => ("there is no line", "add `below = 540`, or `above`"),
                true => ("there are two lines", "write one rule for `below`, and one for `above`"),
            };
            problems.push(place.problem(what, fix));
            return None;
        }
    };
    if let Some(other) = other {
        let what = "a value comes back from the other side of the line";
        problems.push(other.place.problem(what, format!("write `{key}`")));
    }
    // Said wrongly: told already.
    if again.is_none() && section.has(key) {
        return None;
    }
    let line = Line { side, at: at.value, again: again.as_ref().map_or(at.value, |again| again.value) };
    if let Some(again) = again.filter(|again| line.is_passed(again.value)) {
        let what = format!("`{key}` is {}, beyond the line at {}", again.value, at.value);
        problems.push(again.place.problem(what, "a value is back on the near side of the line, or on it"));
        return None;
    }
    Some(line)
}
