//! Panes of a customer: an event goes in, values of windows come out.

use tarim_datamart::Type;

use super::{
    plan::{Cell, From, Keeps, Order, Plan, Reading, Said, Track, Values},
    read::DISTINCT_MAX,
    state::Sections,
};
use crate::{expr::Given, view::exact};

/// Bytes of a value and its last pane.
pub(super) const VALUE: usize = 12;

/// A customer has more panes and values than fit in a state: the rulebook's windows are too many or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the customer's windows need more than {} bytes: use fewer or shorter windows, or longer panes",
    Sections::BYTES_MAX
)]
pub struct TooMuch;

impl Plan {
    /// Takes an event that [`Plan::listen`] has heard into the panes. `now_us` is the customer's latest event time, this one
    /// included; `sections` has `count` sections, of which the first are the windows'.
    pub fn update(
        &self,
        kind: usize,
        said: &Said,
        (time_us, now_us): (i64, i64),
        sections: &mut Sections,
        count: usize,
    ) -> Result<(), TooMuch> {
        let (tracks, values) = self.fed_by(kind);
        for &i in tracks {
            self.tracks[i].update(said, time_us, now_us, sections, (i, count))?;
        }
        for &i in values {
            self.values[i].update(said, time_us, now_us, sections, (self.values_section(i), count))?;
        }
        Ok(())
    }
}

impl Track {
    /// The first pane that some window sees.
    pub(super) fn first_pane(&self, now_us: i64) -> i32 {
        self.grain.pane(now_us).saturating_sub_unsigned(self.panes - 1)
    }

    fn update(
        &self,
        said: &Said,
        time_us: i64,
        now_us: i64,
        sections: &mut Sections,
        (section, count): (usize, usize),
    ) -> Result<(), TooMuch> {
        let pane = self.grain.pane(time_us);
        // Before every window.
        let first = self.first_pane(now_us);
        if pane < first || self.sources.iter().all(|source| said.taken[*source].is_none()) {
            return Ok(());
        }
        let entries = sections.get(section, count);
        let stale = entries.chunks_exact(self.entry).take_while(|e| pane_of(e) < first).count();
        // Nearly always the event belongs to the last pane, or begins the next.
        let after = entries.chunks_exact(self.entry).rev().take_while(|e| pane_of(e) > pane).count();
        let place = entries.len() / self.entry - after;
        let found = place > 0 && pane_of(&entries[(place - 1) * self.entry..]) == pane;
        let entry = match found {
            true => {
                let at = (place - 1) * self.entry;
                &mut sections.get_mut(section, count)[at..at + self.entry]
            }
            false => {
                // What is before every window makes room.
                if stale > 0 {
                    let gone = stale * self.entry;
                    let _ = sections.splice(section, count, 0, gone, 0).expect("it becomes less");
                }
                let at = (place - stale) * self.entry;
                let entry = sections.splice(section, count, at, 0, self.entry).ok_or(TooMuch)?;
                self.begin(pane, entry);
                entry
            }
        };
        for cell in &self.cells {
            if let Some(value) = said.taken[cell.source] {
                cell.add(value, time_us, &mut entry[cell.at..]);
            }
        }
        Ok(())
    }

    /// Cells that hold nothing.
    pub(super) fn begin(&self, pane: i32, entry: &mut [u8]) {
        entry[..4].copy_from_slice(&pane.to_le_bytes());
        for cell in &self.cells {
            let to = &mut entry[cell.at..];
            match cell.keeps {
                Keeps::Count => to[..4].fill(0),
                Keeps::Sum | Keeps::First | Keeps::Last => put(to, i64::MIN),
                Keeps::Squares => to[..16].fill(0),
                Keeps::Min(Order::Ints) => put(to, i64::MAX),
                Keeps::Max(Order::Ints) => put(to, i64::MIN),
                Keeps::Min(Order::Floats) | Keeps::Max(Order::Floats) => put(to, f64::NAN.to_bits() as i64),
            }
        }
    }
}

