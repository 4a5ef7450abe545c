//! From texts to programs: one per kind of events.

use std::{collections::BTreeMap, sync::Arc};

use tarim_datamart::{At, Problems, Type, nearest};
use tarim_features::{
    expr::{Bound, Checked, ColumnRef, ExprSet, Inlet, Parsed, Program, Scope, fuse},
    row::{Column, Dictionary, Layout},
    stream::{self, EventKind, Plan, Readings, StreamSet, TABLE_PREFIX},
};
use tarim_models::scorecard::ScorecardText;

use super::{
    Ask, Asks, Binding, CONTAGION, EPISODE, Fires, Group, Guards, IfUnknown, Knows, Listener, Named, Pattern,
    ReadBy, Reads, Rule, Shown, ShownFrom,
    entities::Entities,
    look::Looks,
    read::{AbsenceText, Head, RuleText, SequenceText, StepText, Texts},
};

/// Indexes of relations in the scope that expressions of a kind are read in; entities come behind them.
pub const EVENT: usize = 0;
pub const WINDOW: usize = 1;
const EPISODE_RELATION: usize = 2;

const PATTERNS_MAX: usize = 1 << 16;

pub struct Compiled {
    pub rules: Vec<Rule>,
    pub patterns: Vec<Pattern>,
    pub listeners: Vec<Listener>,
    pub looks: Looks,
    pub reads: Reads,
}

pub fn compile(
    streams: &StreamSet,
    plan: &Plan,
    texts: &Texts,
    cards: &[ScorecardText],
    entities: &Entities,
) -> Result<Compiled, Problems> {
    let heads: Vec<&Head> = texts.heads().collect();
    let mut problems = Problems::default();
    let rules = heads.iter().map(|head| rule(head, &heads, &mut problems)).collect();
    let kinds = streams.kinds().len();
    let scopes = (0..kinds).map(|kind| streams.scope(kind, entities.relations(kind))).collect();
    let mut compiler = Compiler {
        streams,
        plan,
        scopes,
        conditions: (0..kinds).map(|_| Vec::new()).collect(),
        patterns: Vec::new(),
        entities,
        reads: Reads::default(),
        cards,
        looks: Looks::default(),
        problems,
    };
    let Texts { rules: conditions, sequences, absences, crossings, .. } = texts;
    for (index, text) in conditions.iter().enumerate() {
        compiler.condition(index, text);
    }
    let sequences_at = conditions.len();
    for (i, text) in sequences.iter().enumerate() {
        compiler.sequence(sequences_at + i, text);
    }
    let absences_at = sequences_at + sequences.len();
    for (i, text) in absences.iter().enumerate() {
        compiler.absence(absences_at + i, text);
    }
    let crossings_at = absences_at + absences.len();
    for (i, text) in crossings.iter().enumerate() {
        compiler.crossing(crossings_at + i, text);
    }
    compiler.unasked_cards(crossings);
    compiler.finish(rules)
}

fn rule(head: &Head, all: &[&Head], problems: &mut Problems) -> Rule {
    let suppressed_by = head.suppressed_by.iter().filter_map(|id| {
        let found = all.iter().position(|other| other.id == id.value);
        match found {
            None => {
                let ids: Vec<&str> = all.iter().map(|h| h.id.as_str()).collect();
                let fix = nearest(&id.value, &ids).map_or_else(
                    || "name a warning rule of this rulebook".to_owned(),
                    |near| format!("did you mean {near}?"),
                );
                problems.push(id.place.problem(format!("there is no warning rule `{}`", id.value), fix));
            }
            Some(other) if all[other].id == head.id => problems.push(id.place.problem(
                "a rule cannot be suppressed by itself",
                "say with `quiet` for how long it is held back after an alert",
            )),
            Some(_) => {}
        }
        found
    });
    Rule {
        id: head.id.clone(),
        zh: head.zh.clone(),
        en: head.en.clone(),
        level: head.level,
        push: head.push,
        group: head.group.clone(),
        quiet_us: head.quiet_us,
        suppressed_by: suppressed_by.collect(),
    }
}

/// The kind of events of a name.
pub fn kind(streams: &StreamSet, name: &At<String>, problems: &mut Problems) -> Option<usize> {
    let found = streams.kind(&name.value);
    if found.is_none() {
        let names: Vec<&str> = streams.kinds().iter().map(|k| k.name.as_str()).collect();
        let fix = nearest(&name.value, &names).map_or_else(
            || format!("write standards/{TABLE_PREFIX}{}.toml", name.value),
            |near| format!("did you mean `{near}`?"),
        );
        problems.push(name.place.problem(format!("there is no event `{}`", name.value), fix));
    }
    found
}

