//! What crossings look at: a number or a scorecard, compiled for each kind of events that it is looked at with.

use std::collections::BTreeMap;

use tarim_datamart::{At, Problem, Type, nearest};
use tarim_features::{expr::Parsed, stream::StreamSet};
use tarim_models::{
    domain::Domain,
    scorecard::{Kind, ScorecardText},
};

use super::{
    Asks, Shown,
    compile::{Compiler, EVENT, Shows, WINDOW},
    crossing::{Card, Crossing, CrossingText, Look, Measure, MeasureText},
    program::{Expression, Ready},
    read::{Head, StepText},
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
            let look = kind.and_then(|kind| self.look(kind, &text.of, &text.head));
            let step = StepText {
                event: event.clone(),
                when: text.when.clone(),
                key: text.key.clone(),
                amount: None,
                before_us: 0,
                place: text.head.place.clone(),
            };
            let at = look.as_ref().map_or(0, |(look, _)| *look);
            let step = self.step(Asks::Crossing(crossing, at), &text.head, &step, Shows::Here);
            if let (Some((kind, shown)), Some((_, more)), None) = (step, look, &text.head.show) {
                let more = more.into_iter().filter(|more| !shown.contains(more));
                if let Some(condition) = self.conditions[kind].last_mut() {
                    condition.ask.show.extend(more);
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
    fn look(&mut self, kind: usize, of: &MeasureText, head: &Head) -> Option<Known> {
        let card = match of {
            MeasureText::Value(_) => None,
            MeasureText::Score(id) => Some(self.card_of(id)?),
        };
        let key = (kind, name(of));
        if let Some(known) = self.looks.known.get(&key) {
            return known.clone();
        }
        let compiled = match (of, card) {
            (MeasureText::Value(sql), _) => self.value(kind, sql, head),
            (MeasureText::Score(_), Some(card)) => self.card(kind, card, head),
            (MeasureText::Score(_), None) => None,
        };
        let found = compiled.map(|(look, shown)| {
            self.looks.all.push(look);
            (self.looks.all.len() - 1, shown)
        });
        self.looks.known.insert(key, found.clone());
        found
    }

    fn value(&mut self, kind: usize, sql: &At<String>, head: &Head) -> Option<(Look, Vec<Shown>)> {
        let expr = self.read_expression(kind, sql, head)?;
        let of = match expr.parsed.ty() {
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
        let shown = self.columns(kind, &expr.parsed);
        Some((self.compiled(kind, &[expr], vec![None], of)?, shown))
    }

    fn card(&mut self, kind: usize, text: &ScorecardText, head: &Head) -> Option<(Look, Vec<Shown>)> {
        let inputs: Vec<_> = text.inputs().map(|sql| self.read_expression(kind, sql, head)).collect();
        let inputs: Vec<Expression> = inputs.into_iter().collect::<Option<_>>()?;
        let domains = inputs
            .iter()
            .zip(text.inputs())
            .map(|(input, sql)| self.domain(kind, &input.parsed, sql))
            .collect();
        let (card, check) = text.compile(domains).map_err(|e| self.problems.extend(e)).ok()?;
        let told = |new: &Problem| self.looks.notes.iter().any(|old| old.to_string() == new.to_string());
        let new: Vec<Problem> = check.warnings.into_iter().filter(|new| !told(new)).collect();
        self.looks.notes.extend(new);
        let names = card.characteristics().iter().map(|c| c.domain());
        let names =
            names.map(|domain| (domain.ty() == Type::Utf8).then(|| domain.texts().to_vec())).collect();
        let show = inputs.iter().map(|input| self.columns(kind, &input.parsed)).collect();
        let of = Measure::Score(Box::new(Card { card, show }));
        Some((self.compiled(kind, &inputs, names, of)?, Vec::new()))
    }

    fn compiled(
        &mut self,
        kind: usize,
        exprs: &[Expression],
        names: Vec<Option<Vec<String>>>,
        of: Measure,
    ) -> Option<Look> {
        let (scope, exprs) = (self.scopes[kind].clone(), exprs.iter().collect::<Vec<_>>());
        let Ready { program, bound, windows, inlets } = self.ready(kind, &scope, &exprs, names)?;
        Some(Look { program, bound, windows, inlets, of })
    }

    fn read_expression(&mut self, kind: usize, sql: &At<String>, head: &Head) -> Option<Expression> {
        let scope = self.scopes[kind].clone();
        let expr = self.expression(sql, kind, &scope)?;
        self.note(head, &expr.parsed);
        Some(expr)
    }

    /// What an input can be: of a field with a code list, or of a feature with codes, these.
    fn domain(&self, kind: usize, input: &Parsed, sql: &At<String>) -> Domain {
        match input.columns() {
            [column] if column.relation != WINDOW && column.name == sql.value.trim().to_lowercase() => {
                let codes = match column.relation {
                    EVENT => codes(self.streams, kind, column.column),
                    relation => &self.scopes[kind].relations()[relation].1.columns()[column.column].codes,
                };
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