impl Cell {
    fn add(&self, value: i64, time_us: i64, to: &mut [u8]) {
        let old = if matches!(self.keeps, Keeps::Count) { 0 } else { int(to) };
        match self.keeps {
            Keeps::Count => {
                let count = u32::from_le_bytes(to[..4].try_into().expect("four bytes"));
                to[..4].copy_from_slice(&count.saturating_add(1).to_le_bytes());
            }
            Keeps::Sum => {
                let sum = match old {
                    i64::MIN => value,
                    sum => sum.saturating_add(value).max(-i64::MAX),
                };
                put(to, sum);
            }
            Keeps::Squares => {
                let squares = wide(to).saturating_add(i128::from(value) * i128::from(value));
                to[..16].copy_from_slice(&squares.to_le_bytes());
            }
            Keeps::Min(Order::Ints) => put(to, old.min(value)),
            Keeps::Max(Order::Ints) => put(to, old.max(value)),
            // Of NaN and a number it is the number.
            Keeps::Min(Order::Floats) => put(to, float(old).min(float(value)).to_bits() as i64),
            Keeps::Max(Order::Floats) => put(to, float(old).max(float(value)).to_bits() as i64),
            Keeps::First if old == i64::MIN || time_us < old => put_timed(to, time_us, value),
            Keeps::Last if time_us >= old => put_timed(to, time_us, value),
            Keeps::First | Keeps::Last => {}
        }
    }
}

impl Values {
    /// The first pane that some window sees.
    pub(super) fn first_pane(&self, now_us: i64) -> i32 {
        self.grain.pane(now_us).saturating_sub_unsigned(self.panes - 1)
    }

    /// Values are sorted by their hash.
    fn update(
        &self,
        said: &Said,
        time_us: i64,
        now_us: i64,
        sections: &mut Sections,
        (section, count): (usize, usize),
    ) -> Result<(), TooMuch> {
        let Some(value) = said.taken[self.source] else { return Ok(()) };
        let (pane, first) = (self.grain.pane(time_us), self.first_pane(now_us));
        if pane < first {
            return Ok(());
        }
        let all = sections.get(section, count);
        let key = |i: usize| int(&all[i * VALUE..]);
        let (mut low, mut high) = (0, all.len() / VALUE);
        while low < high {
            let middle = (low + high) / 2;
            if key(middle) < value { low = middle + 1 } else { high = middle }
        }
        let at = low * VALUE;
        if at < all.len() && key(low) == value {
            let last = &mut sections.get_mut(section, count)[at + 8..at + VALUE];
            let later = pane.max(i32::from_le_bytes(last[..4].try_into().expect("four bytes")));
            last.copy_from_slice(&later.to_le_bytes());
            return Ok(());
        }
        let to = sections.splice(section, count, at, 0, VALUE).ok_or(TooMuch)?;
        put(to, value);
        to[8..].copy_from_slice(&pane.to_le_bytes());
        self.forget(first, sections, (section, count));
        Ok(())
    }

    /// Values before every window go; and if there are too many others, the one that was seen longest ago. It cannot
    /// be missed: while it would count, so do [`DISTINCT_MAX`] later ones.
    fn forget(&self, first: i32, sections: &mut Sections, (section, count): (usize, usize)) {
        let all = sections.get(section, count);
        let oldest = all.chunks_exact(VALUE).enumerate().min_by_key(|(_, v)| last_pane(v));
        let Some((oldest, value)) = oldest else { return };
        if last_pane(value) < first {
            let kept: Vec<u8> =
                all.chunks_exact(VALUE).filter(|v| last_pane(v) >= first).flatten().copied().collect();
            sections.replace(section, count, &kept).expect("it becomes less");
        } else if all.len() / VALUE > DISTINCT_MAX {
            let _ = sections.splice(section, count, oldest * VALUE, VALUE, 0).expect("it becomes less");
        }
    }
}

