//! Reading a decision table: its `[[table]]` and `policies/tables/<id>.csv`.
//!
//! In two steps, as with scorecards: the text first, its cells once the inputs have types.

use std::path::{Path, PathBuf};

use tarim_datamart::{At, Item, Place, Problem, Problems, Section, SourceText, Type};
use tarim_features::row::Dictionary;
use tarim_models::{
    cell::{Cell, parse_date, parse_timestamp},
    csv::{Csv, Line},
    domain::Domain,
    keys::{choice, one_of, texts},
};

use super::{Collect, Hit, Index, Input, Output, Row, Table};
use crate::{
    outcome::{Effect, Stage},
    policy::answer::Out,
    rulebook::For,
};

/// `[[table]]` of a policies file.
#[derive(Clone, Debug)]
pub struct Header {
    pub id: At<String>,
    zh: String,
    en: String,
    hit: Hit,
    pub stage: Stage,
    /// Column and SQL.
    inputs: Vec<(At<String>, At<String>)>,
    /// Column and what becomes of it.
    outputs: Vec<(At<String>, OutputText)>,
    if_no_match: Option<Option<Effect>>,
    if_unknown: Option<Effect>,
    /// True: a gap is an error.
    pub complete: bool,
    pub products: For,
}

#[derive(Clone, Debug)]
struct OutputText {
    ty: Type,
    collect: Option<Collect>,
}

const TYPES: [(&str, Type); 6] = [
    ("boolean", Type::Boolean),
    ("int64", Type::Int64),
    ("float64", Type::Float64),
    ("utf8", Type::Utf8),
    ("date32", Type::Date32),
    ("timestamp", Type::Timestamp),
];

impl Header {
    /// Reads a `[[table]]`. None if something is missing that all else hangs on; then there is a problem.
    pub fn take(section: Section<'_>, stages: &[(&str, Stage)], problems: &mut Problems) -> Option<Self> {
        let id = section.need_text("id", problems);
        let what = id.as_ref().map_or("the table".into(), |id| format!("table `{}`", id.value));
        let texts = texts(&section, &what, problems);
        let words = [("unique", Hit::Unique), ("first", Hit::First), ("collect", Hit::Collect)];
        let hit = section.need_text("hit", problems).and_then(|h| one_of(&h, &words, problems));
        let stage = section.need_text("stage", problems).and_then(|s| one_of(&s, stages, problems));
        let inputs = section.need_section("inputs", problems);
        let inputs = inputs.iter().flat_map(Section::entries);
        let inputs = inputs.filter_map(|(name, sql)| Some((owned(name), sql.text(problems)?))).collect();
        let outputs = section.need_section("outputs", problems);
        let outputs = outputs.iter().flat_map(Section::entries);
        let outputs = outputs
            .filter_map(|(name, item)| Some((owned(name), OutputText::take(item, problems)?)))
            .collect();
        let words = [("refer", Some(Effect::Refer)), ("decline", Some(Effect::Decline)), ("ignore", None)];
        let if_no_match = choice(&section, "if_no_match", &words, problems);
        let if_unknown = choice(&section, "if_unknown", &words, problems).unwrap_or(Some(Effect::Refer));
        let complete = section.boolean("complete", problems).is_some_and(|c| c.value);
        let products = For(section.texts("products", problems));
        section.finish(problems);
        let ((zh, en), hit, stage) = (texts?, hit?, stage?);
        Some(Self {
            id: id?,
            zh,
            en,
            hit,
            stage,
            inputs,
            outputs,
            if_no_match,
            if_unknown,
            complete,
            products,
        })
    }
}

fn owned(name: At<&str>) -> At<String> {
    name.map(str::to_owned)
}

impl OutputText {
    fn take(item: Item<'_>, problems: &mut Problems) -> Option<Self> {
        if !item.is_section() {
            let ty = one_of(&item.text(problems)?, &TYPES, problems)?;
            return Some(Self { ty, collect: None });
        }
        let section = item.section(problems)?;
        let ty = section.need_text("type", problems).and_then(|t| one_of(&t, &TYPES, problems));
        let words =
            [("sum", Collect::Sum), ("min", Collect::Min), ("max", Collect::Max), ("count", Collect::Count)];
        let collect = section.need_text("collect", problems).and_then(|c| one_of(&c, &words, problems));
        section.finish(problems);
        Some(Self { ty: ty?, collect: Some(collect?) })
    }
}

