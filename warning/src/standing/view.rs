//! What a reader has heard: which of it is the last word, and up to when it is the whole.

use std::collections::{BTreeMap, HashMap};

use tarim_features::warnings::{Feed, Standing};

use super::record::{Beat, Record, Stamp};
use crate::core::Position;

/// Puts records into a [`Feed`].
pub struct View {
    feed: Feed,
    /// Of each customer with warnings, the last word. (The shape of the key is the topic's: member/customer.)
    stamps: HashMap<(String, String), Stamp>,
    /// The last beat of each partition.
    beats: BTreeMap<i32, Beat>,
    /// The epoch of which there is a whole.
    whole: i64,
    /// Customers whose last word could not be read: while there is one, nothing is known.
    unreadable: HashMap<(String, String), Unreadable>,
    /// Records that were taken and not yet put.
    gathered: Vec<(String, String, Standing)>,
    records: u64,
}

/// A record that could not be read.
struct Unreadable {
    /// Where it stands.
    at: Position,
    /// When it was told, if at least that could be read.
    stamp: Option<Stamp>,
}

impl View {
    pub fn new(feed: Feed) -> Self {
        Self {
            feed,
            stamps: HashMap::new(),
            beats: BTreeMap::new(),
            whole: i64::MIN,
            unreadable: HashMap::new(),
            gathered: Vec::new(),
            records: 0,
        }
    }

    /// Takes a record; it is not seen before [`View::show`].
    pub fn take(&mut self, at: Position, record: Record) {
        self.records += 1;
        match record {
            Record::Beat(beat) => {
                let last = self.beats.entry(at.partition).or_insert(beat);
                // One of a sender that was replaced, and does not know it.
                if beat.epoch >= last.epoch {
                    *last = beat;
                }
            }
            Record::Customer { member, customer, standing, stamp } => {
                let key = (member, customer);
                self.mend(&key, at, stamp);
                let newer = self.stamps.get(&key).is_none_or(|last| stamp >= *last);
                if stamp.epoch < self.whole || !newer {
                    return;
                }
                let (member, customer) = key.clone();
                self.stamps.insert(key, stamp);
                self.gathered.push((member, customer, standing));
            }
        }
    }

    /// What was said of a customer cannot be read: nothing is known until something else is said of them.
    pub fn spoil(&mut self, at: Position, member: &str, customer: &str, stamp: Option<Stamp>) {
        let key = (member.to_owned(), customer.to_owned());
        // A sender that was replaced may have told it: what was told later is still to be told again.
        let stamp = stamp.max(self.unreadable.get(&key).and_then(|bad| bad.stamp));
        self.unreadable.insert(key, Unreadable { at, stamp });
        self.feed.lost();
    }

    /// Something was said of a customer. It is behind what could not be read if it stands behind it, or says so: the topic is
    /// read from its beginning again after each error, and what was said before mends nothing.
    fn mend(&mut self, key: &(String, String), at: Position, stamp: Stamp) {
        let Some(bad) = self.unreadable.get(key) else { return };
        let last = self.stamps.get(key).copied().max(bad.stamp);
        // A tombstone that was put there by hand is of no sender. While nothing is whole, a sender that was replaced is told by what
        // was told before it.
        let replaced =
            stamp != Stamp::default() && (stamp.epoch < self.whole || last.is_some_and(|last| stamp < last));
        let behind = at.partition == bad.at.partition && at.offset > bad.at.offset;
        let newer = last.is_some_and(|last| stamp > last);
        if !replaced && (behind || newer) {
            self.unreadable.remove(key);
        }
    }

    /// Shows what was taken.
    pub fn show(&mut self) {
        let gathered = std::mem::take(&mut self.gathered);
        self.feed.put(gathered.iter().map(|(m, c, standing)| (&**m, &**c, *standing)));
        self.feed.count(std::mem::take(&mut self.records));
        let Some((epoch, heard_us)) = self.heard().filter(|_| self.unreadable.is_empty()) else { return };
        if epoch > self.whole {
            self.whole = epoch;
            self.stamps.retain(|_, stamp| stamp.epoch >= epoch);
            let stamps = &self.stamps;
            self.feed
                .retain(|member, customer| stamps.contains_key(&(member.to_owned(), customer.to_owned())));
        }
        self.feed.heard(heard_us);
    }

