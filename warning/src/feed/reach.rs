//! Up to when all alerts have been read.

use std::collections::BTreeMap;

/// A topic and a partition of it.
type Place = (String, i32);

/// How far the partitions of alerts are read, beside how far they go.
///
/// Where a partition ends is asked for now and then; once all of that is read, every alert which there was then has been.
/// Only what was read counts. That nothing comes says nothing: a broker may be slow to answer, and a backlog to arrive.
#[derive(Default)]
pub struct Reach {
    /// First offset of each that has not been read.
    read: BTreeMap<Place, i64>,
    /// When was asked, and what of each is still to be read.
    asked: Option<(i64, BTreeMap<Place, i64>)>,
}

impl Reach {
    /// Everything before this offset has been read: alerts, and marks of transactions, which no reader sees.
    pub fn read(&mut self, topic: &str, partition: i32, next: i64) {
        let place = (topic.to_owned(), partition);
        if let Some((_, open)) = &mut self.asked
            && open.get(&place).is_some_and(|end| *end <= next)
        {
            open.remove(&place);
        }
        self.read.insert(place, next);
    }

    /// The partitions end there, at this time.
    pub fn asked(&mut self, at_us: i64, ends: BTreeMap<Place, i64>) {
        let mut open = ends;
        open.retain(|place, end| self.read.get(place).copied().unwrap_or_default() < *end);
        // What was asked before and is not all read stays: else one partition after the other could put it off for ever.
        match &mut self.asked {
            Some((_, still)) if !still.is_empty() => still.retain(|place, _| open.contains_key(place)),
            _ => self.asked = Some((at_us, open)),
        }
    }

    /// Is something that was asked for still to be read?
    pub fn is_behind(&self) -> bool {
        self.asked.as_ref().is_some_and(|(_, open)| !open.is_empty())
    }

    /// Since when, in microseconds since 1970-01-01T00:00:00Z, all is read that there was; None: nothing new of that.
    pub fn reached(&mut self) -> Option<i64> {
        let (at_us, _) = self.asked.take_if(|(_, open)| open.is_empty())?;
        Some(at_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends<const N: usize>(of: [(&str, i32, i64); N]) -> BTreeMap<Place, i64> {
        of.into_iter().map(|(topic, partition, end)| ((topic.to_owned(), partition), end)).collect()
    }

    #[test]
    fn it_is_reached_when_all_is_read() {
        let mut reach = Reach::default();
        assert_eq!(reach.reached(), None);
        reach.read("red", 0, 0);
        reach.read("blue", 0, 5);
        reach.asked(100, ends([("red", 0, 2), ("blue", 0, 5)]));
        assert_eq!(reach.reached(), None);
        reach.read("red", 0, 1);
        assert_eq!(reach.reached(), None);
        // Asked again meanwhile: the first question is answered first.
        reach.asked(200, ends([("red", 0, 9), ("blue", 0, 9)]));
        reach.read("blue", 0, 6);
        reach.read("red", 0, 2);
        assert_eq!(reach.reached(), Some(100));
        assert_eq!(reach.reached(), None);
        reach.asked(300, ends([("red", 0, 9), ("blue", 0, 9)]));
        reach.read("red", 0, 9);
        assert_eq!(reach.reached(), None);
        reach.read("blue", 0, 9);
        assert_eq!(reach.reached(), Some(300));
    }

    /// Whatever there is may be on its way: the first answer of a broker that is slow, and all of a backlog.
    #[test]
    fn silence_is_no_evidence() {
        let mut reach = Reach::default();
        reach.read("red", 0, 0);
        reach.asked(100, ends([("red", 0, 2)]));
        assert_eq!((reach.is_behind(), reach.reached()), (true, None));
        // Asked again, and nothing has moved.
        reach.asked(200, ends([("red", 0, 2)]));
        assert_eq!((reach.is_behind(), reach.reached()), (true, None));
        // The alert is read, and behind it stands the mark of its transaction.
        reach.read("red", 0, 1);
        assert_eq!((reach.is_behind(), reach.reached()), (true, None));
        reach.read("red", 0, 2);
        assert_eq!((reach.is_behind(), reach.reached()), (false, Some(100)));
        assert!(!reach.is_behind(), "nothing was asked since");
    }

    /// Its topic was made anew, and is read from its beginning.
    #[test]
    fn what_is_read_again_is_not_read_before_it_is() {
        let mut reach = Reach::default();
        reach.read("red", 0, 9);
        reach.read("red", 0, 0);
        reach.asked(100, ends([("red", 0, 2)]));
        assert_eq!(reach.reached(), None);
        reach.read("red", 0, 2);
        assert_eq!(reach.reached(), Some(100));
    }
}
