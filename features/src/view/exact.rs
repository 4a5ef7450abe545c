//! Sums of Float64 that do not depend on the order of the addends.
//!
//! Floating-point addition is not associative: DataFusion's `sum` gives other last bits when partitions
//! or batches fall differently, so that a backtest and the online row would disagree. Here a sum is kept
//! exactly, as a few floats that do not overlap (Shewchuk, *Adaptive Precision Floating-Point Arithmetic*,
//! 1997), and rounded once at the end: the result is the float nearest to the true sum. `avg` is that
//! sum divided by the count; variances come from the exact sums of x and x² carried in twice the precision.
//!
//! NaN counts as NULL, as everywhere in Tarim; an addend of 1e300 and beyond counts as infinite, so that no
//! intermediate result can overflow.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{
            Array, ArrayRef, AsArray, BooleanArray, Float64Array, Float64Builder, Int64Array, ListBuilder,
        },
        datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type},
    },
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};

/// Addends at least this large count as infinite.
const HUGE: f64 = 1e300;

/// An exact sum.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sum {
    /// Floats that do not overlap, least first; their true sum is the sum of all finite addends.
    partials: Vec<f64>,
    /// Sum of the infinite addends: 0, ±∞, or NaN if there were both.
    infinite: f64,
}

impl Sum {
    fn add(&mut self, mut x: f64) {
        if x.abs() >= HUGE {
            self.infinite += f64::INFINITY.copysign(x);
            return;
        }
        let mut kept = 0;
        for i in 0..self.partials.len() {
            let (high, low) = two_sum(x, self.partials[i]);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        if x != 0.0 {
            self.partials.push(x);
        }
    }

    /// The sum, rounded to nearest; and what the rounding left over, rounded to nearest.
    fn rounded(&self) -> (f64, f64) {
        if self.infinite != 0.0 {
            // One NaN, whatever signs its parts had.
            return (if self.infinite.is_nan() { f64::NAN } else { self.infinite }, 0.0);
        }
        let high = self.nearest();
        let mut rest = self.clone();
        rest.add(-high);
        (high, rest.nearest())
    }

    fn nearest(&self) -> f64 {
        let mut rest = self.partials.iter().rev().copied();
        let Some(mut high) = rest.next() else { return 0.0 };
        let mut low = 0.0;
        for x in rest.by_ref() {
            (high, low) = two_sum(high, x);
            if low != 0.0 {
                break;
            }
        }
        // `low` may be exactly half of high's last place: then what follows decides the rounding.
        if let Some(next) = rest.next()
            && next.signum() == low.signum()
        {
            let doubled = low * 2.0;
            let up = high + doubled;
            if up - high == doubled {
                high = up;
            }
        }
        high
    }
}

/// `a + b` as its rounding and the exact error of that (Knuth).
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let b_in = sum - a;
    (sum, (a - (sum - b_in)) + (b - b_in))
}

/// What an aggregate gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Sum,
    Avg,
    /// Variance of a sample, or of the whole population.
    Var {
        sample: bool,
    },
    Stddev {
        sample: bool,
    },
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Sum => "exact_sum",
            Kind::Avg => "exact_avg",
            Kind::Var { sample: true } => "exact_var_samp",
            Kind::Var { sample: false } => "exact_var_pop",
            Kind::Stddev { sample: true } => "exact_stddev_samp",
            Kind::Stddev { sample: false } => "exact_stddev_pop",
        }
    }

    /// Whether the sum of squares is needed.
    fn squares(self) -> bool {
        matches!(self, Kind::Var { .. } | Kind::Stddev { .. })
    }
}

/// Count and sums of one group.
#[derive(Clone, Debug, Default)]
struct Moments {
    count: i64,
    sum: Sum,
    squares: Sum,
}

impl Moments {
    fn add(&mut self, x: f64, kind: Kind) {
        if x.is_nan() {
            return;
        }
        self.count += 1;
        self.sum.add(x);
        if kind.squares() {
            let square = x * x;
            self.squares.add(square);
            if square.abs() < HUGE {
                // The rounding error of the product, exactly.
                self.squares.add(x.mul_add(x, -square));
            }
        }
    }

    fn result(&self, kind: Kind) -> Option<f64> {
        let n = self.count as f64;
        match kind {
            _ if self.count == 0 => None,
            Kind::Sum => Some(self.sum.rounded().0),
            Kind::Avg => Some(self.sum.rounded().0 / n),
            Kind::Var { sample } => self.variance(sample),
            Kind::Stddev { sample } => self.variance(sample).map(f64::sqrt),
        }
        // NaN is NULL; −0 is +0.
        .filter(|x| !x.is_nan())
        .map(|x| x + 0.0)
    }

    fn variance(&self, sample: bool) -> Option<f64> {
        let divisor = if sample { self.count - 1 } else { self.count };
        variance(self.count, divisor, self.sum.rounded(), self.squares.rounded())
    }
}

/// The variance of a sample, from exact sums of x and x² as [`Sum::rounded`] gives them.
pub(crate) fn sample_variance(count: i64, sum: (f64, f64), squares: (f64, f64)) -> Option<f64> {
    variance(count, count - 1, sum, squares)
}

