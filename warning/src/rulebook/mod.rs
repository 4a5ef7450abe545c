//! Warning rules: read, checked and compiled.
//!
//! ```text
//!  warnings/*.toml ─► Texts ──┐
//!  features/streams ─► windows ┼─► per kind of events: one row program that says what the windows
//!  standards ─► kinds of events┤   want, then which conditions hold
//!  models/ ─► behaviour scores ┤   and one for each number that crossings look at
//!  features/ ─► entities ──────┤   (what a program reads of them is bound for each generation of the online store)
//!  features/edges ─────────────┴─► which alerts spread, and how far
//! ```
//!
//! All that listens to a kind of events is compiled to one program, in which whatever several rules ask is computed once.
//! Everything that is wrong is told with file, line and remedy.

mod compile;
mod crossing;
mod entities;
mod look;
mod part;
mod program;
mod read;
mod spread;
mod words;

use std::path::Path;

use tarim_datamart::{Place, Problem, Problems, Standards, Type};
use tarim_features::{
    edges::EdgeSet,
    expr::{Bound, Checked, Inlet, Program},
    folder::Folder,
    row::Dictionary,
    stream::{Plan, Readings, Sections, StreamSet, Window},
};
use tarim_models::scorecard::ScorecardText;

pub(crate) use self::read::choice;
pub use self::{
    crossing::{Card, Crossing, Line, Look, Measure, Side},
    entities::{Binding, Entities, Key, Knows, Named, ReadBy, Reads},
    spread::{CONTAGION, Spread, Spreads},
    words::{IfUnknown, Level, Push},
};
use crate::delivery::{Policy, check_managers};

/// Everything that the pipeline needs to know, compiled.
#[derive(Debug)]
pub struct WarningBook {
    version: String,
    standards: Standards,
    members: Vec<String>,
    /// The warning rules as written.
    texts: read::Texts,
    streams: StreamSet,
    plan: Plan,
    rules: Vec<Rule>,
    patterns: Vec<Pattern>,
    crossings: Vec<Crossing>,
    looks: Vec<Look>,
    notes: Vec<Problem>,
    /// By kind of events.
    listeners: Vec<Listener>,
    /// An event that is older than the stream by more is not taken, in microseconds; by kind.
    allowed_lateness_us: Vec<i64>,
    edges: EdgeSet,
    spreads: Spreads,
    /// What rules may read of entities, and what they do read.
    entities: Entities,
    reads: Reads,
    /// Index of the kind of events that spread alerts.
    contagion: Option<usize>,
    delivery: Option<Policy>,
}

/// A rule, as far as its alerts are concerned.
#[derive(Debug)]
pub struct Rule {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub level: Level,
    pub push: Push,
    pub group: String,
    pub quiet_us: i64,
    /// Indexes of rules whose standing alerts hold this one's back.
    pub suppressed_by: Vec<usize>,
}

/// A rule over time: it begins with one event and waits for others.
#[derive(Debug)]
pub struct Pattern {
    /// Index of its rule.
    pub rule: usize,
    /// How long it waits, in microseconds.
    pub within_us: i64,
    /// Fires when the time is over, rather than when something follows.
    pub at_end: bool,
    /// The first event begins the time anew: an absence.
    pub renewed: bool,
    /// What ends it, if anything does.
    pub ends: Option<Ends>,
    /// What must hold of all that followed; None: that something did.
    pub fires: Option<Fires>,
    /// Values that an alert shows whose time is over.
    pub show: Vec<Shown>,
    /// It begins or ends with an alert of somebody else: its alerts spread no further.
    pub by_contagion: bool,
    /// All that its episodes depend on, as text: steps with their conditions and windows, and times. Of two rulebooks a pattern
    /// is the same if this is.
    pub meaning: String,
}

/// What ends a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// What came up to so long before the pattern began ends it, too, in microseconds.
    pub before_us: i64,
    /// Kind of the events that the pattern begins with.
    pub first: usize,
    /// It ends with events of the same kind: none ends what it begins itself.
    pub by_its_like: bool,
}

impl Ends {
    /// Whether what happened at a time ends what began at another and is over at a third.
    pub fn reaches(&self, at_us: i64, started_us: i64, deadline_us: i64) -> bool {
        (started_us.saturating_sub(self.before_us)..=deadline_us).contains(&at_us)
    }
}

/// A condition on an episode of a pattern.
#[derive(Debug)]
pub struct Fires {
    pub program: Program,
    pub bound: Binding,
    pub windows: Readings,
    /// Where each window is taken.
    pub inlets: Vec<(usize, Inlet)>,
    /// By column of [`EPISODE`].
    pub episode: [Option<Inlet>; 3],
    /// It cannot be told: does it fire?
    pub unknown: bool,
}

