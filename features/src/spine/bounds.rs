//! The declared range or codes of a feature, checked where it is computed.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, AsArray},
        datatypes::{DataType, Date32Type, Int64Type},
    },
    error::{DataFusionError, Result},
    logical_expr::{
        ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
    },
};
use tarim_datamart::Type;

use crate::{row::end_of_range, view::Feature};

/// The value of a feature itself; an error if it lies outside the range or is none of the codes. The packed row refuses
/// such a value as well, so batch and online agree. `name` is the feature's in messages.
pub(super) fn within(name: &str, feature: &Feature, value: Expr) -> Expr {
    let bounds = match feature.range {
        Some((low, high)) => Bounds::Range(low, high),
        None if feature.codes.is_empty() => return value,
        None => Bounds::Codes(feature.codes.clone()),
    };
    let (feature, ty) = (name.to_owned(), feature.ty);
    let signature = Signature::exact(vec![ty.arrow()], Volatility::Immutable);
    ScalarUDF::new_from_impl(Within { feature, ty, bounds, signature }).call(vec![value])
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Bounds {
    Range(i64, i64),
    Codes(Vec<String>),
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Within {
    feature: String,
    ty: Type,
    bounds: Bounds,
    signature: Signature,
}

impl Within {
    /// What is wrong with the first value that is not within the bounds.
    fn broken(&self, values: &dyn Array) -> Option<String> {
        let (low, high) = match &self.bounds {
            Bounds::Codes(codes) => {
                let mut values = values.as_string::<i32>().iter().flatten();
                let other = values.find(|value| !codes.iter().any(|code| code == value))?;
                return Some(format!("{other:?}, none of its codes; add it"));
            }
            Bounds::Range(low, high) => (*low, *high),
        };
        let outside = |value: &i64| !(low..=high).contains(value);
        let value = match self.ty {
            Type::Date32 => values.as_primitive::<Date32Type>().iter().flatten().map(i64::from).find(outside),
            _ => values.as_primitive::<Int64Type>().iter().flatten().find(outside),
        };
        let [value, low, high] = [value?, low, high].map(|end| end_of_range(self.ty, end));
        Some(format!("{value}, outside its range {low} to {high}; widen the range"))
    }
}

impl ScalarUDFImpl for Within {
    fn name(&self) -> &str {
        "within"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.ty.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let values = args.args[0].to_array(args.number_rows)?;
        match self.broken(&values) {
            Some(what) => {
                Err(DataFusionError::Execution(format!("{} is {what} where it is declared", self.feature)))
            }
            None => Ok(ColumnarValue::Array(Arc::clone(&values))),
        }
    }
}
