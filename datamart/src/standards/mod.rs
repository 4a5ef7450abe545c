//! Data standards: what every table and field is called, holds, and must satisfy.
//!
//! ```text
//! rulebook/standards/<table>.toml ──► Table ─┬─ Field   name, type, length, codes, checks, personal
//! rulebook/standards/codes/<list>.csv ───────┤
//!                                            ├─ RowCheck SQL over the whole row
//!                                            └─ Source   how one kind of file maps to the table
//! ```
//!
//! [`Standards::read`] reports everything that is wrong, with file, line and remedy. What it returns is
//! consistent: keys, times and code lists exist, patterns compile, SQL parses and has the right type.

mod codes;
mod field;
mod source;
mod table;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use codes::{Code, CodeList};
pub use field::{Field, Pattern};
pub use source::{Encoding, Format, Mapping, Origin, Source};
pub use table::{RowCheck, Table};

use crate::{Place, Problems, SourceText};

/// Standards of one rulebook: every table, code list and source mapping. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Standards {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tables: Vec<Table>,
    codes: BTreeMap<String, Arc<CodeList>>,
    hash: String,
}

impl Standards {
    /// Reads `rulebook/standards`. Every problem is reported, not the first.
    pub fn read(rulebook: &Path) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let folder = Path::new("standards");
        let mut hasher = blake3::Hasher::new();
        let mut codes = BTreeMap::new();
        for path in list(rulebook, &folder.join("codes"), "csv", Missing::Fine, &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            feed(&mut hasher, &text);
            let list = CodeList::read(&text, &mut problems);
            codes.insert(list.name().to_owned(), Arc::new(list));
        }
        let mut tables = Vec::new();
        for path in list(rulebook, folder, "toml", Missing::Wrong, &mut problems) {
            let Some(text) = problems.take(SourceText::read(rulebook, &path)) else { continue };
            feed(&mut hasher, &text);
            tables.extend(Table::read(&text, &codes, &mut problems));
        }
        let hash = hasher.finalize().to_hex().to_string();
        problems.or(Self { inner: Arc::new(Inner { tables, codes, hash }) })
    }

    /// The table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.inner.tables.iter().find(|t| t.name == name)
    }

    /// All tables, by name.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        self.inner.tables.iter()
    }

    /// The code list of `standards/codes/<name>.csv`.
    pub fn code_list(&self, name: &str) -> Option<&CodeList> {
        self.inner.codes.get(name).map(Arc::as_ref)
    }

    /// BLAKE3, in hex, of the texts of all standards: a load records what it was checked by.
    pub fn hash(&self) -> &str {
        &self.inner.hash
    }
}

enum Missing {
    Fine,
    Wrong,
}

/// Files with an extension in a folder of the rulebook, sorted, relative to the rulebook's root.
fn list(
    rulebook: &Path,
    folder: &Path,
    extension: &str,
    missing: Missing,
    problems: &mut Problems,
) -> Vec<PathBuf> {
    crate::files_in(rulebook, folder, extension).unwrap_or_else(|e| {
        if matches!(missing, Missing::Wrong) || e.kind() != std::io::ErrorKind::NotFound {
            problems.push(Place::file(folder).problem(
                format!("cannot read the folder {}: {e}", rulebook.join(folder).display()),
                "create it with one TOML file per table, or name another rulebook with --rulebook",
            ));
        }
        Vec::new()
    })
}

/// Path and text, each with its length before it, so that no two sets of files give the same bytes.
fn feed(hasher: &mut blake3::Hasher, text: &SourceText) {
    for part in [text.path().to_string_lossy().as_bytes(), text.text().as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
}
