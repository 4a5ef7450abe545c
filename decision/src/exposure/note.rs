//! What a ledger remembers of the decision journal, in the name of an empty file.
//!
//! ```text
//!  <held>-<number>-<crc>.journal
//!   │      │        └─ CRC-32 of the last of them, in hexadecimal (not in notes of old)
//!   │      └─ the journal had so many entries at least
//!   └─ what was reserved up to this operation is nobody's to give back at a start
//! ```
//!
//! A decision reserves here, and is journaled then. A reservation whose decision the journal does not know was made for nothing, if the
//! journal has all that it ever had; else the decision may have been answered. This tells which.

use std::io::ErrorKind;

use super::error::LedgerError;
use crate::journal::{Disk, Tip};

/// What is remembered. The later of two is the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalNote {
    /// Reservations up to this operation are of a journal that was lost: they hold their room.
    pub held: u64,
    /// Entries that the journal had, at least.
    pub number: u64,
    /// Of the last of them. A journal that has as many and another one there is another journal: both came of one, each went its own
    /// way.
    pub crc: Option<u32>,
}

const NOTE: &str = ".journal";

impl JournalNote {
    /// With the journal's end, of which what was held stays held.
    pub fn with(self, Tip { number, crc }: Tip) -> Self {
        Self { number, crc, ..self }
    }

    fn name(self) -> String {
        let crc = self.crc.map_or_else(String::new, |crc| format!("-{crc:08x}"));
        format!("{:020}-{:020}{crc}{NOTE}", self.held, self.number)
    }

    fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_suffix(NOTE)?.split('-');
        let (held, number) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let crc = parts.next().map(|crc| u32::from_str_radix(crc, 16)).transpose().ok()?;
        parts.next().is_none().then_some(Self { held, number, crc })
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
        // What a thread noted that nobody waited for any more may have gone meanwhile; and a later note is not for this one to remove.
        let earlier = |name: &&String| JournalNote::of_name(name) < Some(note);
        names.iter().filter(earlier).try_for_each(|name| match disk.remove(name) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        })
    };
    write().map_err(LedgerError::io("write", disk.path(&new)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::power::{Fault, Power};

    #[test]
    fn what_was_noted_is_there_whenever_the_power_goes() {
        let notes =
            [(0, 7, None), (0, 11, Some(1)), (40, 3, Some(0)), (40, 1000, Some(u32::MAX)), (41, 0, None)]
                .map(|(held, number, crc)| JournalNote { held, number, crc });
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
