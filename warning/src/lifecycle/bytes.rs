//! Numbers and texts as bytes, for what is kept of the state.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    sync::Arc,
};

use super::{Id, Place, State};

/// Where the bytes go. Numbers are little-endian; a text has its length before it.
pub struct Out<W>(pub W);

/// Where they come from.
pub struct In<R> {
    from: R,
    /// Names that were read, each kept once.
    names: HashSet<Arc<str>>,
}

impl<W: Write> Out<W> {
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    pub fn u8(&mut self, number: u8) -> io::Result<()> {
        self.bytes(&[number])
    }

    pub fn flag(&mut self, flag: bool) -> io::Result<()> {
        self.u8(flag.into())
    }

    pub fn u32(&mut self, number: u32) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn u64(&mut self, number: u64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn i64(&mut self, number: i64) -> io::Result<()> {
        self.bytes(&number.to_le_bytes())
    }

    pub fn text(&mut self, text: &str) -> io::Result<()> {
        self.u32(u32::try_from(text.len()).map_err(io::Error::other)?)?;
        self.bytes(text.as_bytes())
    }

    pub fn id(&mut self, id: Id) -> io::Result<()> {
        self.bytes(&id.to_bytes())
    }

    pub fn place(&mut self, place: Place) -> io::Result<()> {
        self.bytes(&place.to_bytes())
    }

    pub fn state(&mut self, state: State) -> io::Result<()> {
        self.u8(state as u8)
    }

    /// So many, and then each.
    pub fn all<T>(
        &mut self,
        count: usize,
        all: impl IntoIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.u64(count as u64)?;
        let mut put_so_far = 0;
        for one in all {
            put(self, one)?;
            put_so_far += 1;
        }
        if put_so_far == count { Ok(()) } else { Err(io::Error::other("there are not so many as was said")) }
    }
}

impl<R: Read> In<R> {
    pub fn new(from: R) -> Self {
        Self { from, names: HashSet::new() }
    }

    pub fn into_inner(self) -> R {
        self.from
    }

    pub fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub fn u8(&mut self) -> io::Result<u8> {
        Ok(self.bytes::<1>()?[0])
    }

    pub fn flag(&mut self) -> io::Result<bool> {
        Ok(self.u8()? != 0)
    }

    pub fn u32(&mut self) -> io::Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> io::Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> io::Result<i64> {
        self.bytes().map(i64::from_le_bytes)
    }

    pub fn text(&mut self) -> io::Result<String> {
        let length = self.u32()?;
        let mut text = String::new();
        (&mut self.from).take(length.into()).read_to_string(&mut text)?;
        if text.len() == length as usize { Ok(text) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// A text that comes often.
    pub fn name(&mut self) -> io::Result<Arc<str>> {
        let text = self.text()?;
        if let Some(name) = self.names.get(text.as_str()) {
            return Ok(name.clone());
        }
        let name = Arc::<str>::from(text);
        self.names.insert(name.clone());
        Ok(name)
    }

    pub fn id(&mut self) -> io::Result<Id> {
        self.bytes().map(Id::from_bytes)
    }

    pub fn place(&mut self) -> io::Result<Place> {
        self.bytes().map(Place::from_bytes)
    }

    pub fn state(&mut self) -> io::Result<State> {
        let state = self.u8()?;
        State::ALL.get(usize::from(state)).copied().ok_or_else(|| wrong("a state that there is not"))
    }

    /// As many as there are.
    pub fn all(&mut self, mut take: impl FnMut(&mut Self) -> io::Result<()>) -> io::Result<()> {
        for _ in 0..self.u64()? {
            take(self)?;
        }
        Ok(())
    }
}

/// What is read makes no sense.
pub fn wrong(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
