//! From texts to programs: one per kind of events.

use tarim_datamart::{At, Problems, Type, nearest};
use tarim_features::{
    expr::{Checked, ExprSet, Scope, fuse},
    stream::{self, EventKind, Plan, StreamSet, TABLE_PREFIX},
};
use tarim_models::scorecard::ScorecardText;

use super::{
    Ask, Asks, CONTAGION, Ends, Fires, Group, Guards, IfUnknown, Listener, Pattern, Reads, Rule, Shown,
    ShownFrom,
    entities::Entities,
    look::Looks,
    program::{Expression, Ready, episode_scope},
    read::{AbsenceText, Head, RuleText, SequenceText, StepText, Texts},
    window_meaning,
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
        meaning: String::new(),
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
    pub expr: Expression,
}

/// Conditions of one guard, by its text, each with its index among all that are asked.
struct Guarded {
    text: String,
    guard: Checked,
    /// Those that say nothing else.
    whole: Vec<usize>,
    /// What the guard leaves of the others.
    rest: Vec<(usize, Expression)>,
}

pub struct Compiler<'a> {
    pub streams: &'a StreamSet,
    pub plan: &'a Plan,
    /// By kind.
    pub scopes: Vec<Scope>,
    pub conditions: Vec<Vec<Condition>>,
    patterns: Vec<Pattern>,
    /// What has been said of the pattern that is being read.
    meaning: String,
    pub entities: &'a Entities,
    pub reads: Reads,
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
                before_us: 0,
                place: text.head.place.clone(),
            };
            self.step(Asks::Rule(index), &text.head, &step, Shows::Here);
        }
    }

    fn sequence(&mut self, rule: usize, text: &SequenceText) {
        let pattern = self.patterns.len();
        self.meaning.clear();
        let head = &text.head;
        let at_end = text.then.is_none();
        let shows = if at_end { Shows::Here } else { Shows::Elsewhere };
        let first = self.step(Asks::First(pattern), head, &text.first, shows);
        let then = text.then.as_ref().map(|step| self.step(Asks::Then(pattern), head, step, Shows::Here));
        let unless = text.unless.as_ref();
        let unless = unless
            .map(|step| (self.step(Asks::Unless(pattern), head, step, Shows::Elsewhere), step.before_us));
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
        if let Some((kind, show)) = first {
            let ends = unless.and_then(|(step, before_us)| {
                let (of, _) = step?;
                Some(Ends { before_us, first: kind, by_its_like: of == kind })
            });
            let within_us = text.within_us;
            let steps = [Some(&text.first), text.then.as_ref()];
            let by_contagion = steps.iter().flatten().any(|step| step.event.value == CONTAGION);
            let pattern = Pattern {
                rule,
                within_us,
                at_end,
                renewed: false,
                ends,
                fires,
                show,
                by_contagion,
                meaning: String::new(),
            };
            self.pattern(head, pattern);
        }
    }

    fn absence(&mut self, rule: usize, text: &AbsenceText) {
        let pattern = self.patterns.len();
        self.meaning.clear();
        if let Some((_, show)) = self.step(Asks::First(pattern), &text.head, &text.of, Shows::Here) {
            let within_us = text.after_us;
            let by_contagion = text.of.event.value == CONTAGION;
            let pattern = Pattern {
                rule,
                within_us,
                at_end: true,
                renewed: true,
                ends: None,
                fires: None,
                show,
                by_contagion,
                meaning: String::new(),
            };
            self.pattern(&text.head, pattern);
        }
    }

    fn pattern(&mut self, head: &Head, pattern: Pattern) {
        let steps = std::mem::take(&mut self.meaning);
        let Pattern { within_us, at_end, renewed, .. } = pattern;
        let meaning = format!("{steps}within {within_us} {at_end} {renewed} {:?}", head.if_unknown);
        self.patterns.push(Pattern { meaning, ..pattern });
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
        let turn = match of {
            Asks::First(_) => Some("first"),
            Asks::Then(_) => Some("then"),
            Asks::Unless(_) => Some("unless"),
            Asks::Rule(_) | Asks::Crossing(..) => None,
        };
        if let Some(turn) = turn {
            self.mean(&format!("{turn} {}", step.event.value), &expr);
            let names = |names: &[At<String>]| names.iter().map(|n| n.value.clone()).collect::<Vec<_>>();
            let (key, amount) = (names(&step.key), names(step.amount.as_slice()));
            self.meaning += &format!("key {key:?} amount {amount:?} before {}\n", step.before_us);
        }
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

    /// Says of the pattern what an expression means: windows by what they are, not by their names alone.
    fn mean(&mut self, what: &str, expr: &Expression) {
        self.meaning += &format!("{what}: {}\n", expr.checked.sql());
        for column in expr.parsed.columns().iter().filter(|c| c.relation == WINDOW) {
            let window = window_meaning(self.streams, &self.streams.windows()[column.column]);
            self.meaning += &format!("{} is {window}\n", column.name);
        }
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

    /// A condition on an episode.
    fn fires(&mut self, sql: &At<String>, kind: usize, head: &Head) -> Option<Fires> {
        let unknown = head.if_unknown == IfUnknown::Warn;
        let scope = episode_scope(self.streams, self.entities, kind);
        let expr = self.boolean(sql, kind, &scope)?;
        self.note(head, &expr.parsed);
        self.mean("fires", &expr);
        let ready = self.ready(kind, &scope, &[&expr], vec![None])?;
        let relation = EPISODE_RELATION + ready.bound.entities();
        let Ready { program, bound, windows, inlets } = ready;
        let episode = std::array::from_fn(|column| program.inlet(relation, column));
        Some(Fires { program, bound, windows, inlets, episode, unknown })
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
        let mut guards: Vec<Guarded> = Vec::new();
        let mut always = Vec::new();
        for (i, expr) in exprs.into_iter().enumerate() {
            let Some((guard, rest)) = expr.checked.guarded(stream::EVENT) else {
                always.push((i, expr));
                continue;
            };
            let text = guard.sql();
            let at = guards.iter().position(|g| g.text == text).unwrap_or_else(|| {
                guards.push(Guarded { text, guard, whole: Vec::new(), rest: Vec::new() });
                guards.len() - 1
            });
            match rest {
                None => guards[at].whole.push(i),
                Some(_) => guards[at].rest.push((i, expr.without_guard())),
            }
        }
        let scope = self.streams.scope(kind, []);
        let fed = self.problems.take(self.plan.exprs(kind, &scope))?;
        let asked = guards.iter().map(|g| g.guard.clone()).collect();
        let asked = self.problems.take(ExprSet::compile(&scope, asked))?;
        let program = fuse(&scope, 1, [(&fed, Some(WINDOW)), (&asked, None)]);
        let bound = self.bind(&program, kind, 2);
        let [always, always_known] = self.groups(kind, &asks, always)?;
        let guards = guards.into_iter().map(|Guarded { whole, rest, .. }| {
            let [group, known] = self.groups(kind, &asks, rest)?;
            Some(Guards { whole, group, known })
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
