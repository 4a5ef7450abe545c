//! What the tests of loads share.
use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::util::display::array_value_to_string;
use tarim_datamart::{Datamart, LoadOptions, LoadReport, Standards, Tokeniser};

/// An installation in a temporary folder.
pub struct Home {
    pub folder: tempfile::TempDir,
    pub mart: Datamart,
    pub tokeniser: Tokeniser,
}

impl Home {
    /// With standards given as (table, TOML).
    pub fn new(standards: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (table, toml) in standards {
            write(&folder.path().join("rulebook/standards").join(format!("{table}.toml")), toml.as_bytes());
        }
        let standards = Standards::read(&folder.path().join("rulebook"))
            .unwrap_or_else(|p| panic!("broken standards:\n{p}"));
        let mart = Datamart::open(&folder.path().join("datamart"), standards).expect("a datamart");
        Self { folder, mart, tokeniser: Tokeniser::with_key([7; 32]) }
    }

    /// A source file.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join("files").join(name);
        write(&path, bytes.as_ref());
        path
    }

    pub async fn load(&self, file: &Path) -> LoadReport {
        self.load_with(file, LoadOptions::default()).await
    }

    pub async fn load_with(&self, file: &Path, options: LoadOptions) -> LoadReport {
        self.mart.load(file, &options, &self.tokeniser).await.unwrap_or_else(|e| panic!("{e}"))
    }

    /// The rows of a query, each as its columns with ` | ` between; NULL as `–`.
    pub async fn rows(&self, sql: &str) -> Vec<String> {
        let session = self.mart.session().await.unwrap_or_else(|e| panic!("{e}"));
        let frame = session.sql(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let batches = frame.collect().await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let mut rows = Vec::new();
        for batch in &batches {
            for row in 0..batch.num_rows() {
                let cell = |column: &arrow::array::ArrayRef| match column.is_null(row) {
                    true => "–".to_owned(),
                    false => array_value_to_string(column, row).expect("printable"),
                };
                rows.push(batch.columns().iter().map(cell).collect::<Vec<_>>().join(" | "));
            }
        }
        rows
    }

    /// Everything that a user can see of a table: rows, quarantine and loads, without ids and times.
    pub async fn state(&self, table: &str) -> Vec<Vec<String>> {
        vec![
            self.rows(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3")).await,
            self.rows(&format!(
                "SELECT member, source_file, source_line, row, rules, broken FROM quarantine_{table} \
                 ORDER BY source_file, source_line"
            ))
            .await,
            self.rows("SELECT \"table\", file, rows, good, bad, rules FROM loads ORDER BY file, rows").await,
        ]
    }
}

pub fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("has a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}
