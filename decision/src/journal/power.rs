//! A disk in memory that loses power, fills up or fails to sync exactly when a test says so.
//!
//! What it promises after a power cut is what a real disk does: what was synced is there; of what was
//! written since, any block may be there, be zeros, or be rubbish, and the file may be shorter; a file
//! may be gone, or a removed one be back, until the folder was synced.

use std::{
    collections::BTreeMap,
    io,
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
    /// Nothing more can be written, in the middle of a write; the rest goes on.
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
    /// Bytes written and operations done, ever.
    used: u64,
}

#[derive(Clone, Default)]
struct Sectors {
    durable: Vec<u8>,
    now: Vec<u8>,
    /// The folder knows the file for good.
    named: bool,
}

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
            file.named = true;
        }
        self.recover(state);
    }

    /// The machine starts again, and nothing is left that was not synced.
    pub fn lose_unsynced(&self) {
        let state = &mut *self.state();
        state.files.retain(|_, file| file.named);
        state.files.values_mut().for_each(|file| file.now.clone_from(&file.durable));
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
            let file = Sectors { durable: bytes.clone(), now: bytes.clone(), named: true };
            disk.state().files.insert(name.clone(), file);
        }
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().expect("not poisoned")
    }
}

/// Any block that was not synced may or may not be there.
fn after_power_cut(file: &Sectors, rng: &mut impl Rng) -> Vec<u8> {
    if file.now.len() <= file.durable.len() {
        return if rng.random() { file.now.clone() } else { file.durable.clone() };
    }
    let mut bytes = file.now[..rng.random_range(file.durable.len()..=file.now.len())].to_vec();
    // Small blocks, so that small tests have many.
    for block in bytes[file.durable.len()..].chunks_mut(16) {
        match rng.random_range(0..8) {
            0 => block.fill(0),
            1 => rng.fill(block),
            _ => {}
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
        Ok(())
    }

    fn append(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let (done, result) = state.pay(bytes.len() as u64);
        let now = &mut state.file(&self.name)?.now;
        assert_eq!(now.len() as u64, offset, "only ever appended to");
        now.extend(&bytes[..done as usize]);
        result
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
        Ok(())
    }
}
