//! Panes of a customer: an event goes in, values of windows come out.

use tarim_datamart::Type;

use super::{
    grain::Moment,
    plan::{Cell, From, Keeps, Order, Plan, Reading, Said, Track, Values},
    read::DISTINCT_MAX,
    state::Sections,
};
use crate::{
    expr::{Given, Number},
    view::exact,
};

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
    /// Takes an event that [`Plan::listen`] has heard into the panes. `now` is the customer's latest event time, this one
    /// included; `sections` has `count` sections, of which the first are the windows'.
    pub fn update(
        &self,
        kind: usize,
        said: &Said,
        (time_us, now): (i64, &Moment),
        sections: &mut Sections,
        count: usize,
    ) -> Result<(), TooMuch> {
        let (tracks, values) = self.fed_by(kind);
        // Nearly always the event is the customer's latest.
        let time = if time_us == now.us() { *now } else { Moment::at(time_us) };
        for &i in tracks {
            self.tracks[i].update(said, (&time, now), sections, (i, count))?;
        }
        for &i in values {
            self.values[i].update(said, (&time, now), sections, (self.values_section(i), count))?;
        }
        Ok(())
    }
}

impl Track {
    /// The first pane that some window sees.
    pub(super) fn first_pane(&self, now: &Moment) -> i32 {
        now.pane(self.grain).saturating_sub_unsigned(self.panes - 1)
    }

