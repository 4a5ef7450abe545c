//! A file of events, looked through before any of it is sent: what is on the topic stays there, and what is no event becomes a dead
//! letter that holds whatever it says.

use std::{fmt, path::Path, sync::Arc};

use super::SendError;
use crate::{
    event::{Intake, Reader, Rejected},
    replay::EventFile,
    rulebook::WarningBook,
};

/// Records that are told with what is wrong with them; the others are counted.
const SHOWN: usize = 5;

/// What is wrong with a file.
#[derive(Debug, Default)]
pub struct Wrong {
    records: u64,
    wrong: u64,
    /// Where each of the first stands, and why it is refused.
    first: Vec<(String, Rejected)>,
}

/// Sees whether all records of a file are events by the standards of the rulebook. `progress` is told, now and then, how many
/// bytes have been read.
///
/// # Errors
/// [`SendError::NoEvents`], with where the first records stand that are none.
pub fn check_file(book: &WarningBook, from: &Path, mut progress: impl FnMut(u64)) -> Result<(), SendError> {
    // What a pipe has given once is gone.
    if from.metadata().is_ok_and(|file| !file.is_file()) {
        return Err(SendError::Once(from.into()));
    }
    let mut events = EventFile::open(from)?;
    let mut reader = Reader::new(Arc::new(Intake::new(book)));
    let mut wrong = Wrong::default();
    while let Some((format, record)) = events.read()? {
        wrong.records += 1;
        if let Err(rejected) = reader.read(format, record) {
            wrong.wrong += 1;
            if wrong.first.len() < SHOWN {
                wrong.first.push((events.place(), rejected));
            }
        }
        if wrong.records % 4096 == 0 {
            progress(events.bytes());
        }
    }
    match wrong.wrong {
        0 => Ok(()),
        _ => Err(SendError::NoEvents { from: from.into(), wrong: wrong.into() }),
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {} records {} cannot be taken as events; nothing was sent", self.records, self.wrong)?;
        for (place, rejected) in &self.first {
            write!(f, "\n    {place}: {rejected}")?;
        }
        match self.wrong - self.first.len() as u64 {
            0 => Ok(()),
            others => write!(f, "\n    and {others} others"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"happened_at": "2026-06-30T00:00:00Z", "tick": {}}"#;

    fn book() -> WarningBook {
        let rulebook = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
        WarningBook::read(&rulebook).unwrap()
    }

    fn check(text: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("events.ndjson");
        std::fs::write(&file, text).unwrap();
        check_file(&book(), &file, |_| ()).err().map(|e| e.to_string())
    }

    #[test]
    fn what_is_no_event_is_told_with_its_line() {
        assert_eq!(check(&format!("{GOOD}\n\n{GOOD}\n")), None);
        assert_eq!(check(""), None);
        let application = r#"{"application_id": "a1", "id_number": "450102198903071239"}"#;
        let refused = check(&format!("{GOOD}\n\n{application}\n{GOOD}\n")).unwrap();
        assert!(refused.contains("of 3 records 1 cannot be taken"), "{refused}");
        assert!(refused.contains("\n    line 3: ") && refused.contains("--unchecked"), "{refused}");
        let refused = check(&format!("{application}\n").repeat(7)).unwrap();
        assert!(refused.contains("line 5: ") && !refused.contains("line 6: "), "{refused}");
        assert!(refused.contains("and 2 others"), "{refused}");
    }

    #[test]
    fn what_can_be_read_only_once_is_not_checked() {
        let refused = check_file(&book(), Path::new("/dev/null"), |_| ()).unwrap_err().to_string();
        assert!(refused.contains("--unchecked"), "{refused}");
    }
}
