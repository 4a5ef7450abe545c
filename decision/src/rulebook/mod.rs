//! A rulebook: read, checked and compiled.
//!
//! ```text
//!  folder ─► texts ─► definitions ─► outline of each product ─► plan of each member × product
//!            TOML,    every name      which steps, in            parameters folded in as
//!            CSV      and type        which order                constants, programs compiled
//! ```
//!
//! Whatever is wrong is told with file, line and remedy, and as much of it at once as can be: each file is
//! read whatever another holds; names are looked up once all files are read; plans are compiled once all
//! names are known. A rulebook that can be read can run: nothing is parsed or looked up by name when a
//! decision is made.

mod check;
mod compile;
mod course;
mod definitions;
mod domains;
mod exposed;
mod interception;
mod member;
mod outline;
mod parameter;
mod plan;
mod policies;
mod product;
mod publish;
mod relation;
mod text;
mod variables;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use hashbrown::HashMap;

use tarim_datamart::{Place, Problems, Standards};
use tarim_features::{edges::EdgeSet, row::Dictionary, view::FeatureSet};
use tarim_models::scorecard::{Kind, ScorecardText};

use crate::exposure::scheme::{self, SchemeSet};

pub use tarim_features::folder::Folder;

pub(crate) use self::text::{check_name, offer};
pub use self::{
    check::{Report, check},
    course::{Course, CourseStep, ResultOf},
    exposed::{Mapping, Origin},
    interception::Role,
    member::Member,
    parameter::{Bounds, Parameter},
    plan::{Plan, PlanStep, StageSet, Step},
    policies::For,
    product::{Federation, Product},
    publish::{PublishError, current, intact, publish, publish_checked, rollback, versions},
    relation::{APPLICATION, Relation, Source, WARNED},
};
use self::{compile::Compiler, definitions::define, domains::Domains, outline::outline, relation::relations};

/// A rulebook, read, checked and compiled: every member × product has a [`Plan`].
#[derive(Debug)]
pub struct Rulebook {
    id: u64,
    version: String,
    standards: Standards,
    features: FeatureSet,
    federation: Federation,
    products: Vec<Product>,
    members: Vec<Member>,
    relations: Vec<Relation>,
    texts: Arc<Dictionary>,
    steps: Vec<Arc<Step>>,
    courses: Vec<Arc<Course>>,
    /// How many relations are given, rather than results of steps: the first ones.
    given: usize,
    plans: Vec<Plan>,
    /// By member, then by product: indexes of plans.
    plan_of: HashMap<String, HashMap<String, usize>>,
    limits: Arc<SchemeSet>,
    exposure: Option<Mapping>,
    roles: Vec<Role>,
    warnings: Problems,
    counts: Counts,
}

/// How much of what a rulebook has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub entities: usize,
    pub features: usize,
    pub lists: usize,
    pub rules: usize,
    /// Rules of control points; those that product terms give are counted at each point.
    pub point_rules: usize,
    pub tables: usize,
    pub scorecards: usize,
    pub products: usize,
    pub members: usize,
    /// Exposure limits.
    pub limits: usize,
    pub plans: usize,
    /// Different steps that the plans share.
    pub steps: usize,
}

/// Why there is no plan for a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    #[error("`{0}` is not a member of the federation")]
    UnknownMember(String),
    #[error("`{0}` is not a product of the federation")]
    UnknownProduct(String),
    #[error("member `{member}` does not offer product `{product}`")]
    NotOffered { member: String, product: String },
}

