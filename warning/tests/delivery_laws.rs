//! What holds of pushes whatever happens: random alerts, changes and times under random budgets.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_proto::warning::v1::{self as wire, Alert, Level};
use tarim_warning::{
    clock::Clock,
    delivery::{Budgets, Calendar, Course, Escalation, Managers, Policy, Push, What},
    ledger::{Bodies, Ledger, Pushing},
    lifecycle::{Inspections, NewAlert, NewChange, State, Warning},
    service::wire::warning as warning_of,
};

const HOUR: i64 = 3_600_000_000;
const LEVELS: [Level; 4] = [Level::Blue, Level::Yellow, Level::Orange, Level::Red];

#[derive(Clone, Debug)]
enum Step {
    Alert(NewAlert),
    Change(NewChange),
    Tick,
}

/// A policy, account managers, and what happens when.
struct World {
    policy: Policy,
    managers: Managers,
    steps: Vec<(i64, Step)>,
    end_us: i64,
}

impl World {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut limit = || if rng.random_ratio(1, 4) { None } else { Some(rng.random_range(0..4)) };
        let mut budgets = Budgets { common: limit(), ..Budgets::default() };
        for own in &mut budgets.of_level {
            *own = Some(limit()).filter(|_| limit().is_some_and(|n| n < 2));
        }
        let escalations = (0..rng.random_range(0..4)).map(|i| Escalation {
            level: LEVELS[rng.random_range(0..4)],
            after_us: rng.random_range(1..40) * HOUR,
            to: ["head", "risk", "m1", "board"][i].into(),
            why: "nobody".into(),
        });
        let escalations = escalations.collect();
        let digests = (0..rng.random_range(1..4)).map(|_| rng.random_range(0..24) * HOUR).collect();
        let policy = Policy {
            calendar: Calendar::new(rng.random_range(-11..12) * HOUR, digests),
            budgets,
            repeats_wait: rng.random(),
            escalations,
            managers_sql: None,
        };
        let mut managers = Managers::default();
        for customer in 0..4 {
            managers.put("001", &format!("c{customer}"), ["m1", "m2"][customer % 2]);
        }
        let (mut steps, mut now_us) = (Vec::new(), 1_700_000_000_000_000);
        for number in 0..rng.random_range(1..80) {
            now_us +=
                [0, 1, rng.random_range(0..HOUR), rng.random_range(0..30 * HOUR)][rng.random_range(0..4)];
            steps.push((now_us, step(number, now_us, rng)));
        }
        // So long that everything has come to its end.
        Self { policy, managers, steps, end_us: now_us + 100 * HOUR }
    }
}

fn step(number: usize, now_us: i64, rng: &mut ChaCha8Rng) -> Step {
    let id = |rng: &mut ChaCha8Rng| format!("{:032x}", rng.random_range(0..60));
    let member = ["001", "001", "002"][rng.random_range(0..3)];
    match rng.random_range(0..10) {
        0..6 => {
            let push = [wire::Push::Unspecified, wire::Push::Realtime, wire::Push::Digest];
            let alert = Alert {
                alert_id: id(rng),
                member: member.into(),
                customer_id: format!("c{}", rng.random_range(0..5)),
                rule_id: format!("W{}", rng.random_range(0..3)),
                level: LEVELS[rng.random_range(0..4)].into(),
                push: push[rng.random_range(0..3)].into(),
                raised_at_us: now_us - rng.random_range(0..HOUR),
                group: ["", "loans"][rng.random_range(0..2)].into(),
                ..Alert::default()
            };
            Step::Alert(NewAlert::new(alert, &Inspections::default(), 0).unwrap())
        }
        6..9 => Step::Change(NewChange {
            member: member.into(),
            request: format!("r{number}"),
            warning: id(rng).parse().unwrap(),
            to: State::ALL[rng.random_range(0..5)],
            by: "zhang".into(),
            at_us: now_us,
            why: "called".into(),
        }),
        _ => Step::Tick,
    }
}

