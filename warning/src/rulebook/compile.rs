//! From texts to programs: one per kind of events.

use std::{collections::BTreeMap, sync::Arc};

use tarim_datamart::{At, Problems, Type, nearest};
use tarim_features::{
    expr::{Bound, Checked, ExprSet, Inlet, Parsed, Program, Scope, fuse},
    row::{Column, Dictionary, Layout},
    stream::{self, EventKind, Plan, Readings, StreamSet, TABLE_PREFIX},
};
use tarim_models::scorecard::ScorecardText;

use super::{
    Ask, Asks, CONTAGION, EPISODE, Fires, Group, Guards, IfUnknown, Listener, Pattern, Rule, Shown,
    ShownFrom,
    look::Looks,
    read::{AbsenceText, Head, RuleText, SequenceText, StepText, Texts},
};

/// Indexes of relations in the scope of a kind.
pub const EVENT: usize = 0;
pub const WINDOW: usize = 1;
const EPISODE_RELATION: usize = 2;

const PATTERNS_MAX: usize = 1 << 16;

pub struct Compiled {
    pub rules: Vec<Rule>,
    pub patterns: Vec<Pattern>,
    pub listeners: Vec<Listener>,
    pub looks: Looks,
}

pub fn compile(
    streams: &StreamSet,
    plan: &Plan,
    texts: &Texts,
    cards: &[ScorecardText],
) -> Result<Compiled, Problems> {
    let heads: Vec<&Head> = texts.heads().collect();
    let mut problems = Problems::default();
    let rules = heads.iter().map(|head| rule(head, &heads, &mut problems)).collect();
    let kinds = streams.kinds().len();
    let scopes = (0..kinds).map(|kind| streams.scope(kind, [])).collect();
    let mut compiler = Compiler {
        streams,
        plan,
        scopes,
        conditions: (0..kinds).map(|_| Vec::new()).collect(),
        patterns: Vec::new(),
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

pub struct Compiler<'a> {
    pub streams: &'a StreamSet,
    plan: &'a Plan,
    /// By kind.
    pub scopes: Vec<Scope>,
    pub conditions: Vec<Vec<(Ask, Checked)>>,
    patterns: Vec<Pattern>,
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
            (Some(sql), Some((kind, _))) => self.fires(sql, kind, head.if_unknown == IfUnknown::Warn),
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
        let (parsed, checked) =
            self.boolean(step.when.as_ref().unwrap_or(&always), &self.scopes[kind].clone())?;
        let key = step.key.iter().filter_map(|name| self.field(name, kind, None)).collect();
        let amount = step.amount.as_ref().and_then(|name| self.field(name, kind, Some(Type::Int64)));
        let unknown = match of {
            // What ends an episode must be known to have happened.
            Asks::Unless(_) => false,
            _ => head.if_unknown == IfUnknown::Warn,
        };
        let show: Vec<Shown> = match &head.show {
            _ if shows == Shows::Elsewhere => Vec::new(),
            None => self.columns(&parsed),
            Some(names) => names.iter().filter_map(|name| self.shown(name, kind)).collect(),
        };
        self.conditions[kind].push((Ask { of, unknown, key, amount, show: show.clone() }, checked));
        Some((kind, show))
    }

    fn boolean(&mut self, sql: &At<String>, scope: &Scope) -> Option<(Parsed, Checked)> {
        let parsed = self.problems.take(scope.parse(&sql.value, &sql.place))?;
        if parsed.ty() != Type::Boolean {
            self.problems.push(sql.place.problem(
                format!("the condition is {}, not true or false", parsed.ty()),
                "write a condition, such as event.amount_fen > 100000",
            ));
            return None;
        }
        let checked = self.problems.take(parsed.with(&BTreeMap::new()))?;
        Some((parsed, checked))
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

    fn shown(&mut self, name: &At<String>, kind: usize) -> Option<Shown> {
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

    /// The columns that a condition reads.
    pub fn columns(&self, parsed: &Parsed) -> Vec<Shown> {
        let columns = parsed.columns().iter().filter_map(|c| {
            let from = match c.relation {
                EVENT => ShownFrom::Event(c.column),
                WINDOW => ShownFrom::Window(c.column),
                _ => return None,
            };
            Some(Shown { name: c.name.clone(), from })
        });
        columns.collect()
    }

    /// A condition on an episode.
    fn fires(&mut self, sql: &At<String>, kind: usize, unknown: bool) -> Option<Fires> {
        let columns = EPISODE.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
        let layout = Layout::new(columns, Vec::new()).expect("three columns of different names");
        let scope = self.streams.scope(kind, [("episode".to_owned(), Arc::new(layout))]);
        let (_, checked) = self.boolean(sql, &scope)?;
        let set = self.problems.take(ExprSet::compile(&scope, vec![checked]))?;
        let program = fuse(&scope, 1, [(&set, None)]);
        let bound = self.bind(&program, kind, 3);
        let (windows, inlets) = self.read(&program);
        let episode = std::array::from_fn(|column| program.inlet(EPISODE_RELATION, column));
        Some(Fires { program, bound, windows, inlets, episode, unknown })
    }

    pub fn bind(&self, program: &Program, kind: usize, relations: usize) -> Bound {
        let codes = self.streams.kinds()[kind].layout.codes();
        let mut dictionaries = vec![Dictionary::none(); relations];
        dictionaries[EVENT] = codes;
        program.bind(&dictionaries)
    }

    /// The windows that a program reads, and where it takes them.
    pub fn read(&self, program: &Program) -> (Readings, Vec<(usize, Inlet)>) {
        let windows = 0..self.streams.windows().len();
        let inlets: Vec<_> = windows.filter_map(|w| Some((w, program.inlet(WINDOW, w)?))).collect();
        (self.plan.readings(inlets.iter().map(|(w, _)| *w)), inlets)
    }

    fn finish(mut self, rules: Vec<Rule>) -> Result<Compiled, Problems> {
        let mut listeners = Vec::new();
        let turns = turns(&rules);
        for (kind, mut conditions) in std::mem::take(&mut self.conditions).into_iter().enumerate() {
            // What ends an episode comes before what begins one, so that one event can do both. Of rules that hold one
            // another back, the one that does so comes first.
            conditions.sort_by_key(|(ask, _)| match ask.of {
                Asks::Rule(rule) => Asks::Rule(turns[rule]),
                Asks::Crossing(crossing, _) => Asks::Rule(turns[self.looks.crossings[crossing].rule]),
                of => of,
            });
            let (asks, exprs): (Vec<Ask>, Vec<Checked>) = conditions.into_iter().unzip();
            listeners.extend(self.listener(kind, asks, exprs));
        }
        self.problems.or(Compiled { rules, patterns: self.patterns, listeners, looks: self.looks })
    }

    fn listener(&mut self, kind: usize, asks: Vec<Ask>, exprs: Vec<Checked>) -> Option<Listener> {
        // Conditions by the text of their guard, in the order in which they come.
        let mut guards: Vec<(String, Checked, Guards, Vec<(usize, Checked)>)> = Vec::new();
        let mut always = Vec::new();
        for (i, expr) in exprs.into_iter().enumerate() {
            let Some((guard, rest)) = expr.guarded(stream::EVENT) else {
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
                Some(rest) => guards[at].3.push((i, rest)),
            }
        }
        let fed = self.plan.exprs(kind, &self.scopes[kind]);
        let fed = self.problems.take(fed)?;
        let asked = guards.iter().map(|(_, guard, ..)| guard.clone()).collect();
        let asked = ExprSet::compile(&self.scopes[kind], asked);
        let asked = self.problems.take(asked)?;
        let program = fuse(&self.scopes[kind], 1, [(&fed, Some(WINDOW)), (&asked, None)]);
        let bound = self.bind(&program, kind, 2);
        let always = if always.is_empty() { None } else { Some(self.group(kind, &asks, always)?) };
        let guards = guards.into_iter().map(|(_, _, mut decides, rest)| {
            if !rest.is_empty() {
                decides.group = Some(self.group(kind, &asks, rest)?);
            }
            Some(decides)
        });
        let guards = guards.collect::<Option<Vec<_>>>()?;
        Some(Listener { program, bound, guards, always, asks })
    }

    /// Compiles some of the conditions, or what a guard leaves of them, each with its index among all that are asked.
    fn group(&mut self, kind: usize, all: &[Ask], mut some: Vec<(usize, Checked)>) -> Option<Group> {
        some.sort_by_key(|(i, _)| all[*i].unknown);
        let ignoring = some.partition_point(|(i, _)| !all[*i].unknown) as u32;
        let (asks, exprs): (Vec<usize>, Vec<Checked>) = some.into_iter().unzip();
        let set = self.problems.take(ExprSet::compile(&self.scopes[kind], exprs))?;
        let program = fuse(&self.scopes[kind], 1, [(&set, None)]);
        let bound = self.bind(&program, kind, 2);
        let (windows, inlets) = self.read(&program);
        Some(Group { program, bound, windows, inlets, asks, ignoring })
    }
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
