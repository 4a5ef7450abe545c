//! Whatever happens to the file: what was reported durable is there, and what is there is a prefix.

use std::{
    fs, io,
    sync::{Condvar, Mutex},
};

use super::{
    super::{
        bodies::Records as _,
        frame::HEADER,
        log::{Start, Storage},
    },
    *,
};

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("warnings.ledger")
}

/// Writes groups of records; gives where in the file each group ended.
fn write(folder: &Path, groups: &[Vec<Vec<u8>>]) -> Vec<usize> {
    let (mut log, _) = Log::open(folder, Start::default(), &mut |_, _| Ok(())).unwrap();
    let mut ends = Vec::new();
    for group in groups {
        group.iter().for_each(|record| log.gather(record));
        log.commit().unwrap();
        ends.push(fs::metadata(file(folder)).unwrap().len() as usize);
    }
    ends
}

fn groups(rng: &mut ChaCha8Rng) -> Vec<Vec<Vec<u8>>> {
    let record = |rng: &mut ChaCha8Rng| (0..rng.random_range(1..30)).map(|_| rng.random()).collect();
    let mut group = || (0..rng.random_range(1..4)).map(|_| record(rng)).collect();
    (0..5).map(|_| group()).collect()
}

#[test]
fn a_cut_at_every_byte_leaves_whole_records() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let folder = tempfile::tempdir().unwrap();
    let groups = groups(&mut rng);
    let ends = write(folder.path(), &groups);
    let (whole, all) = (fs::read(file(folder.path())).unwrap(), groups.concat());
    for cut in 0..whole.len() {
        let durable: usize =
            ends.iter().zip(&groups).filter(|(end, _)| **end <= cut).map(|(_, g)| g.len()).sum();
        // What a disk may have of the group that was being written: less, zeros, or rubbish.
        let next = ends.iter().copied().find(|end| *end > cut).unwrap();
        let mut rubbish = whole[..next].to_vec();
        rng.fill(&mut rubbish[cut..]);
        let mut zeros = whole[..next].to_vec();
        zeros[cut..].fill(0);
        for (what, bytes) in [("less", &whole[..cut]), ("rubbish", &rubbish), ("zeros", &zeros)] {
            if cut < HEADER && bytes.len() > HEADER {
                continue; // the header is durable before there is any more
            }
            fs::write(file(folder.path()), bytes).unwrap();
            let found = contents(folder.path()).unwrap_or_else(|e| panic!("{what} from {cut}: {e}"));
            assert!(found.len() >= durable, "{what} from {cut}: lost a durable record");
            assert_eq!(found, all[..found.len()], "{what} from {cut}: not a prefix");
            if what != "rubbish" {
                continue;
            }
            // It goes on from there.
            write(folder.path(), &[vec![b"more".to_vec()]]);
            let more = contents(folder.path()).unwrap();
            assert_eq!((more.len(), more.last().unwrap().as_slice()), (found.len() + 1, &b"more"[..]));
        }
    }
}

/// A changed bit anywhere but in the closing mark is reported, with a place not behind it.
#[test]
fn corruption_is_never_taken_for_a_torn_tail() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &groups(&mut ChaCha8Rng::seed_from_u64(5)));
    let all = contents(folder.path()).unwrap();
    let before_mark = fs::metadata(file(folder.path())).unwrap().len() as usize;
    Log::open(folder.path(), Start::default(), &mut |_, _| Ok(())).unwrap().0.mark().unwrap();
    let whole = fs::read(file(folder.path())).unwrap();
    for byte in 0..whole.len() {
        let mut changed = whole.clone();
        changed[byte] ^= 1 << (byte % 8);
        fs::write(file(folder.path()), &changed).unwrap();
        match contents(folder.path()) {
            Err(LedgerError::Corrupt { offset, .. }) => assert!(offset <= byte as u64),
            Ok(found) if byte >= before_mark => assert_eq!(found, all),
            other => panic!("byte {byte}: {other:?}"),
        }
    }
}

/// A whole ledger, cut at every byte of its last records: what it then holds is what it held at some time before.
#[test]
fn a_ledger_that_was_cut_is_one_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut before = vec![all(&ledger)];
    let mut last_but_four = 0;
    for step in 0..12 {
        some_life(&ledger, &mut rng, 1);
        before.push(all(&ledger));
        if step == 7 {
            last_but_four = fs::metadata(file(folder.path())).unwrap().len() as usize;
        }
    }
    let whole = fs::read(file(folder.path())).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    for cut in last_but_four..=whole.len() {
        fs::write(file(folder.path()), &whole[..cut]).unwrap();
        let found = all(&Ledger::open(folder.path()).unwrap());
        assert!(before.contains(&found), "cut at {cut}");
        assert!(cut < whole.len() || Some(&found) == before.last());
    }
}

