//! A disk in memory that loses power, fills up or fails to sync exactly when a test says so.
//!
//! What it promises after a power cut is what a real disk does: what was synced is there; of what was
//! written since, any block may be there, be zeros, or be rubbish, and the file may be shorter; a file
//! may be gone, or a removed one be back, until the folder was synced.

use std::{
    collections::BTreeMap,
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard},
};

use rand::Rng;

use super::{Disk, DiskFile};

/// What happens when the budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Everything stops, in the middle of a write; then see [`Power::restart`].
    PowerCut,
    /// Nothing more can be written, in the middle of a write, until a file is removed; the rest goes on.
    Full,
    /// The next sync fails, and so does the one after it.
    SyncFails,
}

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct Power(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    files: BTreeMap<String, Sectors>,
    removed: BTreeMap<String, Sectors>,
    /// New names of files, with the ones before.
    renamed: BTreeMap<String, String>,
    fault: Option<(Fault, u64)>,
    dead: bool,
    sync_failures: u32,
    syncs: u64,
    /// Syncs wait while this holds.
    gate: bool,
    /// Syncs that wait.
    waiting: u64,
    /// What the next read that goes over it does not see.
    unseen: Option<Range<usize>>,
    /// Bytes written and operations done, ever.
    used: u64,
}

#[derive(Clone, Default)]
struct Sectors {
    durable: Vec<u8>,
    now: Vec<u8>,
    /// What was written since the last sync.
    written: Vec<Range<usize>>,
    /// The folder knows the file for good.
    named: bool,
}

/// Small blocks, so that small tests have many.
const BLOCK: usize = 16;

struct Open {
    disk: Power,
    name: String,
}

impl Power {
    /// From now on, after `budget` written bytes and other operations, `fault`.
    pub fn fail_after(&self, budget: u64, fault: Fault) {
        self.state().fault = Some((fault, budget));
    }

    /// The machine starts again, with one of the states that a disk may then be in.
    pub fn restart(&self, rng: &mut impl Rng) {
        let state = &mut *self.state();
        for (to, from) in std::mem::take(&mut state.renamed) {
            if rng.random()
                && !state.files.contains_key(&from)
                && let Some(file) = state.files.remove(&to)
            {
                state.files.insert(from, file);
            }
        }
        for (name, file) in std::mem::take(&mut state.removed) {
            if rng.random() && !state.files.contains_key(&name) {
                state.files.insert(name, file);
            }
        }
        state.files.retain(|_, file| file.named || rng.random());
        for file in state.files.values_mut() {
            file.now = after_power_cut(file, rng);
            file.durable = file.now.clone();
            file.written.clear();
            file.named = true;
        }
        self.recover(state);
    }

    /// The machine starts again, and nothing is left that was not synced.
    pub fn lose_unsynced(&self) {
        let state = &mut *self.state();
        state.files.retain(|_, file| file.named);
        for file in state.files.values_mut() {
            file.now.clone_from(&file.durable);
            file.written.clear();
        }
        (state.removed, state.renamed) = Default::default();
        self.recover(state);
    }

    /// The process starts again; the machine went on.
    pub fn restart_process(&self) {
        let state = &mut *self.state();
        self.recover(state);
    }

    fn recover(&self, state: &mut State) {
        (state.dead, state.fault, state.sync_failures) = (false, None, 0);
    }

    /// Bytes written and operations done so far.
    pub fn used(&self) -> u64 {
        self.state().used
    }

    /// The next read that goes over `range` finds zeros there: it was written right after the read had passed it.
    pub fn write_behind_a_read(&self, range: Range<usize>) {
        self.state().unseen = Some(range);
    }

    /// Is the power out?
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// Syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Holds all syncs until released.
    pub fn hold_syncs(&self, hold: bool) {
        self.state().gate = hold;
        self.0.1.notify_all();
    }

    /// Returns when a sync is being held.
    pub fn wait_for_held_sync(&self) {
        drop(self.0.1.wait_while(self.state(), |state| state.waiting == 0).expect("not poisoned"));
    }

    /// All files as they are.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state().files.iter().map(|(name, file)| (name.clone(), file.now.clone())).collect()
    }

    /// A disk with these files.
    pub fn with(files: &[(String, Vec<u8>)]) -> Self {
        let disk = Self::default();
        for (name, bytes) in files {
            let file =
                Sectors { durable: bytes.clone(), now: bytes.clone(), written: Vec::new(), named: true };
            disk.state().files.insert(name.clone(), file);
        }
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("not poisoned")
    }
}

