//! The embedded store under damage, crashes, rollback and readers.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tarim_datamart::{Standards, Value};

use super::{
    EmbeddedStore, EntityAbout, Entry, KeptGenerations, KeptRows, ListAbout, ListAnswer, Listed, ListsAbout,
    OnlineStore, Publication, Snapshot, StoreError, embedded::Step, encode_entries, write_lists,
};
use crate::{
    row::{Dictionary, Row, RowBuilder},
    view::FeatureSet,
};

/// The small rulebook of the tests: one entity, three lists.
fn features() -> Arc<FeatureSet> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
    let standards = Standards::read(&folder).unwrap_or_else(|p| panic!("{p}"));
    Arc::new(FeatureSet::read(&folder, &standards).unwrap_or_else(|p| panic!("{p}")))
}

const CUSTOMERS: usize = 40;

fn key(i: usize) -> (String, String) {
    (format!("{:03}", i % 4), format!("C{i}"))
}

/// Writes rows whose income is `mark`, and leaves the publication to be committed.
fn write_rows(folder: &Path, features: &FeatureSet, mark: i64) -> Publication {
    let entity = &features.entities()[0];
    let mut publication = Publication::begin(folder).unwrap();
    let mut file = publication.writer(Some(&entity.name)).unwrap();
    let mut dictionary = Dictionary::clone(entity.layout.codes());
    let mut row = RowBuilder::new(&entity.layout);
    let column = |name: &str| entity.layout.index(name).unwrap();
    for i in 0..CUSTOMERS {
        row.clear();
        row.set(0, &Value::Boolean(true)).unwrap();
        row.set(column("income_fen"), &Value::Int64(mark)).unwrap();
        row.set_text_code(column("city"), dictionary.intern(&format!("城{}", i % 3))).unwrap();
        let (member, customer) = key(i);
        file.push(&[&member, &customer], row.finish()).unwrap();
    }
    let written = file.finish(&dictionary, &EntityAbout::of(entity)).unwrap();
    publication.put(Some(&entity.name), mark, entity.definition().to_owned(), written);
    publication
}

/// Writes lists whose only entry has the id `mark`.
fn write_entries(publication: &mut Publication, features: &FeatureSet, mark: i64) {
    let mut file = publication.writer(None).unwrap();
    let id = mark.to_string();
    let entry = |id, valid_from_us, expires_at_us| Entry {
        entry_id: id,
        reason: Some("court"),
        source: None,
        valid_from_us,
        expires_at_us,
    };
    let mut payload = Vec::new();
    encode_entries(&mut [entry("late", 100, i64::MAX), entry(&id, 10, 50)], &mut payload);
    file.push(&[&features.lists()[0].name, "001", "C1"], &payload).unwrap();
    let lists = features.lists().iter().enumerate();
    let lists = lists.map(|(i, l)| ListAbout { name: l.name.clone(), loaded: i == 0, entries: 2 });
    let written = write_lists(file, &ListsAbout { lists: lists.collect() }).unwrap();
    publication.put(None, mark, features.lists_definition().to_owned(), written);
}

fn write_all(folder: &Path, features: &FeatureSet, mark: i64) -> Publication {
    let mut publication = write_rows(folder, features, mark);
    write_entries(&mut publication, features, mark);
    publication
}

fn publish(folder: &Path, features: &FeatureSet, mark: i64) {
    write_all(folder, features, mark).commit().unwrap();
}

/// The mark of a customer's row.
fn mark_of(snapshot: &Snapshot, features: &FeatureSet, i: usize) -> Option<i64> {
    let entity = &features.entities()[0];
    let (member, customer) = key(i);
    let bytes = snapshot.get(0, &member, &customer)?;
    let row = Row::new(&entity.layout, bytes, snapshot.dictionary(0), 0).unwrap();
    assert_eq!(row.text(entity.layout.index("city").unwrap()), Some(format!("城{}", i % 3).as_str()));
    row.int(entity.layout.index("income_fen").unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_is_published_is_read() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    assert!(matches!(EmbeddedStore::open(folder.path(), features.clone()), Err(StoreError::Empty { .. })));
    publish(folder.path(), &features, 7);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let snapshot = store.snapshot();
    assert!((0..CUSTOMERS).all(|i| mark_of(&snapshot, &features, i) == Some(7)));
    assert!(snapshot.version().starts_with("1-"));
    assert_eq!(snapshot.part(0).as_of_us, 7);
    // Another member's, a key cut elsewhere, and no key at all.
    for (member, key) in [("001", "C0"), ("000C", "0"), ("", "000C0"), ("000", ""), ("000", "C00")] {
        assert_eq!(snapshot.get(0, member, key), None, "{member}/{key}");
    }
}

#[test]
fn lists_answer_by_time() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 7);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let snapshot = store.snapshot();
    let hit = |at| match snapshot.list_hit(0, "001", "C1", at) {
        ListAnswer::Hit(entry) => entry.entry_id.to_owned(),
        answer => format!("{answer:?}"),
    };
    let found: Vec<String> = [9, 10, 49, 50, 99, 100].map(hit).into();
    assert_eq!(found, ["Miss", "7", "7", "Miss", "Miss", "late"]);
    assert_eq!(snapshot.list_hit(0, "002", "C1", 10), ListAnswer::Miss);
    assert_eq!(snapshot.list_hit(1, "001", "C1", 10), ListAnswer::NotLoaded);
}