fn variance(
    count: i64,
    divisor: i64,
    (sum, sum_rest): (f64, f64),
    (squares, squares_rest): (f64, f64),
) -> Option<f64> {
    if divisor <= 0 {
        return None;
    }
    // Σx² − (Σx)² / n: the quotient q is refined once, so that the difference keeps its digits.
    let n = count as f64;
    let square = sum * sum;
    let square_rest = sum.mul_add(sum, -square) + 2.0 * sum * sum_rest;
    let q = square / n;
    let q_rest = ((-q).mul_add(n, square) + square_rest) / n;
    let spread = (squares - q) + (squares_rest - q_rest);
    Some(spread.max(0.0) / divisor as f64)
}

/// One of the aggregates, for DataFusion.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Exact {
    kind: Kind,
    signature: Signature,
}

/// The aggregate of a kind: of one Float64, to a Float64 that is NULL if there is nothing to add.
pub(crate) fn aggregate(kind: Kind) -> Arc<AggregateUDF> {
    let signature = Signature::exact(vec![DataType::Float64], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Exact { kind, signature }))
}

impl AggregateUDFImpl for Exact {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let floats = DataType::new_list(DataType::Float64, true);
        let name = |part: &str| format!("{}[{part}]", args.name);
        let mut fields = vec![
            Arc::new(Field::new(name("count"), DataType::Int64, true)),
            Arc::new(Field::new(name("sum"), floats.clone(), true)),
        ];
        if self.kind.squares() {
            fields.push(Arc::new(Field::new(name("squares"), floats, true)));
        }
        Ok(fields)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            let what = format!("{}(DISTINCT …) is not supported", self.name());
            return Err(DataFusionError::NotImplemented(what));
        }
        Ok(Box::new(One(Groups { kind: self.kind, groups: vec![Moments::default()] })))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { kind: self.kind, groups: Vec::new() }))
    }
}

/// State of many groups.
#[derive(Debug)]
struct Groups {
    kind: Kind,
    groups: Vec<Moments>,
}

impl Groups {
    /// State as columns: count, the exact sum, the exact sum of squares.
    fn columns(&self, groups: &[Moments]) -> Vec<ArrayRef> {
        let count = Int64Array::from_iter_values(groups.iter().map(|g| g.count));
        let mut columns: Vec<ArrayRef> = vec![Arc::new(count), sums(groups.iter().map(|g| &g.sum))];
        if self.kind.squares() {
            columns.push(sums(groups.iter().map(|g| &g.squares)));
        }
        columns
    }

    fn take(&mut self, emit_to: EmitTo) -> Vec<Moments> {
        emit_to.take_needed(&mut self.groups)
    }
}

/// Sums as lists of floats: the partials, and the infinite part if there is one.
fn sums<'s>(sums: impl Iterator<Item = &'s Sum>) -> ArrayRef {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for sum in sums {
        lists.values().append_slice(&sum.partials);
        if sum.infinite != 0.0 {
            lists.values().append_value(sum.infinite);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

/// Adds what [`sums`] wrote.
fn merge(sum: &mut Sum, addends: &ArrayRef) {
    for x in addends.as_primitive::<Float64Type>().values() {
        if x.is_nan() { sum.infinite += x } else { sum.add(*x) }
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.groups.resize_with(total, Moments::default);
        let values = values[0].as_primitive::<Float64Type>();
        for (i, &group) in group_indices.iter().enumerate() {
            if values.is_valid(i) && filter.is_none_or(|f| f.is_valid(i) && f.value(i)) {
                self.groups[group].add(values.value(i), self.kind);
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], total: usize) -> Result<()> {
        self.groups.resize_with(total, Moments::default);
        let count = values[0].as_primitive::<Int64Type>();
        let lists: Vec<_> = values[1..].iter().map(|v| v.as_list::<i32>()).collect();
        for (i, &group) in group_indices.iter().enumerate() {
            let moments = &mut self.groups[group];
            moments.count += count.value(i);
            merge(&mut moments.sum, &lists[0].value(i));
            if let Some(squares) = lists.get(1) {
                merge(&mut moments.squares, &squares.value(i));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let groups = self.take(emit_to);
        Ok(Arc::new(groups.iter().map(|g| g.result(self.kind)).collect::<Float64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let groups = self.take(emit_to);
        Ok(self.columns(&groups))
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let indices: Vec<usize> = (0..values[0].len()).collect();
        let mut each = Groups { kind: self.kind, groups: Vec::new() };
        each.update_batch(values, &indices, filter, indices.len())?;
        Ok(self.columns(&each.groups))
    }

    fn size(&self) -> usize {
        // Asked for after every batch, so no group is looked at: a sum of money mostly has one partial, and
        // the least capacity of a vector of floats is four.
        self.groups.capacity() * (size_of::<Moments>() + 4 * size_of::<f64>())
    }
}

/// One group, where DataFusion groups by nothing.
#[derive(Debug)]
struct One(Groups);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.update_batch(values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.merge_batch(states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.0.groups[0].result(self.0.kind)))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = self.0.columns(&self.0.groups);
        columns.iter().map(|c| ScalarValue::try_from_array(c, 0)).collect()
    }

    fn size(&self) -> usize {
        self.0.size()
    }
}

#[cfg(test)]
#[path = "exact_tests.rs"]
mod tests;
