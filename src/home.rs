//! Where a Tarim installation keeps what is its own.

use std::path::{Path, PathBuf};

use tarim_decision::rulebook::{current, intact};

/// What every verb takes stands behind its own options, under this heading.
pub const INSTALLATION: &str = "Installation";

/// The two folders that every verb works on.
#[derive(clap::Args)]
pub struct Home {
    /// Folder of the datamart, the online store, the journal, published rulebooks and keys
    #[arg(
        long,
        global = true,
        help_heading = INSTALLATION,
        env = "TARIM_HOME",
        default_value = "tarim-home",
        value_name = "FOLDER"
    )]
    home: PathBuf,
    /// Folder of the rulebook's text
    #[arg(
        long,
        global = true,
        help_heading = INSTALLATION,
        env = "TARIM_RULEBOOK",
        default_value = "examples/rulebook",
        value_name = "FOLDER"
    )]
    rulebook: PathBuf,
}

impl Home {
    /// Another installation, with the rulebook's text elsewhere.
    pub fn at(home: &Path, rulebook: &Path) -> Self {
        Self { home: home.into(), rulebook: rulebook.into() }
    }

    /// Text of the rulebook, as analysts edit it.
    pub fn rulebook(&self) -> &Path {
        &self.rulebook
    }

    /// Delta tables.
    pub fn datamart(&self) -> PathBuf {
        self.home.join("datamart")
    }

    /// Whether nothing has been loaded, materialised or decided yet.
    pub fn is_new(&self) -> bool {
        // What cannot be looked into may hold anything.
        let has_any = |folder: PathBuf| match std::fs::read_dir(folder) {
            Ok(mut all) => all.next().is_some(),
            Err(e) => e.kind() != std::io::ErrorKind::NotFound,
        };
        !["datamart", "store", "journal"].into_iter().any(|folder| has_any(self.home.join(folder)))
    }

    /// Key that personal identifiers are tokenised with.
    pub fn token_key(&self) -> PathBuf {
        self.home.join("keys").join("token.key")
    }

    /// Generations of the online feature store.
    pub fn store(&self) -> PathBuf {
        self.home.join("store")
    }

    /// Published rulebooks, one folder per version, and `CURRENT`.
    pub fn published(&self) -> PathBuf {
        self.home.join("rulebooks")
    }

    /// The rulebook to read: what is published, if it is still what was published, or else what is worked on.
    pub fn rulebook_of(&self, published: bool) -> anyhow::Result<PathBuf> {
        if !published {
            return Ok(self.rulebook.clone());
        }
        let folder = current(&self.published())?;
        intact(&folder)?;
        Ok(folder)
    }

    /// State of the warning pipeline.
    pub fn warnings(&self) -> PathBuf {
        self.home.join("warnings")
    }

    /// Exposure ledger.
    pub fn exposure(&self) -> PathBuf {
        self.home.join("exposure")
    }

    /// Decision journal.
    pub fn journal(&self) -> PathBuf {
        self.home.join("journal")
    }
}
