//! Fails closed: what is not known can never turn a refusal into an approval.
//!
//! The law. A condition that is built of comparisons, arithmetic, AND, OR and NOT is monotone in what is
//! known: blanking an input turns its answer to unknown or leaves it. So if every rule refers or declines
//! on unknown, and no scorecard bin, table cell or condition asks *whether* something is unknown, then
//! blanking any inputs never makes APPROVE of what was not APPROVE. (A rule that asks `x IS NULL`, or a bin
//! `missing`, may say anything: there an author has spoken.)

use std::{fs, path::Path};

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Type, Value};
use tarim_decision::{
    engine::{InputsBuilder, Replayer},
    outcome::{Call, Clearance, Decision, Outcome, Stage},
    rulebook::{Rulebook, Source},
};

/// Rulebooks × applications × ways to blank them.
const RULEBOOKS: u64 = 25;
const APPLICATIONS: usize = 40;
const BLANKINGS: usize = 12;

#[test]
fn blanking_inputs_never_approves() {
    let mut approved = 0;
    let mut refused = 0;
    for seed in 0..RULEBOOKS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rules = rules(&mut random);
        let folder = rulebook(&rules);
        let rulebook = Rulebook::read(folder.path()).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{rules}"));
        let mut desk = Desk::new(&rulebook);
        for _ in 0..APPLICATIONS {
            let values = desk.application(&mut random);
            let whole = desk.decide(&values);
            match whole.outcome {
                Outcome::Approve => approved += 1,
                _ => refused += 1,
            }
            for _ in 0..BLANKINGS {
                let blanked: Vec<Value> = values
                    .iter()
                    .map(|v| if random.random_bool(0.25) { Value::Null } else { v.clone() })
                    .collect();
                let less = desk.decide(&blanked);
                assert!(
                    less.outcome != Outcome::Approve || whole.outcome == Outcome::Approve,
                    "seed {seed}: {:?} became APPROVE\n{rules}\n{values:?}\n{blanked:?}",
                    whole.outcome
                );
                granted(&less);
            }
        }
    }
    assert!(
        approved > 20 && refused > 20,
        "{approved} approved, {refused} refused: the law was hardly tried"
    );
}

/// The same law at a control point: blanking inputs lets nothing pass that did not. Rules there cannot ignore what is
/// unknown, so it holds whatever they say.
#[test]
fn blanking_inputs_passes_no_control_point() {
    let (mut passed, mut stopped) = (0, 0);
    for seed in 0..RULEBOOKS {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let rules = point_rules(&mut random);
        let folder = rulebook("stage = \"admission\"\n");
        fs::write(folder.path().join("interception/contract.toml"), &rules).unwrap();
        // What a member says of rules that are not there any more.
        let member = folder.path().join("members/002/member.toml");
        let text = fs::read_to_string(&member).unwrap();
        fs::write(&member, text.split("[interception").next().unwrap()).unwrap();
        let rulebook = Rulebook::read(folder.path()).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{rules}"));
        let mut desk = Desk::new(&rulebook);
        for _ in 0..APPLICATIONS {
            let values = desk.application(&mut random);
            let whole = desk.intercept(&values);
            match whole {
                Clearance::Pass => passed += 1,
                _ => stopped += 1,
            }
            for _ in 0..BLANKINGS {
                let blanked: Vec<Value> = values
                    .iter()
                    .map(|v| if random.random_bool(0.25) { Value::Null } else { v.clone() })
                    .collect();
                let less = desk.intercept(&blanked);
                assert!(
                    less != Clearance::Pass || whole == Clearance::Pass,
                    "seed {seed}: {whole} became PASS\n{rules}\n{values:?}\n{blanked:?}"
                );
            }
            let nothing = vec![Value::Null; values.len()];
            assert_ne!(
                desk.intercept(&nothing),
                Clearance::Pass,
                "seed {seed}: of what nothing is known\n{rules}"
            );
        }
    }
    assert!(passed > 20 && stopped > 20, "{passed} passed, {stopped} did not: the law was hardly tried");
}

fn point_rules(random: &mut ChaCha8Rng) -> String {
    // One rule that surely reads something: of random ones, constants may be all that is left.
    let mut text =
        "[[rule]]\nid = \"R\"\nzh = \"规则\"\nen = \"rule\"\nwhen = \"list.aml_black\"\nthen = \"block\"\n"
            .to_owned();
    for i in 0..random.random_range(1..4) {
        let then = ["block", "warn"].choose(random).unwrap();
        let unknown = ["block", "warn"].choose(random).unwrap();
        let when = condition(random, 2);
        text += &format!(
            "[[rule]]\nid = \"R{i}\"\nzh = \"规则\"\nen = \"rule\"\nwhen = \"{when}\"\nthen = \"{then}\"\n\
             if_unknown = \"{unknown}\"\n"
        );
    }
    text
}

/// An approval has a limit and a rate.
fn granted(decision: &Decision) {
    if decision.outcome == Outcome::Approve {
        assert!(decision.limit_fen.is_some() && decision.rate_ppm.is_some(), "{decision:?}");
    }
}

/// The small rulebook with these rules, and with nothing in it that asks whether something is unknown.
fn rulebook(rules: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let good = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook"));
    copy(good, folder.path());
    let at = |file: &str| folder.path().join(file);
    fs::write(at("policies/admission.toml"), rules).unwrap();
    fs::remove_file(at("policies/fraud.toml")).unwrap();
    fs::remove_dir_all(at("tests")).unwrap();
    let bins = fs::read_to_string(at("models/personal_score.csv")).unwrap();
    let bins: Vec<&str> = bins.lines().filter(|l| !l.contains("missing")).collect();
    fs::write(at("models/personal_score.csv"), bins.join("\n") + "\n").unwrap();
    folder
}

