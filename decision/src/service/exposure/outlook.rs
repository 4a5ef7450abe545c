//! How the counters stand that a loan at a control point would touch.

use super::{Desk, desk::peek};
use crate::exposure::{Core, CounterUse, Prepared};

impl Desk {
    /// As they are in memory: to look promises nothing (see [`super::looks`]). None: it is not known, which is not room.
    /// `own` is an exposure whose room was taken for this very loan; empty: none.
    pub async fn outlook(&self, reserve: Prepared, own: String) -> Option<Vec<CounterUse>> {
        let ledger = self.opened()?.clone();
        let look = move |core: &Core, now_us| match own.is_empty() {
            true => core.outlook(&reserve, now_us),
            false => core.outlook_without(&reserve, &own, now_us),
        };
        let told = match ledger.glance(&look) {
            Some(told) => Ok(told),
            None => peek(&ledger, move |core| look(core, core.now_us())).await,
        };
        match told {
            Ok(Ok(counters)) => Some(counters),
            Ok(Err(refusal)) => {
                tracing::debug!("it is not known how counters stand: {refusal}");
                None
            }
            Err(refusal) => {
                tracing::debug!("it is not known how counters stand: {}", refusal.message());
                None
            }
        }
    }
}
