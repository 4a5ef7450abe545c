//! The newest applications, once more, as a lending system would send them to the decision service.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

use crate::calendar::Time;

/// How many are kept.
const REQUESTS: usize = 300;

/// `requests/requests.ndjson`, beside the files that are loaded: one request a line, newest last. Nothing
/// in it is spoiled.
#[derive(Default)]
pub struct Requests {
    newest: BTreeMap<(Time, String), serde_json::Value>,
}

impl Requests {
    /// Offers one; `request` is made only if it is among the newest so far.
    pub fn offer(&mut self, at: Time, id: &str, request: impl FnOnce() -> serde_json::Value) {
        let full = self.newest.len() == REQUESTS;
        let key = (at, id.to_owned());
        if full && self.newest.first_key_value().is_some_and(|(oldest, _)| key < *oldest) {
            return;
        }
        self.newest.insert(key, request());
        if full {
            self.newest.pop_first();
        }
    }

    /// Writes the file.
    pub fn write(self, folder: &Path) -> io::Result<()> {
        let folder = folder.join("requests");
        std::fs::create_dir_all(&folder)?;
        let mut out = BufWriter::new(File::create(folder.join("requests.ndjson"))?);
        for request in self.newest.into_values() {
            writeln!(out, "{request}")?;
        }
        out.flush()
    }
}
