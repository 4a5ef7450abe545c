//! What is known of entities: rows of the generation of features that is in force.
//!
//! ```text
//!  edge: "generation 12" of the log ─► rows ─► Worker::know ─► Generation: rows, and the constants of all programs
//!                                                                   │        in their dictionaries
//!        event ─► a program that reads customer.… ─► Met: each row looked up once an event, and only if it is asked for
//! ```
//!
//! Freshness is judged by the customer's own time, as windows are: so whoever takes the log again finds the same values stale.

use std::sync::Arc;

use smallvec::SmallVec;
use tarim_datamart::Value;
use tarim_features::{expr::Bound, row::Row, store::KeptRows, view::FeatureSet};

use super::{state::State, worker::Worker};
use crate::{
    event::Event,
    rulebook::{Binding, Key, Knows, Named, WarningBook},
};

/// Rows of the event, and of entities behind it: what a program reads.
pub type Rows<'a> = SmallVec<[Row<'a>; 4]>;

/// A generation at work.
#[derive(Debug)]
pub struct Generation {
    rows: Arc<KeptRows>,
    /// By program that reads rows.
    bounds: Vec<Bound>,
}

/// Which generation is read.
#[derive(Debug, Default)]
pub struct Features {
    /// The one that is in force; None: nobody has said so yet.
    version: Option<String>,
    /// Its rows, if rules read any.
    generation: Option<Generation>,
}

/// Rows that an event has met.
#[derive(Default)]
pub struct Met<'a>(SmallVec<[(Named, Row<'a>); 2]>);

/// Whose rows are read, and when.
#[derive(Clone, Copy)]
pub struct Whose<'a> {
    pub set: &'a FeatureSet,
    pub member: &'a str,
    pub customer: &'a str,
    pub event: Option<&'a Row<'a>>,
    pub now_us: i64,
}

impl Worker {
    /// From here on the generation of this version is read, whose rows these are: of all entities that rules read.
    pub fn know(&mut self, version: &str, rows: Arc<KeptRows>) {
        let state = &mut self.state;
        let bounds = state.book.bind(&rows);
        let (version, generation) = (Some(version.to_owned()), Some(Generation { rows, bounds }));
        state.features = Features { version, generation };
        state.set_blind();
    }

    /// The same where rules read no features: those of another rulebook may.
    pub fn know_of(&mut self, version: &str) {
        let state = &mut self.state;
        state.features = Features::named(Some(version.to_owned()));
        state.set_blind();
    }

    /// The generation of features that is in force, by its version: the worker has its rows, or waits for them.
    pub fn features(&self) -> Option<&str> {
        self.state.features.version()
    }

    /// Whether rules read features and the worker has no rows: no event can be taken.
    pub fn is_blind(&self) -> bool {
        self.state.blind
    }
}

impl Features {
    /// This generation is in force, and its rows are to come.
    pub fn named(version: Option<String>) -> Self {
        Self { version, generation: None }
    }

    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    pub fn has_rows(&self) -> bool {
        self.generation.is_some()
    }

    /// The bound of a program, and the rows that it reads, whether features are among them or not.
    pub fn of<'a>(
        &'a self,
        binding: &'a Binding,
        met: &mut Met<'a>,
        whose: Whose<'a>,
    ) -> (&'a Bound, Rows<'a>) {
        match binding {
            Binding::Event(bound) => (bound, whose.event.copied().into_iter().collect()),
            Binding::Known(knows) => self.start(knows, met, whose),
        }
    }

    /// The same of one that reads features: rows of the event, then those of entities.
    ///
    /// # Panics
    /// If there are no rows: whoever is blind takes no event.
    pub fn start<'a>(&'a self, knows: &Knows, met: &mut Met<'a>, whose: Whose<'a>) -> (&'a Bound, Rows<'a>) {
        let generation = self.generation.as_ref().expect("whoever is blind takes no event");
        let mut rows: Rows<'a> = whose.event.copied().into_iter().collect();
        rows.extend(knows.entities.iter().map(|named| generation.meet(*named, met, whose)));
        (&generation.bounds[knows.bound], rows)
    }

    /// The value of a feature, for an alert; None: what names the entity is not known, as when time alone fires.
    pub fn value(&self, (named, column): (Named, usize), whose: Whose<'_>) -> Option<Value> {
        let generation = self.generation.as_ref()?;
        let is_named = whose.event.is_some() || named.key == Key::Customer;
        is_named.then(|| generation.row(named, whose).get(column))
    }
}

impl Generation {
    /// The row of an entity, which is looked up once an event.
    fn meet<'a>(&'a self, named: Named, met: &mut Met<'a>, whose: Whose<'a>) -> Row<'a> {
        if let Some((_, row)) = met.0.iter().find(|(other, _)| *other == named) {
            return *row;
        }
        let row = self.row(named, whose);
        met.0.push((named, row));
        row
    }

    /// The row of an entity. Of one that nobody knows, and of one that the event does not name, nothing is known.
    fn row<'a>(&'a self, named: Named, whose: Whose<'a>) -> Row<'a> {
        let entity = &whose.set.entities()[named.entity];
        let key = named.key.of(whose.customer, whose.event);
        let bytes = key.and_then(|key| self.rows.get(named.entity, whose.member, key));
        let bytes = bytes.unwrap_or_else(|| entity.unknown_row());
        let row = Row::new(&entity.layout, bytes, self.rows.dictionary(named.entity), whose.now_us);
        row.expect("the rows of a store are whole")
    }
}

impl State {
    /// Finds out anew whether it is blind: rules read features, and there are none.
    pub(super) fn set_blind(&mut self) {
        self.blind = self.book.reads().first.is_some() && !self.features.has_rows();
    }
}

/// Whose features an event reads.
pub(super) fn whose<'a>(
    book: &'a WarningBook,
    event: &'a Event<'_>,
    row: &'a Row<'_>,
    now_us: i64,
) -> Whose<'a> {
    let Event { member, customer, .. } = *event;
    Whose { set: book.entities().set(), member, customer, event: Some(row), now_us }
}

impl WarningBook {
    /// The constants of all programs that read rows, in the dictionaries of these.
    pub(super) fn bind(&self, rows: &KeptRows) -> Vec<Bound> {
        let mut bounds: Vec<Option<Bound>> = (0..self.reads().bounds).map(|_| None).collect();
        for (program, binding) in self.programs() {
            if let Binding::Known(knows) = binding {
                let dictionaries = knows.dictionaries(self.codes(knows.kind), rows);
                bounds[knows.bound] = Some(program.bind(&dictionaries));
            }
        }
        bounds.into_iter().map(|bound| bound.expect("each program has one")).collect()
    }
}