#[test]
fn any_flipped_bit_is_an_error() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 7);
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let opened = EmbeddedStore::open(folder.path(), features.clone());
            assert!(opened.is_err(), "byte {at} of {} was flipped unnoticed", path.display());
        }
        fs::write(&path, &whole).unwrap();
    }
    EmbeddedStore::open(folder.path(), features).unwrap();
}

#[test]
fn a_file_that_is_cut_or_too_long_is_an_error() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 7);
    for path in files(folder.path()).into_iter().filter(|p| !p.ends_with("LOCK")) {
        let whole = fs::read(&path).unwrap();
        let longer: Vec<u8> = whole.iter().copied().chain([0]).collect();
        let cut = (0..whole.len()).step_by(7).map(|len| &whole[..len]);
        for bytes in cut.chain([&longer[..]]) {
            fs::write(&path, bytes).unwrap();
            let opened = EmbeddedStore::open(folder.path(), features.clone());
            assert!(opened.is_err(), "{} of {} bytes", path.display(), bytes.len());
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn damage_names_the_file_and_the_last_good_snapshot_stays() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 1);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    publish(folder.path(), &features, 2);
    let part = folder.path().join("entity-customer-00000002.part");
    let mut bytes = fs::read(&part).unwrap();
    bytes[100] ^= 1;
    fs::write(&part, bytes).unwrap();
    let error = store.reload().unwrap_err().to_string();
    assert!(error.contains("entity-customer-00000002.part is damaged: its records do not match"), "{error}");
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(1));
    EmbeddedStore::roll_back(folder.path(), 1).unwrap();
    assert!(!store.reload().unwrap(), "it is generation 1 already");
    publish(folder.path(), &features, 3);
    assert!(store.reload().unwrap());
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(3));
}

#[test]
fn a_damaged_pointer_is_mended_by_either_remedy() {
    let features = features();
    // Cut short, and of a generation that is not there.
    for (damaged, is_full) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        (1..=2).for_each(|mark| publish(folder.path(), &features, mark));
        let current = folder.path().join("CURRENT");
        let text = fs::read_to_string(&current).unwrap();
        fs::write(&current, if damaged { text[..9].to_owned() } else { text.replace("02.json", "07.json") })
            .unwrap();
        let opened = EmbeddedStore::open(folder.path(), features.clone());
        assert!(matches!(opened, Err(StoreError::Damaged { .. })));
        match is_full {
            true => publish(folder.path(), &features, 3),
            false => EmbeddedStore::roll_back(folder.path(), 1).unwrap(),
        }
        let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
        assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(if is_full { 3 } else { 1 }));
        // What could be rolled back to still can be.
        EmbeddedStore::roll_back(folder.path(), 2).unwrap();
        assert!(store.reload().unwrap());
        assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(2));
    }
}

#[test]
fn a_damaged_manifest_is_mended_by_a_full_publication() {
    let features = features();
    for at in [0, 100, 200] {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &features, 1);
        let manifest = folder.path().join("generation-00000001.json");
        let mut bytes = fs::read(&manifest).unwrap();
        bytes[at] ^= 1;
        fs::write(&manifest, bytes).unwrap();
        let opened = EmbeddedStore::open(folder.path(), features.clone());
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "byte {at}");
        // A part alone has nothing to go with.
        let error = write_rows(folder.path(), &features, 2).commit().unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        publish(folder.path(), &features, 3);
        let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
        assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(3));
    }
}

