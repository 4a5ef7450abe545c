//! A chunk of text through the gate: good rows as a batch, bad rows with every rule that they break.
//!
//! ```text
//! text columns ─► typed columns (type, required, length, range, pattern, codes, checks)
//!              ─► row checks ─► tokens ─► keys ─► good batch │ bad rows
//! ```

use arrow::{
    array::{Array, ArrayRef, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    error::ArrowError,
    util::display::array_value_to_string,
};
use datafusion::common::{DataFusionError, cast::as_string_array};

use super::{
    cells::{Fault, Filler, tokenise},
    fill::fill,
    keys::{KeyReader, KeySet},
    plan::Plan,
    source::Chunk,
};
use crate::{
    Tokeniser,
    gate::{Broken, rules},
};

/// What became of a chunk.
pub(crate) struct Admitted {
    pub rows: usize,
    /// Rows that broke no rule, in the table's schema.
    pub good: RecordBatch,
    pub bad: Vec<BadRow>,
}

/// A row for the quarantine.
pub(crate) struct BadRow {
    /// Line in the source.
    pub line: u64,
    pub member: Option<String>,
    /// What was read, as JSON, without personal text.
    pub row: String,
    /// Field (none for the row as a whole) and rule.
    pub broken: Vec<(Option<String>, Broken)>,
}

/// Lets chunks of one file through the gate.
pub(crate) struct Gate<'a> {
    pub plan: &'a Plan,
    pub tokeniser: &'a Tokeniser,
    pub keys: &'a mut KeySet,
}

impl Gate<'_> {
    pub fn admit(&mut self, chunk: &Chunk) -> Result<Admitted, DataFusionError> {
        let rows = chunk.rows();
        let mut readable = vec![true; rows];
        let mut faults = Vec::new();
        for defect in &chunk.defects {
            readable[defect.row] = defect.line.is_none();
            faults.push(Fault { row: defect.row, field: None, broken: defect.broken.clone() });
        }
        let mut columns = Vec::with_capacity(self.plan.fields.len());
        for (position, plan) in self.plan.fields.iter().enumerate() {
            let mut filler = Filler::new(&plan.field, position, &self.plan.source, rows, &mut faults);
            fill(&mut filler, &plan.feed, chunk, &readable);
            columns.push(filler.finish()?);
        }
        self.check_member(&columns[0], &mut faults)?;
        if !self.plan.checks.is_empty() {
            let batch = RecordBatch::try_new(self.plan.schema.clone(), columns.clone())?;
            self.plan.checks.check_batch(&batch, |row, broken| {
                if readable[row] {
                    faults.push(Fault { row, field: None, broken });
                }
            });
        }
        for (column, plan) in columns.iter_mut().zip(&self.plan.fields) {
            if plan.field.personal {
                *column = tokenise(column, &plan.field.kind, self.tokeniser)?;
            }
        }
        let mut good = vec![true; rows];
        faults.iter().for_each(|fault| good[fault.row] = false);
        self.check_keys(&columns, &mut good, &mut faults)?;

        faults.sort_by_key(|fault| fault.row);
        let bad = self.bad_rows(chunk, &columns[0], faults)?;
        let batch = RecordBatch::try_new(self.plan.schema.clone(), columns)?;
        let good = match bad.is_empty() {
            true => batch,
            false => filter_record_batch(&batch, &BooleanArray::from(good))?,
        };
        Ok(Admitted { rows, good, bad })
    }

    /// A load for one member takes no row of another.
    fn check_member(&self, members: &ArrayRef, faults: &mut Vec<Fault>) -> Result<(), DataFusionError> {
        let Some(wanted) = &self.plan.member else { return Ok(()) };
        for (row, member) in as_string_array(members)?.iter().enumerate() {
            if let Some(other) = member.filter(|m| m != wanted) {
                let member = &self.plan.fields[0].field;
                let message = match member.withheld {
                    true => format!("the row is of another member than the load, which is for {wanted}"),
                    false => format!("the row is of member {other}, the load for {wanted}"),
                };
                let broken = Broken { rule: rules::MEMBER.into(), message };
                faults.push(Fault { row, field: Some(0), broken });
            }
        }
        Ok(())
    }

    /// Rows whose key is taken break the rule `key`; the key of a good row is taken from here on.
    fn check_keys(
        &mut self,
        columns: &[ArrayRef],
        good: &mut [bool],
        faults: &mut Vec<Fault>,
    ) -> Result<(), DataFusionError> {
        let reader = KeyReader::new(self.plan.unique.iter().map(|i| &columns[*i]))?;
        for (row, good) in good.iter_mut().enumerate() {
            let Some(key) = self.keys.hash(|bytes| reader.write(row, bytes)) else { continue };
            if self.keys.meet(key, *good) {
                *good = false;
                let message = format!("the key ({}) is already taken", self.describe_key(columns, row)?);
                faults.push(Fault { row, field: None, broken: Broken { rule: rules::KEY.into(), message } });
            }
        }
        Ok(())
    }

    /// Key fields with their values, tokens for personal ones; of what is made of personal text the names alone.
    fn describe_key(&self, columns: &[ArrayRef], row: usize) -> Result<String, ArrowError> {
        let mut parts = Vec::new();
        for position in &self.plan.unique {
            let field = &self.plan.fields[*position].field;
            if field.withheld && !field.personal {
                parts.push(field.name.clone());
                continue;
            }
            let value = array_value_to_string(&columns[*position], row)?;
            parts.push(format!("{} = {value}", field.name));
        }
        Ok(parts.join(", "))
    }

    fn bad_rows(
        &self,
        chunk: &Chunk,
        members: &ArrayRef,
        faults: Vec<Fault>,
    ) -> Result<Vec<BadRow>, DataFusionError> {
        let members = as_string_array(members)?;
        let mut bad: Vec<BadRow> = Vec::new();
        let mut last = None;
        for fault in faults {
            let field = fault.field.map(|position| self.plan.fields[position].field.name.clone());
            if last != Some(fault.row) {
                last = Some(fault.row);
                bad.push(BadRow {
                    line: chunk.lines[fault.row],
                    member: members.is_valid(fault.row).then(|| members.value(fault.row).to_owned()),
                    row: self.row_json(chunk, fault.row),
                    broken: Vec::new(),
                });
            }
            if let Some(row) = bad.last_mut() {
                row.broken.push((field, fault.broken));
            }
        }
        Ok(bad)
    }

    /// The columns of a row that the mapping reads, with tokens for personal text. A line that could not be
    /// taken apart is shown only if the table has no personal fields: nobody knows where in it they stand.
    fn row_json(&self, chunk: &Chunk, row: usize) -> String {
        let mut object = serde_json::Map::new();
        let line = chunk.defects.iter().filter(|d| d.row == row).find_map(|d| d.line.as_ref());
        if let Some(line) = line {
            let personal = self.plan.fields.iter().any(|f| f.field.personal);
            let shown = match personal {
                true => {
                    format!("({} characters, not shown: the table has personal fields)", line.chars().count())
                }
                false => line.clone(),
            };
            object.insert("line".into(), shown.into());
            return serde_json::Value::Object(object).to_string();
        }
        for (column, text) in self.plan.columns.iter().zip(&chunk.columns) {
            let shown = text.get(row).map(|text| match &column.personal {
                Some(kind) => self.tokeniser.token(kind, text),
                None => text.to_owned(),
            });
            object.insert(column.name.clone(), shown.into());
        }
        serde_json::Value::Object(object).to_string()
    }
}
