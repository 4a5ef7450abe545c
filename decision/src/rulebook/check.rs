//! What is wrong, or odd, about a rulebook as a whole: rules that never fire, tables with holes, names
//! that nothing uses. And the report that `tarim rulebook check` shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use tarim_datamart::{At, Place, Problems, Value};

use super::{
    Counts, Folder, Rulebook,
    definitions::{Definitions, TableDefinition},
    member::Member,
    outline::{Outline, Part},
    plan::StageSet,
    policies::For,
    product::Product,
    text::offer,
};
use crate::{
    outcome::Call,
    policy::table::{Check, Gap, Hit, Overlap, analyse},
    testing,
};

/// What `tarim rulebook check` found.
#[derive(Debug)]
pub struct Report {
    /// The rulebook cannot be published with these.
    pub errors: Problems,
    /// As these, in order of place.
    pub warnings: Problems,
    /// Of a rulebook that could be read: its version and what is in it.
    pub read: Option<(String, Counts)>,
    /// How many of its tests were run; none if one of them cannot be read.
    pub tests: usize,
}

/// Reads a rulebook, and runs its tests if it can be read.
pub fn check(folder: &Path) -> Report {
    // A folder that cannot be read is told by whoever reads it next.
    let mut errors = Folder::open(folder).map(|files| files.left_out()).unwrap_or_default();
    let rulebook = match Rulebook::read(folder) {
        Ok(rulebook) => rulebook,
        Err(more) => {
            errors.extend(more);
            return Report { errors: errors.in_order(), warnings: Problems::default(), read: None, tests: 0 };
        }
    };
    let (tests, failing) = testing::problems(&rulebook, folder);
    errors.extend(failing);
    Report {
        errors: errors.in_order(),
        warnings: rulebook.warnings().clone().in_order(),
        read: Some((rulebook.version, rulebook.counts)),
        tests,
    }
}

/// Products that things are for must exist.
pub fn products_named(definitions: &Definitions, products: &[Product], problems: &mut Problems) {
    let mut check = |named: &For| {
        for At { value: name, place } in &named.0 {
            if !products.iter().any(|p| p.id == *name) {
                problems.push(place.problem(
                    format!("`{name}` is not a product of the federation"),
                    format!("write one of {}", offer(products.iter().map(|p| p.id.as_str()))),
                ));
            }
        }
    };
    definitions.rules.iter().for_each(|r| check(&r.text.products));
    definitions.tables.iter().for_each(|t| check(&t.products));
    definitions.cards.iter().for_each(|c| check(&c.products));
    definitions.limits.iter().for_each(|l| check(&l.text.products));
    definitions.rates.iter().for_each(|r| check(&r.text.products));
}

/// Checks that need everything.
pub struct Lints<'a> {
    pub definitions: &'a Definitions,
    pub products: &'a [Product],
    pub members: &'a [Member],
}

