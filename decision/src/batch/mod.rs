//! Backtests: a whole table of applications, each decided as of its own time by the rulebook's own plans.
//!
//! ```text
//!  applications ─► chunks ─► spine (member, keys, as_of) ─► point-in-time features and lists
//!       │                                                              │
//!       └──────────────► flat batch: application.*, customer.*, list.* ┘
//!                              │ rows of one member and product
//!                              ▼
//!              for each step of the plan: physical expressions ─► its logic, row by row
//!                              │                  its results are columns for the steps after it
//!                              ▼
//!                          decisions
//! ```
//!
//! Only expressions differ from a decision online: columns that DataFusion computed answer the questions
//! that a row program answers there. [`Options::verify_online`] holds the two against each other.

mod course;
mod facts;
mod features;
mod json;
mod table;
mod tally;
mod verify;

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::TimestampMicrosecondType,
    error::ArrowError,
};
use datafusion::{error::DataFusionError, execution::SendableRecordBatchStream, prelude::SessionContext};
use futures::StreamExt;
use tarim_datamart::{Table, Value};
use tarim_features::{expr::BatchError, row::CellError, spine::SpineError};

pub use self::{
    json::line,
    table::{feature_names, record_batch, schema},
    tally::{Group, ReasonCount, Tally},
};
use crate::{
    engine::DecideError,
    outcome::Decision,
    rulebook::{NoPlan, Plan, Rulebook},
};

/// Field of an application that says which product it is for.
const PRODUCT: &str = "product";
/// Applications whose features are computed together. Every such chunk reads the fact tables once.
const CHUNK: usize = 100_000;
/// Applications that are decided together: what holds the decisions, with all their texts, in bounds.
const SLICE: usize = 8_192;

/// What to decide.
#[derive(Clone, Debug)]
pub struct Options {
    /// A table with the fields of the standard `applications`.
    pub table: String,
    /// An SQL condition over its columns.
    pub filter: Option<String>,
    /// Decide all of them as of this time, microseconds since 1970-01-01T00:00:00Z; None: each as of its own.
    pub as_of_us: Option<i64>,
    /// Decide each application by the online engine too.
    pub verify_online: bool,
}

