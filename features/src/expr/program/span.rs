//! Part of a list.

use std::ops::Range;

/// From one place of a list to another: half the bytes of a `Range`, and it can be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub fn of(range: Range<usize>) -> Self {
        Self { start: range.start as u32, end: range.end as u32 }
    }

    /// Adds to the end of a list: where.
    pub fn add<T>(list: &mut Vec<T>, more: Vec<T>) -> Self {
        let start = list.len();
        list.extend(more);
        Self::of(start..list.len())
    }

    pub fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// The part of the list.
    #[inline]
    pub fn on<T>(self, list: &[T]) -> &[T] {
        &list[self.start as usize..self.end as usize]
    }
}