impl Rulebook {
    /// Reads and compiles the rulebook in a folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, in order of place. What is merely odd is in [`Rulebook::warnings`].
    pub fn read(root: &Path) -> Result<Self, Problems> {
        let folder = Folder::open(root)?;
        let mut problems = Problems::default();
        let standards = keep(Standards::read(root), &mut problems);
        let features = standards.as_ref().and_then(|s| keep(FeatureSet::read(root, s), &mut problems));
        let federation = keep(product::read_federation(&folder), &mut problems);
        let products = keep(product::read_products(&folder), &mut problems);
        let members = match (&federation, &products) {
            (Some(f), Some(p)) => keep(member::read_members(&folder, f, p), &mut problems),
            _ => None,
        };
        let policies = keep(policies::read(&folder), &mut problems);
        let interception = keep(interception::read(&folder), &mut problems);
        let cards = keep(read_cards(&folder), &mut problems);
        let limits = keep(scheme::read(&folder), &mut problems);
        let version = folder.version().map_err(|e| {
            Place::file(root).problem(format!("cannot read the rulebook: {e}"), "check its permissions")
        });
        let version = problems.take(version);
        let (Some(standards), Some(features), Some(federation), Some(products), Some(members)) =
            (standards, features, federation, products, members)
        else {
            return Err(sorted(problems));
        };
        let (Some(mut policies), Some(cards), Some(limits), Some(version)) =
            (policies, cards, limits, version)
        else {
            return Err(sorted(problems));
        };
        let Some(interception) = interception else { return Err(sorted(problems)) };
        let points = interception::expand(&interception, &policies.rules, &standards, &products, &members);
        policies.rules.extend(keep(points, &mut problems).unwrap_or_default());
        // Reading edges plans SQL: only where limits speak of them.
        let edges = limits.groups.is_some().then(|| keep(EdgeSet::read(root, &standards), &mut problems));
        let edges = edges.flatten().unwrap_or_default();
        let edges: Vec<String> = edges.edges().iter().map(|edge| edge.name.clone()).collect();
        let around = scheme::Around {
            edges: &edges,
            standards: &standards,
            federation: &federation,
            members: &members,
            products: &products,
        };
        let mapping = limits.mapping.clone();
        let unmapped = limits.unmapped();
        let limits = keep(scheme::compile(&limits, &around, &version), &mut problems);
        problems.or(())?;
        let limits = Arc::new(limits.expect("without a problem they were compiled"));

        let relations = relations(&standards, &features, &cards, &policies, mapping.as_ref())?;
        let exposure =
            mapping.map(|text| exposed::compile(&text, &limits, &standards, &relations)).transpose()?;
        let domains = Domains::new(&standards, &federation, &products, &members, &cards);
        let definitions = define(relations, &federation, &products, policies, &cards, &domains)?;
        let mut problems = Problems::default();
        check::products_named(&definitions, &products, &mut problems);
        let mut compiler = Compiler::new(&definitions, &federation);
        let mut outlines = Vec::new();
        let mut plans = Vec::new();
        let mut plan_of: HashMap<String, HashMap<String, usize>> = HashMap::new();
        for product in &products {
            let Some(outline) = keep(outline(&definitions, product), &mut problems) else { continue };
            for member in members.iter().filter(|m| m.products.contains(&product.id)) {
                if let Some(plan) = keep(compiler.plan(&outline, member, product), &mut problems) {
                    let products = plan_of.entry(member.code.clone()).or_default();
                    products.insert(product.id.clone(), plans.len());
                    plans.push(plan);
                }
            }
            outlines.push(outline);
        }
        let mut warnings = Problems::default();
        let lints = check::Lints { definitions: &definitions, products: &products, members: &members };
        lints.run(&outlines, &compiler.conditions, &mut problems, &mut warnings);
        unmapped.into_iter().for_each(|warning| warnings.push(warning));
        let (steps, courses) = compiler.finish();
        let mut points: Vec<_> = definitions.rules.iter().map(|r| (r.text.stage, &r.text.id)).collect();
        points.retain(|(stage, _)| stage.is_point());
        points.dedup();
        let points = points.len();
        let counts = Counts {
            entities: features.entities().len(),
            features: features.entities().iter().map(|e| e.layout.columns().len() - 1).sum(),
            lists: features.lists().len(),
            rules: definitions.rules.iter().filter(|rule| !rule.text.stage.is_point()).count(),
            point_rules: points,
            tables: definitions.tables.len(),
            scorecards: definitions.cards.len(),
            products: products.len(),
            members: members.len(),
            limits: limits.schemes.len(),
            plans: plans.len(),
            steps: steps.len(),
        };
        static NEXT: AtomicU64 = AtomicU64::new(1);
        problems.or(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            version,
            standards,
            features,
            federation,
            products,
            members,
            given: definitions.relations.iter().take_while(|r| r.source.is_input()).count(),
            relations: definitions.relations,
            texts: Arc::new(definitions.texts),
            steps,
            courses,
            plans,
            plan_of,
            limits,
            exposure,
            roles: interception.roles,
            warnings: sorted(warnings),
            counts,
        })
    }

    /// Tells rulebooks apart within the process, for whoever keeps something that fits one of them.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// BLAKE3 of the rulebook's contents, in hexadecimal.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn standards(&self) -> &Standards {
        &self.standards
    }

    pub fn features(&self) -> &FeatureSet {
        &self.features
    }

    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// In order of id.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// In order of code.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The rows that expressions read, in the order in which a program takes them.
    pub fn relations(&self) -> &[Relation] {
        &self.relations
    }

    /// Those that are given, rather than results of steps: they come first.
    pub fn given(&self) -> &[Relation] {
        &self.relations[..self.given]
    }

    /// Texts that steps put out, by code.
    pub fn texts(&self) -> &Arc<Dictionary> {
        &self.texts
    }

    /// All distinct steps; [`Step::index`] is the place here.
    pub fn steps(&self) -> &[Arc<Step>] {
        &self.steps
    }

    /// All distinct courses; [`Course::index`] is the place here.
    pub fn courses(&self) -> &[Arc<Course>] {
        &self.courses
    }

    /// Limits of exposures; what the ledger counts by.
    pub fn limits(&self) -> &Arc<SchemeSet> {
        &self.limits
    }

    /// Roles of officers that may override what control points say.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// What the exposure of an application is; None: nothing says so, and no decision takes anything of the ledger.
    pub fn exposure(&self) -> Option<&Mapping> {
        self.exposure.as_ref()
    }

    /// What is odd about it without being wrong.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How a member decides a product.
    pub fn plan(&self, member: &str, product: &str) -> Result<&Plan, NoPlan> {
        Ok(&self.plans[self.plan_index(member, product)?])
    }

    /// All plans, by the index that [`Rulebook::plan_index`] gives.
    pub(crate) fn plans(&self) -> &[Plan] {
        &self.plans
    }

    pub(crate) fn plan_index(&self, member: &str, product: &str) -> Result<usize, NoPlan> {
        if let Some(plan) = self.plan_of.get(member).and_then(|p| p.get(product)) {
            return Ok(*plan);
        }
        if !self.members.iter().any(|m| m.code == member) {
            return Err(NoPlan::UnknownMember(member.to_owned()));
        }
        if !self.products.iter().any(|p| p.id == product) {
            return Err(NoPlan::UnknownProduct(product.to_owned()));
        }
        Err(NoPlan::NotOffered { member: member.to_owned(), product: product.to_owned() })
    }
}

/// Keeps a value, or its problems.
fn keep<T>(result: Result<T, Problems>, problems: &mut Problems) -> Option<T> {
    result.map_err(|e| problems.extend(e)).ok()
}

/// In order of place, each once.
fn sorted(problems: Problems) -> Problems {
    problems.or(()).err().unwrap_or_default()
}

/// Reads the application scorecards of `models/*.toml`, in order of file name. Those of behaviour are the pipeline's.
fn read_cards(folder: &Folder) -> Result<Vec<ScorecardText>, Problems> {
    let mut problems = Problems::default();
    let files = folder.list("models", "toml");
    let cards = files.iter().filter_map(|f| keep(ScorecardText::read(folder.root(), f), &mut problems));
    let cards = cards.filter(|card| card.kind() == Kind::Application).collect();
    for csv in folder.list("models", "csv") {
        if !folder.has(&csv.with_extension("toml")) {
            problems.push(Place::file(csv).problem(
                "no scorecard belongs to these bins",
                format!("write {}", csv.with_extension("toml").display()),
            ));
        }
    }
    problems.or(cards)
}
