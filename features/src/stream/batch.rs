//! The same windows in batch: by SQL, over events as tables.
//!
//! For backfills and backtests, and to hold the stream to: nothing here is shared with [`super::panes`] but the windows'
//! definitions.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::{concat_batches, sort_to_indices, take},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    error::DataFusionError,
    execution::context::SessionContext,
    functions::expr_fn::coalesce,
    logical_expr::{cast, col, lit},
};
use tarim_datamart::Problem;

use super::{
    read::{DISTINCT_MAX, Measure},
    set::{EVENT, StreamSet, Window},
};
use crate::{
    expr::{Checked, ExprSet, Scope},
    view::exact::{self, Kind},
};

/// Column that says where in the log an event stands.
pub const POSITION: &str = "position";

/// Why the windows of a batch cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    #[error("events of kind {kind}: {what}; give position (int64), member, and all fields of the kind")]
    Columns { kind: String, what: String },
    #[error(transparent)]
    Problem(#[from] Problem),
    #[error(transparent)]
    Batch(#[from] crate::expr::BatchError),
    #[error("DataFusion cannot compute the windows")]
    DataFusion(#[from] DataFusionError),
    #[error("the windows' values do not make a table")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Values of all windows at every event, once the event itself is in them: [`POSITION`], then a column per window.
/// `events` are batches of events of a kind: a position in the log, the member, and the kind's fields.
pub async fn windows_of(set: &StreamSet, events: &[(usize, RecordBatch)]) -> Result<RecordBatch, BatchError> {
    let session = SessionContext::new();
    for kind in [Kind::Sum, Kind::Avg, Kind::Stddev { sample: true }] {
        session.register_udaf(exact::aggregate(kind).as_ref().clone());
    }
    let mut heads = Vec::new();
    for (i, kind) in set.kinds().iter().enumerate() {
        let batches: Vec<&RecordBatch> = events.iter().filter(|(k, _)| *k == i).map(|(_, b)| b).collect();
        let Some(first) = batches.first() else { continue };
        let all = concat_batches(&first.schema(), batches.iter().copied())?;
        let table = Facts { set, kind: i, events: &all }.table()?;
        heads.push(table.project(&[0, 1, 2, 3])?);
        session.register_batch(format!("facts_{}", kind.name), table)?;
    }
    let Some(first) = heads.first() else {
        let schema = Schema::new(vec![Field::new(POSITION, DataType::Int64, false)]);
        return Ok(RecordBatch::new_empty(Arc::new(schema)));
    };
    session.register_batch("heads", concat_batches(&first.schema(), &heads)?)?;
    let present =
        "SELECT *, max(time) OVER (PARTITION BY member, customer ORDER BY position) AS now FROM heads";
    let present = session.sql(present).await?.collect().await?;
    let present = concat_batches(&present[0].schema(), &present)?;
    let order = sort_to_indices(present.column(0), None, None)?;
    let mut columns = vec![(POSITION.to_owned(), take(present.column(0), &order, None)?)];
    session.register_batch("events", present)?;
    for window in set.windows() {
        columns.push((window.name.clone(), values(&session, set, window, columns[0].1.as_ref()).await?));
    }
    Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))?)
}

