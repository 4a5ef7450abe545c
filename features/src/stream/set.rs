//! All windows of a rulebook, checked against its standards.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tarim_datamart::{At, Place, Problems, SourceText, Standards, Type, Value};

use super::{
    grain::Grain,
    kind::{EventKind, TABLE_PREFIX},
    read::{self, Measure, RawStream, RawWindow},
};
use crate::{
    expr::{Checked, Scope},
    row::{Column, Layout, LayoutError},
    view::read::{Names, near_or, toml_files},
};

/// Name of the relation of the windows' values in expressions.
pub const WINDOW: &str = "window";
/// Name of the relation of the event's fields.
pub const EVENT: &str = "event";

/// A window over events of a kind.
#[derive(Clone, Debug)]
pub struct Window {
    pub name: String,
    pub zh: String,
    pub en: String,
    /// Index of the kind of events.
    pub kind: usize,
    pub measure: Measure,
    /// What is measured; None: the event itself.
    pub of: Option<Checked>,
    /// Which events count; None: all.
    pub filter: Option<Checked>,
    pub grain: Grain,
    /// How many panes it has, the present one included.
    pub panes: u32,
    /// Its type, and its value where it has nothing to tell of.
    pub ty: Type,
    pub default: Value,
    pub place: Place,
}

/// Kinds of events and windows over them.
#[derive(Clone, Debug)]
pub struct StreamSet {
    kinds: Vec<EventKind>,
    windows: Vec<Window>,
    layout: Arc<Layout>,
}

impl Window {
    /// The longest time that it looks back, in microseconds.
    pub fn span_us(&self) -> i64 {
        self.grain.longest_us() * i64::from(self.panes)
    }
}

fn layout(windows: &[Window]) -> Result<Layout, LayoutError> {
    Layout::new(windows.iter().map(|w| Column::new(&w.name, w.ty)).collect(), Vec::new())
}

impl StreamSet {
    /// Reads `features/streams/` of a rulebook. Everything that is wrong is reported, with its place.
    pub fn read(rulebook: &Path, standards: &Standards) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let kinds = EventKind::all(standards, &mut problems);
        let mut windows = Vec::new();
        let (mut files, mut names) = (Names::default(), Names::default());
        for path in toml_files(rulebook, Path::new("features/streams"), &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            read::stream(&text, &mut files, &mut names, &mut problems, |raw, problems| {
                windows.extend(check(raw, &kinds, problems));
            });
        }
        let layout = layout(&windows).map_err(|e| {
            Place::file(Path::new("features/streams")).problem(e.to_string(), "use fewer windows")
        });
        let layout = problems.take(layout).map(Arc::new);
        match layout {
            Some(layout) => problems.or(Self { kinds, windows, layout }),
            None => Err(problems),
        }
    }

    /// The same kinds, and only some of the windows, by their index.
    pub fn only(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.windows.iter().enumerate().filter(|(i, _)| keep(*i));
        let windows: Vec<Window> = kept.map(|(_, window)| window.clone()).collect();
        let layout = layout(&windows).expect("some columns fit where all do");
        Self { kinds: self.kinds.clone(), windows, layout: Arc::new(layout) }
    }

    /// In order of name.
    pub fn kinds(&self) -> &[EventKind] {
        &self.kinds
    }

    /// Index of a kind.
    pub fn kind(&self, name: &str) -> Option<usize> {
        self.kinds.iter().position(|k| k.name == name)
    }

    /// In order of file name, and in a file as they stand.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// The relation `window` of expressions: one column per window, in order.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// What expressions about an event of a kind may name: `event`, `window`, and what else is given.
    pub fn scope(&self, kind: usize, more: impl IntoIterator<Item = (String, Arc<Layout>)>) -> Scope {
        let own =
            [(EVENT.to_owned(), self.kinds[kind].layout.clone()), (WINDOW.to_owned(), self.layout.clone())];
        Scope::new(own.into_iter().chain(more).collect())
    }
}

/// The kind of events that a file names.
pub(super) fn kind_of(name: &At<String>, kinds: &[EventKind], problems: &mut Problems) -> Option<usize> {
    let found = kinds.iter().position(|k| k.name == name.value);
    if found.is_none() {
        let known: Vec<&str> = kinds.iter().map(|k| k.name.as_str()).collect();
        problems.push(name.place.problem(
            format!("the standards know no event `{}`", name.value),
            near_or(&name.value, &known, || format!("write standards/{TABLE_PREFIX}{}.toml", name.value)),
        ));
    }
    found
}