/// A decision table as written.
#[derive(Clone, Debug)]
pub struct TableText {
    pub header: Header,
    csv: Csv,
    /// Input columns in the order of the CSV: name and SQL.
    inputs: Vec<(String, At<String>)>,
    /// Output columns in the order of the CSV; columns that `count` needs no cell for come last.
    outputs: Vec<Output>,
}

impl TableText {
    /// Takes in the CSV that belongs to a `[[table]]`.
    pub fn read(rulebook: &Path, header: Header) -> Result<Self, Problems> {
        let path = csv_path(&header.id.value);
        let csv = SourceText::read(rulebook, &path).and_then(|csv| Csv::read(&csv))?;
        let mut problems = Problems::default();
        let mut inputs = Vec::new();
        let mut outputs = Vec::new();
        for column in csv.header() {
            if let Some((_, sql)) = header.inputs.iter().find(|(name, _)| name.value == *column) {
                inputs.push((column.clone(), sql.clone()));
            } else if let Some((name, text)) = header.outputs.iter().find(|(n, _)| n.value == *column) {
                outputs.extend(problems.take(output(header.hit, name, text)));
            } else if column != "note" {
                problems.push(csv.header_place().problem(
                    format!("`{column}` is neither an input nor an output of table `{}`", header.id.value),
                    "name it under inputs or outputs, remove the column, or call it note",
                ));
            }
        }
        for (name, _) in &header.inputs {
            if csv.column(&name.value).is_none() {
                problems.push(name.place.problem(
                    format!("the input `{}` has no column in {}", name.value, path.display()),
                    "add the column to the CSV, or remove the input",
                ));
            }
            if header.outputs.iter().any(|(output, _)| output.value == name.value) {
                let what = format!("`{}` is both an input and an output", name.value);
                problems.push(name.place.problem(what, "rename one of them"));
            }
        }
        for (name, text) in header.outputs.iter().filter(|(name, _)| csv.column(&name.value).is_none()) {
            match output(header.hit, name, text) {
                Ok(counted @ Output { collect: Some(Collect::Count), .. }) => outputs.push(counted),
                _ => problems.push(name.place.problem(
                    format!("the output `{}` has no column in {}", name.value, path.display()),
                    "add the column to the CSV, or remove the output",
                )),
            }
        }
        if inputs.is_empty() && problems.is_empty() {
            let what = "the table has no input: every row would apply to everybody";
            problems.push(header.id.place.problem(what, "add inputs = { name = \"application.name\" }"));
        }
        if outputs.is_empty() && problems.is_empty() {
            let what = "the table has no output";
            problems.push(header.id.place.problem(what, "add outputs = { name = \"int64\" }"));
        }
        problems.or(Self { header, csv, inputs, outputs })
    }

    pub fn id(&self) -> &str {
        &self.header.id.value
    }

    /// Where its id stands.
    pub fn place(&self) -> &Place {
        &self.header.id.place
    }

    /// Path of its CSV, relative to the rulebook.
    pub fn csv_path(&self) -> PathBuf {
        csv_path(self.id())
    }

