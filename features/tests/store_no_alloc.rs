//! Reading the online store allocates nothing: no key is copied, no row is decoded.

use std::{collections::BTreeMap, sync::Arc};

use crate::support::{rulebook, session};
use tarim_features::{
    materialise::{Selection, materialise},
    row::Row,
    store::{EmbeddedStore, ListAnswer, OnlineStore},
};

#[tokio::test]
async fn a_look_up_allocates_nothing() {
    let (features, standards) = rulebook();
    let mut customers = "member,customer_id,opened_at,known_at,city,income_fen\n".to_owned();
    for i in 0..500 {
        customers.push_str(&format!("001,C{i},2026-01-01T00:00:00,2026-01-01T00:00:00,南宁,{i}\n"));
    }
    let entries = "member,entry_id,list,customer_id,device_id,reason,source,known_at,valid_from,expires_at\n\
                   001,E1,aml_black,C7,,court,,2026-01-01T00:00:00,,\n";
    let tables = [("customers".to_owned(), customers), ("list_entries".to_owned(), entries.to_owned())];
    let session = session(&standards, &BTreeMap::from(tables));
    let folder = tempfile::tempdir().unwrap();
    let now = 1_780_000_000_000_000;
    materialise(&session, &features, now, folder.path(), &Selection::All, &mut |_| {}).await.unwrap();
    let features = Arc::new(features);
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();

    let keys: Vec<String> = (0..600).map(|i| format!("C{i}")).collect();
    let entity = &features.entities()[0];
    let income = entity.layout.index("income_fen").unwrap();
    let mut found = (0, 0, 0);
    // A thread's first look at an ArcSwap makes the place where its readers are noted.
    drop(store.snapshot());
    let allocations = allocation_counter::measure(|| {
        let snapshot = store.snapshot();
        for key in &keys {
            let each = snapshot.of_member("001").get_each(&[Some(key)]);
            assert_eq!(*each, [snapshot.get(0, "001", key)]);
            assert_eq!(*snapshot.of_member("001").get_each(&[None]), [None]);
            if let Some(bytes) = snapshot.get(0, "001", key) {
                let row = Row::new(&entity.layout, bytes, snapshot.dictionary(0), now).unwrap();
                found.0 += 1;
                found.1 += row.int(income).unwrap();
            }
            if let ListAnswer::Hit(entry) = snapshot.list_hit(0, "001", key, now) {
                found.2 += i32::from(entry.entry_id == "E1");
            }
        }
    });
    assert_eq!(found, (500, (0..500).sum(), 1));
    assert_eq!(allocations.count_total, 0);
}
