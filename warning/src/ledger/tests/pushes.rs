//! Pushes on disk: what was told is there, what was not is told, and nothing twice.

use std::{collections::HashSet, fs, sync::atomic::AtomicI64};

use tarim_proto::warning::v1::LedgerEntry;

use super::{
    books::{Books, Done},
    *,
};
use crate::delivery::{Budgets, Calendar, Escalation, Kind, Policy, Push, Stage};

const HOUR: i64 = 3_600_000_000;

pub(super) fn pushing(now: &Arc<AtomicI64>) -> Pushing {
    let role: Arc<str> = "branch_head".into();
    let escalation =
        Escalation { level: Level::Red, after_us: 4 * HOUR, to: role, why: "nobody looked into it".into() };
    let policy = Policy {
        calendar: Calendar::new(8 * HOUR, vec![8 * HOUR, 16 * HOUR]),
        budgets: Budgets { common: Some(2), ..Budgets::default() },
        repeats_wait: false,
        escalations: vec![escalation],
        managers_sql: None,
    };
    let mut managers = Managers::default();
    managers.put("001", "c1", "m1");
    Pushing { policy, managers, clock: Clock::Set(now.clone()) }
}

/// All pushes that are in the outbox: all that there are, if none were noted as sent.
pub(super) fn pushed(ledger: &Ledger) -> Vec<Arc<Push>> {
    let unsent = ledger.pushes().after(0, usize::MAX, Duration::ZERO).unwrap();
    unsent.into_iter().map(|unsent| unsent.what).collect()
}

fn kinds(pushes: &[Arc<Push>]) -> Vec<(Kind, String)> {
    pushes.iter().map(|push| (push.kind(), push.reader.to_string())).collect()
}

/// Steps of a life of some days, as many as are asked for.
pub(super) fn live(ledger: &Ledger, now: &AtomicI64, steps: std::ops::Range<u64>) {
    for n in steps {
        now.store(n as i64 * HOUR, Ordering::Release);
        match n % 4 {
            3 => ledger.tick_now().unwrap(),
            2 => {
                // Refused or not is for the life-cycle's own tests.
                let _ = make(ledger, change(&format!("r{n}"), n / 3, State::Acknowledged)).unwrap();
            }
            _ => {
                let alerts = vec![alert(2 * n, "001", "c1"), alert(2 * n + 1, "001", &format!("x{n}"))];
                ledger.take_now(alerts, None).unwrap();
            }
        }
    }
}

#[test]
fn inbox_and_outbox_are_as_they_were_after_a_restart() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    live(&ledger, &now, 0..40);
    let before = pushed(&ledger);
    let inbox = |ledger: &Ledger| ledger.inbox().page("001", &PushFilter::default(), None, usize::MAX).pushes;
    assert!(inbox(&ledger).iter().rev().eq(&before));
    let of_kind = |kind| before.iter().filter(|push| push.kind() == kind).count();
    assert!(of_kind(Kind::Alert) > 5 && of_kind(Kind::Digest) > 3 && of_kind(Kind::Escalation) > 1);
    ledger.pushed(3);
    ledger.take_now(Vec::new(), None).unwrap();
    assert_eq!(pushed(&ledger), before[3..]);
    drop(ledger);
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    assert_eq!(pushed(&ledger), before[3..]);
    assert!(inbox(&ledger).iter().rev().eq(&before), "what was sent is still in the inbox");
    live(&ledger, &now, 40..44);
    let next = ledger.pushes().after(before.len() as u64, 1, Duration::ZERO).unwrap();
    assert_eq!(next[0].sequence, before.len() as u64 + 1, "they are counted on");
}

/// Cut at every byte, and gone on with from there, as a feed does that does not know what was taken: each alert is pushed once.
#[test]
fn a_ledger_that_was_cut_neither_loses_nor_doubles_a_push() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let file = folder.path().join("warnings.ledger");
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    live(&ledger, &now, 0..18);
    let from = fs::metadata(&file).unwrap().len() as usize;
    live(&ledger, &now, 18..24);
    let all_pushes = pushed(&ledger);
    let whole = fs::read(&file).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    for cut in (from..whole.len()).step_by(7).chain([whole.len()]) {
        fs::write(&file, &whole[..cut]).unwrap();
        now.store(0, Ordering::Release);
        let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
        // A step can be two records: what was due, and then the alert.
        let found = pushed(&ledger);
        assert_eq!(found, all_pushes[..found.len()], "cut at {cut}: what is told is not what was told");
        if cut % 5 != 0 {
            continue;
        }
        live(&ledger, &now, 0..24);
        now.store(100 * HOUR, Ordering::Release);
        ledger.tick_now().unwrap();
        let pushes = pushed(&ledger);
        let ids: HashSet<String> = pushes.iter().map(|push| push.id()).collect();
        assert_eq!(ids.len(), pushes.len(), "cut at {cut}: the same push twice");
        let told: u32 = pushes.iter().map(|push| alerts_of(push)).sum();
        let taken: u32 = all(&ledger).iter().map(|warning| warning.count).sum();
        assert_eq!(told, taken, "cut at {cut}");
    }
}

