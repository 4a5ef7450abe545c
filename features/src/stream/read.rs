//! Reading `features/streams/*.toml`: the windows, but not yet what their SQL means.

use tarim_datamart::{At, Item, Place, Problems, Section, SourceText};

use super::grain::Grain;
use crate::view::read::{Names, choice, need_name, parse};

/// What a window tells of the values in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// How many events there are, or how many of them have a value.
    Count,
    Sum,
    Min,
    Max,
    Avg,
    /// Of a sample; unknown of fewer than two values.
    Stddev,
    /// How many different values there are, up to [`DISTINCT_MAX`].
    Distinct,
    /// The value of the earliest event that has one, and of the latest. Of events of one time the first and the last
    /// of the log count.
    First,
    Last,
}

/// Different values are counted up to so many.
pub const DISTINCT_MAX: usize = 1000;

/// Most panes of a window: what is longer is asked for in longer panes.
const PANES_MAX: u32 = 400;

const MEASURES: [(&str, Measure); 9] = [
    ("count", Measure::Count),
    ("sum", Measure::Sum),
    ("min", Measure::Min),
    ("max", Measure::Max),
    ("avg", Measure::Avg),
    ("stddev", Measure::Stddev),
    ("distinct", Measure::Distinct),
    ("first", Measure::First),
    ("last", Measure::Last),
];

/// What a file says.
pub(super) struct RawStream<'d> {
    pub event: At<String>,
    /// Holds for all windows of the file.
    pub filter: Option<At<String>>,
    pub windows: Vec<RawWindow<'d>>,
}

/// What a `[[window]]` says.
pub(super) struct RawWindow<'d> {
    pub name: At<String>,
    pub zh: String,
    pub en: String,
    pub measure: At<Measure>,
    pub of: Option<At<String>>,
    pub filter: Option<At<String>>,
    pub grain: Grain,
    pub panes: u32,
    pub default: Option<Item<'d>>,
    pub place: Place,
}

/// Calls `then` with what the file says, if it says enough.
pub(super) fn stream(
    text: &SourceText,
    files: &mut Names,
    windows: &mut Names,
    problems: &mut Problems,
    then: impl FnOnce(RawStream<'_>, &mut Problems),
) {
    let Some(document) = parse(text, problems) else { return };
    let root = document.root();
    let head = root.need_section("stream", problems);
    let sections = root.sections("window", problems);
    root.finish(problems);
    let windows: Vec<_> = sections.into_iter().filter_map(|s| window(s, windows, problems)).collect();
    let Some(head) = head else { return };
    let name = need_name(&head, "stream", files, problems);
    let (zh, en) = (head.need_text("zh", problems), head.need_text("en", problems));
    let event = head.need_text("event", problems);
    let filter = head.text("where", problems);
    head.finish(problems);
    if let Some(name) = &name
        && text.path().file_stem().is_none_or(|stem| *stem != *name.value)
    {
        problems.push(name.place.problem(
            format!("the stream `{}` stands in {}", name.value, text.path().display()),
            format!("name the file {}.toml, or the stream as the file", name.value),
        ));
    }
    if windows.is_empty() {
        problems.push(Place::file(text.path()).problem(
            "the stream has no windows",
            "add a [[window]] with name, zh, en, measure and panes, or remove the file",
        ));
    }
    if let (Some(_), Some(_), Some(_), Some(event)) = (name, zh, en, event) {
        then(RawStream { event, filter, windows }, problems);
    }
}

fn window<'d>(section: Section<'d>, names: &mut Names, problems: &mut Problems) -> Option<RawWindow<'d>> {
    let place = section.place();
    let name = need_name(&section, "window", names, problems);
    let (zh, en) = (section.need_text("zh", problems), section.need_text("en", problems));
    let measure = section.need_text("measure", problems);
    let measure = measure.and_then(|m| Some(At { value: choice(&m, &MEASURES, problems)?, place: m.place }));
    let of = section.text("of", problems);
    let filter = section.text("where", problems);
    let panes = section.need_text("panes", problems).and_then(|p| panes(&p, problems));
    let default = section.item("default");
    section.finish(problems);
    let (grain, panes) = panes?;
    Some(RawWindow {
        name: name?,
        zh: zh?.value,
        en: en?.value,
        measure: measure?,
        of,
        filter,
        grain,
        panes,
        default,
        place,
    })
}

/// `"30 days"`: how many panes, and how long each is.
fn panes(text: &At<String>, problems: &mut Problems) -> Option<(Grain, u32)> {
    let parsed = || {
        let (number, unit) = text.value.trim().split_once(' ')?;
        let unit = unit.strip_suffix('s').unwrap_or(unit);
        let (_, grain) = Grain::ALL.iter().find(|(name, _)| *name == unit)?;
        Some((*grain, number.parse().ok()?))
    };
    match parsed() {
        Some((grain, n)) if (1..=PANES_MAX).contains(&n) => Some((grain, n)),
        Some((grain, n)) => {
            problems.push(text.place.problem(
                format!("a window has 1 to {PANES_MAX} panes, not {n}"),
                match grain {
                    Grain::Hour => "count in days",
                    Grain::Day | Grain::Month => "count in months, or make it shorter",
                },
            ));
            None
        }
        None => {
            problems.push(text.place.problem(
                format!("`{}` says not how many panes of which length a window has", text.value),
                "write for instance \"24 hours\", \"30 days\" or \"12 months\": the present one counts as one",
            ));
            None
        }
    }
}
