//! What alerts say is in the log, and nowhere else.

use std::{fs::OpenOptions, os::unix::fs::FileExt};

use super::{
    pushes::{live, pushed, pushing},
    *,
};
use crate::service::wire::warning as told;

/// An alert that says something of its own.
fn saying(n: u64, customer: &str) -> NewAlert {
    let mut said = alert(n, "001", customer).alert().as_ref().clone();
    said.zh = format!("贷{n}").repeat(n as usize % 7);
    said.en = format!("loan {n}");
    NewAlert::new(said, &Inspections::default(), 0).unwrap()
}

/// Whatever else was written with it, and before or after a restart.
#[test]
fn what_an_alert_says_is_read_from_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut said = Vec::new();
    for _ in 0..3 {
        let ledger = Ledger::open(folder.path()).unwrap();
        for _ in 0..20 {
            let alerts: Vec<_> = (0..rng.random_range(0..5))
                .map(|i| {
                    let n = (said.len() + i) as u64;
                    saying(n, &format!("c{n}"))
                })
                .collect();
            said.extend(alerts.iter().map(|alert| alert.alert().clone()));
            let at = Position { topic: "alerts".into(), partition: 0, next: said.len() as i64 };
            ledger.take_now(alerts, Some(at).filter(|_| rng.random())).unwrap();
            let to = State::Acknowledged;
            let _ = make(&ledger, change(&format!("r{}", said.len()), rng.random_range(0..60), to)).unwrap();
        }
        for (n, said) in said.iter().enumerate() {
            let warning = ledger.view().get("001", said.alert_id.parse().unwrap()).unwrap();
            assert_eq!(told(&warning, ledger.view()).unwrap().alert.as_ref(), Some(&**said), "{n}");
        }
    }
    assert!(said.len() > 60);
}

/// Every push says what its alerts said, and so do the lines of digests.
#[test]
fn pushes_say_what_their_alerts_said() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let ledger = Ledger::open_pushing(folder.path(), pushing(&now)).unwrap();
    let alerts = (0..8).map(|n| saying(n, &format!("c{}", n % 5))).collect();
    ledger.take_now(alerts, None).unwrap();
    live(&ledger, &now, 10..24);
    let (mut alerts, mut lines) = (0, 0);
    for push in pushed(&ledger) {
        let push = push.wire(ledger.view()).unwrap();
        if let Some(alert) = push.alert {
            assert!(push.escalation.is_some() || push.push_id.contains(&alert.alert_id));
            alerts += 1;
        }
        for line in push.digest.iter().flat_map(|digest| &digest.groups).flat_map(|group| &group.lines) {
            let n = u64::from_str_radix(&line.warning_id, 16).unwrap();
            let wanted = if n < 8 { format!("loan {n}") } else { String::new() };
            assert_eq!(line.en, wanted);
            lines += 1;
        }
    }
    assert!(alerts > 5 && lines > 5);
}

/// It is said which byte of which file, and all else goes on.
#[test]
fn what_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("warnings.ledger");
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.take_now((0..3).map(|n| saying(n, &format!("c{n}"))).collect(), None).unwrap();
    let get = |n: u64| ledger.view().get("001", format!("{n:032x}").parse().unwrap()).unwrap();
    let damaged = get(1).body;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for byte in damaged.offset()..damaged.offset() + damaged.length() as u64 {
        let mut there = [0];
        let read = std::fs::File::open(&path).unwrap();
        read.read_exact_at(&mut there, byte).unwrap();
        file.write_all_at(&[there[0] ^ 1], byte).unwrap();
        let said = told(&get(1), ledger.view()).unwrap_err().to_string();
        assert!(said.starts_with(&format!("{}, byte {}: ", path.display(), damaged.offset())), "{said}");
        assert!([0, 2].iter().all(|n| told(&get(*n), ledger.view()).is_ok()));
        file.write_all_at(&there, byte).unwrap();
    }
    assert!(told(&get(1), ledger.view()).is_ok());
    file.set_len(damaged.offset() + 3).unwrap();
    let said = told(&get(1), ledger.view()).unwrap_err();
    assert!(matches!(&said, LedgerError::Body { offset, .. } if *offset == damaged.offset()), "{said}");
}

/// What is not on disk is not seen, by whatever name it is asked for.
#[test]
fn a_repeat_is_not_known_before_it_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, ledger) = super::disk::Gate::open(folder.path());
    ledger.take_now(vec![saying(1, "c1")], None).unwrap();
    gate.set(|gated| gated.held = true);
    let (sender, receiver) = mpsc::channel();
    ledger.take(vec![saying(2, "c1"), saying(3, "c2")], None, move |taken| sender.send(taken).unwrap());
    gate.wait_for_held_sync();
    let get = |n: u64| ledger.view().get("001", format!("{n:032x}").parse().unwrap());
    let count = |warnings: &[Arc<Warning>]| warnings.iter().map(|w| w.count).collect::<Vec<_>>();
    assert_eq!((get(1).unwrap().count, get(2), get(3)), (1, None, None));
    assert_eq!(count(&all(&ledger)), [1]);
    let of = |customer: &str| Filter { customer: Some(customer.into()), ..Filter::default() };
    let page = |customer| ledger.view().page("001", &of(customer), None, 9).warnings;
    assert_eq!((count(&page("c1")), count(&page("c2"))), (vec![1], vec![]));
    gate.set(|gated| gated.held = false);
    receiver.recv().unwrap().unwrap();
    assert_eq!((get(1).unwrap().count, get(2).unwrap().number, get(3).unwrap().count), (2, 0, 1));
    assert_eq!(count(&all(&ledger)), [1, 2]);
}