/// A file whose syncs can be held, counted, and made to fail.
#[derive(Clone)]
pub(super) struct Gate(Arc<(Mutex<Gated>, Condvar)>, Arc<fs::File>);

#[derive(Default)]
pub(super) struct Gated {
    pub(super) held: bool,
    waiting: bool,
    fails: bool,
    syncs: u32,
}

impl Gate {
    /// A ledger on such a file.
    pub(super) fn open(folder: &Path) -> (Self, Ledger) {
        let opening = Opening::default();
        let (mut log, books, shared, snapshot) = read(folder, &opening).unwrap();
        let keeper = Keeper::new(&log, shared.view.file().clone(), &opening, snapshot);
        let on = fs::OpenOptions::new().write(true).open(file(folder)).unwrap();
        let gate = Self(Arc::default(), Arc::new(on));
        log.storage = Box::new(gate.clone());
        let lock = fs::File::create(folder.join("warnings.lock")).unwrap();
        let heard = Heard::open(folder).unwrap();
        (gate, Ledger::start(log, books, shared, (heard, lock, keeper), opening).unwrap())
    }

    pub(super) fn set(&self, set: impl FnOnce(&mut Gated)) {
        set(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
    }

    pub(super) fn wait_for_held_sync(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |gated| !gated.waiting).unwrap());
    }
}

impl Storage for Gate {
    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.1.append(bytes, offset)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        self.1.cut(size)
    }

    fn sync(&self) -> io::Result<()> {
        let mut gated = self.0.0.lock().unwrap();
        gated.syncs += 1;
        gated.waiting = true;
        self.0.1.notify_all();
        gated = self.0.1.wait_while(gated, |gated| gated.held).unwrap();
        gated.waiting = false;
        if gated.fails { Err(io::Error::other("the disk did not take it")) } else { self.1.sync() }
    }
}

/// While one sync runs everything else queues up, and shares the next. Nobody sees anything before its sync.
#[test]
fn one_sync_serves_everything_that_waited() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, ledger) = Gate::open(folder.path());
    let (sender, receiver) = mpsc::channel();
    let take = |n| {
        let sender = sender.clone();
        ledger.take(vec![alert(n, "001", &format!("c{n}"))], None, move |taken| sender.send(taken).unwrap());
    };
    gate.set(|gated| gated.held = true);
    take(0);
    gate.wait_for_held_sync();
    (1..500).for_each(take);
    assert!(receiver.try_recv().is_err() && all(&ledger).is_empty());
    assert!(ledger.open_warnings().of("001", "c0").is_empty());
    gate.set(|gated| gated.held = false);
    for _ in 0..500 {
        assert_eq!(receiver.recv().unwrap().unwrap().opened, 1);
    }
    assert_eq!(all(&ledger).len(), 500);
    gate.set(|gated| assert_eq!(gated.syncs, 2));
}

/// After a failed sync nothing is shown, nothing more is taken, and a restart has what was answered.
#[test]
fn a_failed_sync_fails_everything_that_waits_and_all_that_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (gate, ledger) = Gate::open(folder.path());
    ledger.take_now(vec![alert(1, "001", "c1")], None).unwrap();
    gate.set(|gated| gated.fails = true);
    let failed = make(&ledger, change("r1", 1, State::Acknowledged)).unwrap_err();
    assert!(failed.to_string().contains("cannot sync"), "{failed}");
    gate.set(|gated| gated.fails = false);
    assert!(ledger.take_now(vec![alert(2, "001", "c1")], None).is_err(), "only a restart mends it");
    assert!(!ledger.is_open());
    let seen = |ledger: &Ledger| all(ledger).iter().map(|w| (w.state, w.count)).collect::<Vec<_>>();
    assert_eq!(seen(&ledger), [(State::Open, 1)]);
    assert!(ledger.close().is_err());
    drop(ledger);
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(seen(&ledger), [(State::Open, 1)]);
    let _ = make(&ledger, change("r1", 1, State::Acknowledged)).unwrap().unwrap();
}
