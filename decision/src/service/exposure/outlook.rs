//! How the counters stand that a loan at a control point would touch.

use super::{Desk, desk::peek};
use crate::exposure::{CounterUse, Prepared};

impl Desk {
    /// As they are in memory: to look promises nothing (see [`super::looks`]). None: it is not known, which is not room.
    /// `own` is an exposure whose room was taken for this very loan; empty: none.
    pub async fn outlook(&self, reserve: Prepared, own: String) -> Option<Vec<CounterUse>> {
        let ledger = self.opened()?.clone();
        let told = peek(&ledger, move |core| match own.is_empty() {
            true => core.outlook(&reserve),
            false => core.outlook_without(&reserve, &own),
        });
        match told.await {
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
