//! Reading `models/<id>.toml` and `models/<id>.csv`.
//!
//! In two steps, because a bin can be read only once the type of its characteristic's input is known:
//! [`ScorecardText::read`] takes the text in, the rulebook types the inputs, [`ScorecardText::compile`]
//! reads the bins.

use std::path::Path;

use tarim_datamart::{At, Document, Place, Problem, Problems, Section, SourceText, Type};

use super::{Bin, Characteristic, Grade, Holds, IfUnknown, Kind, Lookup, ReasonText, Scale, Scorecard};
use crate::{
    cell::{Cell, Ranges},
    csv::{Csv, Line},
    domain::Domain,
    keys::{choice, need_number, optional_number, texts},
    space::{Budget, Cover, Piece, cover},
};

/// A scorecard as written.
#[derive(Clone, Debug)]
pub struct ScorecardText {
    id: At<String>,
    zh: String,
    en: String,
    kind: Kind,
    base_points: f64,
    scale: Scale,
    if_unknown: IfUnknown,
    products: Vec<At<String>>,
    characteristics: Vec<CharacteristicText>,
    grades: Vec<GradeText>,
    bins: Csv,
}

#[derive(Clone, Debug)]
struct CharacteristicText {
    name: At<String>,
    zh: String,
    en: String,
    input: At<String>,
}

#[derive(Clone, Debug)]
struct GradeText {
    name: At<String>,
    points_min: Option<At<f64>>,
}

/// What is odd about a scorecard's bins without making it wrong.
#[derive(Clone, Debug, Default)]
pub struct BinCheck {
    pub warnings: Vec<Problem>,
}

impl ScorecardText {
    /// Takes in `models/<id>.toml` (a path relative to the rulebook) and the CSV beside it.
    pub fn read(rulebook: &Path, toml: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let csv = problems.take(SourceText::read(rulebook, &toml.with_extension("csv")));
        let bins = csv.and_then(|csv| problems.take(Csv::read(&csv)));
        let source = SourceText::read(rulebook, toml)?;
        let text = match Document::parse(&source) {
            Ok(document) => Self::take(document.root(), bins, &mut problems),
            Err(e) => {
                problems.extend(e);
                None
            }
        };
        match text {
            Some(text) => {
                text.check(toml, &mut problems);
                problems.or(text)
            }
            None => Err(problems),
        }
    }

    /// None if something is missing that all else hangs on; then there is a problem.
    fn take(root: Section<'_>, bins: Option<Csv>, problems: &mut Problems) -> Option<Self> {
        let head = root.need_section("scorecard", problems);
        let characteristics = root.sections("characteristic", problems);
        let characteristics: Vec<_> =
            characteristics.into_iter().map(|c| CharacteristicText::take(c, problems)).collect();
        let grades = root.sections("grade", problems);
        let grades: Vec<_> = grades.into_iter().map(|g| GradeText::take(g, problems)).collect();
        root.finish(problems);
        let head = head?;
        let id = head.need_text("id", problems);
        let texts = texts(&head, "the scorecard", problems);
        let kinds = [("application", Kind::Application), ("behaviour", Kind::Behaviour)];
        let kind = choice(&head, "kind", &kinds, problems).unwrap_or_default();
        if kind == Kind::Behaviour {
            foreign_to_behaviour(&head, problems);
        }
        let base_points = need_number(&head, "base_points", problems);
        let scale = head.need_section("points_at_odds", problems).and_then(|s| take_scale(s, problems));
        let words = [("refer", IfUnknown::Refer), ("decline", IfUnknown::Decline)];
        let if_unknown = choice(&head, "if_unknown", &words, problems);
        let products = head.texts("products", problems);
        head.finish(problems);
        let (zh, en) = texts?;
        Some(Self {
            id: id?,
            zh,
            en,
            kind,
            base_points: base_points?.value,
            scale: scale?,
            if_unknown: if_unknown.unwrap_or_default(),
            products,
            characteristics: characteristics.into_iter().collect::<Option<_>>()?,
            grades: grades.into_iter().collect::<Option<_>>()?,
            bins: bins?,
        })
    }

