//! From expressions to a program that reads an event, windows, and features of entities.
//!
//! An expression is read in the scope of its kind, in which all entities stand that events of the kind name. Once it is known which of them
//! are read, it is read again in a scope that has no others: so a program knows of no row that it does not need.

use std::{collections::BTreeMap, sync::Arc};

use tarim_datamart::{At, nearest};
use tarim_features::{
    expr::{Bound, Checked, ColumnRef, ExprSet, Inlet, Parsed, Program, Scope, fuse},
    row::{Column, Dictionary, Layout},
    stream::{EVENT as EVENT_RELATION, Readings, StreamSet},
};

use super::{
    Binding, EPISODE, Knows, Named, ReadBy, Shown, ShownFrom,
    compile::{Compiler, EVENT, WINDOW},
    entities::Entities,
    read::Head,
};

/// An expression that was read in the scope of its kind.
#[derive(Clone)]
pub struct Expression {
    pub parsed: Parsed,
    pub checked: Checked,
    sql: At<String>,
    /// Its guard is asked elsewhere: what the guard leaves of it is compiled.
    guarded: bool,
}

impl Expression {
    /// The same without its guard, which is asked elsewhere.
    pub fn without_guard(self) -> Self {
        Self { guarded: true, ..self }
    }
}

/// Expressions, compiled.
pub struct Ready {
    pub program: Program,
    pub bound: Binding,
    pub windows: Readings,
    pub inlets: Vec<(usize, Inlet)>,
}

