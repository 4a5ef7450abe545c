//! Where each column of a packed row lies.

use hashbrown::HashMap;
use tarim_datamart::Type;

/// A column of a packed row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: Type,
    /// Int64 only: least and greatest value, both included. Lets the row store it narrower.
    pub range: Option<(i64, i64)>,
    /// Index of its group.
    pub group: u8,
}

impl Column {
    /// A column without a range, in group 0.
    pub fn new(name: impl Into<String>, ty: Type) -> Self {
        Self { name: name.into(), ty, range: None, group: 0 }
    }
}

/// Columns that are computed together and go stale together (a feature view).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// How old a value may be, in microseconds; None: it never goes stale.
    pub freshness_us: Option<i64>,
}

/// Bytes of an integer cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    W1,
    W2,
    W4,
    W8,
}

/// Where the value of a column lies: byte offsets into the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    Boolean {
        at: u32,
        mask: u8,
    },
    /// Stored as an unsigned distance from `base` (of eight bytes: the value itself, and `base` is 0).
    Int {
        at: u32,
        width: Width,
        base: i64,
    },
    Float {
        at: u32,
    },
    Text {
        at: u32,
    },
    Date {
        at: u32,
    },
    Timestamp {
        at: u32,
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
    /// Columns that are texts.
    texts: Vec<usize>,
    by_name: HashMap<String, usize>,
    /// Where the times of groups 1, 2, … stand.
    times_at: usize,
    fixed_len: usize,
    fingerprint: [u8; 32],
}

/// Why columns and groups do not make a layout.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LayoutError {
    #[error("two columns are named {0:?}; rename one")]
    Repeated(String),
    #[error("column {0:?}: a range is for int64 columns and its ends are in order; remove or mend it")]
    Range(String),
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
            if c.range.is_some_and(|(low, high)| c.ty != Type::Int64 || low > high) {
                return Err(LayoutError::Range(c.name.clone()));
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
        // Widest first: then no cell straddles more cache lines than it must.
        for width in [Width::W8, Width::W4, Width::W2, Width::W1] {
            for (c, cell) in columns.iter().zip(&mut cells).filter(|(c, _)| width_of(c) == Some(width)) {
                let at = end as u32;
                *cell = Some(match c.ty {
                    Type::Int64 => {
                        let base = if width == Width::W8 { 0 } else { c.range.map_or(0, |(low, _)| low) };
                        Cell::Int { at, width, base }
                    }
                    Type::Float64 => Cell::Float { at },
                    Type::Utf8 => Cell::Text { at },
                    Type::Date32 => Cell::Date { at },
                    Type::Timestamp => Cell::Timestamp { at },
                    Type::Boolean => unreachable!("a boolean has no width"),
                });
                end += width.bytes();
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
        let fingerprint = fingerprint(&columns, &groups);
        let texts = (0..columns.len()).filter(|i| columns[*i].ty == Type::Utf8).collect();
        Ok(Self { columns, groups, slots, texts, by_name, times_at, fixed_len: end, fingerprint })
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

    /// Columns that are texts.
    pub(super) fn texts(&self) -> &[usize] {
        &self.texts
    }

    /// # Panics
    /// If there is no such column.
    pub fn slot(&self, column: usize) -> Slot {
        self.slots[column]
    }

    /// Bytes of a row without its tail of strings.
    pub fn fixed_len(&self) -> usize {
        self.fixed_len
    }

    /// BLAKE3 of everything that decides where a byte lies and what it means: names, types, ranges and
    /// groups, in order. Freshness is not part of it: it may change without rewriting a row.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
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

impl Width {
    pub fn bytes(self) -> usize {
        match self {
            Width::W1 => 1,
            Width::W2 => 2,
            Width::W4 => 4,
            Width::W8 => 8,
        }
    }
}

/// Width of a column's cell; booleans are bits and have none.
fn width_of(column: &Column) -> Option<Width> {
    match column.ty {
        Type::Boolean => None,
        Type::Float64 | Type::Timestamp => Some(Width::W8),
        Type::Utf8 | Type::Date32 => Some(Width::W4),
        Type::Int64 => Some(match column.range.map(|(low, high)| high.wrapping_sub(low) as u64) {
            Some(0..=0xff) => Width::W1,
            Some(0x100..=0xffff) => Width::W2,
            Some(0x1_0000..=0xffff_ffff) => Width::W4,
            _ => Width::W8,
        }),
    }
}

fn fingerprint(columns: &[Column], groups: &[Group]) -> [u8; 32] {
    let mut hash = blake3::Hasher::new();
    hash.update(b"tarim packed row 1\n");
    for g in groups {
        hash.update(format!("group {:?}\n", g.name).as_bytes());
    }
    for c in columns {
        hash.update(format!("column {:?} {} {:?} {}\n", c.name, c.ty, c.range, c.group).as_bytes());
    }
    *hash.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(name: &str, range: Option<(i64, i64)>) -> Column {
        Column { range, ..Column::new(name, Type::Int64) }
    }

    #[test]
    fn a_range_decides_the_width() {
        for (range, bytes) in [
            (None, 8),
            (Some((5, 5)), 1),
            (Some((-100, 155)), 1),
            (Some((-100, 156)), 2),
            (Some((1_000_000, 1_065_535)), 2),
            (Some((0, 65_536)), 4),
            (Some((i64::MIN, i64::MIN + 0xffff_ffff)), 4),
            (Some((0, 1 << 32)), 8),
            (Some((i64::MIN, i64::MAX)), 8),
        ] {
            let layout = Layout::new(vec![int("n", range)], vec![]).unwrap();
            assert_eq!(layout.fixed_len(), 1 + bytes, "{range:?}");
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
