//! SQL functions of the datamart's sessions: the built-in checks, and the industry hierarchy.
//!
//! | function | answer |
//! |---|---|
//! | `valid_gb11643(text)`, `valid_gb32100`, `valid_gbt2260`, `valid_luhn`, `valid_gbt4754_section` … | whether the text passes the check; NULL for NULL |
//! | `gbt4754_consistent(section, division, group, class)` | FALSE if two of those given contradict each other, else NULL if one is NULL, else TRUE |
//! | `gbt4754_section(code)` | section of a division, group or class; NULL if there is none |

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, StringArray},
    datatypes::DataType,
};
use datafusion::{
    common::{Result, cast::as_string_array},
    logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf},
    prelude::SessionContext,
};

use crate::checks::{Builtin, industry};

/// Makes the functions known to a session.
pub fn register(session: &SessionContext) {
    for check in Builtin::ALL {
        session.register_udf(valid(check));
    }
    session.register_udf(consistent());
    session.register_udf(section());
}

fn valid(check: Builtin) -> ScalarUDF {
    let name = format!("valid_{}", check.name());
    text_function(&name, 1, DataType::Boolean, move |columns| {
        let valid = columns[0].iter().map(|text| Some(check.check(text?).is_ok()));
        Arc::new(valid.collect::<BooleanArray>())
    })
}

fn consistent() -> ScalarUDF {
    text_function("gbt4754_consistent", 4, DataType::Boolean, |columns| {
        let [sections, divisions, groups, classes] = columns else { unreachable!("four arguments") };
        let rows = sections.iter().zip(divisions.iter()).zip(groups.iter()).zip(classes.iter());
        let answers = rows.map(|(((s, d), g), c)| industry::consistent(s, d, g, c));
        Arc::new(answers.collect::<BooleanArray>())
    })
}

fn section() -> ScalarUDF {
    text_function("gbt4754_section", 1, DataType::Utf8, |columns| {
        let letters = columns[0].iter().map(|code| industry::section_of(code?).map(String::from));
        Arc::new(letters.collect::<StringArray>())
    })
}

/// A function of texts, called with columns of equal length.
fn text_function(
    name: &str,
    arguments: usize,
    returns: DataType,
    body: impl Fn(&[&StringArray]) -> ArrayRef + Send + Sync + 'static,
) -> ScalarUDF {
    let call = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let columns = arrays.iter().map(|a| as_string_array(a)).collect::<Result<Vec<_>>>()?;
        Ok(ColumnarValue::Array(body(&columns)))
    };
    create_udf(name, vec![DataType::Utf8; arguments], returns, Volatility::Immutable, Arc::new(call))
}