    pub fn id(&self) -> &str {
        &self.id.value
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Where its id stands.
    pub fn place(&self) -> &Place {
        &self.id.place
    }

    /// Products that it applies to; empty means all.
    pub fn products(&self) -> &[At<String>] {
        &self.products
    }

    /// The inputs as SQL, in order.
    pub fn inputs(&self) -> impl Iterator<Item = &At<String>> {
        self.characteristics.iter().map(|c| &c.input)
    }

    /// Names of the grades, best first.
    pub fn grades(&self) -> impl Iterator<Item = &str> {
        self.grades.iter().map(|g| g.name.value.as_str())
    }

    fn check(&self, file: &Path, problems: &mut Problems) {
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if self.id.value != stem {
            problems.push(self.id.place.problem(
                format!("scorecard `{}` stands in the file `{stem}.toml`", self.id.value),
                format!("write id = \"{stem}\", or rename the file and its CSV"),
            ));
        }
        if self.characteristics.is_empty() {
            problems.push(self.id.place.problem(
                "the scorecard has no characteristic",
                "add [[characteristic]] with name, zh, en and input",
            ));
        }
        for (i, c) in self.characteristics.iter().enumerate() {
            if self.characteristics[..i].iter().any(|d| d.name.value == c.name.value) {
                problems.push(c.name.place.problem(
                    format!("characteristic `{}` is defined twice", c.name.value),
                    "rename or remove one of them",
                ));
            }
        }
        self.check_grades(problems);
    }

    fn check_grades(&self, problems: &mut Problems) {
        let grades = &self.grades;
        let Some(last) = grades.last() else {
            problems.push(self.id.place.problem("the scorecard has no grade", "add [[grade]], best first"));
            return;
        };
        if let Some(min) = &last.points_min {
            problems.push(min.place.problem(
                format!(
                    "the last grade `{}` has points_min: lower scores would have no grade",
                    last.name.value
                ),
                "remove its points_min, so that it takes everything below",
            ));
        }
        for (i, grade) in grades.iter().enumerate() {
            let name = &grade.name.value;
            if grades[..i].iter().any(|g| g.name.value == *name) {
                let what = format!("grade `{name}` is defined twice");
                problems.push(grade.name.place.problem(what, "rename one"));
            }
            let above = i.checked_sub(1).and_then(|before| grades[before].points_min.as_ref());
            match (above, &grade.points_min) {
                (_, None) if i + 1 < grades.len() => problems.push(grade.name.place.problem(
                    format!("grade `{name}` has no points_min: the grades after it can never be given"),
                    "give points_min to every grade but the last",
                )),
                (Some(above), Some(min)) if min.value >= above.value => problems.push(min.place.problem(
                    format!(
                        "grade `{name}` begins at {}, not below the grade before it ({})",
                        min.value, above.value
                    ),
                    "write the grades best first, each with a lower points_min",
                )),
                _ => {}
            }
        }
    }

    /// Reads the bins, now that the input of each characteristic has a type (or, for texts, all its values).
    pub fn compile(&self, inputs: Vec<Domain>) -> Result<(Scorecard, BinCheck), Problems> {
        let mut problems = Problems::default();
        let mut check = BinCheck::default();
        let columns = problems.take(Columns::of(&self.bins));
        let Some(columns) = columns else { return Err(problems) };
        let mut characteristics: Vec<Characteristic> = self
            .characteristics
            .iter()
            .zip(inputs)
            .map(|(c, domain)| Characteristic {
                name: c.name.value.clone(),
                zh: c.zh.clone(),
                en: c.en.clone(),
                domain,
                bins: Vec::new(),
            })
            .collect();
        for line in self.bins.lines() {
            let name = line.cell(columns.characteristic);
            match characteristics.iter_mut().find(|c| c.name == name) {
                Some(c) => c.bins.extend(problems.take(columns.bin(&line, &mut c.domain))),
                None => problems.push(line.place().problem(
                    format!("`{name}` is not a characteristic of this scorecard"),
                    format!("write one of {}", names(&self.characteristics)),
                )),
            }
        }
        for (c, text) in characteristics.iter().zip(&self.characteristics) {
            check_bins(c, &text.name.place, self.bins.path(), &mut problems, &mut check);
        }
        let scorecard = Scorecard {
            id: self.id.value.clone(),
            zh: self.zh.clone(),
            en: self.en.clone(),
            place: self.id.place.clone(),
            if_unknown: self.if_unknown,
            base_points: self.base_points,
            scale: self.scale,
            lookups: characteristics.iter().map(Lookup::of).collect(),
            characteristics,
            grades: self
                .grades
                .iter()
                .map(|g| Grade {
                    name: g.name.value.clone(),
                    points_min: g.points_min.as_ref().map_or(f64::NEG_INFINITY, |p| p.value),
                })
                .collect(),
        };
        problems.or((scorecard, check))
    }
}

impl CharacteristicText {
    fn take(section: Section<'_>, problems: &mut Problems) -> Option<Self> {
        let name = section.need_text("name", problems);
        let what =
            name.as_ref().map_or("the characteristic".into(), |n| format!("characteristic `{}`", n.value));
        let texts = texts(&section, &what, problems);
        let input = section.need_text("input", problems);
        section.finish(problems);
        let (zh, en) = texts?;
        Some(Self { name: name?, zh, en, input: input? })
    }
}

impl GradeText {
    fn take(section: Section<'_>, problems: &mut Problems) -> Option<Self> {
        let name = section.need_text("name", problems);
        let points_min = optional_number(&section, "points_min", problems);
        section.finish(problems);
        Some(Self { name: name?, points_min })
    }
}

/// What a behaviour scorecard cannot say: whoever asks for it does.
fn foreign_to_behaviour(head: &Section<'_>, problems: &mut Problems) {
    for (key, fix) in [
        ("products", "remove it: events of all customers are looked at"),
        ("if_unknown", "remove it, and write it in the [[crossing]] that watches the score"),
    ] {
        if let Some(item) = head.item(key) {
            let what = format!("a behaviour scorecard has no `{key}`");
            problems.push(item.place().problem(what, fix));
        }
    }
}

fn take_scale(section: Section<'_>, problems: &mut Problems) -> Option<Scale> {
    let points = need_number(&section, "points", problems);
    let odds = need_number(&section, "odds", problems);
    let double = need_number(&section, "double", problems);
    let place = section.place();
    section.finish(problems);
    let scale = Scale { points: points?.value, odds: odds?.value, double: double?.value };
    if !(scale.odds > 0.0 && scale.double > 0.0) {
        problems.push(place.problem(
            "points_at_odds needs odds and double above zero",
            "for example { points = 600, odds = 30, double = 40 }",
        ));
        return None;
    }
    Some(scale)
}

fn names(characteristics: &[CharacteristicText]) -> String {
    characteristics.iter().map(|c| c.name.value.as_str()).collect::<Vec<_>>().join(", ")
}

/// Where each column of the CSV stands.
struct Columns {
    characteristic: usize,
    bin: usize,
    points: usize,
    reason: Option<usize>,
    zh: Option<usize>,
    en: Option<usize>,
}

impl Columns {
    fn of(csv: &Csv) -> Result<Self, Problem> {
        const KNOWN: [&str; 7] = ["characteristic", "bin", "points", "reason", "zh", "en", "note"];
        if let Some(odd) = csv.header().iter().find(|h| !KNOWN.contains(&h.as_str())) {
            return Err(csv.header_place().problem(
                format!("`{odd}` is not a column of a scorecard"),
                "the columns are characteristic,bin,points,reason,zh,en and, if you like, note",
            ));
        }
        let need = |name: &str| {
            csv.column(name).ok_or_else(|| {
                csv.header_place().problem(
                    format!("the column `{name}` is missing"),
                    "the columns are characteristic,bin,points,reason,zh,en",
                )
            })
        };
        Ok(Self {
            characteristic: need("characteristic")?,
            bin: need("bin")?,
            points: need("points")?,
            reason: csv.column("reason"),
            zh: csv.column("zh"),
            en: csv.column("en"),
        })
    }

