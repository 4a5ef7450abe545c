//! What may be materialised alone, and what stops a materialisation.

use crate::support;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use crate::support::{rulebook, session};
use datafusion::prelude::SessionContext;
use tarim_datamart::{Standards, Value};
use tarim_features::{
    materialise::{
        MaterialiseError, MaterialiseReport, Progress, Selection, materialise, materialise_unless_emptied,
    },
    row::Row,
    spine::point_in_time,
    store::{EmbeddedStore, ListAnswer, OnlineStore},
    view::FeatureSet,
};

/// 2026-06-30T00:00:00Z.
const NOW: i64 = 1_782_777_600_000_000;

fn bank(standards: &Standards, transactions: usize, entry: &str) -> SessionContext {
    bank_of(standards, transactions, entry, "2026-01-01T00:00:00", 900_000)
}

/// With a customer who opened then and has this income.
fn bank_of(
    standards: &Standards,
    transactions: usize,
    entry: &str,
    opened_at: &str,
    income_fen: i64,
) -> SessionContext {
    let customers = format!(
        "member,customer_id,opened_at,known_at,city,income_fen\n\
         001,C1,{opened_at},2026-01-01T00:00:00,南宁,{income_fen}\n\
         002,C1,2026-01-01T00:00:00,2026-01-01T00:00:00,,\n"
    );
    let mut facts = "member,txn_id,customer_id,account_id,booked_at,known_at,amount_fen,rate\n".to_owned();
    for i in 0..transactions {
        facts.push_str(&format!("001,T{i},C1,A1,2026-06-20T00:00:00,2026-06-20T00:00:00,100,\n"));
    }
    let entries = format!(
        "member,entry_id,list,customer_id,device_id,reason,source,known_at,valid_from,expires_at\n\
         001,{entry},aml_black,C1,,,,2026-01-01T00:00:00,,\n"
    );
    let tables = [("customers", customers), ("transactions", facts), ("list_entries", entries)];
    session(standards, &BTreeMap::from(tables.map(|(name, text)| (name.to_owned(), text))))
}

async fn run(
    session: &SessionContext,
    features: &FeatureSet,
    folder: &Path,
    selection: Selection,
) -> Result<MaterialiseReport, MaterialiseError> {
    materialise(session, features, NOW, folder, &selection, &mut |_| {}).await
}

fn customers() -> Selection {
    Selection::Entities(vec!["customer".into()])
}

#[tokio::test]
async fn a_part_alone_needs_the_others_to_be_there() {
    let (features, standards) = rulebook();
    let folder = tempfile::tempdir().unwrap();
    let session = bank(&standards, 3, "E1");
    for (selection, missing) in
        [(customers(), "no lists"), (Selection::Lists, "no rows of the entity \"customer\"")]
    {
        let error = run(&session, &features, folder.path(), selection).await.unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
    let other = Selection::Entities(vec!["custmer".into()]);
    let error = run(&session, &features, folder.path(), other).await.unwrap_err().to_string();
    assert_eq!(error, "there is no entity \"custmer\"; the rulebook has customer");
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![], None), "nothing was published");
    run(&session, &features, folder.path(), Selection::All).await.unwrap();
    run(&session, &features, folder.path(), customers()).await.unwrap();
    // What is damaged is not there; everything mends it.
    std::fs::write(folder.path().join("CURRENT"), "generation-").unwrap();
    let error = run(&session, &features, folder.path(), customers()).await.unwrap_err().to_string();
    assert!(error.contains("no lists"), "{error}");
    run(&session, &features, folder.path(), Selection::All).await.unwrap();
    run(&session, &features, folder.path(), customers()).await.unwrap();
}

