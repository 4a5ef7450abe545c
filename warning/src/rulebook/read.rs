//! `warnings/*.toml` as written, before any expression is looked at.

use tarim_datamart::{At, Document, Place, Problems, Section, SourceText, nearest};
use tarim_features::{folder::Folder, view::parse_span};

use super::{
    crossing::{self, CrossingText},
    spread::{self, SpreadText},
    words::{IfUnknown, Level, Push},
};
use crate::delivery::DeliveryText;

/// Everything that the files say.
#[derive(Debug, Default)]
pub struct Texts {
    pub rules: Vec<RuleText>,
    pub sequences: Vec<SequenceText>,
    pub absences: Vec<AbsenceText>,
    pub crossings: Vec<CrossingText>,
    pub spreads: Vec<SpreadText>,
    pub allowed_lateness_us: Option<i64>,
    /// By kind of events, where it is another one.
    pub lateness_of: Vec<(At<String>, i64)>,
    /// Who is told, and when.
    pub delivery: DeliveryText,
}

/// What every kind of rule says.
#[derive(Clone, Debug)]
pub struct Head {
    pub id: String,
    pub zh: String,
    pub en: String,
    pub level: Level,
    pub push: Push,
    /// After an alert, others of the same rule, customer and key are held back for so long, and counted.
    pub quiet_us: i64,
    pub if_unknown: IfUnknown,
    pub group: String,
    /// Held back while an alert of one of these rules stands, by id.
    pub suppressed_by: Vec<At<String>>,
    /// Names of values that an alert shows; None: those that its condition reads.
    pub show: Option<Vec<At<String>>>,
    pub place: Place,
}

/// `[[rule]]`: a condition on an event and what is known.
#[derive(Debug)]
pub struct RuleText {
    pub head: Head,
    pub events: Vec<At<String>>,
    pub when: At<String>,
    pub key: Vec<At<String>>,
}

/// `[[sequence]]`: something happens, and then something follows, or does not, within a time.
#[derive(Clone, Debug)]
pub struct SequenceText {
    pub head: Head,
    pub first: StepText,
    pub then: Option<StepText>,
    pub unless: Option<StepText>,
    pub within_us: i64,
    pub fires: Option<At<String>>,
}

/// `[[absence]]`: something that came no longer comes.
#[derive(Clone, Debug)]
pub struct AbsenceText {
    pub head: Head,
    pub of: StepText,
    pub after_us: i64,
}

/// A step of a sequence.
#[derive(Clone, Debug)]
pub struct StepText {
    pub event: At<String>,
    pub when: Option<At<String>>,
    pub key: Vec<At<String>>,
    /// Field whose value the first step keeps, or which the following ones add up.
    pub amount: Option<At<String>>,
    /// Of what ends a sequence: what came up to so long before it began ends it, too. In microseconds.
    pub before_us: i64,
    pub place: Place,
}

/// A day, unless a rule says another time.
const QUIET_US: i64 = 86_400_000_000;

/// Reads all files; a rulebook without `warnings/` has no warnings.
pub fn read(folder: &Folder) -> Result<Texts, Problems> {
    let mut texts = Texts::default();
    let mut problems = Problems::default();
    for path in folder.list("warnings", "toml") {
        let Some(text) = problems.take(SourceText::read(folder.root(), path)) else { continue };
        match Document::parse(&text) {
            Ok(document) => file(document.root(), &mut texts, &mut problems),
            Err(wrong) => problems.extend(wrong),
        }
    }
    strays(folder, &mut problems);
    unique(&texts, &mut problems);
    problems.or(texts)
}

/// Files that nothing reads would be rules that nobody misses.
fn strays(folder: &Folder, problems: &mut Problems) {
    let read = folder.list("warnings", "toml");
    for file in folder.files().iter().filter(|f| f.starts_with("warnings")) {
        if !read.contains(&file.as_path()) && file.extension().is_none_or(|e| e != "md") {
            problems.push(Place::file(file).problem(
                "this file would be left out: warning rules are warnings/*.toml",
                "move it there, or remove it",
            ));
        }
    }
}