fn check(raw: RawStream<'_>, kinds: &[EventKind], problems: &mut Problems) -> Vec<Window> {
    let Some(kind) = kind_of(&raw.event, kinds, problems) else { return Vec::new() };
    // Windows tell of events only: a window of a window has no meaning that batch could give it too.
    let scope = Scope::new(vec![(EVENT.to_owned(), kinds[kind].layout.clone())]);
    let checker = Checker { scope, kind, filter: raw.filter };
    raw.windows.into_iter().filter_map(|w| checker.window(w, problems)).collect()
}

struct Checker {
    scope: Scope,
    kind: usize,
    filter: Option<At<String>>,
}

impl Checker {
    fn window(&self, raw: RawWindow<'_>, problems: &mut Problems) -> Option<Window> {
        let At { value: measure, place: said } = raw.measure;
        let of = match &raw.of {
            Some(sql) => Some(self.expression(sql, problems)?),
            None => None,
        };
        let ty = of.as_ref().map(Checked::ty);
        let whole = [Type::Int64];
        let ordered = [Type::Int64, Type::Float64, Type::Date32, Type::Timestamp];
        let (takes, gives): (&[Type], _) = match measure {
            Measure::Count => (&[], Some(Type::Int64)),
            // Exact, whatever the order: hence integers. Money is a count of fen.
            Measure::Sum | Measure::Avg | Measure::Stddev => (&whole, Some(Type::Float64)),
            Measure::Distinct => (&[Type::Utf8, Type::Int64], Some(Type::Int64)),
            Measure::Min | Measure::Max | Measure::First | Measure::Last => (&ordered, ty),
        };
        match ty {
            None if measure != Measure::Count => {
                problems.push(said.problem(
                    format!("the window `{}` does not say what is measured", raw.name.value),
                    "add `of = \"event.…\"`",
                ));
                return None;
            }
            Some(ty) if !takes.is_empty() && !takes.contains(&ty) => {
                let names: Vec<String> = takes.iter().map(ToString::to_string).collect();
                problems.push(raw.of.as_ref().map_or(&said, |of| &of.place).problem(
                    format!("`of` is {ty}; this measure takes {}", names.join(" or ")),
                    match ty {
                        Type::Float64 => "round it: CAST(round(…) AS BIGINT)",
                        _ => "measure something else of it",
                    },
                ));
                return None;
            }
            _ => {}
        }
        let filter = match (&self.filter, &raw.filter) {
            (None, None) => None,
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (Some(all), Some(own)) => {
                Some(At { value: format!("({}) AND ({})", all.value, own.value), place: own.place.clone() })
            }
        };
        let filter = match &filter {
            None => None,
            Some(sql) => Some(self.condition(sql, problems)?),
        };
        let ty = gives?;
        let counts = matches!(measure, Measure::Count | Measure::Distinct);
        let default = match raw.default.map(|item| (item.place(), item.value(ty, problems))) {
            Some((place, _)) if counts => {
                problems.push(place.problem("a count of nothing is 0", "remove `default`"));
                Value::Int64(0)
            }
            Some((_, default)) => default?.value,
            None if counts => Value::Int64(0),
            None => Value::Null,
        };
        let RawWindow { name, zh, en, grain, panes, place, .. } = raw;
        let (name, kind) = (name.value, self.kind);
        Some(Window { name, zh, en, kind, measure, of, filter, grain, panes, ty, default, place })
    }

    fn expression(&self, sql: &At<String>, problems: &mut Problems) -> Option<Checked> {
        let parsed = problems.take(self.scope.parse(&sql.value, &sql.place))?;
        problems.take(parsed.with(&BTreeMap::new()))
    }

    fn condition(&self, sql: &At<String>, problems: &mut Problems) -> Option<Checked> {
        let checked = self.expression(sql, problems)?;
        if checked.ty() != Type::Boolean {
            problems.push(sql.place.problem(
                format!("`where` is {}, not true or false", checked.ty()),
                "write a condition, such as event.direction = 'D'",
            ));
            return None;
        }
        Some(checked)
    }
}