    fn bin(&self, line: &Line<'_>, domain: &mut Domain) -> Result<Bin, Problem> {
        let holds = match line.cell(self.bin) {
            "missing" => Holds::Missing,
            "other" => Holds::Other,
            "" | "*" => {
                return Err(line
                    .place()
                    .problem("a bin cannot be empty", "write other for all values left, or missing"));
            }
            text => Holds::Keys(Ranges::parse(text, domain).map_err(|what| {
                line.place().problem(what, "a bin is [0,10), >=5, A|B, a value, missing or other")
            })?),
        };
        let points = line.cell(self.points);
        let points = points.parse::<f64>().ok().filter(|p| p.is_finite()).ok_or_else(|| {
            line.place()
                .problem(format!("points are `{points}`, not a number"), "write an integer or a decimal")
        })?;
        let optional = |column: Option<usize>| column.map_or("", |c| line.cell(c)).to_owned();
        let reason = ReasonText { id: optional(self.reason), zh: optional(self.zh), en: optional(self.en) };
        if reason.id.is_empty() != reason.zh.is_empty() || reason.zh.is_empty() != reason.en.is_empty() {
            return Err(line.place().problem(
                "reason, zh and en belong together, and one of them is empty",
                "give all three, or none (then the characteristic itself is the reason)",
            ));
        }
        let reason = (!reason.id.is_empty()).then_some(reason);
        Ok(Bin { holds, points, reason, place: line.place() })
    }
}

/// Overlaps and gaps of one characteristic.
fn check_bins(c: &Characteristic, place: &Place, csv: &Path, problems: &mut Problems, check: &mut BinCheck) {
    if c.bins.is_empty() {
        problems.push(place.problem(
            format!("characteristic `{}` has no bin", c.name),
            format!("add its bins to {}", csv.display()),
        ));
        return;
    }
    for (i, bin) in c.bins.iter().enumerate() {
        let clash = c.bins[..i].iter().find(|before| match (&before.holds, &bin.holds) {
            (Holds::Missing, Holds::Missing) | (Holds::Other, Holds::Other) => true,
            (Holds::Keys(a), Holds::Keys(b)) => b
                .as_slice()
                .iter()
                .any(|&(first, last)| a.as_slice().iter().any(|&(x, y)| x <= last && first <= y)),
            _ => false,
        });
        if let Some(before) = clash {
            problems.push(bin.place.problem(
                format!("this bin of `{}` overlaps the one at {}", c.name, before.place),
                "let every value fall into one bin",
            ));
        }
    }
    // Texts that no bin names are for `if_unknown`; a hole in numbers is more likely a slip.
    if c.domain.ty() == Type::Utf8 && !c.domain.is_closed()
        || c.bins.iter().any(|b| matches!(b.holds, Holds::Other))
    {
        return;
    }
    let rows: Vec<[Cell; 1]> = c
        .bins
        .iter()
        .filter_map(|b| match &b.holds {
            Holds::Keys(ranges) => Some([Cell::In(ranges.clone())]),
            _ => None,
        })
        .collect();
    let rows: Vec<&[Cell]> = rows.iter().map(|r| r.as_slice()).collect();
    let (min, max) = c.domain.bounds();
    if let Cover::Hole(hole) = cover(&rows, &[vec![Piece::Keys(min, max)]], &mut Budget::default())
        && let Piece::Keys(first, last) = hole[0]
    {
        let what = format!("characteristic `{}` has no bin for {}", c.name, c.domain.describe(first, last));
        let fix = "extend a bin, or add one (other takes all values left)";
        // A hole between bins of numbers is a slip; at the ends, or a text left out, it can be meant.
        if first == min || last == max || c.domain.ty() == Type::Utf8 {
            check.warnings.push(place.problem(what, fix));
        } else {
            problems.push(place.problem(what, fix));
        }
    }
}
