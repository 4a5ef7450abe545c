//! The files of the bank.

use std::{io, path::Path};

use crate::{
    dice::Topic,
    events::Events,
    forms::*,
    pattern::Turns,
    planted::Planted,
    requests::Requests,
    sheet::{Form, Sheet},
    world::World,
};

/// How large one file became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetReport {
    pub file: &'static str,
    pub rows: u64,
    pub bytes: u64,
}

/// Every file, open.
pub struct Bank {
    pub customers: Sheet,
    pub companies: Sheet,
    pub accounts: Sheet,
    pub loans: Sheet,
    pub repayments: Sheet,
    pub transactions: Sheet,
    pub bureau_reports: Sheet,
    pub guarantees: Sheet,
    pub devices: Sheet,
    pub device_use: Sheet,
    pub list_entries: Sheet,
    pub provident_fund: Sheet,
    pub payroll: Sheet,
    pub tax_records: Sheet,
    pub applications: Sheet,
    pub loan_outcomes: Sheet,
    pub planted: Planted,
    pub requests: Requests,
    pub events: Events,
    pub turns: Turns,
}

impl Bank {
    /// Creates every file in `folder`.
    pub fn create(folder: &Path, world: &World) -> io::Result<Self> {
        let mut number = 0;
        let mut sheet = |form: &'static Form| {
            number += 1;
            Sheet::create(folder, form, world.cutoff(), world.dice(Topic::Dirt, 0, number), world.plan.dirty)
        };
        Ok(Self {
            customers: sheet(&CUSTOMERS)?,
            companies: sheet(&COMPANIES)?,
            accounts: sheet(&ACCOUNTS)?,
            loans: sheet(&LOANS)?,
            repayments: sheet(&REPAYMENTS)?,
            transactions: sheet(&TRANSACTIONS)?,
            bureau_reports: sheet(&BUREAU_REPORTS)?,
            guarantees: sheet(&GUARANTEES)?,
            devices: sheet(&DEVICES)?,
            device_use: sheet(&DEVICE_USE)?,
            list_entries: sheet(&LIST_ENTRIES)?,
            provident_fund: sheet(&PROVIDENT_FUND)?,
            payroll: sheet(&PAYROLL)?,
            tax_records: sheet(&TAX_RECORDS)?,
            applications: sheet(&APPLICATIONS)?,
            loan_outcomes: sheet(&LOAN_OUTCOMES)?,
            planted: Planted::create(folder)?,
            requests: Requests::default(),
            events: Events::create(folder, world.events_from, world.cutoff())?,
            turns: Turns::new(world),
        })
    }

    /// Flushes every file; their sizes and the counts of what was planted.
    pub fn finish(self) -> io::Result<(Vec<SheetReport>, std::collections::BTreeMap<&'static str, u64>)> {
        let sheets = [
            (&CUSTOMERS, self.customers),
            (&COMPANIES, self.companies),
            (&ACCOUNTS, self.accounts),
            (&LOANS, self.loans),
            (&REPAYMENTS, self.repayments),
            (&TRANSACTIONS, self.transactions),
            (&BUREAU_REPORTS, self.bureau_reports),
            (&GUARANTEES, self.guarantees),
            (&DEVICES, self.devices),
            (&DEVICE_USE, self.device_use),
            (&LIST_ENTRIES, self.list_entries),
            (&PROVIDENT_FUND, self.provident_fund),
            (&PAYROLL, self.payroll),
            (&TAX_RECORDS, self.tax_records),
            (&APPLICATIONS, self.applications),
            (&LOAN_OUTCOMES, self.loan_outcomes),
        ];
        let sizes = sheets.into_iter().map(|(form, sheet)| {
            let (rows, bytes) = sheet.finish()?;
            Ok(SheetReport { file: form.file, rows, bytes })
        });
        let mut files = sizes.collect::<io::Result<Vec<_>>>()?;
        files.push(self.events.finish()?);
        Ok((files, self.planted.finish()?))
    }
}