/// A part of a digest is as long as a topic takes, and texts may take six times their bytes. Where one ends is written down: it is
/// the same when the ledger is opened again, however a release counts.
#[test]
fn a_digest_in_parts_is_in_the_same_parts_after_a_restart() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    let text = |n: u64| ["\u{1}", "\"", "\\", "\n", "贷"][n as usize % 5].repeat(20_000);
    let long = |n: u64| {
        let plain = alert(n, "001", ["c1", "x"][n as usize % 2]);
        let alert = Alert { zh: text(n), key: n.to_string(), ..(**plain.alert()).clone() };
        NewAlert::new(alert, &Inspections::default(), 0).unwrap()
    };
    let alerts: Vec<NewAlert> = (0..60).map(long).collect();
    ledger.take_now(alerts.clone(), None).unwrap();
    now.store(9 * HOUR, Ordering::Release);
    ledger.tick_now().unwrap();
    let before = pushed(&ledger);
    let parts = |pushes: &[Arc<Push>]| -> Vec<u32> {
        let digests = pushes.iter().filter(|push| push.kind() == Kind::Digest);
        digests.map(|push| push.lines() as u32).collect()
    };
    assert!(parts(&before).len() > 5, "{:?}", parts(&before));
    let sent = before.len() as u64 - 4;
    ledger.pushed(sent);
    ledger.take_now(Vec::new(), None).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    assert_eq!(pushed(&ledger), before[sent as usize..]);

    // As another release would have made it: in parts of one line, and what is written down counts.
    let again = |digest_parts: Vec<u32>| {
        let mut books = Books::default();
        books.stage = Some(Stage::new(
            pushing(&now).policy,
            pushing(&now).managers,
            &books.delivery,
            &books.lifecycle.read(),
        ));
        let mut done = Done::default();
        done.alerts(&mut books, &alerts, None, 0, &mut InMemory::default());
        books.lifecycle.write().settle();
        let entry = LedgerEntry { digest_at_us: Some(9 * HOUR), digest_parts, ..LedgerEntry::default() };
        done.apply(&mut books, &[], entry).map(|()| parts(&done.pushes))
    };
    let made = again(Vec::new()).unwrap();
    let lines = made.iter().sum::<u32>() as usize;
    assert_eq!(again(vec![1; lines]), Ok(vec![1; lines]));
    assert_eq!(again(made.clone()), Ok(made.clone()));
    for wrong in [vec![1; lines - 1], vec![1; lines + 1], vec![lines as u32 + 1], vec![0; lines]] {
        assert!(again(wrong).unwrap_err().contains("not as many lines"));
    }
}

fn alerts_of(push: &Push) -> u32 {
    match &push.what {
        crate::delivery::What::Alert { .. } => 1,
        crate::delivery::What::Escalation { .. } => 0,
        crate::delivery::What::Digest(digest) => {
            digest.groups.iter().flat_map(|group| &group.lines).map(|line| line.waited.alerts).sum()
        }
    }
}

#[test]
fn what_was_taken_before_anybody_pushed_is_not_pushed() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::<AtomicI64>::default());
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    drop(ledger);
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    now.store(50 * HOUR, Ordering::Release);
    ledger.tick_now().unwrap();
    assert_eq!(pushed(&ledger), []);
    // A repeat of it is an alert as any other, and is escalated from then on.
    ledger.take_now(vec![alert(2, "001", "c1")], None).unwrap();
    now.store(54 * HOUR, Ordering::Release);
    ledger.tick_now().unwrap();
    let wanted = [(Kind::Alert, "m1".to_owned()), (Kind::Escalation, "branch_head".to_owned())];
    assert_eq!(kinds(&pushed(&ledger)), wanted);
    drop(ledger);
    // And whoever no longer pushes still has what was pushed.
    let ledger = Ledger::open(folder.path()).unwrap();
    now.store(99 * HOUR, Ordering::Release);
    ledger.take_now(vec![alert(3, "001", "c1")], None).unwrap();
    assert_eq!(kinds(&pushed(&ledger)), wanted);
}

