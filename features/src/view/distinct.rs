//! `count(DISTINCT x)` for many small groups.
//!
//! DataFusion keeps a hash set per group, which starts at some 10 KiB for texts: a million customers with
//! five such features would take 100 GiB. Here all groups share one set of (group, value) pairs, where a
//! text is the number under which it was first seen.

use std::{mem, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray},
        buffer::OffsetBuffer,
        datatypes::{DataType, Field, FieldRef, Int64Type},
    },
    common::ScalarValue,
    error::{DataFusionError, Result},
    logical_expr::{
        Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
        function::{AccumulatorArgs, StateFieldsArgs},
    },
};
use hashbrown::HashSet;

use crate::row::Dictionary;

/// The aggregate: of one Utf8 or Int64, to an Int64 that is never NULL. NULLs are not counted.
pub(super) fn aggregate() -> Arc<AggregateUDF> {
    let signature = Signature::uniform(1, vec![DataType::Utf8, DataType::Int64], Volatility::Immutable);
    Arc::new(AggregateUDF::new_from_impl(Distinct { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Distinct {
    signature: Signature,
}

impl AggregateUDFImpl for Distinct {
    fn name(&self) -> &str {
        "count_distinct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let values = DataType::new_list(args.input_fields[0].data_type().clone(), true);
        Ok(vec![Arc::new(Field::new(format!("{}[values]", args.name), values, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let mut groups = Groups::new(args.expr_fields[0].data_type().clone());
        groups.counts.push(0);
        Ok(Box::new(One(groups)))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(args.expr_fields[0].data_type().clone())))
    }
}

/// Distinct values of many groups.
#[derive(Debug)]
struct Groups {
    /// Utf8 or Int64.
    ty: DataType,
    texts: Dictionary,
    pairs: HashSet<(u32, i64)>,
    counts: Vec<i64>,
}

impl Groups {
    fn new(ty: DataType) -> Self {
        Self { ty, texts: Dictionary::new(), pairs: HashSet::new(), counts: Vec::new() }
    }

    fn add(&mut self, group: usize, value: i64) {
        if self.pairs.insert((group as u32, value)) {
            self.counts[group] += 1;
        }
    }

    /// Values as numbers: integers as they are, texts by the dictionary.
    fn numbers(&mut self, values: &ArrayRef) -> Result<Int64Array> {
        match &self.ty {
            DataType::Utf8 => {
                let texts: &StringArray = values.as_string();
                Ok(texts.iter().map(|t| t.map(|t| i64::from(self.texts.intern(t)))).collect())
            }
            DataType::Int64 => Ok(values.as_primitive::<Int64Type>().clone()),
            other => Err(DataFusionError::Internal(format!("count_distinct of {other}"))),
        }
    }

    /// Takes groups out: how many values each has, and the values in order of group.
    fn take(&mut self, emit_to: EmitTo) -> (Vec<i64>, Vec<(u32, i64)>) {
        let counts = emit_to.take_needed(&mut self.counts);
        let n = counts.len() as u32;
        let pairs = mem::take(&mut self.pairs).into_iter();
        let (mut taken, kept): (Vec<_>, Vec<_>) = pairs.partition(|(group, _)| *group < n);
        self.pairs = kept.into_iter().map(|(group, value)| (group - n, value)).collect();
        taken.sort_unstable();
        (counts, taken)
    }

    /// State as a column: the values of each group in a list.
    fn lists(&mut self, emit_to: EmitTo) -> Result<ListArray> {
        let (counts, pairs) = self.take(emit_to);
        let numbers = pairs.iter().map(|(_, value)| *value);
        let values: ArrayRef = match self.ty {
            DataType::Utf8 => {
                Arc::new(numbers.map(|code| self.texts.get(code as u32)).collect::<StringArray>())
            }
            _ => Arc::new(Int64Array::from_iter_values(numbers)),
        };
        let offsets = OffsetBuffer::from_lengths(counts.iter().map(|c| *c as usize));
        let field = Arc::new(Field::new_list_field(self.ty.clone(), true));
        Ok(ListArray::try_new(field, offsets, values, None)?)
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
        self.counts.resize(total, 0);
        let numbers = self.numbers(&values[0])?;
        for (i, &group) in group_indices.iter().enumerate() {
            if numbers.is_valid(i) && filter.is_none_or(|f| f.is_valid(i) && f.value(i)) {
                self.add(group, numbers.value(i));
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], total: usize) -> Result<()> {
        self.counts.resize(total, 0);
        let lists = states[0].as_list::<i32>();
        let numbers = self.numbers(lists.values())?;
        for (i, &group) in group_indices.iter().enumerate() {
            let ends = lists.value_offsets();
            for at in ends[i]..ends[i + 1] {
                self.add(group, numbers.value(at as usize));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        Ok(Arc::new(Int64Array::from(self.take(emit_to).0)))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![Arc::new(self.lists(emit_to)?)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let indices: Vec<usize> = (0..values[0].len()).collect();
        let mut each = Groups::new(self.ty.clone());
        each.update_batch(values, &indices, filter, indices.len())?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        let texts: usize = self.texts.len() * 48;
        self.pairs.capacity() * size_of::<(u32, i64)>() + self.counts.capacity() * 8 + texts
    }
}

/// One group, where DataFusion groups by nothing.
#[derive(Debug)]
struct One(Groups);

impl Accumulator for One {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        GroupsAccumulator::update_batch(&mut self.0, values, &vec![0; values[0].len()], None, 1)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        GroupsAccumulator::merge_batch(&mut self.0, states, &vec![0; states[0].len()], 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0.counts[0])))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let lists = self.0.lists(EmitTo::All)?;
        Ok(vec![ScalarValue::List(Arc::new(lists))])
    }

    fn size(&self) -> usize {
        GroupsAccumulator::size(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[Option<&str>]) -> Vec<ArrayRef> {
        vec![Arc::new(values.iter().copied().collect::<StringArray>())]
    }

    fn counts(array: ArrayRef) -> Vec<i64> {
        array.as_primitive::<Int64Type>().values().to_vec()
    }

    #[test]
    fn groups_are_counted_merged_and_taken_out() {
        let mut one = Groups::new(DataType::Utf8);
        let values = texts(&[Some("a"), Some("b"), None, Some("a"), Some("a"), Some("甲")]);
        one.update_batch(&values, &[0, 0, 0, 0, 1, 2], None, 4).unwrap();
        let filter = BooleanArray::from(vec![Some(true), Some(false), None]);
        one.update_batch(&texts(&[Some("z"), Some("y"), Some("x")]), &[3, 3, 3], Some(&filter), 4).unwrap();
        assert_eq!(one.counts, [2, 1, 1, 1]);

        // The first two go; the others move down and keep what they have.
        let first = one.state(EmitTo::First(2)).unwrap();
        one.update_batch(&texts(&[Some("甲"), Some("z")]), &[0, 0], None, 2).unwrap();
        assert_eq!(one.counts, [2, 1]);

        let mut other = Groups::new(DataType::Utf8);
        other.update_batch(&texts(&[Some("b"), Some("c")]), &[0, 0], None, 1).unwrap();
        other.merge_batch(&first, &[0, 1], 2).unwrap();
        assert_eq!(counts(other.evaluate(EmitTo::All).unwrap()), [3, 1]);
    }

    #[test]
    fn rows_turn_into_states() {
        let integers: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![Some(7), None, Some(7)]))];
        let states = Groups::new(DataType::Int64).convert_to_state(&integers, None).unwrap();
        let mut groups = Groups::new(DataType::Int64);
        groups.merge_batch(&states, &[0, 1, 0], 2).unwrap();
        assert_eq!(counts(groups.evaluate(EmitTo::All).unwrap()), [1, 0]);
    }
}
