//! Groups of connected customers: from the datamart's edges into the ledger.

use std::{
    path::Path,
    sync::{Arc, mpsc},
};

use tarim_datamart::Datamart;
use tarim_features::edges::{EdgeSet, Edges, load};

use super::ExposureError;
use crate::{
    exposure::{Ledger, LedgerError, Operation, Prepared, Regroup, regroupings},
    rulebook::Rulebook,
};

/// So many are waited for at once: few beside what callers may have waiting.
const TOGETHER: usize = 256;

/// Brings the ledger's groups to what the edges say that the rulebook, in `folder`, counts them by. Gives how many customers
/// changed theirs. Reads the datamart, and waits for the ledger: not for an async thread.
pub fn regroup(
    ledger: &Ledger,
    rulebook: &Arc<Rulebook>,
    folder: &Path,
    datamart: &Path,
    now_us: i64,
) -> Result<u64, ExposureError> {
    let names = &rulebook.limits().group_edges;
    if names.is_empty() {
        return Ok(0);
    }
    // Where there is none all tables would be empty.
    if !datamart.is_dir() {
        return Err(ExposureError::NoDatamart(datamart.into()));
    }
    let set = EdgeSet::read(folder, rulebook.standards()).map_err(ExposureError::Rulebook)?;
    // They were checked when the rulebook was.
    let along: Vec<usize> = names.iter().filter_map(|name| set.index(name)).collect();
    // A runtime of its own: what it computes does not keep callers waiting.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|e| ExposureError::Thread(e.to_string()))?;
    let edges = runtime.block_on(edges(datamart, rulebook, &set, &along))?;
    let all = regroupings(&ledger.view()?, &edges, &along, now_us);
    let count = all.len() as u64;
    hand_over(ledger, all)?;
    Ok(count)
}

/// No row of a table is one thing, and a table that nobody loaded is another.
async fn edges(
    folder: &Path,
    rulebook: &Rulebook,
    set: &EdgeSet,
    along: &[usize],
) -> Result<Edges, ExposureError> {
    let datamart = Datamart::open(folder, rulebook.standards().clone())?;
    let session = datamart.session().await?;
    let loaded = datamart.loaded(&session).await?;
    for index in along {
        let edge = &set.edges()[*index];
        if let Some(table) = edge.tables().find(|table| !loaded.contains(*table)) {
            let (edge, table, folder) = (edge.name.clone(), table.to_owned(), folder.to_path_buf());
            return Err(ExposureError::NeverLoaded { edge, table, folder });
        }
    }
    Ok(load(&session, set, along).await?)
}

/// What was handed over before an error stays done; whoever begins anew finds what is left.
fn hand_over(ledger: &Ledger, mut all: Vec<Regroup>) -> Result<(), LedgerError> {
    while !all.is_empty() {
        let (tell, told) = mpsc::channel();
        let some = all.drain(..TOGETHER.min(all.len()));
        let count = some.len();
        for regroup in some {
            let tell = tell.clone();
            ledger.submit(Prepared::new(Operation::Regroup(regroup)), move |answer| _ = tell.send(answer));
        }
        drop(tell);
        let mut answered = 0;
        for answer in told {
            answer?;
            answered += 1;
        }
        if answered < count {
            return Err(LedgerError::Closed("the service is shutting down".into()));
        }
    }
    Ok(())
}