#[tokio::test]
async fn a_row_without_a_key_is_nobody() {
    let (features, standards) = rulebook();
    let features = Arc::new(features);
    let folder = tempfile::tempdir().unwrap();
    let customers = "member,customer_id,opened_at,known_at,city,income_fen\n\
                     001,C1,2026-01-01T00:00:00,2026-01-01T00:00:00,,\n\
                     001,,2026-01-01T00:00:00,2026-01-01T00:00:00,,\n\
                     002,,2026-01-01T00:00:00,2026-01-01T00:00:00,,\n";
    let session = session(&standards, &BTreeMap::from([("customers".to_owned(), customers.to_owned())]));
    let mut steps = Vec::new();
    let mut note = |step: Progress<'_>| {
        if let Progress::Rows { done, of, .. } = step {
            steps.push((done, of));
        }
    };
    let report = materialise(&session, &features, NOW, folder.path(), &Selection::All, &mut note).await;
    assert_eq!((report.unwrap().entities[0].rows, steps.last()), (1, Some(&(1, 1))));
    let snapshot = EmbeddedStore::open(folder.path(), features).unwrap().snapshot();
    let found = [("001", "C1"), ("001", ""), ("002", "")].map(|(m, key)| snapshot.get(0, m, key).is_some());
    assert_eq!(found, [true, false, false]);
}

#[tokio::test]
async fn lists_alone_leave_the_rows_as_they_are() {
    let (features, standards) = rulebook();
    let features = Arc::new(features);
    let folder = tempfile::tempdir().unwrap();
    run(&bank(&standards, 3, "E1"), &features, folder.path(), Selection::All).await.unwrap();
    let store = EmbeddedStore::open(folder.path(), features.clone()).unwrap();
    let before = store.snapshot();
    // Meanwhile there are more transactions, too, but only the lists are asked for.
    let report = run(&bank(&standards, 9, "E2"), &features, folder.path(), Selection::Lists).await.unwrap();
    assert!(report.entities.is_empty());
    assert_eq!(report.lists.unwrap().lists[0], ("aml_black".into(), Some(1)));
    assert!(store.reload().unwrap());
    let after = store.snapshot();
    assert_eq!(after.version(), report.version);
    assert_eq!(before.get(0, "001", "C1"), after.get(0, "001", "C1"));
    let entry = |answer| match answer {
        ListAnswer::Hit(entry) => entry.entry_id.to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(entry(before.list_hit(0, "001", "C1", NOW)), "E1");
    assert_eq!(entry(after.list_hit(0, "001", "C1", NOW)), "E2");
}

#[tokio::test]
async fn what_would_be_known_of_nobody_is_not_published_unasked() {
    let (features, standards) = rulebook();
    let folder = tempfile::tempdir().unwrap();
    let session = bank(&standards, 3, "E1");
    let nothing = support::session(&standards, &BTreeMap::new());
    let careful = async |session: &SessionContext, selection: Selection| {
        materialise_unless_emptied(session, &features, NOW, folder.path(), &selection, &mut |_| {}).await
    };
    let refused = async |selection: Selection, what: &str| {
        let error = careful(&nothing, selection).await.unwrap_err().to_string();
        assert!(error.contains(&format!("nothing is known of {what}")), "{error}");
    };
    refused(Selection::All, "anybody: nothing was published").await;
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![], None));
    careful(&session, Selection::All).await.unwrap();
    refused(Selection::All, "the entity \"customer\", the lists, of which the current generation knows")
        .await;
    refused(customers(), "the entity \"customer\",").await;
    refused(Selection::Lists, "the lists,").await;
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![1], Some(1)));
    // Whoever asks for it gets it, and after that there is nothing to lose.
    run(&nothing, &features, folder.path(), Selection::All).await.unwrap();
    careful(&nothing, Selection::All).await.unwrap();
    assert_eq!(EmbeddedStore::generations(folder.path()).unwrap().0, [1, 2, 3]);
}

#[tokio::test]
async fn a_report_says_what_was_made() {
    let (features, standards) = rulebook();
    let folder = tempfile::tempdir().unwrap();
    let mut steps = Vec::new();
    let mut note = |step: Progress<'_>| {
        if let Progress::Rows { done, of, .. } = step {
            steps.push((done, of));
        }
    };
    let session = bank(&standards, 3, "E1");
    let report =
        materialise(&session, &features, NOW, folder.path(), &Selection::All, &mut note).await.unwrap();
    let customer = &report.entities[0];
    let entity = &features.entities()[0];
    assert_eq!((customer.rows, customer.features), (2, entity.layout.columns().len() - 1));
    assert_eq!(customer.row_bytes, entity.layout.fixed_len());
    assert!(customer.null_share > 0.0 && customer.null_share < 1.0);
    assert_eq!(steps.last(), Some(&(2, 2)));
    let lists = report.lists.unwrap().lists;
    assert_eq!(
        lists,
        [("aml_black".into(), Some(1)), ("device_grey".into(), None), ("staff_white".into(), None)]
    );
}