fn file(root: Section<'_>, texts: &mut Texts, problems: &mut Problems) {
    if let Some(section) = root.section("pipeline", problems) {
        let lateness = section.text("allowed_lateness", problems);
        if let (Some(_), Some(lateness)) = (texts.allowed_lateness_us, &lateness) {
            problems.push(lateness.place.problem("the allowed lateness is said twice", "remove one of them"));
        }
        // A file that only says the lateness of some kinds leaves the usual one as it is.
        texts.allowed_lateness_us =
            lateness.and_then(|l| parse_span(&l, problems)).or(texts.allowed_lateness_us);
        for (kind, item) in section.section("lateness", problems).iter().flat_map(Section::entries) {
            if texts.lateness_of.iter().any(|(other, _)| other.value == kind.value) {
                problems.push(kind.place.problem(
                    format!("the lateness of `{}` is said twice", kind.value),
                    "remove one of them",
                ));
            }
            let span = item.text(problems).and_then(|l| parse_span(&l, problems));
            texts.lateness_of.extend(span.map(|us| (kind.map(str::to_owned), us)));
        }
        section.finish(problems);
    }
    texts.delivery.read(&root, problems);
    for section in root.sections("rule", problems) {
        texts.rules.extend(rule(section, problems));
    }
    for section in root.sections("sequence", problems) {
        texts.sequences.extend(sequence(section, problems));
    }
    for section in root.sections("absence", problems) {
        texts.absences.extend(absence(section, problems));
    }
    for section in root.sections("crossing", problems) {
        texts.crossings.extend(crossing::read(section, problems));
    }
    for section in root.sections("spread", problems) {
        texts.spreads.extend(spread::read(section, problems));
    }
    root.finish(problems);
}

pub fn head(section: &Section<'_>, problems: &mut Problems) -> Option<Head> {
    let place = section.place();
    let id = section.need_text("id", problems);
    if let Some(id) = &id {
        check_id(id, problems);
    }
    let (zh, en) = (section.need_text("zh", problems), section.need_text("en", problems));
    let level = section.need_text("level", problems).and_then(|l| choice(&l, &Level::ALL, problems));
    let push = section.text("push", problems).map(|p| choice(&p, &Push::ALL, problems));
    let quiet = section.text("quiet", problems).map(|q| parse_span(&q, problems));
    let if_unknown = section.text("if_unknown", problems).map(|u| choice(&u, &IfUnknown::ALL, problems));
    let group = section.text("group", problems).map_or_else(String::new, |g| g.value);
    let suppressed_by = section.texts("suppressed_by", problems);
    let show = section.has("show").then(|| section.texts("show", problems));
    Some(Head {
        id: id?.value,
        zh: zh?.value,
        en: en?.value,
        level: level?,
        push: push.unwrap_or(Some(Push::Realtime))?,
        quiet_us: quiet.unwrap_or(Some(QUIET_US))?,
        // Fail closed: what cannot be told is told.
        if_unknown: if_unknown.unwrap_or(Some(IfUnknown::Warn))?,
        group,
        suppressed_by,
        show,
        place,
    })
}

fn rule(section: Section<'_>, problems: &mut Problems) -> Option<RuleText> {
    let head = head(&section, problems);
    let events = events(&section, problems);
    let when = section.need_text("when", problems);
    let key = section.texts("key", problems);
    section.finish(problems);
    Some(RuleText { head: head?, events: events?, when: when?, key })
}

