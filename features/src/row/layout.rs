//! Where each column of a packed row lies.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use tarim_datamart::{Type, Value};

use super::dictionary::Dictionary;

/// A column of a packed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: Type,
    /// Int64 and date32 only: least and greatest value (of a date: days since 1970-01-01), both included. Lets the
    /// row store it narrower.
    pub range: Option<(i64, i64)>,
    /// Utf8 only: all texts that it may be; empty: any. Lets the row store it narrower.
    pub codes: Vec<String>,
    /// Index of its group.
    pub group: u8,
}

impl Column {
    /// A column of any value, in group 0.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), ty, range: None, codes: Vec::new(), group: 0 }
    }

    /// Is `text` among its codes? Any text is if it has none.
    pub fn admits(&self, text: &str) -> bool {
        self.codes.is_empty() || self.codes.iter().any(|code| code == text)
    }
}

/// Columns that are computed together and go stale together (a feature view).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// How old a value may be, in microseconds; None: it never goes stale.
    pub freshness_us: Option<i64>,
}

/// An unsigned number of one to eight bytes in a row: the last ones of eight that all lie in the row. So whatever
/// its width, one load and one shift read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Uint {
    /// Where the eight bytes begin.
    pub(crate) at: u32,
    /// Bits of them that are not the number's.
    pub(crate) shift: u8,
}

impl Uint {
    /// The number of so many bytes that ends before the byte `end`.
    fn ending(end: usize, width: usize) -> Self {
        assert!(
            (1..=8).contains(&width) && end >= 8,
            "a number has one to eight bytes, and eight lie before its end"
        );
        Self { at: (end - 8) as u32, shift: 64 - 8 * width as u8 }
    }

    /// # Panics
    /// If the row is shorter than its layout says.
    #[inline]
    pub fn read(self, row: &[u8]) -> u64 {
        let at = self.at as usize;
        u64::from_le_bytes(row[at..at + 8].try_into().expect("eight bytes")) >> self.shift
    }

    /// Writes the low bytes of `number`; the caller has seen that it has no others.
    pub(super) fn write(self, row: &mut [u8], number: u64) {
        debug_assert!(number <= u64::MAX >> self.shift);
        let (first, end) = (self.at as usize + usize::from(self.shift / 8), self.at as usize + 8);
        row[first..end].copy_from_slice(&number.to_le_bytes()[..end - first]);
    }
}

/// Where the value of a column lies: byte offsets into the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Boolean {
        at: u32,
        mask: u8,
    },
    /// An integer, a date in days or a timestamp in microseconds, stored as its distance from `base` (of eight bytes:
    /// the value itself, and `base` is 0).
    Int {
        of: Uint,
        base: i64,
    },
    /// By its bits.
    Float {
        of: Uint,
    },
    /// A code of the row's dictionary; of four bytes also a place in the row.
    Text {
        of: Uint,
    },
}

/// A column's cell, its present bit (its index), and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub cell: Cell,
    pub(super) present: u32,
    pub group: u8,
}

/// Where each column of a packed row lies.
#[derive(Debug)]
pub struct Layout {
    columns: Vec<Column>,
    groups: Vec<Group>,
    slots: Vec<Slot>,
    /// Of each column, close together: what reads a few values of a row should not fetch whole [`Column`]s.
    types: Vec<Type>,
    /// Columns that are texts of any kind, not codes.
    texts: Vec<usize>,
    /// The codes of all columns: the dictionary of any rows begins with them.
    codes: Arc<Dictionary>,
    /// Of each column: which of them are its own.
    own_codes: Vec<Box<[u32]>>,
    by_name: HashMap<String, usize>,
    /// Where the times of groups 1, 2, … stand.
    times_at: usize,
    freshness: Vec<Freshness>,
    fixed_len: usize,
    fingerprint: [u8; 32],
}

/// A group that goes stale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freshness {
    pub group: u8,
    /// Byte offset of its time.
    pub time_at: u32,
    pub max_us: i64,
}

