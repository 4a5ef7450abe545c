//! What holds of every operation, whatever the ledger is.

use crate::exposure::{
    operation::{ATTRIBUTES_MAX, Attribute, FEN_MAX, NAME_MAX, Refusal},
    scheme::{NONE, SchemeSet, Scope},
};

pub fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    match name.len() {
        0 => Err(Refusal::Invalid(format!("{what} is empty; give it one"))),
        1..=NAME_MAX => Ok(()),
        n => Err(Refusal::Invalid(format!("{what} has {n} bytes; at most {NAME_MAX} fit"))),
    }
}

pub fn check_fen(fen: i64) -> Result<(), Refusal> {
    if (1..=FEN_MAX).contains(&fen) {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("{fen} fen is no amount; write 1 to {FEN_MAX}")))
}

/// In order of name, as they were put when the operation was prepared.
pub fn check_attributes(attributes: &[Attribute]) -> Result<(), Refusal> {
    if attributes.len() > ATTRIBUTES_MAX {
        let what = format!("there are {} attributes; at most {ATTRIBUTES_MAX} fit", attributes.len());
        return Err(Refusal::Invalid(what));
    }
    for attribute in attributes {
        check_name("an attribute's name", &attribute.name)?;
        check_name(
            &format!("the value of `{}`; write `{NONE}` if there is none: it", attribute.name),
            &attribute.value,
        )?;
    }
    match attributes.windows(2).find(|two| two[0].name >= two[1].name) {
        Some(two) => {
            Err(Refusal::Invalid(format!("attribute `{}` is given twice; give it once", two[1].name)))
        }
        None => Ok(()),
    }
}

/// What a rulebook compiles to holds of itself; what comes from elsewhere must, too.
pub fn check_schemes(schemes: &SchemeSet) -> Result<(), Refusal> {
    let wrong = |what: &str| Err(Refusal::Invalid(format!("these are no schemes: {what}")));
    let dimensions = schemes.dimensions.len() as u32;
    if !schemes.members.is_sorted_by(|a, b| a < b) {
        return wrong("members are not in order");
    }
    if dimensions < 2 && !schemes.schemes.is_empty() {
        return wrong("customer and group are missing");
    }
    if !schemes.large_fen.is_empty() && schemes.large_fen.len() != schemes.members.len() {
        return wrong("large exposures are not of each member");
    }
    for scheme in &schemes.schemes {
        let lines = match scheme.scope() {
            Scope::Federation => 1,
            Scope::Member => schemes.members.len(),
        };
        let known =
            scheme.per.iter().map(|p| p.dimension).chain(scheme.conditions.iter().map(|c| c.dimension));
        if scheme.lines.len() != lines || known.into_iter().any(|dimension| dimension >= dimensions) {
            return wrong(&scheme.id);
        }
    }
    Ok(())
}
