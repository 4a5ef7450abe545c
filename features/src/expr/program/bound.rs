//! A program's text constants as codes of the dictionaries in use.
//!
//! ```text
//!   codes of constants, relation by relation | where the codes of each set end, the same | codes of the sets
//! ```
//!
//! A thread decides by hundreds of programs in turn, and none of this is in the cache. So it is one piece of memory, and
//! what is read of it stands together: mostly the texts of one relation.

use std::sync::Arc;

use super::{Program, reads::CodeKeys};
use crate::row::Dictionary;

/// A program's text constants as codes of the dictionaries in use.
#[derive(Clone, Debug)]
pub struct Bound {
    program: u64,
    /// Text constants of the program.
    texts: u32,
    /// Sets of texts of the program, and of names.
    sets: u32,
    names: u32,
    /// See above; of a constant [`ABSENT`] where the dictionary lacks the text, of a set only what it has, sorted.
    codes: Box<[u32]>,
    /// The dictionaries, by relation: the same of all that is bound to them.
    versions: Arc<[(u64, usize)]>,
    /// By relation and set of names.
    keys: Box<[CodeKeys]>,
}

/// No dictionary has this code.
const ABSENT: u32 = u32::MAX;

impl Program {
    /// Looks the text constants up in the dictionaries that rows will be read with, one per relation. To be
    /// done again for each new generation of dictionaries.
    ///
    /// # Panics
    /// If there is not one dictionary for each relation.
    pub fn bind(&self, dictionaries: &[&Dictionary]) -> Bound {
        self.bind_to(&versions(dictionaries), dictionaries)
    }

    /// Binds programs to the same dictionaries, as [`Program::bind`].
    pub fn bind_all<'p>(
        programs: impl Iterator<Item = &'p Self>,
        dictionaries: &[&Dictionary],
    ) -> Vec<Bound> {
        let versions = versions(dictionaries);
        programs.map(|program| program.bind_to(&versions, dictionaries)).collect()
    }

    fn bind_to(&self, versions: &Arc<[(u64, usize)]>, dictionaries: &[&Dictionary]) -> Bound {
        assert_eq!(dictionaries.len(), self.relations.len(), "one dictionary per relation");
        let constants = &self.constants;
        let code = |text: u32, d: &Dictionary| d.code(&constants.texts[text as usize]);
        let (texts, sets) = (constants.texts.len() as u32, constants.text_sets.len() as u32);
        let mut codes: Vec<u32> = dictionaries
            .iter()
            .flat_map(|d| (0..texts).map(|text| code(text, d).unwrap_or(ABSENT)))
            .collect();
        let mut in_sets = Vec::new();
        let first = codes.len() + dictionaries.len() * constants.text_sets.len();
        for d in dictionaries {
            for set in &constants.text_sets {
                let start = in_sets.len();
                in_sets.extend(set.iter().filter_map(|text| code(*text, d)));
                in_sets[start..].sort_unstable();
                codes.push((first + in_sets.len()) as u32);
            }
        }
        codes.append(&mut in_sets);
        let named = |names: &super::Names, d: &Dictionary| {
            CodeKeys::new(names.iter().filter_map(|(text, key)| Some((d.code(text)?, key))).collect())
        };
        let keys = dictionaries.iter().flat_map(|d| constants.names.iter().map(|names| named(names, d)));
        Bound {
            program: self.id,
            texts,
            sets,
            names: constants.names.len() as u32,
            codes: codes.into(),
            versions: versions.clone(),
            keys: keys.collect(),
        }
    }
}

fn versions(dictionaries: &[&Dictionary]) -> Arc<[(u64, usize)]> {
    dictionaries.iter().map(|d| d.version()).collect()
}

impl Bound {
    /// Of a program without constants.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self {
            program: 0,
            texts: 0,
            sets: 0,
            names: 0,
            codes: [].into(),
            versions: [].into(),
            keys: [].into(),
        }
    }

    /// The program.
    #[inline]
    pub(super) fn program(&self) -> u64 {
        self.program
    }

    /// What [`Dictionary::version`] said of each relation's dictionary.
    #[inline]
    pub(super) fn versions(&self) -> &[(u64, usize)] {
        &self.versions
    }

    /// How many texts the dictionary of a relation has.
    #[inline]
    pub(super) fn texts(&self, relation: usize) -> usize {
        self.versions[relation].1
    }

    /// Code of a constant in the dictionary of a relation.
    #[inline]
    pub(super) fn code(&self, text: usize, relation: usize) -> u32 {
        self.codes[relation * self.texts as usize + text]
    }

    /// Codes of a set in the dictionary of a relation, sorted.
    #[inline]
    pub(super) fn set(&self, set: usize, relation: usize) -> &[u32] {
        let (texts, sets) = (self.versions.len() * self.texts as usize, self.sets as usize);
        let ends = &self.codes[texts..][..self.versions.len() * sets];
        let at = relation * sets + set;
        let start = at.checked_sub(1).map_or(texts + ends.len(), |before| ends[before] as usize);
        &self.codes[start..ends[at] as usize]
    }

    /// Keys of codes of a relation's dictionary, by a set of names.
    #[inline]
    pub(super) fn keys(&self, names: usize, relation: usize) -> &CodeKeys {
        &self.keys[relation * self.names as usize + names]
    }
}
