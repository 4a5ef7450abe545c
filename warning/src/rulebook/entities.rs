//! Features of the online store in warning rules: which entities the events of a kind name, and what a program reads of them.
//!
//! ```text
//!  event: member, customer_id, device_id …      relations of a program:
//!           │ entities.toml: `event`              0      event
//!           ▼                                     1 …    entities that it reads, and no others
//!   (entity, member, key) ─► packed row           n      window
//!                            of a generation      n + 1  episode, of a condition on what followed
//! ```
//!
//! A program that reads no entity has the relations that it always had, and costs no more for them.

use std::{path::Path, sync::Arc};

use tarim_datamart::{At, Place, Problems, Standards, Type};
use tarim_features::{
    expr::{Bound, names_used},
    row::{Dictionary, Layout, Row},
    store::KeptRows,
    stream::{EventKind, StreamSet},
    view::FeatureSet,
};

/// The entities of a rulebook, and how events name them.
#[derive(Clone, Debug)]
pub struct Entities {
    set: Arc<FeatureSet>,
    /// By kind of events: those that they name.
    by_kind: Vec<Vec<Named>>,
    /// By entity: its key is a personal identifier.
    personal: Vec<bool>,
}

/// An entity, and what of an event names it. The member is the event's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its index in the set.
    pub entity: usize,
    pub key: Key,
}

/// The key of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Whom the event happened to: known also when time alone fires.
    Customer,
    /// A field of the event, by its column.
    Field(usize),
}

/// The constants of a program as codes of the dictionaries that its rows are read with.
#[derive(Debug)]
pub enum Binding {
    /// Of the event alone.
    Event(Bound),
    /// Of the event and of rows: there is one for each generation.
    Known(Knows),
}

/// What a program reads of entities.
#[derive(Clone, Debug)]
pub struct Knows {
    /// Which of a generation's bounds is its own.
    pub bound: usize,
    /// The kind of its events.
    pub kind: usize,
    /// In the order of its relations, behind the event.
    pub entities: Vec<Named>,
    /// How many relations it has.
    pub relations: usize,
}

/// Who reads features: for messages about what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBy {
    pub rule: String,
    pub place: Place,
    /// `customer.age`
    pub feature: String,
}

/// What is read of entities, by all rules.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Indexes of the entities, in order.
    pub entities: Vec<usize>,
    /// How many bounds a generation has.
    pub bounds: usize,
    /// The first rule that reads one.
    pub first: Option<ReadBy>,
}

impl Entities {
    /// Finds out which kinds of events name which entities.
    pub fn new(
        root: &Path,
        standards: &Standards,
        streams: &StreamSet,
        problems: &mut Problems,
    ) -> Option<Self> {
        let set = FeatureSet::read(root, standards).map_err(|e| problems.extend(e)).ok()?;
        let mut by_kind = vec![Vec::new(); streams.kinds().len()];
        for (index, entity) in set.entities().iter().enumerate() {
            let field = entity.event_field();
            let mut named = false;
            for (of, kind) in by_kind.iter_mut().zip(streams.kinds()) {
                let Some(column) = text_field(kind, field) else { continue };
                named = true;
                let key = if column == kind.customer { Key::Customer } else { Key::Field(column) };
                of.push(Named { entity: index, key });
            }
            // Where it is not said, no event may name it.
            if let (Some(At { place, value }), false) = (&entity.event, named) {
                problems.push(place.problem(
                    format!("no event has a field `{value}` of type utf8"),
                    "name a field of the tables event_<kind> of the standards, such as customer_id, or remove `event`",
                ));
            }
        }
        let personal = |entity: &tarim_features::entity::Entity| {
            let field = standards.table(&entity.table).and_then(|t| t.field(&entity.key));
            field.is_some_and(|field| field.personal)
        };
        let personal = set.entities().iter().map(personal).collect();
        Some(Self { set: Arc::new(set), by_kind, personal })
    }

    pub fn set(&self) -> &Arc<FeatureSet> {
        &self.set
    }

    /// The relations of all entities that events of a kind name, in order; see [`Entities::named`].
    pub fn relations(&self, kind: usize) -> impl Iterator<Item = (String, Arc<Layout>)> {
        self.by_kind[kind].iter().map(|named| self.relation(*named))
    }

    /// The entities of these relations.
    pub fn named(&self, kind: usize) -> &[Named] {
        &self.by_kind[kind]
    }

    pub fn relation(&self, named: Named) -> (String, Arc<Layout>) {
        let entity = &self.set.entities()[named.entity];
        (entity.name.clone(), entity.layout.clone())
    }

    /// An expression reads entities that events of the kind do not name: says so.
    pub fn check(&self, sql: &At<String>, kind: &EventKind, problems: &mut Problems) -> Option<()> {
        // What cannot be parsed is told by whoever parses it.
        let names = names_used(&sql.value, &sql.place).unwrap_or_default();
        let mut sound = Some(());
        let mut told: Option<&str> = None;
        for (relation, _) in &names {
            if told != Some(relation) && !self.can_read(relation, kind, &sql.place, problems) {
                sound = None;
            }
            told = Some(relation);
        }
        sound
    }

    /// Whether events of a kind name an entity, if there is one of the name; if they do not, that is told.
    pub fn can_read(&self, name: &str, kind: &EventKind, place: &Place, problems: &mut Problems) -> bool {
        let Some(index) = self.set.entities().iter().position(|e| e.name == name) else { return true };
        let field = self.set.entities()[index].event_field();
        if self.personal[index] {
            problems.push(place.problem(
                format!("`{name}` is known by a personal identifier, of which the store has a token and events have none"),
                "read an entity that is known by an id, such as the customer",
            ));
            return false;
        }
        let is_named = text_field(kind, field).is_some();
        if !is_named {
            problems.push(place.problem(
                format!("an event `{}` does not say which `{name}`: it has no field `{field}`", kind.name),
                format!(
                    "listen to events that have it, or name another field: `event = \"…\"` of `{name}` in features/entities.toml"
                ),
            ));
        }
        is_named
    }
}

impl Binding {
    /// How many relations of entities the program has.
    pub fn entities(&self) -> usize {
        match self {
            Binding::Event(_) => 0,
            Binding::Known(knows) => knows.entities.len(),
        }
    }
}

impl Knows {
    /// The dictionaries that a program of this kind's events is bound to.
    pub fn dictionaries<'a>(&self, codes: &'a Dictionary, rows: &'a KeptRows) -> Vec<&'a Dictionary> {
        let mut all = vec![Dictionary::none(); self.relations];
        all[0] = codes;
        for (to, named) in all[1..].iter_mut().zip(&self.entities) {
            *to = rows.dictionary(named.entity);
        }
        all
    }
}

impl Key {
    /// The key that it has in an event; None: the event does not say it.
    pub fn of<'a>(self, customer: &'a str, event: Option<&Row<'a>>) -> Option<&'a str> {
        match self {
            Key::Customer => Some(customer),
            Key::Field(column) => event?.text(column),
        }
    }
}

fn text_field(kind: &EventKind, field: &str) -> Option<usize> {
    kind.layout.index(field).filter(|column| kind.layout.columns()[*column].ty == Type::Utf8)
}