/// Why a backtest cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    #[error("the rulebook has no standard `applications`")]
    NoApplications,
    #[error(
        "the standard `applications` has no field `product` of type utf8; add it: it says what is applied for"
    )]
    NoProduct,
    #[error("cannot read the applications: {0}")]
    Applications(DataFusionError),
    #[error("the application {key} has no {what}")]
    Null { key: String, what: &'static str },
    #[error(transparent)]
    Spine(#[from] SpineError),
    #[error("the features lack the column {0:?}, which the rulebook declares")]
    Column(String),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("a row of the batch does not fit its layout: {0}")]
    Cell(#[from] CellError),
    #[error("cannot decide online: {0}")]
    Decide(#[from] DecideError),
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    #[error("cannot compute features: {0}")]
    DataFusion(#[from] DataFusionError),
}

/// A backtest that is under way: [`Backtest::next`] gives the decisions, slice by slice.
pub struct Backtest<'a> {
    session: &'a SessionContext,
    rulebook: &'a Rulebook,
    options: Options,
    standard: &'a Table,
    total: usize,
    applications: SendableRecordBatchStream,
    /// Applications that were read and not yet taken into a chunk.
    read: Vec<RecordBatch>,
    /// The chunk that is being decided: its flat batch, and how far it is.
    chunk: Option<(RecordBatch, usize)>,
    verifier: Option<verify::Verifier<'a>>,
}

/// Applications that were decided, in the order of the table.
pub struct Slice {
    pub rows: Vec<Decided>,
    /// Everything that was known of them, row by row: `application.*`, `<entity>.*`, `list.*`, `warning.*`.
    pub known: RecordBatch,
}

/// One application.
pub struct Decided {
    pub member: String,
    pub product: String,
    /// Values of the key of `applications`, in the order of the standard.
    pub key: Vec<Value>,
    /// As of when it was decided, microseconds since 1970-01-01T00:00:00Z.
    pub as_of_us: i64,
    /// The decision; or why the member has no plan for it.
    pub decision: Result<Decision, NoPlan>,
    /// What the online engine decides, where that differs.
    pub online: Option<Decision>,
}

impl<'a> Backtest<'a> {
    /// Starts a backtest over the tables of `session`.
    pub async fn start(
        session: &'a SessionContext,
        rulebook: &'a Rulebook,
        options: Options,
    ) -> Result<Self, BacktestError> {
        let standard = rulebook.standards().table("applications").ok_or(BacktestError::NoApplications)?;
        if standard.field(PRODUCT).is_none_or(|f| f.ty != tarim_datamart::Type::Utf8) {
            return Err(BacktestError::NoProduct);
        }
        let query = query(standard, &options);
        let frame = session.sql(&query).await.map_err(BacktestError::Applications)?;
        let total = frame.clone().count().await.map_err(BacktestError::Applications)?;
        let applications = frame.execute_stream().await.map_err(BacktestError::Applications)?;
        let verifier = options.verify_online.then(|| verify::Verifier::new(rulebook));
        let (read, chunk) = (Vec::new(), None);
        Ok(Self { session, rulebook, options, standard, total, applications, read, chunk, verifier })
    }

    /// How many applications there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The next decisions; None when all are decided.
    pub async fn next(&mut self) -> Result<Option<Slice>, BacktestError> {
        let (chunk, done) = match self.chunk.take() {
            Some((chunk, done)) if done < chunk.num_rows() => (chunk, done),
            _ => match self.next_chunk().await? {
                Some(chunk) => (chunk, 0),
                None => return Ok(None),
            },
        };
        let slice = chunk.slice(done, SLICE.min(chunk.num_rows() - done));
        self.chunk = Some((chunk, done + slice.num_rows()));
        self.decide(slice).map(Some)
    }

    /// Reads applications and computes what was known of them.
    async fn next_chunk(&mut self) -> Result<Option<RecordBatch>, BacktestError> {
        let mut rows: usize = self.read.iter().map(RecordBatch::num_rows).sum();
        while rows < CHUNK {
            let Some(batch) = self.applications.next().await else { break };
            let batch = batch.map_err(BacktestError::Applications)?;
            rows += batch.num_rows();
            self.read.push(batch);
        }
        if rows == 0 {
            return Ok(None);
        }
        let all = concat_batches(&self.applications.schema(), &self.read)?;
        let taken = CHUNK.min(rows);
        self.read = vec![all.slice(taken, rows - taken)];
        let applications = all.slice(0, taken);
        features::known(self.session, self.rulebook, self.standard, &applications, self.options.as_of_us)
            .await
            .map(Some)
    }

    fn decide(&mut self, known: RecordBatch) -> Result<Slice, BacktestError> {
        let text = |name: &str| {
            let column = known.column_by_name(name).ok_or_else(|| BacktestError::Column(name.to_owned()))?;
            Ok::<_, BacktestError>(column.as_string::<i32>().clone())
        };
        let (members, products) = (text(features::MEMBER)?, text("application.product")?);
        let as_of =
            known.column_by_name(features::AS_OF).map(|c| c.as_primitive::<TimestampMicrosecondType>());
        let as_of = as_of.ok_or_else(|| BacktestError::Column(features::AS_OF.to_owned()))?;
        let mut decisions: Vec<Option<Result<Decision, NoPlan>>> = vec![None; known.num_rows()];
        let mut groups: BTreeMap<(&str, &str), Rows<'_>> = BTreeMap::new();
        for (row, decision) in decisions.iter_mut().enumerate() {
            if members.is_null(row) || products.is_null(row) {
                let key = shown(&self.key(&known, row)?);
                return Err(BacktestError::Null { key, what: "member or product" });
            }
            let (member, product) = (members.value(row), products.value(row));
            match self.rulebook.plan(member, product) {
                Ok(plan) => {
                    let group = groups.entry((member, product)).or_insert(Rows { plan, indices: Vec::new() });
                    group.indices.push(row as u32);
                }
                Err(e) => *decision = Some(Err(e)),
            }
        }
        for Rows { plan, indices } in groups.into_values() {
            let batch = take_record_batch(&known, &UInt32Array::from(indices.clone()))?;
            for (row, decision) in indices.iter().zip(course::decide(self.rulebook, plan, batch)?) {
                decisions[*row as usize] = Some(Ok(decision));
            }
        }
        let mut rows = Vec::with_capacity(known.num_rows());
        for (row, decision) in decisions.into_iter().enumerate() {
            rows.push(Decided {
                member: members.value(row).to_owned(),
                product: products.value(row).to_owned(),
                key: self.key(&known, row)?,
                as_of_us: as_of.value(row),
                decision: decision.expect("a row is decided with its group, or has no plan"),
                online: None,
            });
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.check(&known, &mut rows)?;
        }
        Ok(Slice { rows, known })
    }

    fn key(&self, known: &RecordBatch, row: usize) -> Result<Vec<Value>, BacktestError> {
        let value = |field: &String| {
            let name = format!("application.{field}");
            let column: &ArrayRef = known.column_by_name(&name).ok_or(BacktestError::Column(name))?;
            Ok(facts::value(column, row).to_value())
        };
        self.standard.key.iter().map(value).collect()
    }
}

/// Rows of a slice that one plan decides.
struct Rows<'a> {
    plan: &'a Plan,
    indices: Vec<u32>,
}

/// The fields of all applications that are meant, in the order of member and key.
fn query(standard: &Table, options: &Options) -> String {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let fields: Vec<String> = standard.fields.iter().map(|f| quote(&f.name)).collect();
    let order: Vec<String> =
        std::iter::once("member").chain(standard.key.iter().map(String::as_str)).map(quote).collect();
    let filter = options.filter.as_ref().map_or(String::new(), |f| format!(" WHERE {f}"));
    format!(
        "SELECT {} FROM {}{filter} ORDER BY {}",
        fields.join(", "),
        quote(&options.table),
        order.join(", ")
    )
}

/// A key, for people.
fn shown(key: &[Value]) -> String {
    key.iter().map(Value::to_string).collect::<Vec<_>>().join("/")
}
