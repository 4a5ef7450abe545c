//! How counters stand for a loan that has taken its room already.

use super::Core;
use crate::exposure::operation::{Attribute, CounterUse, Operation, Prepared, Refusal, Reserve};

impl Core {
    /// As [`Core::outlook`], without what this exposure takes itself: at a contract or a disbursement its room was reserved
    /// before, and must not be counted against it. That holds if it is to the same customer, and alike in
    /// everything that limits speak of; of another one nothing is taken off.
    pub fn outlook_without(
        &self,
        reserve: &Prepared,
        exposure: &str,
        now_us: i64,
    ) -> Result<Vec<CounterUse>, Refusal> {
        let mut counters = self.outlook(reserve, now_us)?;
        let Operation::Reserve(Reserve { member, customer, attributes, .. }) = &reserve.operation else {
            return Ok(counters);
        };
        let Some(own) = self.exposure(member, exposure) else { return Ok(counters) };
        // The first two are customer and group, which are the customer's.
        let kinds = || self.schemes().dimensions.iter().skip(2).map(|dimension| dimension.name.as_str());
        let value =
            |of: &[Attribute], name: &str| of.iter().find(|a| a.name == name).map(|a| a.value.clone());
        let alike =
            |name| value(attributes, name).is_some_and(|wanted| value(&own.attributes, name) == Some(wanted));
        if own.customer == *customer && kinds().all(alike) {
            let taken = own.reserved_fen.saturating_add(own.outstanding_fen);
            for counter in &mut counters {
                counter.used_fen = counter.used_fen.saturating_sub(taken);
            }
        }
        Ok(counters)
    }
}
