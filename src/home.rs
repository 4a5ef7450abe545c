//! Where a Tarim installation keeps what is its own.

use std::path::{Path, PathBuf};

use anyhow::bail;
use datafusion::prelude::SessionContext;
use tarim_datamart::{Datamart, Standards, Tokeniser};
use tarim_decision::rulebook::{current, intact};
use tarim_features::store::EmbeddedStore;

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

    /// The datamart, to read from.
    ///
    /// # Errors
    /// Nothing was ever written into it: whoever reads had better know, for often it is another home that was meant.
    pub fn datamart_to_read(&self, standards: Standards) -> anyhow::Result<Datamart> {
        if !has_any(&self.datamart()) {
            bail!(self.nothing_loaded());
        }
        Ok(Datamart::open(&self.datamart(), standards)?)
    }

    /// The same with a session over it, where something was loaded.
    pub async fn loaded(&self, standards: Standards) -> anyhow::Result<(Datamart, SessionContext)> {
        let mart = self.datamart_to_read(standards)?;
        let session = mart.session().await?;
        if mart.loaded(&session).await?.is_empty() {
            bail!(self.nothing_loaded());
        }
        Ok((mart, session))
    }

    fn nothing_loaded(&self) -> String {
        format!(
            "nothing was ever loaded into {}\n    fix: load data first (`tarim load`), or name the installation that is meant \
             with --home (or TARIM_HOME)",
            self.home.display()
        )
    }

    /// Whether there is nothing yet that a token can stand in: no row was loaded or materialised, no decision made.
    fn is_new(&self) -> bool {
        // A generation that cannot be read may hold anything.
        let knows_any = || match EmbeddedStore::list(&self.store()) {
            Ok(all) => all.iter().any(|listed| {
                listed.read.as_ref().map_or(true, |(_, all)| all.parts().any(|part| part.written.records > 0))
            }),
            Err(_) => true,
        };
        !has_any(&self.datamart()) && !has_any(&self.journal()) && !knows_any()
    }

    /// Key that personal identifiers are tokenised with.
    fn token_key(&self) -> PathBuf {
        self.home.join("keys").join("token.key")
    }

    /// Makes tokens with the installation's key.
    pub fn tokeniser(&self) -> anyhow::Result<Tokeniser> {
        match Tokeniser::open(&self.token_key()) {
            // No key was lost where none was ever needed.
            Err(_) if !self.token_key().exists() && self.is_new() => bail!(self.nothing_loaded()),
            opened => Ok(opened?),
        }
    }

    /// The same for whoever is about to load: a new installation is given a key. Tokens of another key would never be those
    /// that are there already, so no other is.
    pub fn tokeniser_to_load(&self) -> anyhow::Result<Tokeniser> {
        let open = if self.is_new() { Tokeniser::open_or_create } else { Tokeniser::open };
        Ok(open(&self.token_key())?)
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

/// Whether there is anything in a folder. What cannot be looked into may hold anything.
fn has_any(folder: &Path) -> bool {
    match std::fs::read_dir(folder) {
        Ok(mut all) => all.next().is_some(),
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    }
}
