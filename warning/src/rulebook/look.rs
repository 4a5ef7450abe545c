//! What crossings look at: a number or a scorecard, compiled for each kind of events that it is looked at with.

use std::collections::BTreeMap;

use tarim_datamart::{At, Problem, Type, nearest};
use tarim_features::{
    expr::{Checked, ExprSet, Parsed, fuse},
    stream::StreamSet,
};
use tarim_models::{
    domain::Domain,
    scorecard::{Kind, ScorecardText},
};

use super::{
    Asks, Shown,
    compile::{Compiler, EVENT, Shows},
    crossing::{Card, Crossing, CrossingText, Look, Measure, MeasureText},
    read::StepText,
};

/// What has been compiled so far.
#[derive(Debug, Default)]
pub struct Looks {
    pub crossings: Vec<Crossing>,
    pub all: Vec<Look>,
    /// By kind and what is measured; None: it cannot be compiled, which was told.
    known: BTreeMap<(usize, String), Option<Known>>,
    /// Odd bins that are not wrong.
    pub notes: Vec<Problem>,
}

/// Index of a look, and what an alert shows of what it reads.
type Known = (usize, Vec<Shown>);

impl<'a> Compiler<'a> {
    pub(super) fn crossing(&mut self, rule: usize, text: &CrossingText) {
        let crossing = self.looks.crossings.len();
        for event in self.events(&text.head, &text.events) {
            let kind = self.streams.kind(&event.value);
            let look = kind.and_then(|kind| self.look(kind, &text.of));
            let step = StepText {
                event: event.clone(),
                when: text.when.clone(),
                key: text.key.clone(),
                amount: None,
                place: text.head.place.clone(),
            };
            let at = look.as_ref().map_or(0, |(look, _)| *look);
            let step = self.step(Asks::Crossing(crossing, at), &text.head, &step, Shows::Here);
            if let (Some((kind, shown)), Some((_, more)), None) = (step, look, &text.head.show) {
                let more = more.into_iter().filter(|more| !shown.contains(more));
                if let Some((ask, _)) = self.conditions[kind].last_mut() {
                    ask.show.extend(more);
                }
            }
        }
        let key: Vec<&str> = text.key.iter().map(|field| field.value.as_str()).collect();
        self.looks.crossings.push(Crossing {
            rule,
            line: text.line,
            of: format!("{} {}", name(&text.of), key.join(" ")),
            explains: text.head.show.is_none(),
        });
    }

    /// Every behaviour scorecard is asked for: what nobody asks for, nobody checks.
    pub(super) fn unasked_cards(&mut self, crossings: &[CrossingText]) {
        let asked = |id: &str| {
            crossings.iter().any(|c| matches!(&c.of, MeasureText::Score(score) if score.value == id))
        };
        for card in self.cards.iter().filter(|c| c.kind() == Kind::Behaviour && !asked(c.id())) {
            self.problems.push(card.place().problem(
                format!("no [[crossing]] asks for the behaviour scorecard `{}`", card.id()),
                "name it in the `score` of a crossing, or remove it",
            ));
        }
    }

    /// The look at a measure with events of a kind.
    fn look(&mut self, kind: usize, of: &MeasureText) -> Option<Known> {
        let card = match of {
            MeasureText::Value(_) => None,
            MeasureText::Score(id) => Some(self.card_of(id)?),
        };
        let key = (kind, name(of));
        if let Some(known) = self.looks.known.get(&key) {
            return known.clone();
        }
        let compiled = match (of, card) {
            (MeasureText::Value(sql), _) => self.value(kind, sql),
            (MeasureText::Score(_), Some(card)) => self.card(kind, card),
            (MeasureText::Score(_), None) => None,
        };
        let found = compiled.map(|(look, shown)| {
            self.looks.all.push(look);
            (self.looks.all.len() - 1, shown)
        });
        self.looks.known.insert(key, found.clone());
        found
    }

    fn value(&mut self, kind: usize, sql: &At<String>) -> Option<(Look, Vec<Shown>)> {
        let (parsed, checked) = self.parsed(kind, sql)?;
        let of = match parsed.ty() {
            Type::Int64 => Measure::Int64,
            Type::Float64 => Measure::Float64,
            ty => {
                self.problems.push(sql.place.problem(
                    format!("the value is {ty}, not a number"),
                    "write a number, such as window.out_24h_fen / window.out_30d_fen",
                ));
                return None;
            }
        };
        let shown = self.columns(&parsed);
        Some((self.compiled(kind, vec![checked], vec![None], of)?, shown))
    }

