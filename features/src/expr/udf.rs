//! The functions of expressions as DataFusion sees them: a kernel applied to arrays.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
        StringBuilder, TimestampMicrosecondArray,
    },
    datatypes::{DataType, Date32Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use datafusion::{
    common::{Result, internal_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use tarim_datamart::Type;

use super::{
    function::{Cast, Choice, Function},
    kernel,
};

/// A [`Function`] as a DataFusion function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Udf {
    function: Function,
    name: String,
    signature: Signature,
}

impl Udf {
    pub fn of(function: Function) -> Arc<ScalarUDF> {
        let arguments = function.arguments().into_iter().map(Type::arrow).collect();
        Arc::new(ScalarUDF::from(Self {
            function,
            name: function.name(),
            signature: Signature::exact(arguments, Volatility::Immutable),
        }))
    }

    pub fn function(&self) -> Function {
        self.function
    }
}

impl ScalarUDFImpl for Udf {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.function.result().arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        // A call on constants answers a constant: one row, whatever the batch.
        let constant = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        if arrays.iter().any(|a| a.len() != rows) {
            return internal_err!("{}: arguments of {rows} rows expected", self.name);
        }
        let out = apply(self.function, &arrays);
        if constant {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::try_from_array(&out, 0)?));
        }
        Ok(ColumnarValue::Array(out))
    }
}

/// Applies a function to arrays of its argument types.
fn apply(function: Function, args: &[ArrayRef]) -> ArrayRef {
    match function {
        Function::Float(f) => floats(float_at(&args[0]).map(|x| f.apply(x))),
        Function::Float2(f) => floats(float_at(&args[0]).zip(float_at(&args[1])).map(|(x, y)| f.apply(x, y))),
        Function::Int(f) => ints(function.result(), int_at(&args[0]).map(|x| f.apply(x?))),
        Function::Between(f) => {
            ints(function.result(), int_at(&args[0]).zip(int_at(&args[1])).map(|(x, y)| f.apply(x?, y?)))
        }
        Function::Text(f) => texts(text_at(&args[0]), |x, out| {
            f.apply(x, out);
            true
        }),
        Function::Test(f) => {
            booleans(text_at(&args[0]).zip(text_at(&args[1])).map(|(x, y)| Some(f.apply(x?, y?))))
        }
        Function::Concat => {
            texts(text_at(&args[0]).zip(text_at(&args[1])).map(|(x, y)| x.zip(y)), |(x, y), out| {
                out.push_str(x);
                out.push_str(y);
                true
            })
        }
        Function::Substr => {
            let numbers = int_at(&args[1]).zip(int_at(&args[2])).map(|(a, b)| a.zip(b));
            texts(text_at(&args[0]).zip(numbers).map(|(x, y)| x.zip(y)), |(x, (start, count)), out| {
                out.push_str(kernel::substr(x, start, count));
                true
            })
        }
        Function::Length => ints(Type::Int64, text_at(&args[0]).map(|x| x.map(kernel::length))),
        Function::Cast(cast) => apply_cast(cast, &args[0]),
        Function::Choice(choice, ty) => apply_choice(choice, ty, &args[0], &args[1]),
    }
}