/// Columns of the relation `episode`: what the first event kept, the sum of what followed, and how many followed.
pub const EPISODE: [(&str, Type); 3] = [("kept", Type::Int64), ("sum", Type::Int64), ("count", Type::Int64)];

/// All that listens to a kind of events.
///
/// ```text
///  event ─► program: what the windows want │ guards: what conditions say of the event alone
///                                                │ where it is FALSE, so is the condition: most events concern few rules
///           groups: the rest of conditions ◄─────┘
///                   of one guard
/// ```
#[derive(Debug)]
pub struct Listener {
    /// Part 0: what the windows want; part 1: the guards.
    pub program: Program,
    pub bound: Bound,
    /// By guard: what it decides.
    pub guards: Vec<Guards>,
    /// Conditions without a guard, and those of them that read features.
    pub always: Option<Group>,
    pub always_known: Option<Group>,
    /// What each condition is for, in order: what ends patterns, what follows, what begins them, then rules.
    pub asks: Vec<Ask>,
}

/// What a guard decides.
#[derive(Debug, Default)]
pub struct Guards {
    /// Conditions that say nothing else.
    pub whole: Vec<usize>,
    /// Those that do.
    pub group: Option<Group>,
    /// Those of them that read features.
    pub known: Option<Group>,
}

/// Conditions that are asked together.
#[derive(Debug)]
pub struct Group {
    pub program: Program,
    pub bound: Binding,
    /// Windows that they read, and where each is taken.
    pub windows: Readings,
    pub inlets: Vec<(usize, Inlet)>,
    /// Index of each.
    pub asks: Vec<usize>,
    /// Of the first so many unknown is as good as FALSE: it need not be told apart.
    pub ignoring: u32,
}

/// A condition.
#[derive(Debug)]
pub struct Ask {
    pub of: Asks,
    /// What unknown means.
    pub unknown: bool,
    /// Fields of the event that tell alerts, or episodes, of one customer apart.
    pub key: Vec<usize>,
    /// Field that is kept or added.
    pub amount: Option<usize>,
    /// Values that an alert shows.
    pub show: Vec<Shown>,
}

/// What a condition is for, with the index of the rule or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asks {
    Unless(usize),
    Then(usize),
    First(usize),
    Rule(usize),
    /// Of a crossing, with the index of what it looks at.
    Crossing(usize, usize),
}

/// A value that an alert shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub name: String,
    pub from: ShownFrom,
}

/// A field of the event, a window, or a feature of an entity by its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownFrom {
    Event(usize),
    Window(usize),
    Feature(Named, usize),
}

/// Most bytes of a customer's windows: what is left of a state is for episodes and standing alerts.
const WINDOW_BYTES_MAX: usize = Sections::BYTES_MAX - (64 << 10);

/// Three days, unless the rulebook says another time.
const ALLOWED_LATENESS_US: i64 = 3 * 86_400_000_000;