/// Any block that was written and not synced may be there, be as it was before (zeros, where the file has grown), or
/// be rubbish; the file may be as long as it was, or anything up to what it has become.
fn after_power_cut(file: &Sectors, rng: &mut impl Rng) -> Vec<u8> {
    let Sectors { durable, now, .. } = file;
    let len = match now.len() >= durable.len() {
        true => rng.random_range(durable.len()..=now.len()),
        // It was cut, or not yet.
        false => [now.len(), durable.len()][rng.random_range(0..2)],
    };
    let before = |i: usize| durable.get(i).copied().unwrap_or(0);
    let mut bytes: Vec<u8> = (0..len).map(|i| now.get(i).copied().unwrap_or_else(|| before(i))).collect();
    for range in &file.written {
        let range = range.start.min(len)..range.end.min(len);
        for (i, block) in bytes[range.clone()].chunks_mut(BLOCK).enumerate() {
            match rng.random_range(0..8) {
                0 => (range.start + BLOCK * i..).zip(block).for_each(|(at, byte)| *byte = before(at)),
                1 => rng.fill(block),
                _ => {}
            }
        }
    }
    bytes
}

impl State {
    /// Pays for an operation of `cost`; gives how much of it is done before the fault.
    fn pay(&mut self, cost: u64) -> (u64, io::Result<()>) {
        if self.dead {
            return (0, Err(io::Error::other("no power")));
        }
        let Some((fault, budget)) = &mut self.fault else {
            self.used += cost;
            return (cost, Ok(()));
        };
        let done = cost.min(*budget);
        *budget -= done;
        self.used += done;
        if done == cost {
            return (cost, Ok(()));
        }
        match *fault {
            Fault::PowerCut => {
                self.dead = true;
                (done, Err(io::Error::other("no power")))
            }
            Fault::Full => (done, Err(io::ErrorKind::StorageFull.into())),
            Fault::SyncFails => {
                (self.fault, self.sync_failures) = (None, 2);
                (cost, Ok(()))
            }
        }
    }

    /// An operation that writes nothing, which a full disk still does.
    fn step(&mut self) -> io::Result<()> {
        if matches!(self.fault, Some((Fault::Full, _))) {
            return Ok(());
        }
        self.pay(1).1
    }

    /// Reading costs nothing.
    fn powered(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("no power")) } else { Ok(()) }
    }

    fn file(&mut self, name: &str) -> io::Result<&mut Sectors> {
        self.files.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for Power {
    fn names(&self) -> io::Result<Vec<String>> {
        let state = self.state();
        state.powered()?;
        Ok(state.files.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.state().file(name)?;
        Ok(Arc::new(Open { disk: self.clone(), name: name.into() }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        state.step()?;
        if state.files.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.files.insert(name.into(), Sectors::default());
        drop(state);
        self.open(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        if let Some((Fault::Full, free)) = &mut state.fault {
            *free += file.now.len() as u64;
        }
        state.removed.insert(name.into(), file);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        assert!(!state.files.contains_key(to), "no file has the new name");
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.into(), file);
        state.renamed.insert(to.into(), from.into());
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.removed.clear();
        state.renamed.clear();
        state.files.values_mut().for_each(|file| file.named = true);
        Ok(())
    }

    fn page(&self) -> usize {
        BLOCK
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("memory").join(name)
    }
}

impl DiskFile for Open {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.state().file(&self.name)?.now.len() as u64)
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.powered()?;
        let end = offset as usize + bytes.len();
        let from = state.file(&self.name)?.now.get(offset as usize..end);
        bytes.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        let start = offset as usize;
        if let Some(unseen) = state.unseen.take_if(|range| start <= range.start && range.end <= end) {
            bytes[unseen.start - start..unseen.end - start].fill(0);
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (done, result) = state.pay(bytes.len() as u64);
        let file = state.file(&self.name)?;
        let (start, done) = (offset as usize, done as usize);
        assert!(start <= file.now.len(), "no hole is left");
        let end = start + done;
        file.now.resize(file.now.len().max(end), 0);
        file.now[start..end].copy_from_slice(&bytes[..done]);
        file.written.push(start..end);
        result
    }

    fn write_pages(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        assert!(bytes.len().is_multiple_of(BLOCK) && bytes.as_ptr().align_offset(BLOCK) == 0);
        let before = self.disk.state().file(&self.name)?.now[offset as usize..].to_vec();
        // What is written over with the same stays, whatever happens.
        let same = bytes.iter().zip(&before).take_while(|(new, old)| new == old).count();
        assert!(
            before[same..].iter().all(|byte| *byte == 0),
            "a log writes over the same, over room, or on from its end"
        );
        self.write(&bytes[same..], offset + same as u64)
    }

    fn fill(&self, from: u64, to: u64) -> io::Result<()> {
        self.write(&vec![0; (to - from) as usize], from)
    }

    fn cut(&self, size: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.step()?;
        state.file(&self.name)?.now.truncate(size as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mutex, change) = &*self.disk.0;
        let mut state = mutex.lock().expect("not poisoned");
        state.waiting += 1;
        change.notify_all();
        state = change.wait_while(state, |state| state.gate).expect("not poisoned");
        state.waiting -= 1;
        state.step()?;
        state.syncs += 1;
        if state.sync_failures > 0 {
            state.sync_failures -= 1;
            return Err(io::Error::other("the disk did not take it"));
        }
        let file = state.file(&self.name)?;
        file.durable.clone_from(&file.now);
        file.written.clear();
        Ok(())
    }
}