/// Why columns and groups do not make a layout.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    #[error("two columns are named {0:?}; rename one")]
    Repeated(String),
    #[error(
        "column {0:?}: a range is for int64 and date32 columns and its ends are in order; remove or mend it"
    )]
    Range(String),
    #[error("column {0:?}: codes are for utf8 columns and each stands once; remove or mend them")]
    Codes(String),
    #[error("column {0:?} is in group {1}, which is not among the groups given")]
    Group(String, u8),
    #[error("{0} groups; a row holds at most 64: merge feature views")]
    Groups(usize),
    #[error("group 0 never goes stale; give it no freshness")]
    GroupZero,
    #[error("{0} columns; a row holds at most 65,536: split the entity")]
    Columns(usize),
}

impl Layout {
    /// Lays columns out. `groups[c.group]` is the group of column `c`; group 0 never goes stale and is made
    /// if `groups` is empty.
    pub fn new(columns: Vec<Column>, mut groups: Vec<Group>) -> Result<Self, LayoutError> {
        if groups.is_empty() {
            groups.push(Group { name: String::new(), freshness_us: None });
        }
        if groups.len() > 64 {
            return Err(LayoutError::Groups(groups.len()));
        }
        if groups[0].freshness_us.is_some() {
            return Err(LayoutError::GroupZero);
        }
        if columns.len() > 1 << 16 {
            return Err(LayoutError::Columns(columns.len()));
        }
        let mut by_name = HashMap::new();
        for (i, c) in columns.iter().enumerate() {
            if by_name.insert(c.name.clone(), i).is_some() {
                return Err(LayoutError::Repeated(c.name.clone()));
            }
            let within = |(least, greatest), (low, high)| least <= low && low <= high && high <= greatest;
            if c.range.is_some_and(|range| !numbers_of(c.ty).is_some_and(|all| within(all, range))) {
                return Err(LayoutError::Range(c.name.clone()));
            }
            let different: HashSet<&String> = c.codes.iter().collect();
            if different.len() < c.codes.len() || (c.ty != Type::Utf8 && !c.codes.is_empty()) {
                return Err(LayoutError::Codes(c.name.clone()));
            }
            if usize::from(c.group) >= groups.len() {
                return Err(LayoutError::Group(c.name.clone(), c.group));
            }
        }
        let booleans_at = columns.len().div_ceil(8);
        let times_at = booleans_at + columns.iter().filter(|c| c.ty == Type::Boolean).count().div_ceil(8);
        let mut end = times_at + 8 * (groups.len() - 1);
        let mut cells: Vec<Option<Cell>> = vec![None; columns.len()];
        let booleans = columns.iter().zip(&mut cells).filter(|(c, _)| c.ty == Type::Boolean);
        for (n, (_, cell)) in booleans.enumerate() {
            *cell = Some(Cell::Boolean { at: (booleans_at + n / 8) as u32, mask: 1 << (n % 8) });
        }
        let codes: Dictionary = columns.iter().flat_map(|c| &c.codes).map(String::as_str).collect();
        // Widest first: then no cell straddles more cache lines than it must.
        for width in (1..=8).rev() {
            let of_width = |c: &Column| width_of(c, codes.len()) == Some(width);
            for (c, cell) in columns.iter().zip(&mut cells).filter(|(c, _)| of_width(c)) {
                end = (end + width).max(8);
                let of = Uint::ending(end, width);
                *cell = Some(match c.ty {
                    Type::Float64 => Cell::Float { of },
                    Type::Utf8 => Cell::Text { of },
                    _ if width == 8 => Cell::Int { of, base: 0 },
                    ty => Cell::Int { of, base: c.range.or(numbers_of(ty)).map_or(0, |(low, _)| low) },
                });
            }
        }
        let slots = std::iter::zip(&columns, cells)
            .enumerate()
            .map(|(i, (c, cell))| Slot {
                cell: cell.expect("every column is a boolean or has a width"),
                present: i as u32,
                group: c.group,
            })
            .collect();
        let types = columns.iter().map(|c| c.ty).collect();
        let fingerprint = fingerprint(&columns, &groups);
        let any_text = |c: &Column| c.ty == Type::Utf8 && c.codes.is_empty();
        let texts = (0..columns.len()).filter(|i| any_text(&columns[*i])).collect();
        let own = |c: &Column| c.codes.iter().filter_map(|code| codes.code(code)).collect();
        let own_codes = columns.iter().map(own).collect();
        let codes = Arc::new(codes);
        let freshness = groups.iter().enumerate().filter_map(|(i, group)| {
            let time_at = (times_at + 8 * i.checked_sub(1)?) as u32;
            Some(Freshness { group: i as u8, time_at, max_us: group.freshness_us? })
        });
        let freshness = freshness.collect();
        Ok(Self {
            columns,
            groups,
            slots,
            types,
            texts,
            codes,
            own_codes,
            by_name,
            times_at,
            freshness,
            fixed_len: end,
            fingerprint,
        })
    }

    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// All groups, group 0 included.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Index of the column of that name.
    pub fn index(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The codes of all columns. The dictionary of any rows of this layout begins with them; one of rows that carry
    /// their other texts themselves holds nothing else.
    pub fn codes(&self) -> &Arc<Dictionary> {
        &self.codes
    }

    /// Whether a code is one of a column's own.
    #[inline]
    pub(super) fn has_code(&self, column: usize, code: u32) -> bool {
        self.own_codes[column].contains(&code)
    }

    /// Columns that are texts of any kind, not codes.
    pub(super) fn texts(&self) -> &[usize] {
        &self.texts
    }

    /// # Panics
    /// If there is no such column.
    pub fn ty(&self, column: usize) -> Type {
        self.types[column]
    }

    #[inline]
    pub fn slot(&self, column: usize) -> Slot {
        self.slots[column]
    }

    /// Bytes of a row without its tail of strings.
    pub fn fixed_len(&self) -> usize {
        self.fixed_len
    }

    /// BLAKE3 of everything that decides where a byte lies and what it means: names, types, ranges, codes
    /// and groups, in order. Freshness is not part of it: it may change without rewriting a row.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Groups that go stale.
    pub(super) fn freshness(&self) -> &[Freshness] {
        &self.freshness
    }

    /// Byte offset of a group's time; group 0 has none.
    pub(super) fn time_at(&self, group: usize) -> Option<usize> {
        (group > 0 && group < self.groups.len()).then(|| self.times_at + 8 * (group - 1))
    }
}

impl Slot {
    /// The byte of the row in which its present bit stands, and which bit of it.
    pub(crate) fn present_bit(self) -> (u32, u8) {
        (self.present / 8, (self.present % 8) as u8)
    }
}

/// Least and greatest number of a type that may have a range.
fn numbers_of(ty: Type) -> Option<(i64, i64)> {
    match ty {
        Type::Int64 => Some((i64::MIN, i64::MAX)),
        Type::Date32 => Some((i32::MIN.into(), i32::MAX.into())),
        _ => None,
    }
}

/// An end of the range of a column of that type.
///
/// # Panics
/// If such a column has no range.
pub fn end_of_range(ty: Type, end: i64) -> Value {
    match ty {
        Type::Int64 => Value::Int64(end),
        Type::Date32 => Value::Date32(i32::try_from(end).expect("a layout has seen that it is a date")),
        ty => panic!("a {ty} has no range"),
    }
}

/// Bytes of a column's cell, in a layout of so many codes; booleans are bits and have none.
fn width_of(column: &Column, codes: usize) -> Option<usize> {
    let bytes = |greatest: u64| (64 - greatest.leading_zeros() as usize).div_ceil(8).max(1);
    match column.ty {
        Type::Boolean => None,
        Type::Float64 | Type::Timestamp => Some(8),
        // An offset into the row needs four.
        Type::Utf8 if column.codes.is_empty() => Some(4),
        Type::Utf8 => Some(bytes(codes as u64 - 1)),
        Type::Int64 | Type::Date32 => {
            let range = column.range.or(numbers_of(column.ty));
            range.map(|(low, high)| bytes(high.wrapping_sub(low) as u64))
        }
    }
}

fn fingerprint(columns: &[Column], groups: &[Group]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(b"tarim packed row 2\n");
    for g in groups {
        hash.update(format!("group {:?}\n", g.name).as_bytes());
    }
    for c in columns {
        hash.update(
            format!("column {:?} {} {:?} {:?} {}\n", c.name, c.ty, c.range, c.codes, c.group).as_bytes(),
        );
    }
    *hash.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(name: &str, range: Option<(i64, i64)>) -> Column {
        Column { range, ..Column::new(name, Type::Int64) }
    }

    fn width(column: Column) -> usize {
        let layout = Layout::new(vec![column], vec![]).unwrap();
        assert!(layout.fixed_len() >= 8, "eight bytes can be read");
        match layout.slot(0).cell {
            Cell::Int { of, .. } | Cell::Float { of } | Cell::Text { of } => 8 - usize::from(of.shift / 8),
            cell => panic!("{cell:?}"),
        }
    }

    #[test]
    fn a_range_decides_the_width() {
        for (range, bytes) in [
            (None, 8),
            (Some((5, 5)), 1),
            (Some((-100, 155)), 1),
            (Some((-100, 156)), 2),
            (Some((1_000_000, 1_065_535)), 2),
            (Some((0, 65_536)), 3),
            (Some((i64::MIN, i64::MIN + 0xffff_ffff)), 4),
            (Some((0, 1 << 32)), 5),
            (Some((0, (1 << 56) - 1)), 7),
            (Some((0, 1 << 56)), 8),
            (Some((i64::MIN, i64::MAX)), 8),
        ] {
            assert_eq!(width(int("n", range)), bytes, "{range:?}");
        }
        let date = |range| width(Column { range, ..Column::new("d", Type::Date32) });
        assert_eq!((date(None), date(Some((0, 65_535))), date(Some((-1, 65_535)))), (4, 2, 3));
    }

    #[test]
    fn codes_decide_the_width() {
        for (codes, bytes) in [(0, 4), (1, 1), (256, 1), (257, 2), (65_537, 3)] {
            let codes = (0..codes).map(|i| format!("{i:05}")).collect();
            assert_eq!(width(Column { codes, ..Column::new("t", Type::Utf8) }), bytes);
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let group = |freshness_us| Group { name: "g".into(), freshness_us };
        let new = |columns, groups| Layout::new(columns, groups).unwrap_err();
        assert_eq!(new(vec![int("a", None), int("a", None)], vec![]), LayoutError::Repeated("a".into()));
        assert_eq!(new(vec![int("a", Some((2, 1)))], vec![]), LayoutError::Range("a".into()));
        let text = Column { range: Some((0, 1)), ..Column::new("t", Type::Utf8) };
        assert_eq!(new(vec![text], vec![]), LayoutError::Range("t".into()));
        let codes = |ty, codes: &[&str]| {
            let codes = codes.iter().map(|code| (*code).to_owned()).collect();
            new(vec![Column { codes, ..Column::new("c", ty) }], vec![])
        };
        assert_eq!(codes(Type::Utf8, &["A", "B", "A"]), LayoutError::Codes("c".into()));
        assert_eq!(codes(Type::Int64, &["A"]), LayoutError::Codes("c".into()));
        let late = Column { range: Some((0, 1 << 31)), ..Column::new("d", Type::Date32) };
        assert_eq!(new(vec![late], vec![]), LayoutError::Range("d".into()));
        let lost = Column { group: 1, ..int("a", None) };
        assert_eq!(new(vec![lost], vec![]), LayoutError::Group("a".into(), 1));
        assert_eq!(new(vec![], vec![group(Some(1))]), LayoutError::GroupZero);
        assert_eq!(new(vec![], (0..65).map(|_| group(None)).collect()), LayoutError::Groups(65));
    }

    #[test]
    fn the_fingerprint_is_of_places_not_of_freshness() {
        let layout = |name: &str, freshness_us| {
            let groups = vec![
                Group { name: String::new(), freshness_us: None },
                Group { name: "v".into(), freshness_us },
            ];
            Layout::new(vec![Column { group: 1, ..int(name, None) }], groups).unwrap().fingerprint()
        };
        assert_eq!(layout("a", None), layout("a", Some(7)));
        assert_ne!(layout("a", None), layout("b", None));
    }
}
