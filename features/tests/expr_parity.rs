//! The promise of expressions: the row program and DataFusion give the same bits.
//!
//! Random expressions over random schemas and rows, several compiled together, each as it is written and as
//! it is simplified: four answers that must be equal. A failing case is shrunk, and printed as SQL with its
//! row and its seed; `TARIM_PARITY_SEED=<seed> cargo test -p tarim -p tarim-features --test suite expr_parity::` runs it again.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Place, Type, Value};
use tarim_features::{
    expr::{Answers, ExprId, ExprSet, Scope, Scratch},
    row::{Dictionary, Layout, Row, RowBuilder},
};

use crate::expr_common::generate::{self, Generator, Names, Node, TEMPLATES, TYPES};
use crate::expr_common::{NOW_US, batch};

/// Rounds of a usual run; `TARIM_PARITY_ROUNDS` asks for another number.
const ROUNDS: u64 = 600;
const EXPRESSIONS: usize = 12;
const BATCHES: usize = 5;
const ROWS: usize = 8;

/// Expressions and what they are evaluated over.
struct Round {
    rng: ChaCha8Rng,
    scope: Scope,
    parameters: BTreeMap<String, Value>,
    names: Names,
    place: Place,
}

/// One row of each relation, in both forms.
struct Rows {
    /// What a column reads as, in the order of the flat columns: NULL if stale.
    values: Vec<Value>,
    packed: Vec<Vec<u8>>,
}

/// What was seen, so that the test is not true of nothing.
#[derive(Default)]
struct Seen {
    cases: u64,
    answers: u64,
    known: u64,
    /// Known answers by the template of the expression's root.
    known_by_template: Vec<u64>,
}

#[test]
fn row_program_and_datafusion_agree() {
    let number = |name| std::env::var(name).ok().map(|s| s.parse().expect("it is a number"));
    let only: Option<u64> = number("TARIM_PARITY_SEED");
    let rounds = only.map_or(number("TARIM_PARITY_ROUNDS").unwrap_or(ROUNDS), |seed| seed + 1);
    let seen = Mutex::new(Seen { known_by_template: vec![0; TEMPLATES.len()], ..Seen::default() });
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let next = AtomicU64::new(0);
    let worker = || {
        // One for all its programs: none sees what another has left there.
        let mut scratch = Scratch::new();
        while failure.lock().unwrap().is_none() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= rounds {
                break;
            }
            if only.is_none_or(|s| s == seed)
                && let Err(message) = round(seed, &seen, &mut scratch)
            {
                failure.lock().unwrap().get_or_insert(message);
            }
        }
    };
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    if let Some(message) = failure.into_inner().unwrap() {
        panic!("{message}");
    }
    let seen = seen.into_inner().unwrap();
    println!("{} expression × batch cases, {} answers, {} not NULL", seen.cases, seen.answers, seen.known);
    if rounds >= ROUNDS && only.is_none() {
        assert!(seen.cases >= 20_000, "only {} cases", seen.cases);
        assert!(
            seen.known * 3 > seen.answers,
            "only {} of {} answers are not NULL",
            seen.known,
            seen.answers
        );
        for (i, known) in seen.known_by_template.iter().enumerate() {
            assert!(*known > 0, "no expression {} had an answer", TEMPLATES[i].1);
        }
    }
}