#[test]
fn another_account_manager_is_told_of_what_comes_then() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    let mut managers = Managers::default();
    managers.put("001", "c1", "m2");
    ledger.set_managers(managers);
    ledger.take_now(vec![alert(2, "001", "c1"), alert(3, "002", "c1")], None).unwrap();
    let readers: Vec<String> = kinds(&pushed(&ledger)).into_iter().map(|(_, reader)| reader).collect();
    assert_eq!(readers, ["m1", "m2", "unassigned"]);
}

#[test]
fn an_inbox_is_paged() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    live(&ledger, &now, 0..60);
    for filter in [
        PushFilter::default(),
        PushFilter { reader: Some("m1".into()), kind: None },
        PushFilter { reader: Some("unassigned".into()), kind: Some(Kind::Digest) },
        PushFilter { reader: Some("nobody".into()), kind: None },
    ] {
        let (mut found, mut before) = (Vec::new(), None);
        loop {
            let page = ledger.inbox().page("001", &filter, before, 3);
            assert!(page.pushes.len() <= 3);
            found.extend(page.pushes);
            before = page.before;
            if before.is_none() {
                break;
            }
        }
        let mut wanted = pushed(&ledger);
        wanted.retain(|push| filter.reader.as_ref().is_none_or(|reader| **reader == *push.reader));
        wanted.retain(|push| filter.kind.is_none_or(|kind| kind == push.kind()));
        wanted.reverse();
        assert_eq!(found, wanted);
        assert!(ledger.inbox().page("002", &filter, None, 3).pushes.is_empty(), "another member's");
    }
}

/// Old pushes are forgotten; those that stay keep their places in the pages, their order and their sequences.
#[test]
fn an_inbox_has_an_end() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let open = |inbox_h: u64| {
        let pushing = pushing(&now);
        let clock = pushing.clock.clone();
        let inbox = Duration::from_secs(3600 * inbox_h);
        Ledger::open_with(
            folder.path(),
            Opening { pushing: Some(pushing), clock, inbox, ..Opening::default() },
        )
        .unwrap()
    };
    let ledger = open(20);
    live(&ledger, &now, 0..40);
    let everything = pushed(&ledger);
    let of = |reader: Option<&str>| PushFilter { reader: reader.map(Into::into), kind: None };
    let page = |ledger: &Ledger, filter: &PushFilter, before| ledger.inbox().page("001", filter, before, 3);
    let check = |ledger: &Ledger, from_us: i64| {
        for filter in [of(None), of(Some("m1")), of(Some("unassigned"))] {
            let (mut found, mut before) = (Vec::new(), None);
            loop {
                let page = page(ledger, &filter, before);
                found.extend(page.pushes);
                before = page.before;
                if before.is_none() {
                    break;
                }
            }
            let mut wanted = everything.clone();
            wanted.retain(|push| push.at_us >= from_us);
            wanted.retain(|push| filter.reader.as_ref().is_none_or(|reader| **reader == *push.reader));
            wanted.reverse();
            assert_eq!(found, wanted);
        }
    };
    // What was forgotten was told all the same, and a page goes on where it was, as far as there is more.
    check(&ledger, 19 * HOUR);
    let first = page(&ledger, &of(None), None);
    let last = page(&ledger, &of(None), Some(3));
    assert_eq!((first.before, last), (Some(everything.len() as u32 - 3), PushPage::default()));
    drop(ledger);
    for (inbox_h, from_us) in [(10, 29 * HOUR), (20, 19 * HOUR), (100, 0)] {
        let ledger = open(inbox_h);
        assert_eq!(pushed(&ledger), everything, "what is not sent is sent");
        check(&ledger, from_us);
        assert_eq!(page(&ledger, &of(None), None).pushes, first.pushes);
        assert_eq!(page(&ledger, &of(None), Some(3)).pushes.is_empty(), inbox_h < 100, "numbers stay");
    }
    now.store(1000 * HOUR, Ordering::Release);
    assert_eq!(page(&open(10), &of(None), None), PushPage::default());
}
