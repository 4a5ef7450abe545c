//! Rows by number, in pieces that copies share.
//!
//! ```text
//!  column ─► [ piece ]  [ piece ]  [ piece ]      4,096 rows each
//!  copy   ─►    │          │       [ own   ]      a piece is copied when one of two that share it changes it
//! ```
//!
//! So a copy of a ledger costs next to nothing, and stands still while the ledger goes on: that is what snapshots and
//! queries read. And a column that grows never moves what it has.

use std::sync::Arc;

pub const PIECE: usize = 4096;

/// Rows, numbered from 0.
#[derive(Clone, Debug)]
pub struct Column<T> {
    pieces: Vec<Arc<Vec<T>>>,
    len: u32,
}

impl<T> Default for Column<T> {
    fn default() -> Self {
        Self { pieces: Vec::new(), len: 0 }
    }
}

impl<T: Clone> Column<T> {
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no number left for another row.
    pub fn is_full(&self) -> bool {
        self.len >= u32::MAX - 1
    }

    #[inline]
    pub fn get(&self, row: u32) -> &T {
        &self.pieces[row as usize / PIECE][row as usize % PIECE]
    }

    #[inline]
    pub fn get_mut(&mut self, row: u32) -> &mut T {
        &mut Arc::make_mut(&mut self.pieces[row as usize / PIECE])[row as usize % PIECE]
    }

    /// Adds a row; gives its number.
    pub fn push(&mut self, value: T) -> u32 {
        debug_assert!(!self.is_full(), "the caller checks");
        if (self.len as usize).is_multiple_of(PIECE) {
            self.pieces.push(Arc::new(Vec::with_capacity(PIECE)));
        }
        let last = self.pieces.last_mut().expect("there is one");
        Arc::make_mut(last).push(value);
        self.len += 1;
        self.len - 1
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flat_map(|piece| piece.iter())
    }
}

/// A row that is written to a snapshot as so many bytes.
pub trait Fixed: Clone {
    const BYTES: usize;
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Self;
}

impl<T: Fixed> Column<T> {
    /// The rows as bytes, piece by piece.
    pub fn pieces(&self) -> impl Iterator<Item = &[T]> {
        self.pieces.iter().map(|piece| piece.as_slice())
    }

    /// Adds rows that were written; the bytes are of whole rows.
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut rows = bytes.chunks_exact(T::BYTES).map(T::read);
        let mut left = rows.len();
        while left > 0 {
            if (self.len as usize).is_multiple_of(PIECE) {
                self.pieces.push(Arc::new(Vec::with_capacity(PIECE)));
            }
            let last = Arc::make_mut(self.pieces.last_mut().expect("there is one"));
            let more = left.min(PIECE - last.len());
            last.extend(rows.by_ref().take(more));
            (left, self.len) = (left - more, self.len + more as u32);
        }
    }
}

impl Fixed for u64 {
    const BYTES: usize = 8;
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }
}

impl Fixed for u32 {
    const BYTES: usize = 4;
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.to_le_bytes());
    }
    fn read(bytes: &[u8]) -> Self {
        Self::from_le_bytes(bytes.try_into().expect("four bytes"))
    }
}

/// Says how a struct of numbers is written: field by field, little-endian.
macro_rules! fixed {
    ($name:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        impl $crate::exposure::core::column::Fixed for $name {
            const BYTES: usize = 0 $(+ size_of::<$ty>())+;
            fn write(&self, out: &mut Vec<u8>) {
                $(out.extend_from_slice(&self.$field.to_le_bytes());)+
            }
            fn read(bytes: &[u8]) -> Self {
                let mut at = 0;
                $(
                    let end = at + size_of::<$ty>();
                    let $field = <$ty>::from_le_bytes(bytes[at..end].try_into().expect("so many bytes"));
                    at = end;
                )+
                debug_assert_eq!(at, Self::BYTES);
                Self { $($field),+ }
            }
        }
    };
}
pub(crate) use fixed;