impl Lints<'_> {
    /// Adds to `problems` what must be mended and to `warnings` what is only odd. `conditions`: what each
    /// rule's condition came to in the plans that have it, None where it is not a constant.
    pub fn run(
        &self,
        outlines: &[Outline],
        conditions: &BTreeMap<usize, Vec<Option<Value>>>,
        problems: &mut Problems,
        warnings: &mut Problems,
    ) {
        self.conditions(conditions, warnings);
        for table in &self.definitions.tables {
            self.table(table, problems, warnings);
        }
        for card in &self.definitions.cards {
            card.warnings.iter().for_each(|w| warnings.push(w.clone()));
        }
        for product in self.products {
            if !self.members.iter().any(|m| m.products.contains(&product.id)) {
                warnings.push(product.place.problem(
                    format!("no member offers product `{}`", product.id),
                    "add it to the products of a member, or remove it",
                ));
            }
        }
        // With a problem, outlines are missing, and what they use would look unused.
        if problems.is_empty() {
            self.unused(outlines, warnings);
            self.of_points(outlines, warnings);
        }
    }

    fn conditions(&self, conditions: &BTreeMap<usize, Vec<Option<Value>>>, warnings: &mut Problems) {
        for (rule, values) in conditions {
            let Some(Some(first)) = values.first() else { continue };
            if !values.iter().all(|v| v.as_ref() == Some(first)) {
                continue;
            }
            let (what, fix) = match first {
                Value::Boolean(false) => ("can never fire", "correct the condition, or remove the rule"),
                Value::Boolean(true) => {
                    ("always fires", "correct the condition, or stop the product instead")
                }
                _ => ("is always unknown", "correct the condition: something in it is always NULL"),
            };
            let text = &self.definitions.rules[*rule].text;
            warnings.push(text.when.place.problem(format!("rule `{}` {what}", text.id), fix));
        }
    }

    fn table(&self, definition: &TableDefinition, problems: &mut Problems, warnings: &mut Problems) {
        let table = &definition.table;
        // Inputs over different columns can take any combination of values. All parameters together count
        // as one column: they move together, from member to member.
        const PARAMETERS: (usize, usize) = (usize::MAX, 0);
        let mut seen = BTreeSet::new();
        let independent = definition.inputs.iter().all(|input| {
            let columns: BTreeSet<_> = match input.parsed.columns() {
                [] => BTreeSet::from([PARAMETERS]),
                columns => columns.iter().map(|c| (c.relation, c.column)).collect(),
            };
            columns.into_iter().all(|c| seen.insert(c))
        });
        let Check { overlap, gap, unreachable } = analyse(table, independent);
        let row = |i: usize| &table.rows[i].place;
        match overlap {
            Overlap::Disjoint => {}
            Overlap::Overlapping(pairs) => {
                for (later, earlier) in pairs {
                    problems.push(row(later).problem(
                        format!(
                            "this row overlaps the one at {}, and table `{}` is unique",
                            row(earlier),
                            table.id
                        ),
                        "make the rows disjoint, or choose hit = \"first\"",
                    ));
                }
            }
            Overlap::Undecided(pairs) => {
                for (later, earlier) in pairs {
                    warnings.push(row(later).problem(
                        format!(
                            "it is undecided whether this row overlaps the one at {}: inputs of table `{}` depend on \
                             each other",
                            row(earlier),
                            table.id
                        ),
                        "make the rows disjoint, or choose hit = \"first\"; where both match, the answer is unknown",
                    ));
                }
            }
        }
        for i in unreachable {
            warnings.push(row(i).problem(
                format!(
                    "this row of table `{}` is never reached: the rows before it take everything",
                    table.id
                ),
                "remove it, or move it up",
            ));
        }
        self.gap(definition, gap, problems, warnings);
    }

    fn gap(&self, definition: &TableDefinition, gap: Gap, problems: &mut Problems, warnings: &mut Problems) {
        let table = &definition.table;
        let place: &Place = &table.place;
        let fix = "add a row, or say with if_no_match what it means";
        match gap {
            Gap::None => {}
            Gap::Found(gap) if definition.complete => {
                problems.push(place.problem(
                    format!("table `{}` says complete = true, and has no row for {gap}", table.id),
                    "add a row",
                ));
            }
            Gap::Undecided(gap) if definition.complete => {
                let gap = if gap.is_empty() {
                    "it is too large to tell".into()
                } else {
                    format!("perhaps none for {gap}")
                };
                problems.push(place.problem(
                    format!("table `{}` says complete = true, which cannot be proved: {gap}", table.id),
                    "add a last row of * only (hit = \"first\"), or remove complete = true",
                ));
            }
            // An author who wrote if_no_match has thought of it, and to collect nothing is not odd.
            _ if definition.expects_gaps || table.hit == Hit::Collect => {}
            Gap::Found(gap) => {
                warnings.push(place.problem(format!("table `{}` has no row for {gap}", table.id), fix));
            }
            Gap::Undecided(gap) if gap.is_empty() => warnings.push(place.problem(
                format!("it is undecided whether table `{}` has a gap: it is too large to tell", table.id),
                fix,
            )),
            Gap::Undecided(gap) => {
                warnings.push(place.problem(
                    format!("it is undecided whether table `{}` needs a row for {gap}", table.id),
                    fix,
                ))
            }
        }
    }

    /// What a table finds is a reason of its own stage, and control points tell those of theirs.
    fn of_points(&self, outlines: &[Outline], warnings: &mut Problems) {
        let mut needs: BTreeMap<usize, StageSet> = BTreeMap::new();
        for outline in outlines {
            for (part, need) in outline.parts.iter().zip(outline.needs(self.definitions)) {
                if let Part::Table(i) = part {
                    let all = needs.entry(*i).or_default();
                    *all = all.with(need);
                }
            }
        }
        for (i, _) in needs.into_iter().filter(|(_, need)| !need.meets(Call::All)) {
            let TableDefinition { table, effects, .. } = &self.definitions.tables[i];
            for (key, word) in effects {
                let (id, word, place) = (&table.id, &word.value, &word.place);
                warnings.push(place.problem(
                    format!("only control points read table `{id}`, and there {key} = \"{word}\" does nothing"),
                    format!(
                        "write {key} = \"ignore\", and say in the rules that read it what NULL means (if_unknown)"
                    ),
                ));
            }
        }
    }

    fn unused(&self, outlines: &[Outline], warnings: &mut Problems) {
        let used: BTreeSet<usize> = outlines
            .iter()
            .flat_map(|o| &o.parts)
            .filter_map(|p| if let Part::Table(i) = p { Some(*i) } else { None })
            .collect();
        for (i, table) in self.definitions.tables.iter().enumerate() {
            if !used.contains(&i) {
                let id = &table.table.id;
                warnings.push(table.table.place.problem(
                    format!("nothing reads table `{id}`, so it is never run"),
                    format!(
                        "use {id}.{} in a rule or formula, or remove the table",
                        table.table.outputs[0].name
                    ),
                ));
            }
        }
    }
}