#[tokio::test]
async fn a_value_outside_its_range_or_codes_is_an_error_online_and_in_batch() {
    let (features, standards) = rulebook();
    let folder = tempfile::tempdir().unwrap();
    let then = "2026-01-01T00:00:00";
    for (transactions, opened_at, income_fen, online, batch) in [
        (
            1001,
            then,
            1,
            "\"txn_count\": 1001 is outside",
            "txn_count is 1001, outside its range 0 to 1000; widen",
        ),
        (
            1,
            "1999-12-31T10:00:00",
            1,
            "\"opened_on\": 1999-12-31 is outside its range 2000-01-01 to",
            "opened_on is 1999-12-31, outside its range 2000-01-01 to 2026-12-31; widen the range where",
        ),
        (
            1,
            then,
            77_777_777,
            "\"income_class\": \"none\" is none of its codes",
            "income_class is \"none\", none of its codes; add",
        ),
    ] {
        let session = bank_of(&standards, transactions, "E1", opened_at, income_fen);
        let error = run(&session, &features, folder.path(), Selection::All).await.unwrap_err().to_string();
        let expected = format!("customer \"C1\" of member 001: column {online}");
        assert!(error.starts_with(&expected), "{error}");
        assert_eq!(EmbeddedStore::generations(folder.path()).unwrap(), (vec![], None));
        let spine = "spine_id,member,as_of,customer_id,device_id\n1,001,2026-06-30T00:00:00,C1,\n";
        let spine = session.read_batch(support::csv(spine, &support::spine_schema())).unwrap();
        let frame = point_in_time(&session, &features, spine).await.unwrap();
        let error = frame.collect().await.unwrap_err().to_string();
        assert!(error.contains(&format!("customer.{batch}")), "{error}");
    }
}

#[tokio::test]
async fn what_is_within_range_and_codes_is_read_as_it_was_computed() {
    let (features, standards) = rulebook();
    let features = Arc::new(features);
    let folder = tempfile::tempdir().unwrap();
    run(&bank(&standards, 3, "E1"), &features, folder.path(), Selection::All).await.unwrap();
    let snapshot = EmbeddedStore::open(folder.path(), features.clone()).unwrap().snapshot();
    let layout = &features.entities()[0].layout;
    let row = |member| {
        let bytes = snapshot.get(0, member, "C1").expect("C1 is known");
        let row = Row::new(layout, bytes, snapshot.dictionary(0), NOW).unwrap();
        ["opened_on", "income_class", "city"].map(|name| row.get(layout.index(name).unwrap()))
    };
    let opened = Value::Date32(20_454);
    let text = |text: &str| Value::Utf8(text.into());
    assert_eq!(row("001"), [opened.clone(), text("high"), text("南宁")]);
    assert_eq!(row("002"), [opened, Value::Null, text("unknown")]);
}

#[tokio::test]
async fn a_spine_that_names_a_row_twice_or_lacks_a_column_is_refused() {
    let (features, standards) = rulebook();
    let session = bank(&standards, 1, "E1");
    let header = "spine_id,member,as_of,customer_id,device_id";
    for (rows, expected) in [
        ("1,001,2026-06-30T00:00:00,C1,\n1,001,2026-06-30T00:00:00,C1,", "the spine_id 1 came twice"),
        ("1,,2026-06-30T00:00:00,C1,", "row 0 of the spine has no member"),
        ("1,001,,C1,", "row 0 of the spine has no as_of"),
    ] {
        let spine = support::csv(&format!("{header}\n{rows}\n"), &support::spine_schema());
        let spine = session.read_batch(spine).unwrap();
        let error = point_in_time(&session, &features, spine).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let spine = support::csv(&format!("{header}\n1,001,2026-06-30T00:00:00,C1,\n"), &support::spine_schema());
    let spine = session.read_batch(spine).unwrap().select_columns(&["spine_id", "member", "as_of"]).unwrap();
    let error = point_in_time(&session, &features, spine).await.unwrap_err().to_string();
    assert_eq!(error, "the spine has no column \"customer_id\"; give one of type Utf8");
}
