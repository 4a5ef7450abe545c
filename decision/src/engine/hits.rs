//! Entries of lists that were hit.

/// An entry of a list that was hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ListHit<'a> {
    pub list: &'a str,
    pub entry_id: &'a str,
    /// Why it is on the list; empty: the list does not say.
    pub reason: &'a str,
    /// Who put it there; empty: the list does not say.
    pub source: &'a str,
}

impl<'a> ListHit<'a> {
    /// Its texts, in the order in which they are written down.
    pub fn texts(self) -> [&'a str; 4] {
        [self.list, self.entry_id, self.reason, self.source]
    }
}

/// Entries that were hit, their texts in one piece of memory: reused, they allocate nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct ListHits {
    texts: String,
    /// Where each text of each entry ends.
    ends: Vec<[usize; 4]>,
}

impl ListHits {
    pub fn clear(&mut self) {
        self.texts.clear();
        self.ends.clear();
    }

    pub fn push(&mut self, hit: ListHit<'_>) {
        let ends = hit.texts().map(|text| {
            self.texts.push_str(text);
            self.texts.len()
        });
        self.ends.push(ends);
    }

    /// All entries, in the order in which they were hit.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ListHit<'_>> {
        let mut start = 0;
        self.ends.iter().map(move |ends| {
            let [list, entry_id, reason, source] =
                ends.map(|end| &self.texts[std::mem::replace(&mut start, end)..end]);
            ListHit { list, entry_id, reason, source }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_as_they_were_pushed() {
        let some = [
            ListHit { list: "black", entry_id: "e1", reason: "", source: "总部" },
            ListHit { list: "grey", entry_id: "e2", reason: "逾期", source: "" },
        ];
        let mut hits = ListHits::default();
        for round in 1..=2 {
            hits.clear();
            some[..round].iter().for_each(|hit| hits.push(*hit));
            assert_eq!(hits.iter().len(), round);
            assert!(hits.iter().eq(some[..round].iter().copied()));
        }
    }
}