impl WarningBook {
    /// Reads and compiles what a rulebook says of events and warnings.
    pub fn read(root: &Path) -> Result<Self, Problems> {
        let folder = Folder::open(root)?;
        let mut problems = Problems::default();
        let standards = keep(Standards::read(root), &mut problems);
        let streams = standards.as_ref().and_then(|s| keep(StreamSet::read(root, s), &mut problems));
        let edges = standards.as_ref().and_then(|s| keep(EdgeSet::read(root, s), &mut problems));
        let texts = keep(read::read(&folder), &mut problems);
        let cards = keep(read_cards(&folder), &mut problems);
        let version = folder.version().map_err(|e| {
            Place::file(root).problem(format!("cannot read the rulebook: {e}"), "check its permissions")
        });
        let version = problems.take(version);
        let (Some(standards), Some(streams), Some(edges), Some(mut texts), Some(cards), Some(version)) =
            (standards, streams, edges, texts, cards, version)
        else {
            return Err(problems);
        };
        let plan = Plan::new(&streams);
        let bytes = plan.bytes_most();
        if bytes > WINDOW_BYTES_MAX {
            // Or the events of the busiest customers would be dead letters.
            problems.push(Place::file(Path::new("features/streams")).problem(
                format!("a customer's windows may take {bytes} bytes; there is room for {WINDOW_BYTES_MAX}"),
                "use fewer or shorter windows, or longer panes",
            ));
        }
        if let Some(sql) = &texts.delivery.managers_sql {
            check_managers(sql, &standards, &mut problems);
        }
        let delivery = std::mem::take(&mut texts.delivery).finish(&mut problems);
        let usual = texts.allowed_lateness_us.unwrap_or(ALLOWED_LATENESS_US);
        let mut allowed_lateness_us = vec![usual; streams.kinds().len()];
        let contagion = streams.kind(CONTAGION);
        if let Some(kind) = contagion {
            // It is not late by itself: what raised the alert stood in another partition, which may be behind.
            allowed_lateness_us[kind] = i64::MAX;
        }
        for (kind, us) in &texts.lateness_of {
            if let Some(kind) = compile::kind(&streams, kind, &mut problems) {
                allowed_lateness_us[kind] = *us;
            }
        }
        let Some(entities) = Entities::new(root, &standards, &streams, &mut problems) else {
            return Err(problems);
        };
        let compiled = keep(compile::compile(&streams, &plan, &texts, &cards, &entities), &mut problems);
        let Some(compile::Compiled { rules, patterns, listeners, looks, reads }) = compiled else {
            return Err(problems);
        };
        let spreads = keep(spread::compile(&texts, &rules, &edges, &streams, &standards), &mut problems);
        let Some(spreads) = spreads else { return Err(problems) };
        problems.or(Self {
            version,
            standards,
            members: folder.folders("members"),
            texts,
            streams,
            plan,
            rules,
            patterns,
            crossings: looks.crossings,
            looks: looks.all,
            notes: looks.notes,
            listeners,
            allowed_lateness_us,
            edges,
            spreads,
            entities,
            reads,
            contagion,
            delivery,
        })
    }

    /// The rulebook of a version, of a folder of published ones.
    pub fn published(folder: &Path, version: &str) -> Result<Self, Problems> {
        let root = folder.join(version);
        let book = Self::read(&root)?;
        if book.version != version {
            let mut problems = Problems::default();
            problems.push(Place::file(&root).problem(
                format!("what stands there is rulebook {}", book.version),
                "publish it again: a published rulebook is never changed",
            ));
            return Err(problems);
        }
        Ok(book)
    }

    /// BLAKE3 of the rulebook's contents, in hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// BLAKE3 of all that the meaning of a worker's state depends on: windows, patterns, crossings, and rules by number.
    pub fn state_version(&self) -> [u8; 32] {
        let mut hash = blake3::Hasher::new();
        let mut feed = |line: String| {
            hash.update(&(line.len() as u64).to_le_bytes());
            hash.update(line.as_bytes());
        };
        for w in self.streams.windows() {
            feed(window_meaning(&self.streams, w));
        }
        for p in &self.patterns {
            feed(format!("pattern {:?} {}", self.rules[p.rule].id, p.meaning));
        }
        for rule in &self.rules {
            feed(format!("rule {:?}", rule.id));
        }
        for Crossing { rule, line, of, .. } in &self.crossings {
            feed(format!("crossing {rule} {of:?} {line:?}"));
        }
        *hash.finalize().as_bytes()
    }

    /// Codes of the legal entities (`members/`); none: the rulebook does not say, and every code is one.
    pub fn members(&self) -> &[String] {
        &self.members
    }

    pub fn standards(&self) -> &Standards {
        &self.standards
    }

    pub fn streams(&self) -> &StreamSet {
        &self.streams
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// In the order of the files: conditions, then sequences, absences, and crossings.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    pub fn crossings(&self) -> &[Crossing] {
        &self.crossings
    }

    /// What crossings look at.
    pub fn looks(&self) -> &[Look] {
        &self.looks
    }

    /// Whether a rule is a crossing.
    pub fn is_crossing(&self, rule: usize) -> bool {
        self.crossings.iter().any(|crossing| crossing.rule == rule)
    }

    /// What is odd without being wrong.
    pub fn notes(&self) -> &[Problem] {
        &self.notes
    }

    /// The id of a pattern's rule.
    pub fn rule_of(&self, pattern: usize) -> &str {
        &self.rules[self.patterns[pattern].rule].id
    }

    /// A pattern of this rulebook in another one, by the rule's id; None: it is not there, or means something else.
    pub fn same_pattern(&self, pattern: usize, other: &WarningBook) -> Option<usize> {
        let (rule, meaning) = (self.rule_of(pattern), &self.patterns[pattern].meaning);
        let all = 0..other.patterns.len();
        all.into_iter().find(|p| other.rule_of(*p) == rule && other.patterns[*p].meaning == *meaning)
    }