/// Windows that are read together, by what they are kept in: each track is looked up once.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    tracks: Vec<Group>,
    values: Vec<Group>,
}

/// Windows over one track, or over the same values: each with its place among those that were asked for, the shortest first.
#[derive(Clone, Debug)]
struct Group {
    of: usize,
    readings: Vec<(usize, Reading)>,
}

impl Plan {
    /// How windows are read together.
    pub fn readings(&self, windows: impl IntoIterator<Item = usize>) -> Readings {
        let mut all = Readings::default();
        for (i, window) in windows.into_iter().enumerate() {
            let reading = self.reading(window);
            let (groups, of) = match reading.from {
                From::Distinct { values } => (&mut all.values, values),
                From::Count { track, .. }
                | From::Sum { track, .. }
                | From::Avg { track, .. }
                | From::Stddev { track, .. }
                | From::Least { track, .. }
                | From::Greatest { track, .. }
                | From::First { track, .. }
                | From::Last { track, .. } => (&mut all.tracks, track),
            };
            let at = groups.iter().position(|g| g.of == of).unwrap_or_else(|| {
                groups.push(Group { of, readings: Vec::new() });
                groups.len() - 1
            });
            groups[at].readings.push((i, reading.clone()));
        }
        for group in all.tracks.iter_mut().chain(&mut all.values) {
            group.readings.sort_by_key(|(_, reading)| reading.panes);
        }
        all
    }

    /// Tells the values of windows at `now_us`, the customer's latest event time or a later time, each with its place among
    /// those that were asked for.
    pub fn read(
        &self,
        readings: &Readings,
        now_us: i64,
        sections: &Sections,
        count: usize,
        mut tell: impl FnMut(usize, Given),
    ) {
        for Group { of, readings } in &readings.tracks {
            let Track { grain, entry, .. } = self.tracks[*of];
            let (all, now) = (sections.get(*of, count), grain.pane(now_us));
            let mut start = all.len();
            for (i, reading) in readings {
                let first = now.saturating_sub_unsigned(reading.panes - 1);
                while start > 0 && pane_of(&all[start - entry..]) >= first {
                    start -= entry;
                }
                let panes = Panes { entries: &all[start..], entry };
                tell(*i, reading.value(&panes).unwrap_or(reading.default));
            }
        }
        for Group { of, readings } in &readings.values {
            let all = sections.get(self.values_section(*of), count);
            let now = self.values[*of].grain.pane(now_us);
            for (i, reading) in readings {
                let first = now.saturating_sub_unsigned(reading.panes - 1);
                let seen = all.chunks_exact(VALUE).filter(|v| last_pane(v) >= first).count();
                tell(*i, Given::Int64(seen.min(DISTINCT_MAX) as i64));
            }
        }
    }

    /// The value of one window.
    pub fn value(&self, window: usize, now_us: i64, sections: &Sections, count: usize) -> Given {
        let mut value = Given::Null;
        self.read(&self.readings([window]), now_us, sections, count, |_, told| value = told);
        value
    }
}

