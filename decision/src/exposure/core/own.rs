//! How counters stand for a loan that has taken its room already.

use super::Core;
use crate::exposure::operation::{CounterUse, Operation, Prepared, Refusal, Reserve};

impl Core {
    /// As [`Core::outlook`], without what this exposure takes itself: at a contract or a disbursement its room was reserved
    /// before, and must not be counted against it. That holds if it is the same exposure, to the same customer and of the
    /// same kind; of another one nothing is taken off.
    pub fn outlook_without(&self, reserve: &Prepared, exposure: &str) -> Result<Vec<CounterUse>, Refusal> {
        let mut counters = self.outlook(reserve)?;
        let Operation::Reserve(Reserve { member, customer, attributes, .. }) = &reserve.operation else {
            return Ok(counters);
        };
        let Some(own) = self.exposure(member, exposure) else { return Ok(counters) };
        let mut attributes = attributes.clone();
        attributes.sort();
        if own.customer == *customer && own.attributes == attributes {
            let taken = own.reserved_fen.saturating_add(own.outstanding_fen);
            for counter in &mut counters {
                counter.used_fen = counter.used_fen.saturating_sub(taken);
            }
        }
        Ok(counters)
    }
}