/// All pushes, the warnings as they are at the end, and who knows what their alerts say.
fn in_memory(world: &World) -> (Vec<Arc<Push>>, Vec<Arc<Warning>>, Course) {
    let mut course = Course::new(world.policy.clone(), world.managers.clone());
    let mut pushes = Vec::new();
    for (now_us, step) in &world.steps {
        pushes.extend(match step {
            Step::Alert(alert) => course.alert(alert, *now_us),
            Step::Change(change) => course.change(change).1,
            Step::Tick => course.tick(*now_us),
        });
    }
    // Twice: what is escalated into a digest by the first waits for the second.
    pushes.extend(course.tick(world.end_us));
    pushes.extend(course.tick(2 * world.end_us));
    assert_eq!(course.next_due_us(), None, "nothing is left");
    let warnings = course.warnings();
    (pushes, warnings, course)
}

fn worlds(count: usize) -> impl Iterator<Item = (World, ChaCha8Rng)> {
    let seed = std::env::var("TARIM_SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("TARIM_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(move |_| {
        let mut own = ChaCha8Rng::seed_from_u64(rng.random());
        (World::random(&mut own), own)
    })
}

#[test]
fn every_alert_is_in_one_push_of_its_reader() {
    for (world, _) in worlds(1500) {
        let (pushes, warnings, course) = in_memory(&world);
        let mut told: HashMap<(String, String), u32> = HashMap::new();
        let mut at_once = HashSet::new();
        for push in &pushes {
            let alert = |customer: &str, rule: &str, count, told: &mut HashMap<_, u32>| {
                let reader = world.managers.of(&push.member, customer);
                assert_eq!(push.reader, reader, "not the customer's");
                *told.entry((push.member.to_string(), format!("{customer} {rule}"))).or_default() += count;
            };
            match &push.what {
                What::Alert { alert: id, level, body, .. } => {
                    assert!(at_once.insert((push.member.clone(), *id)), "pushed twice");
                    let what = course.body(*body).unwrap();
                    assert_eq!((&*what.member, &*what.alert_id), (&*push.member, &*id.to_string()));
                    assert_eq!(what.level(), *level);
                    assert_ne!(what.push(), wire::Push::Digest);
                    alert(&what.customer_id, &what.rule_id, 1, &mut told);
                }
                What::Digest(digest) => {
                    assert!(!digest.groups.is_empty());
                    for line in digest.groups.iter().flat_map(|group| &group.lines) {
                        assert!(line.waited.alerts > 0 || line.waited.escalated_from.is_some());
                        if line.waited.alerts > 0 {
                            let warning = course.warning(&push.member, line.warning).unwrap();
                            alert(&warning.customer, &warning.rule, line.waited.alerts, &mut told);
                        }
                    }
                }
                What::Escalation { .. } => {}
            }
        }
        let mut taken: HashMap<(String, String), u32> = HashMap::new();
        for warning in &warnings {
            let key = (warning.member.to_string(), format!("{} {}", warning.customer, warning.rule));
            *taken.entry(key).or_default() += warning.count;
        }
        assert_eq!(told, taken);
    }
}

#[test]
fn no_reader_gets_more_at_once_than_the_budget() {
    for (world, _) in worlds(1500) {
        let (pushes, ..) = in_memory(&world);
        let mut spent: BTreeMap<_, u32> = BTreeMap::new();
        for push in &pushes {
            let level = match &push.what {
                What::Alert { level, .. } | What::Escalation { level, .. } => *level,
                What::Digest(_) => continue,
            };
            let Some((budget, limit)) = world.policy.budgets.of(level) else { continue };
            let day = world.policy.calendar.day(push.at_us);
            let n = spent.entry((&push.member, &push.reader, day, budget.index())).or_default();
            *n += 1;
            assert!(*n <= limit, "{} {} got {n} of {limit}", push.member, push.reader);
        }
    }
}

#[test]
fn pushes_have_ids_of_their_own_and_times_do_not_go_back() {
    for (world, _) in worlds(500) {
        let (pushes, ..) = in_memory(&world);
        let ids: HashSet<String> = pushes.iter().map(|push| push.id()).collect();
        assert_eq!(ids.len(), pushes.len());
        assert!(pushes.is_sorted_by_key(|push| push.at_us));
        // One digest of a reader at a time, none twice between two times of digests.
        let mut last: HashMap<_, i64> = HashMap::new();
        for push in pushes.iter().filter(|push| matches!(push.what, What::Digest(_))) {
            if let Some(before) = last.insert((&push.member, &push.reader), push.at_us) {
                assert!(world.policy.calendar.digest_after(before) <= push.at_us);
            }
        }
    }
}

#[test]
fn who_is_escalated_to_is_as_the_rulebook_says_and_nobody_who_looked_into_it() {
    for (world, _) in worlds(500) {
        let (_, warnings, _) = in_memory(&world);
        for warning in warnings {
            let mut acknowledged = false;
            for step in &warning.history {
                acknowledged |= step.to != State::Open;
                assert!(step.escalated_to.is_none() || !acknowledged);
            }
            let steps = world.policy.escalations.iter().filter(|step| step.level == warning.level);
            for step in steps.filter(|_| warning.state == State::Open) {
                assert!(warning.was_passed_on(&step.to), "everything is long due");
            }
        }
    }
}

/// Closed and opened again between any two records, the ledger pushes what it pushes in memory.
#[test]
fn restarts_change_nothing() {
    for (world, mut rng) in worlds(25) {
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(0));
        let open = || {
            let (policy, managers) = (world.policy.clone(), world.managers.clone());
            let pushing = Pushing { policy, managers, clock: Clock::Set(now.clone()) };
            Ledger::open_pushing(folder.path(), pushing).unwrap()
        };
        let mut ledger = Some(open());
        for (now_us, step) in &world.steps {
            if rng.random_ratio(1, 2) {
                drop(ledger.take());
            }
            let ledger = ledger.get_or_insert_with(&open);
            now.store(*now_us, Ordering::Release);
            match step {
                Step::Alert(alert) => {
                    ledger.take_now(vec![alert.clone()], None).unwrap();
                }
                Step::Tick => ledger.tick_now().unwrap(),
                Step::Change(change) => {
                    let (sender, receiver) = mpsc::channel();
                    ledger.change(change.clone(), move |answer| sender.send(answer).unwrap());
                    // Refused or not is as in memory, too: the warnings are compared.
                    let _ = receiver.recv().unwrap().unwrap();
                }
            }
        }
        drop(ledger);
        for end_us in [world.end_us, 2 * world.end_us] {
            let ledger = open();
            now.store(end_us, Ordering::Release);
            ledger.tick_now().unwrap();
        }
        let ledger = open();
        let (pushes, mut warnings, course) = in_memory(&world);
        // Their alerts stand elsewhere, and say the same.
        let told = |push: &Push, bodies: &dyn Bodies| push.wire(bodies).unwrap();
        let unsent = ledger.pushes().after(0, usize::MAX, Duration::ZERO).unwrap();
        let found: Vec<_> = unsent.iter().map(|unsent| told(&unsent.what, ledger.view())).collect();
        assert_eq!(found, pushes.iter().map(|push| told(push, &course)).collect::<Vec<_>>());
        let page = |member| ledger.view().page(member, &Default::default(), None, usize::MAX).warnings;
        let mut found = [page("001"), page("002")].concat();
        let key = |w: &Arc<Warning>| (w.member.clone(), w.number);
        found.sort_by_key(key);
        warnings.sort_by_key(key);
        let told = |warnings: &[Arc<Warning>], bodies: &dyn Bodies| -> Vec<wire::Warning> {
            warnings.iter().map(|warning| warning_of(warning, bodies).unwrap()).collect()
        };
        assert_eq!(told(&found, ledger.view()), told(&warnings, &course));
    }
}