    fn update(
        &self,
        said: &Said,
        (time, now): (&Moment, &Moment),
        sections: &mut Sections,
        (section, count): (usize, usize),
    ) -> Result<(), TooMuch> {
        if self.sources.iter().all(|source| said.taken[*source].is_none()) {
            return Ok(());
        }
        let (pane, first) = (time.pane(self.grain), self.first_pane(now));
        // Before every window.
        if pane < first {
            return Ok(());
        }
        let entries = sections.get(section, count);
        // Nearly always the event belongs to the last pane, or begins the next.
        let mut end = entries.len();
        while end > 0 && pane_of(&entries[end - self.entry..]) > pane {
            end -= self.entry;
        }
        let found = end > 0 && pane_of(&entries[end - self.entry..]) == pane;
        let entry = match found {
            true => &mut sections.get_mut(section, count)[end - self.entry..end],
            false => {
                // What is before every window makes room.
                let mut stale = 0;
                while stale < entries.len() && pane_of(&entries[stale..]) < first {
                    stale += self.entry;
                }
                if stale > 0 {
                    let _ = sections.splice(section, count, 0, stale, 0).expect("it becomes less");
                }
                let entry = sections.splice(section, count, end - stale, 0, self.entry).ok_or(TooMuch)?;
                self.begin(pane, entry);
                entry
            }
        };
        for cell in &self.cells {
            if let Some(value) = said.taken[cell.source] {
                cell.add(value, time.us(), &mut entry[cell.at..]);
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
    pub(super) fn first_pane(&self, now: &Moment) -> i32 {
        now.pane(self.grain).saturating_sub_unsigned(self.panes - 1)
    }

    /// Values are sorted by their hash.
    fn update(
        &self,
        said: &Said,
        (time, now): (&Moment, &Moment),
        sections: &mut Sections,
        (section, count): (usize, usize),
    ) -> Result<(), TooMuch> {
        let Some(value) = said.taken[self.source] else { return Ok(()) };
        let (pane, first) = (time.pane(self.grain), self.first_pane(now));
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

/// Windows over one track, or over the same values, the shortest first.
#[derive(Clone, Debug)]
struct Group {
    of: usize,
    readings: Vec<(usize, Reading)>,
}

/// Values of windows that have been read, at one time of one customer: what several ask for is read once.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By window, each with when it was read last.
    values: Vec<(Number, u64)>,
    now: u64,
}

impl Seen {
    /// Forgets all: of another customer, or another time.
    pub fn clear(&mut self) {
        self.now += 1;
    }

    /// The value of a window that has been read.
    #[inline]
    pub fn get(&self, window: usize) -> Number {
        let (value, read) = self.values[window];
        assert!(read == self.now, "window {window} was not read");
        value
    }

    #[inline]
    fn has(&self, window: usize) -> bool {
        self.values[window].1 == self.now
    }

    #[inline]
    fn set(&mut self, window: usize, value: Number) {
        self.values[window] = (value, self.now);
    }

    /// Room for so many windows. (What was read at time 0 is nothing: one is read after it was cleared.)
    fn reserve(&mut self, windows: usize) {
        if self.values.len() < windows {
            self.values.resize(windows, (Number::default(), 0));
            self.now = self.now.max(1);
        }
    }
}

impl Plan {
    /// How windows are read together.
    pub fn readings(&self, windows: impl IntoIterator<Item = usize>) -> Readings {
        let mut all = Readings::default();
        for window in windows {
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
            groups[at].readings.push((window, reading.clone()));
        }
        for group in all.tracks.iter_mut().chain(&mut all.values) {
            group.readings.sort_by_key(|(_, reading)| reading.panes);
        }
        all
    }

    /// Reads windows at the customer's latest event time or a later time, unless they have been read.
    pub fn read(&self, readings: &Readings, at: &Moment, sections: &Sections, count: usize, seen: &mut Seen) {
        seen.reserve(self.windows());
        for Group { of, readings } in &readings.tracks {
            if readings.iter().all(|(window, _)| seen.has(*window)) {
                continue;
            }
            let Track { grain, entry, .. } = self.tracks[*of];
            let (all, now) = (sections.get(*of, count), at.pane(grain));
            let mut start = all.len();
            for (window, reading) in readings {
                let first = now.saturating_sub_unsigned(reading.panes - 1);
                while start > 0 && pane_of(&all[start - entry..]) >= first {
                    start -= entry;
                }
                let panes = Panes { entries: &all[start..], entry };
                seen.set(*window, reading.value(&panes));
            }
        }
        for Group { of, readings } in &readings.values {
            if readings.iter().all(|(window, _)| seen.has(*window)) {
                continue;
            }
            let all = sections.get(self.values_section(*of), count);
            let now = at.pane(self.values[*of].grain);
            for (window, reading) in readings {
                let first = now.saturating_sub_unsigned(reading.panes - 1);
                let distinct = all.chunks_exact(VALUE).filter(|v| last_pane(v) >= first).count();
                seen.set(*window, Number::int(distinct.min(DISTINCT_MAX) as i64));
            }
        }
    }

    /// The value of one window.
    pub fn value(&self, window: usize, now_us: i64, sections: &Sections, count: usize) -> Given {
        let mut seen = Seen::default();
        self.read(&self.readings([window]), &Moment::at(now_us), sections, count, &mut seen);
        self.reading(window).given(seen.get(window))
    }
}

impl Reading {
    /// What is in the panes; if that is nothing, the default.
    #[inline]
    fn value(&self, panes: &Panes<'_>) -> Number {
        self.in_panes(panes).unwrap_or(self.default)
    }

    #[inline]
    fn in_panes(&self, panes: &Panes<'_>) -> Option<Number> {
        match self.from {
            From::Count { at, .. } => Some(Number::int(panes.count(at))),
            From::Sum { at, .. } => panes.total(at).map(Number::float),
            From::Avg { sum, count, .. } => {
                Some(Number::float(panes.total(sum)? / panes.count(count) as f64))
            }
            From::Stddev { sum, count, squares, .. } => {
                let squares = panes.cells(squares).map(|cell| i128::from_le_bytes(*cell));
                let squares = squares.fold(0, i128::saturating_add);
                let variance =
                    exact::sample_variance(panes.count(count), parts(panes.sum(sum)?), parts(squares));
                variance.map(|v| Number::float(v.sqrt()))
            }
            From::Least { at, order: Order::Ints, .. } => {
                panes.ints(at).min().filter(|v| *v != i64::MAX).map(Number::int)
            }
            From::Greatest { at, order: Order::Ints, .. } => {
                panes.ints(at).max().filter(|v| *v != i64::MIN).map(Number::int)
            }
            From::Least { at, order: Order::Floats, .. } => known(panes.floats(at).fold(f64::NAN, f64::min)),
            From::Greatest { at, order: Order::Floats, .. } => {
                known(panes.floats(at).fold(f64::NAN, f64::max))
            }
            // Panes are in order of time.
            From::First { at, .. } => panes.timed(at).next().map(|bits| self.known(bits)),
            From::Last { at, .. } => panes.timed(at).last().map(|bits| self.known(bits)),
            From::Distinct { .. } => unreachable!("different values are not kept in panes"),
        }
    }

    /// A value that was kept as it came.
    fn known(&self, bits: i64) -> Number {
        if self.ty == Type::Float64 { Number::float(float(bits)) } else { Number::int(bits) }
    }

    /// A number as what it is.
    fn given(&self, Number { bits, known }: Number) -> Given {
        match self.ty {
            _ if !known => Given::Null,
            Type::Int64 => Given::Int64(bits),
            Type::Float64 => Given::Float64(float(bits)),
            Type::Date32 => Given::Date32(bits as i32),
            Type::Timestamp => Given::Timestamp(bits),
            Type::Boolean | Type::Utf8 => unreachable!("no window is of this type"),
        }
    }
}

/// The panes of a window, in the order of time.
struct Panes<'a> {
    entries: &'a [u8],
    entry: usize,
}

impl Panes<'_> {
    /// So many bytes of each pane. (By steps: to cut the entries into chunks is to divide, which costs more than to read
    /// the few that there are.)
    #[inline]
    fn cells<const N: usize>(&self, at: usize) -> impl Iterator<Item = &[u8; N]> {
        let mut at = at;
        std::iter::from_fn(move || {
            let cell = self.entries.get(at..)?.first_chunk()?;
            at += self.entry;
            Some(cell)
        })
    }

    #[inline]
    fn count(&self, at: usize) -> i64 {
        self.cells(at).map(|cell| i64::from(u32::from_le_bytes(*cell))).sum()
    }

    /// The exact sum; None: of nothing.
    #[inline]
    fn sum(&self, at: usize) -> Option<i128> {
        let (mut all, mut any) = (0i128, false);
        for sum in self.ints(at).filter(|sum| *sum != i64::MIN) {
            all += i128::from(sum);
            any = true;
        }
        any.then_some(all)
    }

    /// The float nearest to it.
    #[inline]
    fn total(&self, at: usize) -> Option<f64> {
        let (mut all, mut any) = (0i64, false);
        for sum in self.ints(at).filter(|sum| *sum != i64::MIN) {
            let Some(more) = all.checked_add(sum) else { return self.sum(at).map(|sum| sum as f64) };
            (all, any) = (more, true);
        }
        any.then_some(all as f64)
    }

    #[inline]
    fn ints(&self, at: usize) -> impl Iterator<Item = i64> {
        self.cells(at).map(|cell| i64::from_le_bytes(*cell))
    }

    #[inline]
    fn floats(&self, at: usize) -> impl Iterator<Item = f64> {
        self.ints(at).map(float)
    }

    /// Values of cells that keep a time and a value.
    fn timed(&self, at: usize) -> impl Iterator<Item = i64> {
        let cells = self.cells::<16>(at).filter(|cell| int(*cell) != i64::MIN);
        cells.map(|cell| int(&cell[8..]))
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

fn known(x: f64) -> Option<Number> {
    (!x.is_nan()).then_some(Number::float(x))
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