fn apply_cast(cast: Cast, arg: &ArrayRef) -> ArrayRef {
    match cast {
        Cast::BooleanToInt => ints(Type::Int64, boolean_at(arg).map(|x| x.map(i64::from))),
        Cast::FloatToInt => ints(Type::Int64, float_at(arg).map(kernel::float_to_int)),
        Cast::ToText(Type::Boolean) => texts(boolean_at(arg), |x, out| {
            kernel::write_boolean(x, out);
            true
        }),
        Cast::ToText(Type::Int64) => texts(int_at(arg), |x, out| {
            kernel::write_int(x, out);
            true
        }),
        Cast::ToText(Type::Float64) => texts(float_at(arg).map(|x| (!x.is_nan()).then_some(x)), |x, out| {
            kernel::write_float(x, out);
            true
        }),
        Cast::ToText(Type::Date32) => texts(int_at(arg), kernel::write_date),
        Cast::ToText(Type::Timestamp) => texts(int_at(arg), kernel::write_timestamp),
        Cast::FromText(Type::Boolean) => booleans(text_at(arg).map(|x| kernel::parse_boolean(x?))),
        Cast::FromText(Type::Int64) => ints(Type::Int64, text_at(arg).map(|x| kernel::parse_int(x?))),
        Cast::FromText(Type::Float64) => {
            floats(text_at(arg).map(|x| x.map_or(f64::NAN, kernel::parse_float)))
        }
        Cast::FromText(Type::Date32) => ints(Type::Date32, text_at(arg).map(|x| kernel::parse_date(x?))),
        Cast::FromText(Type::Timestamp) => {
            ints(Type::Timestamp, text_at(arg).map(|x| kernel::parse_timestamp(x?)))
        }
        Cast::ToText(Type::Utf8) | Cast::FromText(Type::Utf8) => arg.clone(),
    }
}

fn apply_choice(choice: Choice, ty: Type, a: &ArrayRef, b: &ArrayRef) -> ArrayRef {
    match ty {
        Type::Boolean => booleans(boolean_at(a).zip(boolean_at(b)).map(|(a, b)| choice.of(a, b))),
        Type::Float64 => floats(float_at(a).zip(float_at(b)).map(|(a, b)| choice.float(a, b))),
        Type::Utf8 => texts(text_at(a).zip(text_at(b)).map(|(a, b)| choice.of(a, b)), |x, out| {
            out.push_str(x);
            true
        }),
        Type::Int64 | Type::Date32 | Type::Timestamp => {
            ints(ty, int_at(a).zip(int_at(b)).map(|(a, b)| choice.of(a, b)))
        }
    }
}

/// Values of a Float64 array, NULL as NaN.
fn float_at(array: &ArrayRef) -> impl Iterator<Item = f64> {
    array.as_primitive::<Float64Type>().iter().map(|x| x.unwrap_or(f64::NAN))
}

/// Values of an Int64, Date32 or timestamp array.
fn int_at(array: &ArrayRef) -> Box<dyn Iterator<Item = Option<i64>> + '_> {
    match array.data_type() {
        DataType::Date32 => Box::new(array.as_primitive::<Date32Type>().iter().map(|x| x.map(i64::from))),
        DataType::Timestamp(..) => Box::new(array.as_primitive::<TimestampMicrosecondType>().iter()),
        _ => Box::new(array.as_primitive::<Int64Type>().iter()),
    }
}

fn text_at(array: &ArrayRef) -> impl Iterator<Item = Option<&str>> {
    array.as_string::<i32>().iter()
}

fn boolean_at(array: &ArrayRef) -> impl Iterator<Item = Option<bool>> {
    array.as_boolean().iter()
}

fn floats(values: impl Iterator<Item = f64>) -> ArrayRef {
    Arc::new(values.map(|x| (!x.is_nan()).then_some(x)).collect::<Float64Array>())
}

fn ints(ty: Type, values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    match ty {
        Type::Date32 => {
            // Kernels of dates answer days that fit: they come from the calendar or from a timestamp.
            Arc::new(values.map(|x| x.and_then(|x| i32::try_from(x).ok())).collect::<Date32Array>())
        }
        Type::Timestamp => Arc::new(values.collect::<TimestampMicrosecondArray>()),
        _ => Arc::new(values.collect::<Int64Array>()),
    }
}

fn booleans(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(values.collect::<BooleanArray>())
}

/// Texts that `write` appends to a buffer; it answers false for NULL.
fn texts<T>(
    values: impl Iterator<Item = Option<T>>,
    mut write: impl FnMut(T, &mut String) -> bool,
) -> ArrayRef {
    let mut builder = StringBuilder::new();
    let mut buffer = String::new();
    for value in values {
        buffer.clear();
        match value {
            Some(x) => match write(x, &mut buffer) {
                true => builder.append_value(&buffer),
                false => builder.append_null(),
            },
            None => builder.append_null(),
        }
    }
    let out: StringArray = builder.finish();
    Arc::new(out)
}