    /// The inputs as SQL, in the order of the CSV.
    pub fn inputs(&self) -> impl Iterator<Item = &At<String>> {
        self.inputs.iter().map(|(_, sql)| sql)
    }

    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }

    /// True when the author said what a gap means.
    pub fn expects_gaps(&self) -> bool {
        self.header.if_no_match.is_some()
    }

    /// Reads the cells. `inputs` are the domains of the inputs in order; `texts` takes in output texts.
    pub fn compile(&self, inputs: Vec<Domain>, texts: &mut Dictionary) -> Result<Table, Problems> {
        let mut problems = Problems::default();
        let mut inputs: Vec<Input> = self
            .inputs
            .iter()
            .zip(inputs)
            .map(|((name, _), domain)| Input { name: name.clone(), domain, names_null: false })
            .collect();
        let mut rows = Vec::new();
        for line in self.csv.lines() {
            let mut cells = Vec::with_capacity(inputs.len());
            for input in &mut inputs {
                let text = self.csv.column(&input.name).map_or("", |c| line.cell(c));
                let cell = Cell::parse(text, &mut input.domain).map_err(|what| {
                    line.place().problem(
                        format!("column `{}`: {what}", input.name),
                        "a cell is *, A|B, a value, [0,10), >=5, true, or null",
                    )
                });
                let cell = problems.take(cell);
                input.names_null |= cell == Some(Cell::Null);
                cells.extend(cell);
            }
            let mut outs = Vec::with_capacity(self.outputs.len());
            for output in &self.outputs {
                outs.extend(problems.take(self.out(output, &line, texts)));
            }
            rows.push(Row { cells, outs, place: line.place() });
        }
        if rows.is_empty() {
            let place = self.csv.header_place();
            problems.push(place.problem("the table has no row", "write at least one row below the header"));
        }
        // An index is made of whole rows only.
        problems.or(())?;
        let index = Index::of(&inputs, &rows);
        Ok(Table {
            id: self.id().to_owned(),
            zh: self.header.zh.clone(),
            en: self.header.en.clone(),
            place: self.place().clone(),
            hit: self.header.hit,
            inputs,
            outputs: self.outputs.clone(),
            rows,
            if_no_match: self.header.if_no_match.unwrap_or(Some(Effect::Refer)),
            if_unknown: self.header.if_unknown,
            show: Vec::new(),
            index,
        })
    }

    fn out(&self, output: &Output, line: &Line<'_>, texts: &mut Dictionary) -> Result<Out, Problem> {
        let Some(column) = self.csv.column(&output.name) else { return Ok(Out::Null) };
        let text = line.cell(column);
        constant(text, output.ty, texts).map_err(|what| {
            line.place().problem(
                format!("output `{}`: {what}", output.name),
                format!("write a constant of type {}, or leave the cell empty for NULL", output.ty),
            )
        })
    }
}

fn csv_path(id: &str) -> PathBuf {
    Path::new("policies/tables").join(format!("{id}.csv"))
}

fn output(hit: Hit, name: &At<String>, text: &OutputText) -> Result<Output, Problem> {
    let OutputText { ty, collect } = *text;
    let At { value: name, place } = name;
    if hit == Hit::Collect && collect.is_none() {
        return Err(place.problem(
            format!("output `{name}` does not say how its values are put together"),
            format!("write {name} = {{ type = \"{ty}\", collect = \"sum\" }} (or min, max, count)"),
        ));
    }
    if hit != Hit::Collect && collect.is_some() {
        return Err(place.problem(
            format!("output `{name}` says `collect`, but the table takes one row"),
            format!("write {name} = \"{ty}\", or hit = \"collect\""),
        ));
    }
    let fits = match collect {
        None => true,
        Some(Collect::Count) => ty == Type::Int64,
        Some(Collect::Sum) => matches!(ty, Type::Int64 | Type::Float64),
        Some(Collect::Min | Collect::Max) => !matches!(ty, Type::Boolean | Type::Utf8),
    };
    if !fits {
        return Err(place.problem(
            format!("output `{name}` of type {ty} cannot be collected this way"),
            "sum is for int64 and float64, min and max also for dates and timestamps, a count is an int64",
        ));
    }
    Ok(Output { name: name.clone(), ty, collect })
}

/// A constant cell; empty is NULL.
fn constant(text: &str, ty: Type, texts: &mut Dictionary) -> Result<Out, String> {
    if text.is_empty() {
        return Ok(Out::Null);
    }
    let not = |what: &str| format!("`{text}` is not {what}");
    Ok(match ty {
        Type::Boolean => Out::Boolean(text.parse().map_err(|_| not("true or false"))?),
        Type::Int64 => Out::Int64(text.parse().map_err(|_| not("an integer"))?),
        Type::Float64 => {
            Out::Float64(text.parse().ok().filter(|x: &f64| x.is_finite()).ok_or_else(|| not("a number"))?)
        }
        Type::Utf8 => Out::Text(texts.intern(text)),
        Type::Date32 => Out::Date32(parse_date(text)?),
        Type::Timestamp => Out::Timestamp(parse_timestamp(text)?),
    })
}
