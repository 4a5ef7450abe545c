//! The rulebook's word on pushes, and the account managers that its query finds in the datamart.

use std::{path::PathBuf, time::Duration};

use indicatif::HumanCount;
use tarim_datamart::{Datamart, Standards};
use tarim_warning::{
    delivery::{Managers, Policy},
    ledger::Ledger,
    rulebook::WarningBook,
};

use crate::home::Home;

/// Where account managers are found.
pub struct Source {
    datamart: PathBuf,
    standards: Standards,
    sql: String,
}

/// What a rulebook says of who is told.
#[derive(Default)]
pub struct Told {
    /// None: nothing is pushed.
    pub policy: Option<Policy>,
    /// None: nobody has an account manager.
    pub source: Option<Source>,
    /// Codes of the members; none: it does not say.
    pub members: Vec<String>,
}

/// What the rulebook says of pushes, and where it finds account managers.
pub fn read(home: &Home, published: bool) -> anyhow::Result<Told> {
    let folder = home.rulebook_of(published)?;
    let book = WarningBook::read(&folder)?;
    let policy = book.delivery().cloned();
    let sql = policy.as_ref().and_then(|policy| policy.managers_sql.clone());
    let source =
        sql.map(|sql| Source { datamart: home.datamart(), standards: book.standards().clone(), sql });
    Ok(Told { policy, source, members: book.members().to_vec() })
}

/// Of a desk that pushes nothing: the members of the published rulebook. Where there is none, any name may be a member's.
pub fn members(home: &Home) -> Told {
    let read = || anyhow::Ok(WarningBook::read(&home.rulebook_of(true)?)?.members().to_vec());
    let members = read().unwrap_or_else(|e| {
        tracing::info!("who the members are is not known: {e:#}");
        Vec::new()
    });
    Told { members, ..Told::default() }
}

/// Asks the datamart as it is now. Without a query nobody has an account manager.
pub async fn load(source: Option<&Source>) -> anyhow::Result<Managers> {
    let Some(Source { datamart, standards, sql }) = source else { return Ok(Managers::default()) };
    let session = Datamart::open(datamart, standards.clone())?.session().await?;
    let managers = Managers::load(&session, sql).await?;
    tracing::info!("{} customers have an account manager", HumanCount(managers.customers() as u64));
    if managers.customers() == 0 {
        tracing::warn!(
            "no customer has an account manager: everything goes to `unassigned`; is anything loaded?"
        );
    }
    if managers.doubtful() > 0 {
        tracing::warn!(
            "of {} customers `managers_sql` names two account managers; the first by name is taken",
            HumanCount(managers.doubtful())
        );
    }
    Ok(managers)
}

/// Asks again and again. Those that were known stay while the datamart does not answer.
pub async fn keep_up(source: &Source, ledger: &Ledger, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        match load(Some(source)).await {
            Ok(managers) => ledger.set_managers(managers),
            Err(e) => tracing::error!("the account managers stay as they were: {e:#}"),
        }
    }
}