/// A few rules of random monotone conditions, each of which refers or declines on unknown.
fn rules(random: &mut ChaCha8Rng) -> String {
    let mut text = "stage = \"admission\"\n".to_owned();
    for i in 0..random.random_range(1..5) {
        let then = ["decline", "refer", "warn"].choose(random).unwrap();
        let unknown = ["refer", "decline"].choose(random).unwrap();
        // `then = "warn"` never refuses, so it may be lenient about unknown as well.
        let unknown = if *then == "warn" { "ignore" } else { unknown };
        let when = condition(random, 3);
        text += &format!(
            "[[rule]]\nid = \"R{i}\"\nzh = \"规则\"\nen = \"rule\"\nwhen = \"{when}\"\nthen = \"{then}\"\n\
             if_unknown = \"{unknown}\"\n"
        );
    }
    text
}

fn condition(random: &mut ChaCha8Rng, depth: u32) -> String {
    match random.random_range(0..if depth == 0 { 2 } else { 5 }) {
        0 => format!(
            "{} {} {}",
            number(random, 1),
            ["<", ">", ">="].choose(random).unwrap(),
            number(random, 1)
        ),
        1 => [
            "list.aml_black",
            "list.grey",
            "customer.home = 'own'",
            "application.purpose IN ('consume', 'business')",
        ]
        .choose(random)
        .unwrap()
        .to_string(),
        2 => format!("({} AND {})", condition(random, depth - 1), condition(random, depth - 1)),
        3 => format!("({} OR {})", condition(random, depth - 1), condition(random, depth - 1)),
        _ => format!("NOT ({})", condition(random, depth - 1)),
    }
}

fn number(random: &mut ChaCha8Rng, depth: u32) -> String {
    let columns = [
        "customer.age",
        "customer.overdue_days",
        "customer.debt_fen",
        "customer.income_fen",
        "application.amount_fen",
    ];
    match random.random_range(0..if depth == 0 { 2 } else { 4 }) {
        0 => columns.choose(random).unwrap().to_string(),
        1 => random.random_range(0..500_000).to_string(),
        2 => format!("({} / {})", number(random, 0), number(random, 0)),
        _ => format!("({} - {})", number(random, 0), number(random, 0)),
    }
}

/// Decides applications of the first member for a salary loan.
struct Desk<'a> {
    builder: InputsBuilder<'a>,
    replayer: Replayer<'a>,
    /// Relation, column and type of every value that can be blanked.
    columns: Vec<(usize, usize, String, Type)>,
}

impl<'a> Desk<'a> {
    fn new(rulebook: &'a Rulebook) -> Self {
        let builder = InputsBuilder::new(rulebook);
        let mut columns = Vec::new();
        for (i, relation) in builder.relations().iter().enumerate() {
            for (j, c) in relation.layout.columns().iter().enumerate() {
                // That an entity is known, or how counters stand, is never NULL.
                if !(matches!(relation.source, Source::Entity(_) | Source::Exposure) && j == 0) {
                    columns.push((i, j, c.name.clone(), c.ty));
                }
            }
        }
        Self { builder, replayer: Replayer::new(rulebook), columns }
    }

    fn application(&self, random: &mut ChaCha8Rng) -> Vec<Value> {
        let value = |random: &mut ChaCha8Rng, name: &str, ty: Type| match (name, ty) {
            ("age", _) => Value::Int64(random.random_range(16..70)),
            ("overdue_days", _) => Value::Int64(random.random_range(0..40)),
            ("debt_fen", _) => Value::Int64(random.random_range(0..400_000)),
            ("term_months", _) => Value::Int64(random.random_range(1..37)),
            (_, Type::Int64) => Value::Int64(random.random_range(500_000..9_000_000)),
            ("home", _) => Value::Utf8(["own", "rent", "tent"].choose(random).unwrap().to_string()),
            (_, Type::Utf8) => {
                Value::Utf8(["consume", "business", "securities"].choose(random).unwrap().to_string())
            }
            (_, Type::Float64) => Value::Float64(random.random_range(0.0..1.2)),
            (_, Type::Boolean) => Value::Boolean(random.random_bool(0.1)),
            _ => Value::Timestamp(1_780_000_000_000_000),
        };
        self.columns.iter().map(|(_, _, name, ty)| value(random, name, *ty)).collect()
    }

    /// What the contract's control point says.
    fn intercept(&mut self, values: &[Value]) -> Clearance {
        self.ask(values, Call::One(Stage::Contract)).clearance()
    }

    fn decide(&mut self, values: &[Value]) -> Decision {
        let decision = self.ask(values, Call::All);
        granted(&decision);
        decision
    }

    fn ask(&mut self, values: &[Value], call: Call) -> Decision {
        self.builder.start(1_780_000_000_000_000);
        for (i, relation) in self.builder.relations().to_vec().into_iter().enumerate() {
            if matches!(relation.source, Source::Entity(_) | Source::Exposure) {
                self.builder.set(i, 0, &Value::Boolean(true)).unwrap();
            }
        }
        for ((relation, column, ..), value) in self.columns.iter().zip(values) {
            self.builder.set(*relation, *column, value).unwrap();
        }
        self.replayer.decide(&self.builder.finish("001", "salary_loan"), call).unwrap()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