impl Compiler<'_> {
    /// Reads an expression in a scope of a kind.
    pub fn expression(&mut self, sql: &At<String>, kind: usize, scope: &Scope) -> Option<Expression> {
        self.entities.check(sql, &self.streams.kinds()[kind], &mut self.problems)?;
        let parsed = self.problems.take(scope.parse(&sql.value, &sql.place))?;
        let checked = self.problems.take(parsed.with(&BTreeMap::new()))?;
        Some(Expression { parsed, checked, sql: sql.clone(), guarded: false })
    }

    /// The entities that an expression reads, each for each of its columns.
    pub fn read_of(&self, scope: &Scope, kind: usize, parsed: &Parsed) -> Vec<Named> {
        let named = self.entities.named(kind);
        let first = scope.relations().len() - named.len();
        let of = |c: &ColumnRef| Some(named[c.relation.checked_sub(first)?]);
        parsed.columns().iter().filter_map(of).collect()
    }

    /// Notes who reads features.
    pub fn note(&mut self, head: &Head, parsed: &Parsed) {
        let set = self.entities.set().clone();
        for column in parsed.columns() {
            let (entity, _) = column.name.split_once('.').unwrap_or_default();
            if let Some(index) = set.entities().iter().position(|e| e.name == entity) {
                self.note_name(head, &column.name);
                // What an alert shows is there, even if the condition can be told without it.
                self.read(index);
            }
        }
    }

    pub fn note_name(&mut self, head: &Head, feature: &str) {
        let place = head.place.clone();
        let (rule, feature) = (head.id.clone(), feature.to_owned());
        self.reads.first.get_or_insert(ReadBy { rule, place, feature });
    }

    /// A feature of an entity.
    pub fn feature(
        &mut self,
        name: &At<String>,
        (entity, feature): (&str, &str),
        kind: usize,
    ) -> Option<ShownFrom> {
        let entities = self.entities;
        let of = &self.streams.kinds()[kind];
        entities.can_read(entity, of, &name.place, &mut self.problems).then_some(())?;
        let index = entities.set().entities().iter().position(|e| e.name == entity)?;
        let named = *entities.named(kind).iter().find(|named| named.entity == index)?;
        let layout = &entities.set().entities()[index].layout;
        let Some(column) = layout.index(feature) else {
            let names: Vec<&str> = layout.columns().iter().map(|c| c.name.as_str()).collect();
            let fix = nearest(feature, &names).map_or_else(
                || "name a feature of a view of the entity (`tarim features list`)".to_owned(),
                |near| format!("did you mean {entity}.{near}?"),
            );
            self.problems.push(name.place.problem(format!("`{entity}` has no feature `{feature}`"), fix));
            return None;
        };
        self.read(index);
        Some(ShownFrom::Feature(named, column))
    }

    /// The rows of an entity are needed.
    fn read(&mut self, entity: usize) {
        if let Err(at) = self.reads.entities.binary_search(&entity) {
            self.reads.entities.insert(at, entity);
        }
    }

    /// The columns that an expression reads.
    pub fn columns(&self, kind: usize, parsed: &Parsed) -> Vec<Shown> {
        let named = self.entities.named(kind);
        let columns = parsed.columns().iter().filter_map(|c| {
            let from = match c.relation {
                EVENT => ShownFrom::Event(c.column),
                WINDOW => ShownFrom::Window(c.column),
                entity => ShownFrom::Feature(*named.get(entity - WINDOW - 1)?, c.column),
            };
            Some(Shown { name: c.name.clone(), from })
        });
        columns.collect()
    }

    /// Compiles expressions that were read in a scope of a kind: to a program that has no relation of an entity but those
    /// that they read. Texts whose names are given are asked for by their keys.
    pub fn ready(
        &mut self,
        kind: usize,
        scope: &Scope,
        exprs: &[&Expression],
        names: Vec<Option<Vec<String>>>,
    ) -> Option<Ready> {
        let mut entities: Vec<Named> = Vec::new();
        for named in exprs.iter().flat_map(|e| self.read_of(scope, kind, &e.parsed)) {
            if !entities.contains(&named) {
                entities.push(named);
            }
        }
        let own = scope.relations().len() - self.entities.named(kind).len();
        let (event, given) = scope.relations()[..own].split_at(WINDOW);
        let rows = entities.iter().map(|named| self.entities.relation(*named));
        let relations: Vec<_> = event.iter().cloned().chain(rows).chain(given.iter().cloned()).collect();
        let count = relations.len();
        let scope = Scope::new(relations);
        let checked = exprs.iter().map(|e| {
            let checked = match entities.is_empty() {
                // Its relations have the same places.
                true => e.checked.clone(),
                false => {
                    let parsed = self.problems.take(scope.parse(&e.sql.value, &e.sql.place))?;
                    self.problems.take(parsed.with(&BTreeMap::new()))?
                }
            };
            if e.guarded { checked.guarded(EVENT_RELATION)?.1 } else { Some(checked) }
        });
        let checked = checked.collect::<Option<Vec<_>>>()?;
        let set = self.problems.take(ExprSet::with_keys(&scope, checked, names))?;
        let program = fuse(&scope, 1 + entities.len(), [(&set, None)]);
        let windows = 0..self.streams.windows().len();
        let relation = WINDOW + entities.len();
        let inlets: Vec<_> = windows.filter_map(|w| Some((w, program.inlet(relation, w)?))).collect();
        let windows = self.plan.readings(inlets.iter().map(|(w, _)| *w));
        let bound = match entities.is_empty() {
            true => Binding::Event(self.bind(&program, kind, count)),
            false => {
                entities.iter().for_each(|named| self.read(named.entity));
                self.reads.bounds += 1;
                Binding::Known(Knows { bound: self.reads.bounds - 1, kind, entities, relations: count })
            }
        };
        Some(Ready { program, bound, windows, inlets })
    }

    pub fn bind(&self, program: &Program, kind: usize, relations: usize) -> Bound {
        let codes = self.streams.kinds()[kind].layout.codes();
        let mut dictionaries = vec![Dictionary::none(); relations];
        dictionaries[EVENT] = codes;
        program.bind(&dictionaries)
    }
}

/// The scope of a condition on an episode: event, window, episode, then entities.
pub fn episode_scope(streams: &StreamSet, entities: &Entities, kind: usize) -> Scope {
    let columns = EPISODE.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
    let layout = Layout::new(columns, Vec::new()).expect("three columns of different names");
    let episode = ("episode".to_owned(), Arc::new(layout));
    streams.scope(kind, [episode].into_iter().chain(entities.relations(kind)))
}