/// The values of a window, in the order of `positions`.
async fn values(
    session: &SessionContext,
    set: &StreamSet,
    window: &Window,
    positions: &dyn Array,
) -> Result<ArrayRef, BatchError> {
    let table = format!("facts_{}", set.kinds()[window.kind].name);
    if !session.table_exist(table.as_str())? {
        let default = window.default.clone().into_scalar(window.ty);
        return Ok(default.to_array_of_size(positions.len())?);
    }
    let (of, holds) = (column(set, window, Part::Of), column(set, window, Part::Filter));
    let counted = match (&of, &holds) {
        (None, None) => "TRUE".to_owned(),
        (Some(of), None) => format!("f.{of} IS NOT NULL"),
        (None, Some(holds)) => format!("f.{holds}"),
        (Some(of), Some(holds)) => format!("f.{holds} AND f.{of} IS NOT NULL"),
    };
    let of = of.map_or_else(|| "f.position".to_owned(), |of| format!("f.{of}"));
    let number = format!("CAST({of} AS DOUBLE)");
    let measured = match window.measure {
        Measure::Count => format!("count({of})"),
        Measure::Sum => format!("exact_sum({number})"),
        Measure::Avg => format!("exact_avg({number})"),
        Measure::Stddev => format!("exact_stddev_samp({number})"),
        Measure::Min => format!("min({of})"),
        Measure::Max => format!("max({of})"),
        Measure::Distinct => format!("least(count(DISTINCT {of}), {DISTINCT_MAX})"),
        Measure::First => format!("first_value({of} ORDER BY f.time, f.position)"),
        Measure::Last => format!("last_value({of} ORDER BY f.time, f.position)"),
    };
    let (grain, before) = (window.grain.name(), window.panes - 1);
    let sql = format!(
        "SELECT e.position AS position, {measured} AS told FROM events e LEFT JOIN {table} f
         ON e.member = f.member AND e.customer = f.customer AND f.position <= e.position
         AND f.time >= date_trunc('{grain}', e.now) - INTERVAL '{before}' {grain} AND {counted}
         GROUP BY e.position"
    );
    let told = session.sql(&sql).await?;
    let default = lit(window.default.clone().into_scalar(window.ty));
    let value = coalesce(vec![cast(col("told"), window.ty.arrow()), default]);
    let told = told.select(vec![col(POSITION), value.alias("told")])?;
    let told = told.sort_by(vec![col(POSITION)])?.collect().await?;
    let told = concat_batches(&told[0].schema(), &told)?;
    assert_eq!(told.column(0).as_ref().to_data(), positions.to_data(), "each event has a value");
    Ok(told.column(1).clone())
}

#[derive(Clone, Copy)]
enum Part {
    Of,
    Filter,
}

/// Column of a window's expression in the table of its kind's facts.
fn column(set: &StreamSet, window: &Window, part: Part) -> Option<String> {
    let i = set.windows().iter().position(|w| w.name == window.name).expect("it is of the set");
    Some(match part {
        Part::Of => window.of.as_ref().map(|_| format!("of_{i}"))?,
        Part::Filter => window.filter.as_ref().map(|_| format!("where_{i}"))?,
    })
}

/// Events of a kind.
struct Facts<'a> {
    set: &'a StreamSet,
    kind: usize,
    events: &'a RecordBatch,
}

impl Facts<'_> {
    /// Position, member, customer and time; then what the windows ask of each event, as the expressions' batch engine
    /// answers it.
    fn table(&self) -> Result<RecordBatch, BatchError> {
        let kind = &self.set.kinds()[self.kind];
        let name = |column: usize| kind.layout.columns()[column].name.as_str();
        let mut columns = vec![
            (POSITION.to_owned(), self.column::<Int64Array>(POSITION)?),
            ("member".to_owned(), self.column::<StringArray>("member")?),
            ("customer".to_owned(), self.column::<StringArray>(name(kind.customer))?),
            ("time".to_owned(), self.column::<TimestampMicrosecondArray>(name(kind.happened_at))?),
        ];
        let (mut names, mut exprs): (Vec<String>, Vec<Checked>) = (Vec::new(), Vec::new());
        for window in self.set.windows().iter().filter(|w| w.kind == self.kind) {
            for (part, expr) in [(Part::Of, &window.of), (Part::Filter, &window.filter)] {
                names.extend(column(self.set, window, part));
                exprs.extend(expr.clone());
            }
        }
        let scope = Scope::new(vec![(EVENT.to_owned(), kind.layout.clone())]);
        let asked = ExprSet::compile(&scope, exprs)?;
        let answers = asked.evaluate_batch(&self.flat()?)?;
        for (name, id) in names.into_iter().zip(asked.ids()) {
            columns.push((name, answers.column(id).clone()));
        }
        Ok(RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true)))?)
    }

    /// The events' fields by the names that expressions use.
    fn flat(&self) -> Result<RecordBatch, BatchError> {
        let fields = self.events.schema();
        let named: Vec<Field> = fields
            .fields()
            .iter()
            .map(|f| Field::new(format!("{EVENT}.{}", f.name()), f.data_type().clone(), true))
            .collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(named)), self.events.columns().to_vec())?)
    }

    fn column<A: Array + 'static>(&self, name: &str) -> Result<ArrayRef, BatchError> {
        let wrong = |what: &str| BatchError::Columns {
            kind: self.set.kinds()[self.kind].name.clone(),
            what: format!("column {name} {what}"),
        };
        let column = self.events.column_by_name(name).ok_or_else(|| wrong("is missing"))?;
        match column.as_any().is::<A>() {
            true => Ok(column.clone()),
            false => Err(wrong("is of another type")),
        }
    }
}