    fn card(&mut self, kind: usize, text: &ScorecardText) -> Option<(Look, Vec<Shown>)> {
        let inputs: Vec<_> = text.inputs().map(|sql| self.parsed(kind, sql)).collect();
        let inputs: Vec<(Parsed, Checked)> = inputs.into_iter().collect::<Option<_>>()?;
        let domains =
            inputs.iter().zip(text.inputs()).map(|((input, _), sql)| self.domain(kind, input, sql)).collect();
        let (card, check) = text.compile(domains).map_err(|e| self.problems.extend(e)).ok()?;
        let told = |new: &Problem| self.looks.notes.iter().any(|old| old.to_string() == new.to_string());
        let new: Vec<Problem> = check.warnings.into_iter().filter(|new| !told(new)).collect();
        self.looks.notes.extend(new);
        let names = card.characteristics().iter().map(|c| c.domain());
        let names =
            names.map(|domain| (domain.ty() == Type::Utf8).then(|| domain.texts().to_vec())).collect();
        let show = inputs.iter().map(|(parsed, _)| self.columns(parsed)).collect();
        let exprs = inputs.into_iter().map(|(_, checked)| checked).collect();
        let of = Measure::Score(Box::new(Card { card, show }));
        Some((self.compiled(kind, exprs, names, of)?, Vec::new()))
    }

    fn compiled(
        &mut self,
        kind: usize,
        exprs: Vec<Checked>,
        names: Vec<Option<Vec<String>>>,
        of: Measure,
    ) -> Option<Look> {
        let set = self.problems.take(ExprSet::with_keys(&self.scopes[kind], exprs, names))?;
        let program = fuse(&self.scopes[kind], 1, [(&set, None)]);
        let bound = self.bind(&program, kind, 2);
        let (windows, inlets) = self.read(&program);
        Some(Look { program, bound, windows, inlets, of })
    }

    fn parsed(&mut self, kind: usize, sql: &At<String>) -> Option<(Parsed, Checked)> {
        let parsed = self.problems.take(self.scopes[kind].parse(&sql.value, &sql.place))?;
        let checked = self.problems.take(parsed.with(&BTreeMap::new()))?;
        Some((parsed, checked))
    }

    /// What an input can be: of a field with a code list, its codes.
    fn domain(&self, kind: usize, input: &Parsed, sql: &At<String>) -> Domain {
        match input.columns() {
            [column] if column.relation == EVENT && column.name == sql.value.trim().to_lowercase() => {
                let codes = codes(self.streams, kind, column.column);
                if codes.is_empty() { Domain::new(input.ty()) } else { Domain::of_texts(codes.to_vec()) }
            }
            _ => Domain::new(input.ty()),
        }
    }

    fn card_of(&mut self, id: &At<String>) -> Option<&'a ScorecardText> {
        let found = self.cards.iter().find(|card| card.id() == id.value);
        let fix = match found {
            Some(card) if card.kind() == Kind::Behaviour => return Some(card),
            Some(_) => {
                format!("`{}` looks at applications: say kind = \"behaviour\" in a card of its own", id.value)
            }
            None => {
                let behaviour = self.cards.iter().filter(|c| c.kind() == Kind::Behaviour);
                let ids: Vec<&str> = behaviour.map(ScorecardText::id).collect();
                nearest(&id.value, &ids).map_or_else(
                    || {
                        format!(
                            "write models/{0}.toml and models/{0}.csv, with kind = \"behaviour\"",
                            id.value
                        )
                    },
                    |near| format!("did you mean `{near}`?"),
                )
            }
        };
        self.problems.push(id.place.problem(format!("there is no behaviour scorecard `{}`", id.value), fix));
        None
    }
}

fn codes(streams: &StreamSet, kind: usize, column: usize) -> &[String] {
    &streams.kinds()[kind].layout.columns()[column].codes
}

/// What is measured, as written.
fn name(of: &MeasureText) -> String {
    match of {
        MeasureText::Value(sql) => format!("value {}", sql.value.trim()),
        MeasureText::Score(id) => format!("score {}", id.value),
    }
}