impl Reading {
    /// None: there is nothing in the panes.
    #[inline]
    fn value(&self, panes: &Panes<'_>) -> Option<Given> {
        let typed = |bits: i64| match self.ty {
            Type::Int64 => Given::Int64(bits),
            Type::Float64 => Given::Float64(float(bits)),
            Type::Date32 => Given::Date32(bits as i32),
            Type::Timestamp => Given::Timestamp(bits),
            Type::Boolean | Type::Utf8 => unreachable!("no window is of this type"),
        };
        match self.from {
            From::Count { at, .. } => Some(Given::Int64(panes.count(at))),
            From::Sum { at, .. } => panes.sum(at).map(|sum| Given::Float64(sum as f64)),
            From::Avg { sum, count, .. } => {
                Some(Given::Float64(panes.sum(sum)? as f64 / panes.count(count) as f64))
            }
            From::Stddev { sum, count, squares, .. } => {
                let squares = panes.fold(squares, wide, 0i128, i128::saturating_add);
                let variance =
                    exact::sample_variance(panes.count(count), parts(panes.sum(sum)?), parts(squares));
                variance.map(|v| Given::Float64(v.sqrt()))
            }
            From::Least { at, order: Order::Ints, .. } => {
                Some(panes.fold(at, int, i64::MAX, i64::min)).filter(|v| *v != i64::MAX).map(typed)
            }
            From::Greatest { at, order: Order::Ints, .. } => {
                Some(panes.fold(at, int, i64::MIN, i64::max)).filter(|v| *v != i64::MIN).map(typed)
            }
            From::Least { at, order: Order::Floats, .. } => {
                known(panes.fold(at, |c| float(int(c)), f64::NAN, f64::min))
            }
            From::Greatest { at, order: Order::Floats, .. } => {
                known(panes.fold(at, |c| float(int(c)), f64::NAN, f64::max))
            }
            // Panes are in order of time.
            From::First { at, .. } => panes.timed(at).next_back().map(typed),
            From::Last { at, .. } => panes.timed(at).next().map(typed),
            From::Distinct { .. } => unreachable!("different values are not kept in panes"),
        }
    }
}

/// The panes of a window, in the order of time.
struct Panes<'a> {
    entries: &'a [u8],
    entry: usize,
}

impl Panes<'_> {
    #[inline]
    fn fold<T>(&self, at: usize, read: impl Fn(&[u8]) -> T, start: T, add: impl Fn(T, T) -> T) -> T {
        self.entries.chunks_exact(self.entry).fold(start, |sum, e| add(sum, read(&e[at..])))
    }

    fn count(&self, at: usize) -> i64 {
        let read = |cell: &[u8]| i64::from(u32::from_le_bytes(cell[..4].try_into().expect("four bytes")));
        self.fold(at, read, 0, |a, b| a + b)
    }

    /// The exact sum; None: of nothing.
    fn sum(&self, at: usize) -> Option<i128> {
        let (mut all, mut any) = (0i128, false);
        for entry in self.entries.chunks_exact(self.entry) {
            let sum = int(&entry[at..]);
            if sum != i64::MIN {
                all += i128::from(sum);
                any = true;
            }
        }
        any.then_some(all)
    }

    /// Values of cells that keep a time and a value, the latest pane first.
    fn timed(&self, at: usize) -> impl DoubleEndedIterator<Item = i64> {
        let cells = self.entries.chunks_exact(self.entry).rev().map(move |e| &e[at..at + 16]);
        cells.filter(|cell| int(cell) != i64::MIN).map(|cell| int(&cell[8..]))
    }
}

pub(super) fn pane_of(entry: &[u8]) -> i32 {
    i32::from_le_bytes(entry[..4].try_into().expect("four bytes"))
}

pub(super) fn last_pane(value: &[u8]) -> i32 {
    pane_of(&value[8..])
}

#[inline]
fn int(cell: &[u8]) -> i64 {
    i64::from_le_bytes(cell[..8].try_into().expect("eight bytes"))
}

fn wide(cell: &[u8]) -> i128 {
    i128::from_le_bytes(cell[..16].try_into().expect("sixteen bytes"))
}

fn float(bits: i64) -> f64 {
    f64::from_bits(bits as u64)
}

fn known(x: f64) -> Option<Given> {
    (!x.is_nan()).then_some(Given::Float64(x))
}

fn put(to: &mut [u8], value: i64) {
    to[..8].copy_from_slice(&value.to_le_bytes());
}

fn put_timed(to: &mut [u8], time_us: i64, value: i64) {
    put(to, time_us);
    put(&mut to[8..], value);
}

/// An integer as the float nearest to it, and what is left.
fn parts(whole: i128) -> (f64, f64) {
    let near = whole as f64;
    (near, (whole - near as i128) as f64)
}