/// `CURRENT` vouches for one manifest. Another one vouches for itself: a bit of it may not make another generation of it.
#[test]
fn no_byte_of_a_manifest_can_be_another() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    (1..=2).for_each(|mark| publish(folder.path(), &features, mark));
    let manifest = folder.path().join("generation-00000001.json");
    let whole = fs::read(&manifest).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&manifest, &bytes).unwrap();
            let refused = EmbeddedStore::roll_back(folder.path(), 1);
            assert!(
                matches!(refused, Err(StoreError::Damaged { .. })),
                "bit {bit} of byte {at}: {refused:?}"
            );
        }
    }
    fs::write(&manifest, fs::read(folder.path().join("generation-00000002.json")).unwrap()).unwrap();
    let error = EmbeddedStore::roll_back(folder.path(), 1).unwrap_err().to_string();
    assert!(
        error.contains("00000001.json is damaged: it is of generation 2. Nothing of it is used; run"),
        "{error}"
    );
    fs::write(&manifest, &whole).unwrap();
    EmbeddedStore::roll_back(folder.path(), 1).unwrap();
}

#[test]
fn a_manifest_of_before_there_were_checksums_is_read() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    (1..=2).for_each(|mark| publish(folder.path(), &features, mark));
    let manifest = folder.path().join("generation-00000001.json");
    let text = fs::read_to_string(&manifest).unwrap();
    let (before, _) = text.split_once(",\n  \"checksum\"").expect("it has one");
    fs::write(&manifest, format!("{before}\n}}\n")).unwrap();
    EmbeddedStore::roll_back(folder.path(), 1).unwrap();
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(1));
}

#[test]
fn what_cannot_be_read_just_now_is_not_removed() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    (1..=3).for_each(|mark| publish(folder.path(), &features, mark));
    let manifest = folder.path().join("generation-00000002.json");
    let bytes = fs::read(&manifest).unwrap();
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    publish(folder.path(), &features, 4);
    fs::remove_dir(&manifest).unwrap();
    fs::write(&manifest, bytes).unwrap();
    EmbeddedStore::roll_back(folder.path(), 2).unwrap();
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(2));
}

#[test]
fn a_publication_that_dies_at_any_step_leaves_a_whole_generation() {
    let features = features();
    for done in 0..=Step::ALL.len() {
        let folder = tempfile::tempdir().unwrap();
        publish(folder.path(), &features, 1);
        drop(write_all(folder.path(), &features, 2).run(&Step::ALL[..done]).unwrap());
        let visible = Step::ALL[..done].contains(&Step::Point);
        let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
        assert_eq!(mark_of(&store.snapshot(), &features, 5), Some(if visible { 2 } else { 1 }), "{done}");
        // The next one works and clears away what was left.
        publish(folder.path(), &features, 3);
        assert!(store.reload().unwrap());
        assert_eq!(mark_of(&store.snapshot(), &features, 5), Some(3), "{done}");
        assert!(files(folder.path()).iter().all(|p| p.extension().is_none_or(|e| e != "tmp")), "{done}");
    }
}

#[test]
fn drafts_that_are_cut_anywhere_do_no_harm() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 1);
    for name in ["CURRENT.tmp", "generation-00000002.json.tmp", "entity-customer-00000002.part.tmp"] {
        fs::write(folder.path().join(name), b"torn").unwrap();
    }
    // A manifest that was never pointed to, and its part.
    fs::write(folder.path().join("generation-00000002.json"), b"{ torn").unwrap();
    fs::write(folder.path().join("entity-customer-00000002.part"), b"torn").unwrap();
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(1));
    publish(folder.path(), &features, 3);
    assert!(store.reload().unwrap());
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(3));
}

#[test]
fn the_last_generations_are_kept_to_roll_back_to() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    for mark in 1..=5 {
        publish(folder.path(), &features, mark);
    }
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![3, 4, 5], Some(5)));
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    EmbeddedStore::roll_back(folder.path(), 3).unwrap();
    assert!(store.reload().unwrap());
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(3));
    let error = EmbeddedStore::roll_back(folder.path(), 2).unwrap_err().to_string();
    assert_eq!(error, "generation 2 is not in the online store; it has 3, 4, 5");
    // A number is never used twice, and the current generation is never removed.
    publish(folder.path(), &features, 6);
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![4, 5, 6], Some(6)));
}

