//! The declared range of a feature, checked where it is computed.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::AsArray,
        datatypes::{DataType, Int64Type},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};

/// The value itself; an error if it lies outside the range. The packed row refuses such a value as well, so
/// batch and online agree.
pub(super) fn in_range(feature: &str, range: Option<(i64, i64)>, value: Expr) -> Expr {
    match range {
        None => value,
        Some((low, high)) => {
            let signature = Signature::exact(vec![DataType::Int64], Volatility::Immutable);
            let check = InRange { feature: feature.to_owned(), low, high, signature };
            ScalarUDF::new_from_impl(check).call(vec![value])
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct InRange {
    feature: String,
    low: i64,
    high: i64,
    signature: Signature,
}

impl ScalarUDFImpl for InRange {
    fn name(&self) -> &str {
        "in_range"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        let outside = values.as_primitive::<Int64Type>().iter().flatten();
        match outside.into_iter().find(|v| !(self.low..=self.high).contains(v)) {
            Some(v) => Err(DataFusionError::Execution(format!(
                "{} is {v}, outside its range {} to {}; widen the range where it is declared",
                self.feature, self.low, self.high
            ))),
            None => Ok(ColumnarValue::Array(Arc::clone(&values))),
        }
    }
}