    /// By kind of events.
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// How much older than the stream an event of a kind may be.
    pub fn allowed_lateness_us(&self, kind: usize) -> i64 {
        self.allowed_lateness_us[kind]
    }

    /// The same of the kind that may be oldest, but for what is never too late.
    pub fn lateness_most_us(&self) -> i64 {
        self.allowed_lateness_us.iter().copied().filter(|us| *us < i64::MAX).max().unwrap_or(0)
    }

    /// How far back events can matter to windows and patterns, in microseconds, but for those that come late.
    pub fn looks_back_us(&self) -> i64 {
        // What a pattern waits for, begins with an event whose condition may read windows. What is renewed may have been kept
        // from beginning by what was there before it.
        let windows = self.streams.windows().iter().map(|w| w.span_us()).max().unwrap_or(0);
        let waits = |p: &Pattern| {
            p.within_us.saturating_mul(2).saturating_add(p.ends.map_or(0, |ends| ends.before_us))
        };
        let waits = self.patterns.iter().map(waits).max().unwrap_or(0);
        windows.saturating_add(waits)
    }

    /// How much of history the log must keep, in microseconds: what all windows and patterns need to be filled, or rebuilt, to the
    /// full, from events of which some were late.
    pub fn history_us(&self) -> i64 {
        self.looks_back_us().saturating_add(self.lateness_most_us())
    }

    /// Until when what ended a pattern at a time can end what is still to come, by the stream's clock.
    pub fn ends_until_us(&self, ends: &Ends, at_us: i64) -> i64 {
        let lateness_us = match self.allowed_lateness_us(ends.first) {
            i64::MAX => self.lateness_most_us(),
            us => us,
        };
        at_us.saturating_add(ends.before_us).saturating_add(lateness_us)
    }

    /// Kinds of edges between customers.
    pub fn edges(&self) -> &EdgeSet {
        &self.edges
    }

    /// Which alerts spread along them.
    pub fn spreads(&self) -> &Spreads {
        &self.spreads
    }

    /// The kind of the events that are alerts of somebody else that have spread.
    pub fn contagion(&self) -> Option<usize> {
        self.contagion
    }

    /// Whether events are of that kind.
    pub fn is_contagion(&self, kind: usize) -> bool {
        self.contagion == Some(kind)
    }

    /// The entities whose features rules may read.
    pub fn entities(&self) -> &Entities {
        &self.entities
    }

    /// What rules read of them.
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// All programs whose constants depend on the rows that they read, or may.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&Program, &Binding)> {
        let groups = self.listeners.iter().flat_map(|listener| {
            let guards = listener.guards.iter().flat_map(|g| [g.group.as_ref(), g.known.as_ref()]);
            guards.chain([listener.always.as_ref(), listener.always_known.as_ref()]).flatten()
        });
        let groups = groups.map(|group| (&group.program, &group.bound));
        let fires = self.patterns.iter().filter_map(|p| p.fires.as_ref());
        let fires = fires.map(|fires| (&fires.program, &fires.bound));
        groups.chain(fires).chain(self.looks.iter().map(|look| (&look.program, &look.bound)))
    }

    /// Who is told of alerts, and when; None: the rulebook does not say, and nothing is pushed.
    pub fn delivery(&self) -> Option<&Policy> {
        self.delivery.as_ref()
    }

    /// The dictionary of the rows of a kind's events.
    pub fn codes(&self, kind: usize) -> &Dictionary {
        self.streams.kinds()[kind].layout.codes()
    }
}

/// All that the values of a window depend on, as text: its name is not among it.
fn window_meaning(streams: &StreamSet, window: &Window) -> String {
    let kind = &streams.kinds()[window.kind].name;
    // Of what type a field is stands in its standard, not in the expression that reads it.
    let said = |e: &Option<Checked>| e.as_ref().map(|e| (e.ty(), e.sql()));
    let Window { measure, of, filter, grain, panes, .. } = window;
    format!("window {kind:?} {measure:?} {:?} {:?} {grain:?} {panes}", said(of), said(filter))
}

/// Scorecards of all kinds: whoever names one of the wrong kind is told so.
fn read_cards(folder: &Folder) -> Result<Vec<ScorecardText>, Problems> {
    let mut problems = Problems::default();
    let files = folder.list("models", "toml");
    let cards = files.iter().filter_map(|f| keep(ScorecardText::read(folder.root(), f), &mut problems));
    let cards = cards.collect();
    problems.or(cards)
}

/// Keeps a value, or its problems.
fn keep<T>(result: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    result.map_err(|e| problems.extend(e)).ok()
}