fn round(seed: u64, seen: &Mutex<Seen>, scratch: &mut Scratch) -> Result<(), String> {
    let mut round = Round::new(seed);
    let nodes: Vec<Node> = (0..EXPRESSIONS)
        .map(|i| {
            let mut generator = Generator { rng: &mut round.rng, names: &round.names };
            let depth = generator.rng.random_range(1..6);
            // Each template in turn is the root of an expression: none is left to chance.
            let template = (seed as usize * EXPRESSIONS + i) % TEMPLATES.len();
            let ty = match TEMPLATES[template].0 {
                'x' => *TYPES.choose(generator.rng).unwrap(),
                'o' => *TYPES[1..].choose(generator.rng).unwrap(),
                letter => TYPES["biftds".find(letter).expect("a letter of a type")],
            };
            generator.instance(template, ty, depth)
        })
        .collect();
    let set = round.compile(&nodes).map_err(|e| format!("seed {seed}: {e}"))?;
    for _ in 0..BATCHES {
        let texts = |layout: &Arc<Layout>| {
            layout.codes().iter().chain(generate::WORDS[..20].iter().copied()).collect()
        };
        let mut dictionaries: Vec<Dictionary> =
            round.scope.relations().iter().map(|(_, layout)| texts(layout)).collect();
        let rows: Vec<Rows> = (0..ROWS).map(|_| round.rows(&mut dictionaries)).collect();
        let known = round
            .compare(&set, &rows, &dictionaries, scratch)
            .map_err(|wrong| round.report(seed, &nodes, wrong, &rows, &dictionaries))?;
        let mut seen = seen.lock().unwrap();
        for (node, known) in nodes.iter().zip(known) {
            seen.cases += 1;
            seen.answers += ROWS as u64;
            seen.known += known;
            seen.known_by_template[node.template.expect("the root is of a template")] += known;
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Wrong {
    expression: usize,
    row: usize,
    message: String,
}

impl Round {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let place = Place::file(Path::new("parity"));
        let relations: Vec<(String, Arc<Layout>)> = (0..rng.random_range(1..4))
            .map(|i| {
                (["application", "customer", "list"][i].to_owned(), Arc::new(generate::layout(&mut rng)))
            })
            .collect();
        let mut names = Names { names: Vec::new() };
        for (relation, layout) in &relations {
            names.names.extend(layout.columns().iter().map(|c| (format!("{relation}.{}", c.name), c.ty)));
        }
        let mut scope = Scope::new(relations);
        let mut parameters = BTreeMap::new();
        for ty in TYPES {
            let name = format!("p_{ty}");
            scope.declare_parameter("param", &name, ty, &place).expect("a new name");
            let value = generate::value(&mut rng, &tarim_features::row::Column::new("", ty), true);
            parameters.insert(name.clone(), value);
            names.names.push((format!("param.{name}"), ty));
        }
        for ty in TYPES {
            let sql = loop {
                // A variable that is a constant text would be refused in a CAST.
                let node = Generator { rng: &mut rng, names: &names }.expression(ty, 2);
                if node.template.is_some() {
                    break node.sql();
                }
            };
            let name = format!("v_{ty}");
            scope.define("let", &name, &sql, &place).unwrap_or_else(|e| panic!("seed {seed}: {sql}: {e}"));
            names.names.push((format!("let.{name}"), ty));
        }
        Self { rng, scope, parameters, names, place }
    }

    /// Every expression twice: simplified (even ids) and as written (odd ids).
    fn compile(&self, nodes: &[Node]) -> Result<ExprSet, String> {
        let mut checked = Vec::new();
        for node in nodes {
            let sql = node.sql();
            let parsed = self.scope.parse(&sql, &self.place).map_err(|e| format!("{sql}\n{e}"))?;
            assert_eq!(parsed.ty(), node.ty, "{sql}");
            checked.push(parsed.with(&self.parameters).map_err(|e| format!("{sql}\n{e}"))?);
            checked.push(parsed.with_unsimplified(&self.parameters).map_err(|e| format!("{sql}\n{e}"))?);
        }
        ExprSet::compile(&self.scope, checked).map_err(|e| e.to_string())
    }

    fn rows(&mut self, dictionaries: &mut [Dictionary]) -> Rows {
        let mut rows = Rows { values: Vec::new(), packed: Vec::new() };
        for ((_, layout), dictionary) in self.scope.relations().iter().zip(dictionaries) {
            let mut builder = RowBuilder::new(layout);
            let ages: Vec<i64> = layout.groups().iter().map(|_| self.rng.random_range(0..60)).collect();
            for (group, age) in ages.iter().enumerate() {
                builder.set_group_time(group, NOW_US - age);
            }
            for (i, column) in layout.columns().iter().enumerate() {
                let value = generate::value(&mut self.rng, column, true);
                match &value {
                    Value::Utf8(s) if column.codes.is_empty() && self.rng.random() => {
                        builder.set_text_code(i, dictionary.intern(s))
                    }
                    value => builder.set(i, value),
                }
                .expect("the value fits");
                let group = usize::from(column.group);
                let stale = layout.groups()[group].freshness_us.is_some_and(|f| ages[group] > f);
                rows.values.push(if stale { Value::Null } else { value });
            }
            rows.packed.push(builder.finish().to_vec());
        }
        rows
    }

    /// Asserts that all four answers agree, and counts the known ones by expression.
    fn compare(
        &self,
        set: &ExprSet,
        rows: &[Rows],
        dictionaries: &[Dictionary],
        scratch: &mut Scratch,
    ) -> Result<Vec<u64>, Wrong> {
        let columns: Vec<(String, Type)> = self
            .scope
            .relations()
            .iter()
            .flat_map(|(r, l)| l.columns().iter().map(move |c| (format!("{r}.{}", c.name), c.ty)))
            .collect();
        let values: Vec<Vec<Value>> = rows.iter().map(|r| r.values.clone()).collect();
        let wrong = |expression, row, message| Wrong { expression, row, message };
        let mut batch = set
            .evaluate_batch(&batch(&columns, &values))
            .map_err(|e| wrong(0, 0, format!("DataFusion: {e:?}")))?;
        let program = set.program(&self.scope);
        let bound = program.bind(&dictionaries.iter().collect::<Vec<_>>());
        let mut known = vec![0; set.len() / 2];
        for (i, row) in rows.iter().enumerate() {
            let packed: Vec<Row<'_>> = self
                .scope
                .relations()
                .iter()
                .zip(&row.packed)
                .zip(dictionaries)
                .map(|(((_, layout), bytes), d)| Row::new(layout, bytes, d, NOW_US).expect("a whole row"))
                .collect();
            program.evaluate(&bound, &packed, scratch);
            let row = scratch.answers(&program, 0);
            batch.seek(i);
            for (e, known) in known.iter_mut().enumerate() {
                let (simplified, plain) = (ExprId(2 * e as u32), ExprId(2 * e as u32 + 1));
                let answers = [
                    ("row program", row.value(simplified)),
                    ("row program, not simplified", row.value(plain)),
                    ("DataFusion", batch.value(simplified)),
                    ("DataFusion, not simplified", batch.value(plain)),
                ];
                let first = &answers[0].1;
                let canonical =
                    !matches!(first, Value::Float64(x) if x.is_nan() || x.to_bits() == (-0.0f64).to_bits());
                if !canonical || answers.iter().any(|(_, a)| a != first) {
                    let lines: Vec<String> =
                        answers.iter().map(|(who, answer)| format!("    {who}: {answer:?}")).collect();
                    return Err(wrong(e, i, lines.join("\n")));
                }
                *known += u64::from(!first.is_null());
            }
        }
        Ok(known)
    }

    /// Shrinks a failing expression over one row, and tells all about it.
    fn report(
        &self,
        seed: u64,
        nodes: &[Node],
        wrong: Wrong,
        rows: &[Rows],
        dictionaries: &[Dictionary],
    ) -> String {
        let row = &rows[wrong.row];
        let failing = |node: &Node| {
            let set = self.compile(std::slice::from_ref(node)).ok()?;
            let one = std::slice::from_ref(row);
            self.compare(&set, one, dictionaries, &mut Scratch::new()).err()
        };
        // An error of DataFusion's does not say of which expression it is.
        let alone = std::iter::once(&nodes[wrong.expression]).chain(nodes);
        let Some((mut node, mut wrong)) =
            alone.into_iter().find_map(|node| failing(node).map(|w| (node.clone(), w)))
        else {
            let sql: Vec<String> = nodes.iter().map(Node::sql).collect();
            return format!(
                "some expressions fail together, but none alone:\n{}\n{}\nTARIM_PARITY_SEED={seed} runs it again",
                sql.join("\n"),
                wrong.message
            );
        };
        let smaller =
            |node: &Node| node.smaller().into_iter().filter(|n| n.size() < node.size()).collect::<Vec<_>>();
        while let Some((n, w)) = smaller(&node).into_iter().find_map(|n| failing(&n).map(|w| (n, w))) {
            (node, wrong) = (n, w);
        }
        let sql = node.sql();
        let parsed = self.scope.parse(&sql, &self.place).expect("it was compiled before");
        let simplified = parsed.with(&self.parameters).expect("it was compiled before").sql();
        let names = self
            .scope
            .relations()
            .iter()
            .flat_map(|(r, l)| l.columns().iter().map(move |c| format!("{r}.{}", c.name)));
        let values: Vec<String> = names
            .zip(&row.values)
            .filter(|(name, _)| parsed.columns().iter().any(|c| c.name == *name))
            .map(|(name, value)| format!("    {name} = {value:?}"))
            .collect();
        format!(
            "the engines disagree on\n    {sql}\nsimplified to\n    {simplified}\nwith\n{}\nparameters {:?}\n{}\n\
             TARIM_PARITY_SEED={seed} runs it again",
            values.join("\n"),
            self.parameters,
            wrong.message
        )
    }
}