#[test]
fn generations_are_listed_even_where_one_is_damaged() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let nowhere = folder.path().join("nowhere");
    assert!(EmbeddedStore::list(&nowhere).unwrap().is_empty());
    assert!(matches!(EmbeddedStore::roll_back(&nowhere, 1), Err(StoreError::Empty { .. })));
    assert!(!nowhere.exists(), "whoever looks makes nothing");
    for mark in 1..=3 {
        publish(folder.path(), &features, mark);
    }
    let all = versions(folder.path());
    KeptGenerations::new(folder.path()).hold(&all[0], 1).unwrap();
    EmbeddedStore::roll_back(folder.path(), EmbeddedStore::number_of(folder.path(), &all[1]).unwrap())
        .unwrap();
    let listed = EmbeddedStore::list(folder.path()).unwrap();
    let about = |l: &Listed| (l.read.as_ref().unwrap().0.clone(), l.is_current, l.is_held);
    let expected = [(false, true), (true, false), (false, false)];
    for ((listed, version), (is_current, is_held)) in listed.iter().zip(&all).zip(expected) {
        assert_eq!(about(listed), (version.clone(), is_current, is_held));
        let (_, generation) = listed.read.as_ref().unwrap();
        assert!(generation.entities.values().all(|part| part.written.records == CUSTOMERS as u64));
    }
    std::fs::write(folder.path().join("generation-00000001.json"), "{}").unwrap();
    std::fs::write(folder.path().join("CURRENT"), "generation-").unwrap();
    let listed = EmbeddedStore::list(folder.path()).unwrap();
    let readable: Vec<bool> = listed.iter().map(|l| l.read.is_ok()).collect();
    assert_eq!((readable, listed.iter().any(|l| l.is_current)), (vec![false, true, true], false));
}

fn versions(folder: &Path) -> Vec<String> {
    let numbers = super::manifest::numbers(folder).unwrap();
    numbers.iter().map(|n| super::manifest::read_manifest(folder, *n).unwrap().1.version()).collect()
}

fn kept_mark(rows: &KeptRows, features: &FeatureSet, i: usize) -> Option<i64> {
    let layout = &features.entities()[0].layout;
    let (member, customer) = key(i);
    let row = Row::new(layout, rows.get(0, &member, &customer)?, rows.dictionary(0), 0).unwrap();
    row.int(layout.index("income_fen").unwrap())
}

#[test]
fn a_generation_is_opened_by_its_version_current_or_not() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let kept = KeptGenerations::new(folder.path());
    assert!(matches!(kept.current(), Err(StoreError::Empty { .. })));
    for mark in 1..=3 {
        publish(folder.path(), &features, mark);
    }
    let all = versions(folder.path());
    assert_eq!(kept.current().unwrap(), all[2]);
    for (mark, version) in (1..).zip(&all) {
        let rows = kept.open(version, &features, &[0]).unwrap();
        assert_eq!((rows.version(), rows.as_of_us()), (version.as_str(), Some(mark)));
        assert!((0..CUSTOMERS).all(|i| kept_mark(&rows, &features, i) == Some(mark)));
        assert_eq!(rows.get(0, "001", "C0"), None, "another member's");
    }
    // Rows that did not change are not read again, as long as somebody has them.
    let (one, same) = (kept.open(&all[0], &features, &[0]), kept.open(&all[0], &features, &[0]));
    let place = |rows: &KeptRows| rows.get(0, "001", "C1").unwrap().as_ptr();
    assert_eq!(place(&one.unwrap()), place(&same.unwrap()));
    // What nobody asks for is not loaded.
    let none = kept.open(&all[0], &features, &[]).unwrap();
    assert!(!none.has(0) && none.as_of_us().is_none());
}

#[test]
fn a_generation_that_is_not_there_is_told_with_those_that_are() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let kept = KeptGenerations::new(folder.path());
    publish(folder.path(), &features, 1);
    let first = versions(folder.path()).remove(0);
    for mark in 2..=4 {
        publish(folder.path(), &features, mark);
    }
    let open = |version: &str| kept.open(version, &features, &[0]).map(drop).unwrap_err().to_string();
    let error = open(&first);
    assert!(error.contains(&format!("has no generation {first}")), "{error}");
    assert!(versions(folder.path()).iter().all(|version| error.contains(version)), "{error}");
    // The same number, other contents; and what is no version.
    assert!(open("4-00000000").contains("has no generation 4-00000000"));
    assert!(open("four").contains("no version of a generation"));
    // A number alone names the version, if it is there.
    assert_eq!(kept.version("4").unwrap(), kept.current().unwrap());
    assert_eq!(kept.version(&first).unwrap(), first);
    let error = kept.version("9").unwrap_err().to_string();
    assert!(error.contains("has no generation 9 (any more)") && error.contains("4-"), "{error}");
    let lost = KeptGenerations::new(&folder.path().join("none"));
    assert!(matches!(lost.open(&first, &features, &[0]), Err(StoreError::Empty { .. })));
}