/// Whether an alert shows the values of an event of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    Here,
    Elsewhere,
}

/// A condition, before it is compiled with others.
pub struct Condition {
    pub ask: Ask,
    expr: Expression,
}

/// An expression that was read in the scope of its kind.
#[derive(Clone)]
pub struct Expression {
    pub parsed: Parsed,
    checked: Checked,
    sql: At<String>,
    /// Its guard is asked elsewhere: what the guard leaves of it is compiled.
    guarded: bool,
}

/// Expressions, compiled.
pub struct Ready {
    pub program: Program,
    pub bound: Binding,
    pub windows: Readings,
    pub inlets: Vec<(usize, Inlet)>,
}

pub struct Compiler<'a> {
    pub streams: &'a StreamSet,
    plan: &'a Plan,
    /// By kind.
    pub scopes: Vec<Scope>,
    pub conditions: Vec<Vec<Condition>>,
    patterns: Vec<Pattern>,
    entities: &'a Entities,
    reads: Reads,
    pub cards: &'a [ScorecardText],
    pub looks: Looks,
    pub problems: Problems,
}

impl Compiler<'_> {
    /// The kinds of events that a rule listens to, each once.
    pub fn events<'t>(&mut self, head: &Head, events: &'t [At<String>]) -> Vec<&'t At<String>> {
        let mut once: Vec<&At<String>> = Vec::new();
        for event in events {
            if once.iter().any(|other| other.value == event.value) {
                self.problems.push(
                    event.place.problem(
                        format!("the rule listens to `{}` twice", event.value),
                        "name each event once",
                    ),
                );
                continue;
            }
            once.push(event);
        }
        if events.is_empty() {
            self.problems
                .push(head.place.problem("the rule listens to no event", "add `event = \"transaction\"`"));
        }
        once
    }

    fn condition(&mut self, index: usize, text: &RuleText) {
        for event in self.events(&text.head, &text.events) {
            let step = StepText {
                event: event.clone(),
                when: Some(text.when.clone()),
                key: text.key.clone(),
                amount: None,
                place: text.head.place.clone(),
            };
            self.step(Asks::Rule(index), &text.head, &step, Shows::Here);
        }
    }

    fn sequence(&mut self, rule: usize, text: &SequenceText) {
        let pattern = self.patterns.len();
        let head = &text.head;
        let at_end = text.then.is_none();
        let shows = if at_end { Shows::Here } else { Shows::Elsewhere };
        let first = self.step(Asks::First(pattern), head, &text.first, shows);
        let then = text.then.as_ref().map(|step| self.step(Asks::Then(pattern), head, step, Shows::Here));
        if let Some(step) = &text.unless {
            self.step(Asks::Unless(pattern), head, step, Shows::Elsewhere);
        }
        for step in [&text.then, &text.unless].into_iter().flatten() {
            if step.key.len() != text.first.key.len() {
                self.problems.push(step.place.problem(
                    "the key of this step has not as many fields as that of the first",
                    "give both the same `key`, such as [\"loan_id\"], or neither one",
                ));
            }
        }
        let fires = match (&text.fires, then.flatten()) {
            (Some(sql), Some((kind, _))) => self.fires(sql, kind, head),
            _ => None,
        };
        if let Some((_, show)) = first {
            let within_us = text.within_us;
            let steps = [Some(&text.first), text.then.as_ref()];
            let by_contagion = steps.iter().flatten().any(|step| step.event.value == CONTAGION);
            let pattern = Pattern { rule, within_us, at_end, renewed: false, fires, show, by_contagion };
            self.pattern(head, pattern);
        }
    }

    fn absence(&mut self, rule: usize, text: &AbsenceText) {
        let pattern = self.patterns.len();
        if let Some((_, show)) = self.step(Asks::First(pattern), &text.head, &text.of, Shows::Here) {
            let within_us = text.after_us;
            let by_contagion = text.of.event.value == CONTAGION;
            let pattern =
                Pattern { rule, within_us, at_end: true, renewed: true, fires: None, show, by_contagion };
            self.pattern(&text.head, pattern);
        }
    }

    fn pattern(&mut self, head: &Head, pattern: Pattern) {
        self.patterns.push(pattern);
        // An episode has two bytes for it.
        if self.patterns.len() == PATTERNS_MAX + 1 {
            self.problems.push(head.place.problem(
                format!("there are more than {PATTERNS_MAX} sequences and absences"),
                "tell some of them apart by `when`, or remove some",
            ));
        }
    }

    /// Adds a condition; gives its kind of events, and what it shows.
    pub fn step(
        &mut self,
        of: Asks,
        head: &Head,
        step: &StepText,
        shows: Shows,
    ) -> Option<(usize, Vec<Shown>)> {
        let kind = kind(self.streams, &step.event, &mut self.problems)?;
        let always = At { value: "TRUE".to_owned(), place: step.event.place.clone() };
        let scope = self.scopes[kind].clone();
        let expr = self.boolean(step.when.as_ref().unwrap_or(&always), kind, &scope)?;
        self.note(head, &expr.parsed);
        let key = step.key.iter().filter_map(|name| self.field(name, kind, None)).collect();
        let amount = step.amount.as_ref().and_then(|name| self.field(name, kind, Some(Type::Int64)));
        let unknown = match of {
            // What ends an episode must be known to have happened.
            Asks::Unless(_) => false,
            _ => head.if_unknown == IfUnknown::Warn,
        };
        let show: Vec<Shown> = match &head.show {
            _ if shows == Shows::Elsewhere => Vec::new(),
            None => self.columns(kind, &expr.parsed),
            Some(names) => names.iter().filter_map(|name| self.shown(head, name, kind)).collect(),
        };
        let ask = Ask { of, unknown, key, amount, show: show.clone() };
        self.conditions[kind].push(Condition { ask, expr });
        Some((kind, show))
    }

    fn boolean(&mut self, sql: &At<String>, kind: usize, scope: &Scope) -> Option<Expression> {
        let expr = self.expression(sql, kind, scope)?;
        if expr.parsed.ty() != Type::Boolean {
            self.problems.push(sql.place.problem(
                format!("the condition is {}, not true or false", expr.parsed.ty()),
                "write a condition, such as event.amount_fen > 100000",
            ));
            return None;
        }
        Some(expr)
    }

    /// Reads an expression in a scope of a kind.
    pub fn expression(&mut self, sql: &At<String>, kind: usize, scope: &Scope) -> Option<Expression> {
        self.entities.check(sql, &self.streams.kinds()[kind], &mut self.problems)?;
        let parsed = self.problems.take(scope.parse(&sql.value, &sql.place))?;
        let checked = self.problems.take(parsed.with(&BTreeMap::new()))?;
        Some(Expression { parsed, checked, sql: sql.clone(), guarded: false })
    }

    /// The entities that an expression reads, each with the name of a column.
    fn read_of<'p>(&self, scope: &Scope, kind: usize, parsed: &'p Parsed) -> Vec<(Named, &'p str)> {
        let named = self.entities.named(kind);
        let first = scope.relations().len() - named.len();
        let of = |c: &'p ColumnRef| Some((named[c.relation.checked_sub(first)?], c.name.as_str()));
        parsed.columns().iter().filter_map(of).collect()
    }

    /// Notes who reads features.
    pub fn note(&mut self, head: &Head, parsed: &Parsed) {
        let known = |c: &&ColumnRef| {
            let (entity, _) = c.name.split_once('.').unwrap_or_default();
            self.entities.set().entity(entity).is_some()
        };
        if let Some(column) = parsed.columns().iter().find(known) {
            self.note_name(head, &column.name);
        }
    }

    fn note_name(&mut self, head: &Head, feature: &str) {
        let place = head.place.clone();
        let (rule, feature) = (head.id.clone(), feature.to_owned());
        self.reads.first.get_or_insert(ReadBy { rule, place, feature });
    }

    /// A field of the kind's events, by its name or as `event.name`.
    fn field(&mut self, name: &At<String>, kind: usize, ty: Option<Type>) -> Option<usize> {
        let EventKind { layout, name: kind, .. } = &self.streams.kinds()[kind];
        let plain = name.value.strip_prefix("event.").unwrap_or(&name.value);
        let Some(found) = layout.index(plain) else {
            let names: Vec<&str> = layout.columns().iter().map(|c| c.name.as_str()).collect();
            let fix = nearest(plain, &names).map_or_else(
                || format!("it has {}", names.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            self.problems.push(name.place.problem(format!("the event `{kind}` has no field `{plain}`"), fix));
            return None;
        };
        let is = layout.columns()[found].ty;
        if ty.is_some_and(|wanted| is != wanted) {
            self.problems.push(name.place.problem(
                format!("the field `{plain}` is {is}; what is kept and added is int64"),
                "name a count or an amount in fen",
            ));
            return None;
        }
        Some(found)
    }

    fn shown(&mut self, head: &Head, name: &At<String>, kind: usize) -> Option<Shown> {
        if let Some((entity, feature)) = name.value.split_once('.')
            && self.entities.set().entity(entity).is_some()
        {
            let from = self.feature(name, (entity, feature), kind)?;
            self.note_name(head, &name.value);
            return Some(Shown { name: name.value.clone(), from });
        }
        let from = match name.value.strip_prefix("window.") {
            Some(window) => {
                let found = self.streams.layout().index(window);
                if found.is_none() {
                    let names: Vec<&str> = self.streams.windows().iter().map(|w| w.name.as_str()).collect();
                    let fix = nearest(window, &names).map_or_else(
                        || "name a window of features/streams".to_owned(),
                        |near| format!("did you mean window.{near}?"),
                    );
                    self.problems.push(name.place.problem(format!("there is no window `{window}`"), fix));
                }
                ShownFrom::Window(found?)
            }
            None => ShownFrom::Event(self.field(name, kind, None)?),
        };
        Some(Shown { name: name.value.clone(), from })
    }

    /// A feature of an entity.
    fn feature(
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
        self.read(named);
        Some(ShownFrom::Feature(named, column))
    }

    /// The rows of an entity are needed.
    fn read(&mut self, named: Named) {
        if let Err(at) = self.reads.entities.binary_search(&named.entity) {
            self.reads.entities.insert(at, named.entity);
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

    /// A condition on an episode.
    fn fires(&mut self, sql: &At<String>, kind: usize, head: &Head) -> Option<Fires> {
        let unknown = head.if_unknown == IfUnknown::Warn;
        let scope = episode_scope(self.streams, self.entities, kind);
        let expr = self.boolean(sql, kind, &scope)?;
        self.note(head, &expr.parsed);
        let ready = self.ready(kind, &scope, &[&expr], vec![None])?;
        let relation = EPISODE_RELATION + ready.bound.entities();
        let Ready { program, bound, windows, inlets } = ready;
        let episode = std::array::from_fn(|column| program.inlet(relation, column));
        Some(Fires { program, bound, windows, inlets, episode, unknown })
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
        for (named, _) in exprs.iter().flat_map(|e| self.read_of(scope, kind, &e.parsed)) {
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
            if e.guarded { checked.guarded(stream::EVENT)?.1 } else { Some(checked) }
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
                entities.iter().for_each(|named| self.read(*named));
                self.reads.bounds += 1;
                Binding::Known(Knows { bound: self.reads.bounds - 1, kind, entities, relations: count })
            }
        };
        Some(Ready { program, bound, windows, inlets })
    }

    fn bind(&self, program: &Program, kind: usize, relations: usize) -> Bound {
        let codes = self.streams.kinds()[kind].layout.codes();
        let mut dictionaries = vec![Dictionary::none(); relations];
        dictionaries[EVENT] = codes;
        program.bind(&dictionaries)
    }

    fn finish(mut self, rules: Vec<Rule>) -> Result<Compiled, Problems> {
        let mut listeners = Vec::new();
        let turns = turns(&rules);
        for (kind, mut conditions) in std::mem::take(&mut self.conditions).into_iter().enumerate() {
            // What ends an episode comes before what begins one, so that one event can do both. Of rules that hold one
            // another back, the one that does so comes first.
            conditions.sort_by_key(|condition| match condition.ask.of {
                Asks::Rule(rule) => Asks::Rule(turns[rule]),
                Asks::Crossing(crossing, _) => Asks::Rule(turns[self.looks.crossings[crossing].rule]),
                of => of,
            });
            let (asks, exprs) = conditions.into_iter().map(|c| (c.ask, c.expr)).unzip();
            listeners.extend(self.listener(kind, asks, exprs));
        }
        let Self { patterns, looks, reads, problems, .. } = self;
        problems.or(Compiled { rules, patterns, listeners, looks, reads })
    }

    fn listener(&mut self, kind: usize, asks: Vec<Ask>, exprs: Vec<Expression>) -> Option<Listener> {
        // Conditions by the text of their guard, in the order in which they come.
        let mut guards: Vec<(String, Checked, Guards, Vec<(usize, Expression)>)> = Vec::new();
        let mut always = Vec::new();
        for (i, expr) in exprs.into_iter().enumerate() {
            let Some((guard, rest)) = expr.checked.guarded(stream::EVENT) else {
                always.push((i, expr));
                continue;
            };
            let text = guard.sql();
            let at = guards.iter().position(|(t, ..)| *t == text).unwrap_or_else(|| {
                guards.push((text.clone(), guard, Guards::default(), Vec::new()));
                guards.len() - 1
            });
            match rest {
                None => guards[at].2.whole.push(i),
                Some(_) => guards[at].3.push((i, Expression { guarded: true, ..expr })),
            }
        }
        let scope = self.streams.scope(kind, []);
        let fed = self.problems.take(self.plan.exprs(kind, &scope))?;
        let asked = guards.iter().map(|(_, guard, ..)| guard.clone()).collect();
        let asked = self.problems.take(ExprSet::compile(&scope, asked))?;
        let program = fuse(&scope, 1, [(&fed, Some(WINDOW)), (&asked, None)]);
        let bound = self.bind(&program, kind, 2);
        let [always, always_known] = self.groups(kind, &asks, always)?;
        let guards = guards.into_iter().map(|(_, _, decides, rest)| {
            let [group, known] = self.groups(kind, &asks, rest)?;
            Some(Guards { group, known, ..decides })
        });
        let guards = guards.collect::<Option<Vec<_>>>()?;
        Some(Listener { program, bound, guards, always, always_known, asks })
    }

    /// Compiles some of the conditions, or what their guard leaves of them, each with its index among all that are asked: those
    /// that read no features, and those that do, so that the others do not pay for them.
    fn groups(
        &mut self,
        kind: usize,
        all: &[Ask],
        some: Vec<(usize, Expression)>,
    ) -> Option<[Option<Group>; 2]> {
        let scope = self.scopes[kind].clone();
        let is_known = |expr: &Expression| !self.read_of(&scope, kind, &expr.parsed).is_empty();
        let (known, plain): (Vec<_>, Vec<_>) = some.into_iter().partition(|(_, expr)| is_known(expr));
        let mut group = |mut some: Vec<(usize, Expression)>| {
            if some.is_empty() {
                return Some(None);
            }
            some.sort_by_key(|(i, _)| all[*i].unknown);
            let ignoring = some.partition_point(|(i, _)| !all[*i].unknown) as u32;
            let asks = some.iter().map(|(i, _)| *i).collect();
            let exprs: Vec<&Expression> = some.iter().map(|(_, expr)| expr).collect();
            let Ready { program, bound, windows, inlets } =
                self.ready(kind, &scope, &exprs, vec![None; exprs.len()])?;
            Some(Some(Group { program, bound, windows, inlets, asks, ignoring }))
        };
        Some([group(plain)?, group(known)?])
    }
}

/// The scope of a condition on an episode: event, window, episode, then entities.
pub fn episode_scope(streams: &StreamSet, entities: &Entities, kind: usize) -> Scope {
    let columns = EPISODE.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
    let layout = Layout::new(columns, Vec::new()).expect("three columns of different names");
    let episode = ("episode".to_owned(), Arc::new(layout));
    streams.scope(kind, [episode].into_iter().chain(entities.relations(kind)))
}

/// Of each rule, its turn: after those that suppress it, and else in order. (Of rules that suppress each other, whichever
/// comes first.)
fn turns(rules: &[Rule]) -> Vec<usize> {
    fn visit(rule: usize, rules: &[Rule], order: &mut Vec<usize>, seen: &mut [bool]) {
        if std::mem::replace(&mut seen[rule], true) {
            return;
        }
        for other in &rules[rule].suppressed_by {
            visit(*other, rules, order, seen);
        }
        order.push(rule);
    }
    let (mut order, mut seen) = (Vec::new(), vec![false; rules.len()]);
    for rule in 0..rules.len() {
        visit(rule, rules, &mut order, &mut seen);
    }
    let mut turns = vec![0; rules.len()];
    for (turn, rule) in order.into_iter().enumerate() {
        turns[rule] = turn;
    }
    turns
}
