//! Names and other short bytes, in blocks that copies share; and words, of which there are few.

use std::sync::Arc;

use hashbrown::HashMap;

const BLOCK: usize = 1 << 16;

/// Bytes that never change, each by a [`Ref`].
#[derive(Clone, Debug, Default)]
pub struct Texts {
    blocks: Vec<Arc<Vec<u8>>>,
}

/// Where bytes lie: block, offset, length. 0 is nothing.
pub type Ref = u64;

impl Texts {
    /// Keeps bytes; at most as many as a block has.
    pub fn push(&mut self, bytes: &[u8]) -> Ref {
        assert!(bytes.len() < BLOCK, "callers bound what they keep");
        if self.blocks.last().is_none_or(|block| block.len() + bytes.len() > BLOCK) {
            self.blocks.push(Arc::new(Vec::with_capacity(BLOCK.min(4096.max(bytes.len())))));
        }
        let number = self.blocks.len() as u64;
        let block = Arc::make_mut(self.blocks.last_mut().expect("there is one"));
        let offset = block.len() as u64;
        block.extend_from_slice(bytes);
        number << 32 | offset << 16 | bytes.len() as u64
    }

    #[inline]
    pub fn get(&self, at: Ref) -> &[u8] {
        let Some(block) = (at >> 32).checked_sub(1) else { return &[] };
        let (offset, len) = ((at >> 16) as usize & 0xffff, at as usize & 0xffff);
        &self.blocks[block as usize][offset..offset + len]
    }

    pub fn text(&self, at: Ref) -> &str {
        std::str::from_utf8(self.get(at)).expect("it was a text when it was kept")
    }

    pub fn is_full(&self) -> bool {
        self.blocks.len() >= u32::MAX as usize - 1
    }

    pub fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        self.blocks.iter().map(|block| block.as_slice())
    }

    pub fn push_block(&mut self, block: Vec<u8>) {
        self.blocks.push(Arc::new(block));
    }
}

/// Words by number: codes of members, and values of dimensions.
#[derive(Clone, Debug, Default)]
pub struct Words(Arc<List>);

#[derive(Clone, Debug, Default)]
struct List {
    words: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
}

impl Words {
    pub fn find(&self, word: &str) -> Option<u32> {
        self.0.numbers.get(word).copied()
    }

    pub fn intern(&mut self, word: &str) -> u32 {
        if let Some(number) = self.find(word) {
            return number;
        }
        let List { words, numbers } = Arc::make_mut(&mut self.0);
        let number = words.len() as u32;
        words.push(word.into());
        numbers.insert(word.into(), number);
        number
    }

    pub fn get(&self, number: u32) -> &str {
        &self.0.words[number as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.words.iter().map(|word| &**word)
    }
}
