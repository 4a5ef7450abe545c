//! Making the bank.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use indicatif::ProgressBar;

use crate::{
    application,
    bank::{Bank, SheetReport},
    block::Block,
    company::Company,
    contact, credit, income, ledger,
    person::Person,
    planted::TRUTH,
    public_record, servicing,
    world::{CUSTOMERS_PER_COMPANY, Plan, World},
};

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub files: Vec<SheetReport>,
    /// How many of each kind were planted.
    pub planted: BTreeMap<&'static str, u64>,
}

/// Why a bank could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    #[error("cannot make this bank: {0}")]
    Plan(String),
    #[error("cannot write the bank to {}: {source}", folder.display())]
    Io { folder: PathBuf, source: io::Error },
}

/// Makes the bank in `folder`, which is created; files of the same names are overwritten. `progress`
/// counts customers.
pub fn synthesise(plan: Plan, folder: &Path, progress: &ProgressBar) -> Result<Report, SynthError> {
    if let Some(wrong) = plan.wrong() {
        return Err(SynthError::Plan(wrong));
    }
    make(plan, folder, progress).map_err(|source| SynthError::Io { folder: folder.into(), source })
}

fn make(plan: Plan, folder: &Path, progress: &ProgressBar) -> io::Result<Report> {
    std::fs::create_dir_all(folder)?;
    let world = World::new(plan);
    let mut bank = Bank::create(folder, &world)?;
    progress.set_length(world.plan.customers);
    for block in Block::all(&world) {
        if block.first == 0 {
            contact::write_strangers(block.member, &world, &mut bank)?;
        }
        for (position, applications) in (block.first..).zip(&block.applications) {
            write_customer(&world, block.member, position, *applications, &mut bank)?;
        }
        progress.inc(block.applications.len() as u64);
    }
    std::mem::take(&mut bank.requests).write(folder)?;
    let (files, planted) = bank.finish()?;
    let summary = serde_json::json!({
        "seed": world.plan.seed,
        "customers": world.plan.customers,
        "applications": world.plan.applications(),
        "members": world.members.iter().map(|m| &m.code).collect::<Vec<_>>(),
        "as_of": world.plan.as_of.to_string(),
        "months": world.plan.months,
        "dirty": world.plan.dirty,
        "planted": planted,
        "rows": files.iter().map(|f| (f.file, f.rows)).collect::<BTreeMap<_, _>>(),
    });
    std::fs::write(folder.join(TRUTH).join("summary.json"), format!("{summary:#}\n"))?;
    Ok(Report { files, planted })
}

/// A customer and all that hangs on him; before every twentieth, a company.
fn write_customer(
    world: &World,
    member: usize,
    position: u32,
    applications: u32,
    bank: &mut Bank,
) -> io::Result<()> {
    let company = position / CUSTOMERS_PER_COMPANY;
    if position.is_multiple_of(CUSTOMERS_PER_COMPANY) && company < world.companies(member) {
        Company::new(world, member, company).write(world, bank)?;
    }
    let person = Person::new(world, member, position);
    contact::write_customer(&person, world, bank)?;
    contact::write_devices(&person, world, bank)?;
    contact::write_lists(&person, world, bank)?;
    let pay = income::write(&person, world, bank)?;
    let loans = credit::Loan::all_of(&person, world);
    let repaid = credit::write(&person, &loans, world, bank)?;
    credit::write_bureau(&person, applications > 0, &loans, world, bank)?;
    let planting = ledger::write(&person, &pay, &repaid, &loans, world, bank)?;
    servicing::write_disbursed(&person, &loans, planting.and_then(|p| p.loan).as_deref(), world, bank)?;
    public_record::write_person(&person, world, bank)?;
    application::write(&person, applications, world, bank)
}