#[test]
fn what_is_held_stays_and_only_the_last_are_held() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let kept = KeptGenerations::new(folder.path());
    publish(folder.path(), &features, 1);
    let first = kept.current().unwrap();
    kept.hold(&first, 2).unwrap();
    for mark in 2..=6 {
        publish(folder.path(), &features, mark);
    }
    let numbers = || EmbeddedStore::generations(folder.path()).unwrap().0;
    assert_eq!(numbers(), [1, 4, 5, 6]);
    assert_eq!(kept_mark(&kept.open(&first, &features, &[0]).unwrap(), &features, 0), Some(1));
    // The very one that is held now stays, be it the oldest.
    for (version, held) in [(4, vec![1, 4]), (6, vec![4, 6]), (1, vec![1, 6]), (1, vec![1, 6])] {
        let of = |n: &u64| *n == version;
        let at = numbers().iter().position(of).unwrap();
        kept.hold(&versions(folder.path())[at], 2).unwrap();
        assert_eq!(super::held::numbers(folder.path()).unwrap(), held);
    }
    for mark in 7..=9 {
        publish(folder.path(), &features, mark);
    }
    assert_eq!(numbers(), [1, 6, 7, 8, 9]);
    assert!(matches!(kept.hold("5-00000000", 2), Err(StoreError::Gone { .. })));
    let busy = write_all(folder.path(), &features, 10);
    assert!(matches!(kept.hold(&first, 2), Err(StoreError::Busy { .. })));
    drop(busy);
}

#[test]
fn damage_of_a_kept_generation_is_an_error() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 1);
    let version = KeptGenerations::new(folder.path()).current().unwrap();
    for name in ["entity-customer-00000001.part", "generation-00000001.json"] {
        let path = folder.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let opened = KeptGenerations::new(folder.path()).open(&version, &features, &[0]);
            assert!(opened.is_err(), "byte {at} of {name} was flipped unnoticed");
        }
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn lists_are_published_alone_and_rows_are_shared() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 1);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let before = store.snapshot();
    let mut publication = Publication::begin(folder.path()).unwrap();
    write_entries(&mut publication, &features, 2);
    publication.commit().unwrap();
    assert!(store.reload().unwrap());
    let after = store.snapshot();
    let id = |s: &Snapshot| match s.list_hit(0, "001", "C1", 20) {
        ListAnswer::Hit(entry) => entry.entry_id.to_owned(),
        answer => panic!("{answer:?}"),
    };
    assert_eq!((id(&before), id(&after)), ("1".into(), "2".into()));
    let row = |s: &Snapshot| s.get(0, "001", "C1").unwrap().as_ptr();
    assert_eq!(row(&before), row(&after), "rows that did not change are not read again");
}

#[test]
fn two_publications_at_once_are_refused() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let first = write_all(folder.path(), &features, 1);
    assert!(matches!(Publication::begin(folder.path()), Err(StoreError::Busy { .. })));
    first.commit().unwrap();
    publish(folder.path(), &features, 2);
}

#[test]
fn rows_of_another_definition_are_refused() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    let mut publication = write_all(folder.path(), &features, 1);
    // The last word on a part counts.
    let file = publication.writer(Some("customer")).unwrap();
    let about = EntityAbout::of(&features.entities()[0]);
    let written = file.finish(&Dictionary::new(), &about).unwrap();
    publication.put(Some("customer"), 1, "another".into(), written);
    publication.commit().unwrap();
    let error = EmbeddedStore::open(folder.path(), features).err().unwrap().to_string();
    assert!(error.contains("entity \"customer\" was materialised by another definition"), "{error}");
}

#[test]
fn readers_see_whole_generations_while_they_change() {
    let (folder, features) = (tempfile::tempdir().unwrap(), features());
    publish(folder.path(), &features, 0);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        for _ in 0..3 {
            threads.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let snapshot = store.snapshot();
                    let marks: Vec<_> =
                        (0..CUSTOMERS).map(|i| mark_of(&snapshot, &features, i).unwrap()).collect();
                    assert!(marks.iter().all(|m| *m == marks[0]), "{marks:?}");
                    assert!(marks[0] >= last, "a snapshot went back from {last} to {}", marks[0]);
                    last = marks[0];
                }
            });
        }
        for mark in 1..=20 {
            publish(folder.path(), &features, mark);
            assert!(store.reload().unwrap());
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(mark_of(&store.snapshot(), &features, 0), Some(20));
}
