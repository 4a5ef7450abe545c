//! What readers see: pages, and what stands against a customer while the writer goes on.

use std::sync::atomic::AtomicBool;

use super::*;

/// What stands, by going through all warnings.
fn standing(ledger: &Ledger, member: &str, customer: &str) -> Vec<Stands> {
    let mut found = all(ledger);
    found.retain(|w| *w.member == *member && *w.customer == *customer && w.state.stands());
    found.sort_by_key(|w| w.number);
    found.iter().map(|w| Stands::of(w)).collect()
}

#[test]
fn what_stands_is_what_the_view_says() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let folder = tempfile::tempdir().unwrap();
    let check = |ledger: &Ledger| {
        for (member, customer) in [("001", "c1"), ("001", "c2"), ("002", "c1"), ("002", "c2"), ("00", "1c1")]
        {
            let found = ledger.open_warnings().of(member, customer);
            assert_eq!(found.to_vec(), standing(ledger, member, customer), "{member}/{customer}");
        }
    };
    for _ in 0..4 {
        let ledger = Ledger::open(folder.path()).unwrap();
        check(&ledger);
        for _ in 0..30 {
            some_life(&ledger, &mut rng, 1);
            check(&ledger);
        }
    }
}

/// Readers never wait, never see half of a group, and keep what they hold.
#[test]
fn readers_see_whole_groups_while_alerts_come() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let open = ledger.open_warnings();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut looks) = (0, 0_u64);
            while !stop.load(Ordering::Acquire) {
                let standing = open.of("001", "c1");
                let counts: Vec<u32> = standing.iter().map(|w| w.count).collect();
                // Both rules' alerts come in one group.
                assert!(
                    matches!(counts[..], [] | [_, _]) && counts.iter().all(|c| *c == counts[0]),
                    "{counts:?}"
                );
                let count = counts.first().copied().unwrap_or(0);
                assert!(count >= last, "it went back");
                (last, looks) = (count, looks + 1);
            }
            (last, looks)
        });
        for n in 0..500 {
            let other = {
                let mut alert = alert(1000 + n, "001", "c1").alert().as_ref().clone();
                alert.rule_id = "W2".into();
                NewAlert::new(alert, &Inspections::default(), 0).unwrap()
            };
            ledger.take_now(vec![alert(n, "001", "c1"), other], None).unwrap();
        }
        stop.store(true, Ordering::Release);
        let (_, looks) = reader.join().unwrap();
        assert!(looks > 0);
    });
    let counts: Vec<u32> = open.of("001", "c1").iter().map(|w| w.count).collect();
    assert_eq!(counts, [500, 500]);
    drop(ledger);
    assert_eq!(open.of("001", "c1").len(), 2, "a reader outlives the ledger");
}

#[test]
fn pages_are_the_newest_first_and_lose_nothing_while_more_come() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let numbers = |page: &Page| page.warnings.iter().map(|w| w.number).collect::<Vec<_>>();
    let raise = |n: u64| {
        ledger.take_now(vec![alert(n, "001", &format!("c{}", n % 3)), alert(n, "002", "c0")], None).unwrap()
    };
    // The same customer and rule: it must be dealt with, or the next would be a repeat.
    for n in 0..9 {
        raise(n);
        for (i, to) in [State::Acknowledged, State::Disposed].into_iter().enumerate() {
            let _ = make(&ledger, change(&format!("r{n}-{i}"), n, to)).unwrap().unwrap();
        }
    }
    let everything = Filter::default();
    let first = ledger.view().page("001", &everything, None, 4);
    assert_eq!((numbers(&first), first.before), (vec![8, 7, 6, 5], Some(5)));
    raise(9);
    let second = ledger.view().page("001", &everything, first.before, 4);
    assert_eq!((numbers(&second), second.before), (vec![4, 3, 2, 1], Some(1)));
    let third = ledger.view().page("001", &everything, second.before, 4);
    assert_eq!((numbers(&third), third.before), (vec![0], None));

    let filtered = |filter: Filter| numbers(&ledger.view().page("001", &filter, None, 100));
    assert_eq!(filtered(Filter { customer: Some("c1".into()), ..Filter::default() }), [7, 4, 1]);
    assert_eq!(filtered(Filter { state: Some(State::Open), ..Filter::default() }), [9]);
    assert_eq!(filtered(Filter { at_least: Some(Level::Red), ..Filter::default() }).len(), 10);
    assert_eq!(filtered(Filter { rule: Some("W2".into()), ..Filter::default() }), [0; 0]);
    assert_eq!(filtered(Filter { customer: Some("nobody".into()), ..Filter::default() }), [0; 0]);
    assert_eq!(ledger.view().page("003", &everything, None, 4), Page { warnings: Vec::new(), before: None });
    let id = "00000000000000000000000000000003".parse().unwrap();
    assert_eq!(ledger.view().get("001", id).unwrap().number, 3);
    assert_eq!(ledger.view().get("002", id).unwrap().member.as_ref(), "002");
    assert_eq!(ledger.view().get("003", id), None);
}