/// One kind of events, or several.
pub fn events(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<At<String>>> {
    section.need("event", problems).map(|item| match item.is_text() {
        true => item.text(problems).into_iter().collect(),
        false => item.texts(problems),
    })
}

fn sequence(section: Section<'_>, problems: &mut Problems) -> Option<SequenceText> {
    let head = head(&section, problems);
    let place = section.place();
    let first = section.need_section("first", problems).and_then(|s| step(s, "keep", problems));
    let then = section.section("then", problems).map(|s| step(s, "add", problems));
    let unless = section.section("unless", problems).map(|s| step(s, "", problems));
    let within = section.need_text("within", problems).and_then(|w| parse_span(&w, problems));
    let fires = section.text("fires", problems);
    section.finish(problems);
    if then.is_none() && unless.is_none() {
        problems.push(place.problem(
            "nothing follows in this sequence",
            "add `then` (it fires when that follows), or `unless` (it fires when that does not follow)",
        ));
        return None;
    }
    if then.is_none() && fires.is_some() {
        problems.push(place.problem("`fires` looks at what follows, and there is no `then`", "add `then`"));
        return None;
    }
    Some(SequenceText {
        head: head?,
        first: first?,
        then: transposed(then)?,
        unless: transposed(unless)?,
        within_us: within?,
        fires,
    })
}

/// None of what was said wrongly; what was not said at all stays so.
fn transposed<T>(said: Option<Option<T>>) -> Option<Option<T>> {
    match said {
        None => Some(None),
        Some(said) => said.map(Some),
    }
}

fn absence(section: Section<'_>, problems: &mut Problems) -> Option<AbsenceText> {
    let head = head(&section, problems);
    let place = section.place();
    let event = section.need_text("event", problems);
    let when = section.text("when", problems);
    let key = section.texts("key", problems);
    let after = section.need_text("after", problems).and_then(|a| parse_span(&a, problems));
    section.finish(problems);
    let of = StepText { event: event?, when, key, amount: None, before_us: 0, place };
    Some(AbsenceText { head: head?, of, after_us: after? })
}

/// A step, and the name of its amount; what ends a sequence has none, but may come before it.
fn step(section: Section<'_>, amount: &'static str, problems: &mut Problems) -> Option<StepText> {
    let place = section.place();
    let event = section.need_text("event", problems);
    let when = section.text("when", problems);
    let key = section.texts("key", problems);
    let (amount, before) = match amount {
        "" => (None, section.text("before", problems).map(|b| parse_span(&b, problems))),
        name => (section.text(name, problems), None),
    };
    section.finish(problems);
    Some(StepText { event: event?, when, key, amount, before_us: before.unwrap_or(Some(0))?, place })
}

fn check_id(id: &At<String>, problems: &mut Problems) {
    let good = id.value.starts_with(|c: char| c.is_ascii_alphabetic())
        && id.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if !good {
        problems.push(id.place.problem(
            format!("`{}` cannot be a rule's id", id.value),
            "use letters, digits, _, - and ., with a letter first",
        ));
    }
}

/// One of a few words.
pub fn choice<T: Copy>(word: &At<String>, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let found = choices.iter().find(|(name, _)| *name == word.value);
    if found.is_none() {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let fix = match nearest(&word.value, &names) {
            Some(near) => format!("did you mean \"{near}\"? It may be {}", names.join(", ")),
            None => format!("write one of {}", names.join(", ")),
        };
        problems.push(word.place.problem(format!("`{}` cannot stand here", word.value), fix));
    }
    found.map(|(_, value)| *value)
}

fn unique(texts: &Texts, problems: &mut Problems) {
    let mut heads: Vec<&Head> = texts.heads().collect();
    heads.sort_by(|a, b| a.id.cmp(&b.id));
    for pair in heads.windows(2) {
        if pair[0].id == pair[1].id {
            problems.push(pair[1].place.problem(
                format!("rule `{}` is defined twice; the other stands at {}", pair[1].id, pair[0].place),
                "give each rule an id of its own: alerts are told by it",
            ));
        }
    }
}

impl Texts {
    /// Of rules, then sequences, absences, and crossings: rules are numbered in this order.
    pub fn heads(&self) -> impl Iterator<Item = &Head> {
        let rules = self.rules.iter().map(|r| &r.head);
        let patterns = self.sequences.iter().map(|s| &s.head).chain(self.absences.iter().map(|a| &a.head));
        rules.chain(patterns).chain(self.crossings.iter().map(|c| &c.head))
    }

    /// Of each rule, in the same order: whether nothing but events of this kind can raise its alerts.
    pub fn only_listens_to(&self, kind: &str) -> Vec<bool> {
        let is = |event: &At<String>| event.value == kind;
        let rules = self.rules.iter().map(|r| r.events.iter().all(is));
        // An alert rests on what began the episode, and on what followed.
        let sequences = self
            .sequences
            .iter()
            .map(|s| is(&s.first.event) || s.then.as_ref().is_some_and(|then| is(&then.event)));
        let absences = self.absences.iter().map(|a| is(&a.of.event));
        let crossings = self.crossings.iter().map(|c| c.events.iter().all(is));
        rules.chain(sequences).chain(absences).chain(crossings).collect()
    }
}