    /// The epoch of which every partition has a beat, and up to when all of them know everything.
    fn heard(&self) -> Option<(i64, i64)> {
        let first = self.beats.values().next()?;
        let whole = self.beats.len() == first.partitions
            && self.beats.values().all(|b| (b.epoch, b.partitions) == (first.epoch, first.partitions));
        let heard = self.beats.values().map(|beat| beat.heard_us).min()?;
        whole.then_some((first.epoch, heard))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tarim_features::warnings::{Level, Warnings};

    use super::*;

    fn view() -> (View, Warnings) {
        let feed = Feed::new(Duration::from_micros(10));
        let warnings = feed.warnings();
        (View::new(feed), warnings)
    }

    fn red(count: u32) -> Standing {
        let mut standing = Standing::default();
        (0..count).for_each(|_| standing.add(Level::Red, false, false, 1, 1));
        standing
    }

    fn told(customer: &str, count: u32, epoch: i64, number: u64) -> Record {
        let (member, customer) = ("001".into(), customer.into());
        Record::Customer { member, customer, standing: red(count), stamp: Stamp { epoch, number } }
    }

    fn beat(epoch: i64, heard_us: i64) -> Record {
        Record::Beat(Beat { epoch, heard_us, partitions: 2 })
    }

    /// Each behind all that were taken before.
    fn take(view: &mut View, records: impl IntoIterator<Item = (i32, Record)>) {
        for (partition, record) in records {
            view.take(Position { partition, offset: 1000 + view.records as i64 }, record);
        }
        view.show();
    }

    #[test]
    fn nothing_is_known_before_every_partition_has_beaten() {
        let (mut view, warnings) = view();
        take(&mut view, [(0, told("c1", 1, 100, 1)), (0, beat(100, 1000))]);
        assert_eq!(warnings.of_at("001", "c1", 1000), None, "the other partition may have more");
        take(&mut view, [(1, beat(100, 1003))]);
        assert_eq!(warnings.of_at("001", "c1", 1010), Some(red(1)));
        assert_eq!(warnings.of_at("001", "c2", 1010), Some(Standing::default()));
        assert_eq!(warnings.of_at("001", "c1", 1011), None, "as old as the oldest of the beats");
        assert_eq!(warnings.read(), 3);
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        let (mut view, warnings) = view();
        take(&mut view, [(0, told("c1", 1, 100, 1)), (0, beat(100, 1)), (1, beat(100, 1))]);
        view.spoil(Position { partition: 0, offset: 999 }, "001", "c1", None);
        assert_eq!(warnings.of_at("001", "c1", 1), None);
        take(&mut view, [(0, beat(100, 2)), (1, beat(100, 2))]);
        assert_eq!(warnings.of_at("001", "c2", 1), None, "a beat does not mend it");
        take(&mut view, [(0, told("c1", 2, 100, 2))]);
        assert_eq!(warnings.of_at("001", "c1", 2), Some(red(2)));
    }

    #[test]
    fn what_was_said_before_mends_nothing() {
        let at = |partition, offset| Position { partition, offset };
        let empty = |epoch| {
            let (member, customer) = ("001".into(), "c1".into());
            let stamp = Stamp { epoch, number: 0 };
            Record::Customer { member, customer, standing: Standing::default(), stamp }
        };
        // What comes after the last word could not be read, where, and whether something is known then.
        for (record, partition, offset, mends) in [
            // The topic is read from its beginning again, after an error.
            (told("c1", 1, 100, 1), 0, 10, false),
            // A sender that was replaced, and does not know it.
            (told("c1", 2, 99, 9), 0, 21, false),
            (told("c1", 2, 100, 2), 0, 21, true),
            // The topic was given more partitions.
            (told("c1", 2, 100, 2), 1, 5, true),
            (told("c1", 1, 100, 1), 1, 5, false),
            // Put there by hand.
            (empty(0), 0, 21, true),
            (empty(0), 0, 19, false),
            (told("c2", 1, 100, 2), 0, 21, false),
        ] {
            let (mut view, warnings) = view();
            take(&mut view, [(0, told("c1", 1, 100, 1)), (0, beat(100, 1)), (1, beat(100, 1))]);
            view.spoil(at(0, 20), "001", "c1", None);
            let said = format!("{record:?} at {partition}/{offset}");
            view.take(at(partition, offset), record);
            view.show();
            assert_eq!(warnings.of_at("001", "c2", 1).is_some(), mends, "{said}");
        }
        // The same at the start, before there is a whole: what was told before, the stamp of what could not be read, and what comes
        // behind it.
        let stamp = |epoch, number| Some(Stamp { epoch, number });
        for (before, bad, record, mends) in [
            (Some(told("c1", 1, 100, 1)), None, told("c1", 2, 99, 9), false),
            (Some(told("c1", 1, 100, 1)), stamp(100, 5), told("c1", 2, 99, 9), false),
            (Some(told("c1", 1, 100, 1)), None, told("c1", 2, 100, 6), true),
            (None, stamp(100, 5), told("c1", 2, 99, 9), false),
            (None, stamp(100, 5), told("c1", 2, 100, 6), true),
            (None, stamp(100, 5), empty(0), true),
            (None, None, told("c1", 2, 100, 6), true),
        ] {
            let (mut view, warnings) = view();
            let said = format!("{record:?} behind {before:?} and {bad:?}");
            before.into_iter().for_each(|record| view.take(at(0, 10), record));
            view.spoil(at(0, 20), "001", "c1", bad);
            view.take(at(0, 21), record);
            take(&mut view, [(0, beat(100, 1)), (1, beat(100, 1))]);
            assert_eq!(warnings.of_at("001", "c1", 1).is_some(), mends, "{said}");
        }
    }

    #[test]
    fn a_new_sender_tells_the_whole() {
        let (mut view, warnings) = view();
        let open = |customer: &str, now| warnings.of_at("001", customer, now).map(|s| s.open());
        take(&mut view, [(0, told("c1", 1, 100, 1)), (1, told("c2", 1, 100, 2)), (0, told("c3", 1, 100, 3))]);
        take(&mut view, [(0, beat(100, 1000)), (1, beat(100, 1000))]);
        // It does not know of c1 any more, and has not said it all.
        take(&mut view, [(1, told("c2", 2, 200, 1)), (1, beat(200, 1001))]);
        assert_eq!((open("c1", 1010), open("c2", 1010)), (Some(1), Some(2)));
        assert_eq!(open("c1", 1011), None, "only one partition is of the new one");
        take(&mut view, [(0, told("c3", 3, 200, 2)), (0, beat(200, 1002))]);
        assert_eq!([open("c1", 1010), open("c2", 1010), open("c3", 1010)], [Some(0), Some(2), Some(3)]);
        // The former one is still there, and is not listened to.
        take(&mut view, [(0, told("c1", 9, 100, 9)), (0, beat(100, 1009)), (1, beat(100, 1009))]);
        assert_eq!(open("c1", 1010), Some(0));
        assert_eq!(open("c1", 1012), None);
    }

    #[test]
    fn the_last_word_is_the_newest_not_the_latest() {
        let (mut view, warnings) = view();
        // The topic was given more partitions: what was in one is in another now, and is read in any order.
        let records = [told("c1", 0, 100, 8), told("c1", 5, 100, 3), told("c1", 5, 100, 3)];
        take(
            &mut view,
            records.map(|record| (1, record)).into_iter().chain([(0, beat(100, 1)), (1, beat(100, 1))]),
        );
        assert_eq!(warnings.of_at("001", "c1", 1), Some(Standing::default()));
        take(&mut view, [(1, told("c1", 1, 100, 9)), (1, told("c1", 1, 100, 9))]);
        assert_eq!(warnings.of_at("001", "c1", 1), Some(red(1)), "a repeat changes nothing");
    }

    #[test]
    fn a_topic_with_more_partitions_is_not_whole_before_all_beat() {
        let (mut view, warnings) = view();
        take(&mut view, [(0, beat(100, 1)), (1, beat(100, 1))]);
        assert!(warnings.of_at("001", "c1", 11).is_some());
        let three = |heard_us| Record::Beat(Beat { epoch: 100, heard_us, partitions: 3 });
        take(&mut view, [(0, three(5)), (1, three(5))]);
        assert!(warnings.of_at("001", "c1", 12).is_none(), "the third has not beaten");
        take(&mut view, [(2, three(5))]);
        assert!(warnings.of_at("001", "c1", 12).is_some());
    }
}
