//! What is published is what was checked, and what is served is what was published.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use tarim_datamart::{Place, Tokeniser};
use tarim_decision::{
    rulebook::{PublishError, current, intact, publish, publish_checked, rollback, versions},
    service::{LoadError, Sources},
};
use tarim_features::store::{EmbeddedStore, OnlineStore};

use crate::broken::copy;

/// The small rulebook, and a folder to publish it to.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook")), &home.rulebook());
        home
    }

    fn rulebook(&self) -> PathBuf {
        self.0.path().join("rulebook")
    }

    fn published(&self) -> PathBuf {
        self.0.path().join("home/rulebooks")
    }

    /// All that lies where it is published, hidden or not.
    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.published()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Why it is not served: if for nothing else, because its features were never computed.
    fn refusal(&self) -> LoadError {
        let store = self.0.path().join("store");
        let open = move |features| {
            EmbeddedStore::open(&store, features).map(|store| Arc::new(store) as Arc<dyn OnlineStore>)
        };
        let tokeniser = Arc::new(Tokeniser::with_key([7; 32]));
        Sources::new(&self.published(), Box::new(open), tokeniser).load().err().expect("no features")
    }
}

#[test]
fn a_version_that_was_changed_is_not_served_until_it_is_published_again() {
    let home = Home::new();
    let publish = || publish(&home.rulebook(), &home.published()).unwrap_or_else(|e| panic!("{e}"));
    let version = publish();
    let folder = current(&home.published()).unwrap();
    assert_eq!(folder, home.published().join(&version));
    assert!(matches!(home.refusal(), LoadError::Store(_)));

    // A policy that nothing else misses.
    fs::remove_file(folder.join("policies/fraud.toml")).unwrap();
    let refusal = home.refusal();
    let told = refusal.to_string();
    assert!(matches!(refusal, LoadError::Rulebook { .. }), "{told}");
    assert!(told.contains(&version) && told.contains("publish that text again"), "{told}");
    assert!(matches!(rollback(&home.published(), &version[..8]), Err(PublishError::Changed(_))));

    assert_eq!(publish(), version);
    assert!(folder.join("policies/fraud.toml").exists());
    assert!(matches!(home.refusal(), LoadError::Store(_)));
    assert_eq!(rollback(&home.published(), &version[..8]).unwrap(), version);

    // A policy more is as bad, and so is what cannot be read at all.
    fs::write(folder.join("policies/more.toml"), "").unwrap();
    assert!(matches!(home.refusal(), LoadError::Rulebook { .. }));
    assert_eq!(publish(), version);
    fs::remove_dir_all(folder.join("standards")).unwrap();
    fs::write(folder.join("standards"), "").unwrap();
    assert!(matches!(home.refusal(), LoadError::Rulebook { .. }));
    assert_eq!(publish(), version);
    assert!(intact(&folder).is_ok());
    assert_eq!(home.names(), BTreeSet::from([version, "CURRENT".to_owned()]), "drafts are cleared away");
}

#[test]
fn what_is_edited_while_it_is_checked_is_not_published() {
    let home = Home::new();
    let rate = home.rulebook().join("policies/rate.toml");
    let before = fs::read_to_string(&rate).unwrap();
    let edit = |copy: &Path| {
        assert_eq!(fs::read_to_string(copy.join("policies/rate.toml")).unwrap(), before);
        fs::write(&rate, "").unwrap();
        Ok(())
    };
    let version =
        publish_checked(&home.rulebook(), &home.published(), edit).unwrap_or_else(|e| panic!("{e}"));
    let folder = home.published().join(version);
    assert_eq!(fs::read_to_string(folder.join("policies/rate.toml")).unwrap(), before);
    assert!(intact(&folder).is_ok());
}

#[test]
fn what_is_wrong_is_told_of_the_folder_that_can_be_mended() {
    let home = Home::new();
    let wrong =
        |_: &Path| Err(Place::file(Path::new("warnings/all.toml")).problem("wrong", "mend it").into());
    let told = publish_checked(&home.rulebook(), &home.published(), wrong).unwrap_err().to_string();
    assert!(told.contains("warnings/all.toml: wrong"), "{told}");

    let standards = home.rulebook().join("standards");
    fs::remove_dir_all(&standards).unwrap();
    let told = publish(&home.rulebook(), &home.published()).unwrap_err().to_string();
    assert!(told.contains(&standards.display().to_string()) && !told.contains(".draft"), "{told}");
    assert!(versions(&home.published()).unwrap().is_empty());
    assert!(home.names().is_empty(), "drafts are cleared away");
}
