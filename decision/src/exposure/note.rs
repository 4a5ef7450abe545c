//! What a ledger remembers of the decision journal, in the name of an empty file.
//!
//! ```text
//!  <held>-<number>.journal
//!   │      └─ the journal had so many entries at least
//!   └─ what was reserved up to this operation is nobody's to give back at a start
//! ```
//!
//! A decision reserves here, and is journaled then. A reservation whose decision the journal does not know was made for nothing, if the
//! journal has all that it ever had; else the decision may have been answered. This tells which.

use super::error::LedgerError;
use crate::journal::Disk;

/// What is remembered. The later of two is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalNote {
    /// Reservations up to this operation are of a journal that was lost: they hold their room.
    pub held: u64,
    /// Entries that the journal had, at least.
    pub number: u64,
}

const NOTE: &str = ".journal";

impl JournalNote {
    fn name(self) -> String {
        format!("{:020}-{:020}{NOTE}", self.held, self.number)
    }

    fn of_name(name: &str) -> Option<Self> {
        let (held, number) = name.strip_suffix(NOTE)?.split_once('-')?;
        Some(Self { held: held.parse().ok()?, number: number.parse().ok()? })
    }
}

/// What stands on a disk; if nothing does, that nothing is known.
pub fn read(disk: &dyn Disk) -> Result<JournalNote, LedgerError> {
    let names = disk.names().map_err(LedgerError::io("list", disk.path("")))?;
    Ok(names.iter().filter_map(|name| JournalNote::of_name(name)).max().unwrap_or_default())
}

/// Writes it in place of what stands there, durable on return.
pub fn write(disk: &dyn Disk, note: JournalNote) -> Result<(), LedgerError> {
    let new = note.name();
    let write = || {
        let mut names = disk.names()?;
        names.retain(|name| JournalNote::of_name(name).is_some());
        if !names.contains(&new) {
            disk.create(&new)?.sync()?;
            disk.sync()?;
        }
        names.iter().filter(|name| **name != new).try_for_each(|name| disk.remove(name))
    };
    write().map_err(LedgerError::io("write", disk.path(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::power::{Fault, Power};

    #[test]
    fn what_was_noted_is_there_whenever_the_power_goes() {
        let notes = [(0, 7), (0, 11), (40, 3), (40, 1000), (41, 0)]
            .map(|(held, number)| JournalNote { held, number });
        for budget in 0..40 {
            let disk = Power::default();
            assert_eq!(read(&disk).unwrap(), JournalNote::default());
            disk.fail_after(budget, Fault::PowerCut);
            let written = notes.iter().take_while(|note| write(&disk, **note).is_ok()).count();
            disk.lose_unsynced();
            let found = read(&disk).unwrap();
            let before = written.checked_sub(1).map_or(JournalNote::default(), |last| notes[last]);
            assert!(found == before || notes.get(written) == Some(&found), "{found:?} after {before:?}");
            write(&disk, found).unwrap();
            assert_eq!(disk.files().len(), 1, "the others are gone");
        }
    }
}
