//! Texts that are kept once, and named by number.

use std::{hash::BuildHasher, sync::Arc};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::rows::Rows;

/// Texts by number, and numbers by text: customers, rules, keys, who did something, and why.
#[derive(Clone, Debug, Default)]
pub struct Names {
    texts: Rows<Arc<str>>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Names {
    /// Texts that have the numbers that they have there.
    pub fn of(texts: Rows<Arc<str>>) -> Self {
        let hasher = DefaultHashBuilder::default();
        let mut numbers = HashTable::with_capacity(texts.len() as usize);
        let hash_of = |number: &u32| hasher.hash_one(&*texts[*number]);
        for number in 0..texts.len() {
            numbers.insert_unique(hash_of(&number), number, hash_of);
        }
        Self { texts, numbers, hasher }
    }

    /// All of them, by number.
    pub fn texts(&self) -> &Rows<Arc<str>> {
        &self.texts
    }

    /// The number of a text that is known.
    pub fn find(&self, text: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(text);
        self.numbers.find(hash, |number| *self.texts[*number] == *text).copied()
    }

    /// The number of a text, known or not.
    pub fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.find(text) {
            return number;
        }
        let number = self.texts.push(text.into());
        let Self { texts, numbers, hasher } = self;
        numbers.insert_unique(hasher.hash_one(text), number, |number| hasher.hash_one(&*texts[*number]));
        number
    }

    /// The text of a number that it gave out.
    pub fn text(&self, number: u32) -> &Arc<str> {
        &self.texts[number]
    }
}
