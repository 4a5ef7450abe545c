//! From what was gathered to the exposure that would come of it, and from the ledger's answer to the row `exposure`.
//!
//! ```text
//!  gather ─► Inputs ─► Engine::reserve ─► Prepared ─► Core::outlook (the ledger's thread)
//!              ▲                                          │ counters, or nothing
//!              └───────────── Engine::expose ◄────────────┘        then: judge
//! ```

use tarim_features::row::RowError;

use super::{Engine, Inputs};
use crate::{
    exposure::{
        Attribute, CounterUse, Operation, Prepared, Reserve,
        scheme::NONE,
        standing::{Standing, pack_unknown},
    },
    outcome::Call,
    rulebook::{APPLICATION, Mapping, Origin, Relation, Rulebook, Source},
};

/// Why it cannot be told what the exposure of an application is.
#[derive(Debug, thiserror::Error)]
pub enum Unexposed {
    #[error(
        "the rulebook does not say what the exposure of an application is; write [exposure] in its limits/"
    )]
    NoMapping,
    #[error(
        "the {0} of the exposure is not known; send the field that [exposure] in the rulebook's limits/ names, or let it say \
         what stands in its place"
    )]
    Unknown(String),
    #[error("a row cannot be read: {0}")]
    Row(#[from] RowError),
}

impl Engine {
    /// Whether a call on what was gathered asks how the counters of the exposure stand.
    pub fn asks_exposure(&self, inputs: &Inputs, call: Call) -> bool {
        let plan = inputs.plan.filter(|(rulebook, _)| *rulebook == self.rulebook.id());
        self.rulebook.exposure().is_some()
            && plan.is_some_and(|(_, plan)| self.rulebook.plans()[plan].asks_exposure(call))
    }

    /// What the application asks for, in fen; None: the rulebook does not say, or it is not known.
    pub fn asked_fen(&self, inputs: &Inputs) -> Option<i64> {
        let mapping = self.rulebook.exposure()?;
        inputs.row(APPLICATION, &self.rulebook.given()[APPLICATION]).ok()?.int(mapping.amount)
    }

    /// The reservation that the exposure of an application comes to. `expires_us`: 0 is never.
    pub fn reserve(
        &self,
        inputs: &Inputs,
        exposure: &str,
        fen: i64,
        expires_us: i64,
    ) -> Result<Prepared, Unexposed> {
        let rulebook = &*self.rulebook;
        let mapping = rulebook.exposure().ok_or(Unexposed::NoMapping)?;
        let first = |of: &str, origins: &[Origin]| first(rulebook, inputs, of, origins);
        let customer = first("customer", &mapping.customer)?;
        let mut attributes = vec![Attribute::new("product", &*inputs.product)];
        for (name, origins) in &mapping.attributes {
            attributes.push(Attribute::new(name, first(name, origins)?));
        }
        let (member, exposure) = (inputs.member.clone(), exposure.to_owned());
        let reserve = Reserve { member, exposure, customer, attributes, fen, expires_us };
        Ok(Prepared::new(Operation::Reserve(reserve)))
    }

    /// Writes down how the counters stand, as the ledger told; None: it is not known. What the ledger told before is forgotten.
    pub fn expose(&self, inputs: &mut Inputs, counters: Option<&[CounterUse]>) {
        let last = self.rulebook.given().last().filter(|r: &&Relation| r.source == Source::Exposure);
        let Some(relation) = last else { return };
        let standing = counters.map(|counters| Standing::of(counters, self.asked_fen(inputs)));
        let packer = inputs.tools.packer(&relation.layout);
        let packed = match standing {
            Some(standing) => standing.pack(packer),
            None => pack_unknown(packer),
        };
        packed.expect("the relation has the layout of how counters stand");
        inputs.rows.pop();
        inputs.rows.push(packer.finish());
    }
}

/// The first of some columns that is known.
fn first(rulebook: &Rulebook, inputs: &Inputs, of: &str, origins: &[Origin]) -> Result<String, Unexposed> {
    for origin in origins {
        match *origin {
            Origin::None => return Ok(NONE.into()),
            Origin::Column { relation, column } => {
                let row = inputs.row(relation, &rulebook.given()[relation])?;
                if let Some(text) = row.text(column) {
                    return Ok(text.to_owned());
                }
            }
        }
    }
    Err(Unexposed::Unknown(of.into()))
}

impl Mapping {
    /// When a reservation that is made now expires.
    pub fn expires_us(&self, now_us: i64) -> i64 {
        now_us.saturating_add(self.reserve_us)
    }
}
