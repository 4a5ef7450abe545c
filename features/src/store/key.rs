//! Keys in words: how they are hashed, and held against those that are stored.
//!
//! A look-up mostly waits for memory. Meanwhile the processor goes on with the look-ups behind it, as far as it has room for
//! their instructions: so the fewer there are to one, the more are waited for at one time. Hence a text is read once, in
//! words of 8 bytes where it stands, the last of them over those before it, and never byte by byte or through a call.

/// What words are stirred with: the first digits of π, in which is nothing to choose (but that the last bit of two is set).
const STIR: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345, 0xa409_3822_299f_31d1];

/// Bytes of a pair of words.
const PAIR: usize = 16;

/// The bytes of a word that a shorter text has.
const SHORT: [u64; 8] =
    [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff, 0xffff_ffff_ffff, 0xff_ffff_ffff_ffff];

/// Hash of a key; the same on every machine, and in every version that reads the same files.
#[inline]
pub fn hash_of<'k>(parts: impl IntoIterator<Item = &'k [u8]>) -> u64 {
    parts.into_iter().fold(State::NONE, State::with).hash()
}

/// The hash of a key, part by part.
///
/// It spreads keys as they come: all of its bits depend on all bytes of all parts, and on where a part ends. It is no
/// defence against somebody who makes up long keys that collide: their look-ups would take longer. Answers stay right, for
/// keys themselves are always compared.
///
/// Parts are not put together first. To read back in words what was just written in bytes, the processor waits until the
/// writes are done; they are done in order, after all that is still waited for from memory: look-ups would no longer
/// overlap.
#[derive(Clone, Copy, Debug)]
struct State(u64);

impl State {
    const NONE: Self = Self(STIR[0]);

    /// With one more part.
    #[inline]
    fn with(self, part: &[u8]) -> Self {
        let mut state = self.0;
        let last = match (part.first_chunk(), part.last_chunk()) {
            (Some(first), Some(last)) => {
                state = stir(state, pair(first));
                if part.len() > 2 * PAIR {
                    state = stir_between(state, part);
                }
                pair(last)
            }
            _ => less(part),
        };
        Self(stir(state, last) ^ part.len() as u64)
    }

    /// The hash of the key that these are all the parts of.
    #[inline]
    fn hash(self) -> u64 {
        fold(self.0, STIR[2])
    }
}

/// The first part of many keys that are looked up one after the other, mostly a member: what is the same for all of them is
/// worked out once.
#[derive(Clone, Copy, Debug)]
pub struct FirstPart<'t> {
    text: &'t [u8],
    state: State,
    /// Its first word, and which bytes of that it has.
    word: u64,
    mask: u64,
}

impl<'t> FirstPart<'t> {
    #[inline]
    pub fn new(text: &'t str) -> Self {
        let text = text.as_bytes();
        let (word, mask) = match text.first_chunk() {
            Some(word) => (u64::from_le_bytes(*word), u64::MAX),
            None => (short(text), SHORT[text.len() % SHORT.len()]),
        };
        Self { text, state: State::NONE.with(text), word, mask }
    }

    /// Bytes of it.
    #[inline]
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// The hash of the key that goes on with these parts.
    #[inline]
    pub fn hash(&self, rest: &[&str]) -> u64 {
        rest.iter().fold(self.state, |state, part| state.with(part.as_bytes())).hash()
    }

    /// As [`strip`]. (`stored` is longer than a word.)
    #[inline]
    pub fn strip<'s>(&self, stored: &'s [u8]) -> Option<&'s [u8]> {
        let begin = u64::from_le_bytes(*stored.first_chunk()?);
        let rest = stored.get(self.text.len()..)?;
        let same = (begin ^ self.word) & self.mask == 0
            && (self.text.len() <= size_of::<u64>() || stored.starts_with(self.text));
        same.then_some(rest)
    }
}

/// What stands behind a part of a key in `stored`, which begins with it; None: it begins with something else. (`stored` is
/// longer than a word and the part.)
#[inline]
pub fn strip<'s>(stored: &'s [u8], part: &str) -> Option<&'s [u8]> {
    let part = part.as_bytes();
    let (begin, rest) = stored.split_at_checked(part.len())?;
    // First and last may lie one over the other. Text by text they are read again: that takes less than to keep them.
    let same = if let (Some(first), Some(last)) = (part.first_chunk::<PAIR>(), part.last_chunk::<PAIR>()) {
        begin.first_chunk() == Some(first)
            && begin.last_chunk() == Some(last)
            && (part.len() <= 2 * PAIR || begin == part)
    } else if let (Some(first), Some(last)) = (part.first_chunk::<8>(), part.last_chunk::<8>()) {
        begin.first_chunk() == Some(first) && begin.last_chunk() == Some(last)
    } else {
        let word = u64::from_le_bytes(*stored.first_chunk()?);
        (word ^ short(part)) & SHORT[part.len() % 8] == 0
    };
    same.then_some(rest)
}

/// High and low half of a product, folded into one.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[inline]
fn stir(state: u64, [a, b]: [u64; 2]) -> u64 {
    fold(a ^ state, b ^ STIR[1])
}

#[inline]
fn pair(bytes: &[u8; PAIR]) -> [u64; 2] {
    let (words, _) = bytes.as_chunks();
    [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])]
}

/// A text that is shorter than a pair of words, as one: another for every text of its length.
#[inline]
fn less(bytes: &[u8]) -> [u64; 2] {
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => [u64::from_le_bytes(*first), u64::from_le_bytes(*last)],
        _ => [short(bytes), 0],
    }
}

/// A text that is shorter than a word, as one.
#[inline]
fn short(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (bytes.len() - 4));
    }
    match bytes {
        [] => 0,
        [one] => u64::from(*one),
        [first, .., last] => {
            u64::from(*first) | u64::from(bytes[1]) << 8 | u64::from(*last) << (8 * (bytes.len() - 1))
        }
    }
}

/// Stirs in what is between the first pair of a long text and the last.
#[inline(never)]
fn stir_between(state: u64, bytes: &[u8]) -> u64 {
    let (pairs, rest) = bytes[PAIR..bytes.len() - PAIR].as_chunks();
    let state = pairs.iter().fold(state, |state, two| stir(state, pair(two)));
    stir(state, less(rest))
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
