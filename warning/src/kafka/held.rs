//! Which rulebook held from which offset on: told with the committed offset, so that it is neither lost nor moved with a folder.
//!
//! ```text
//!  a partition's committed offset: 505    told with it: "0 3f9a… 501 77c0…"
//!                                                           │        └─ by this one events were judged from offset 501 on
//!                                                           └─ by this one before
//! ```
//!
//! The log says which rulebook comes into force; it does not say which one it began with. A state that is lost is built again by that
//! one, whatever was published since: else the events before a swap would be judged, silently, by the rulebook that the swap brings, and
//! what it has to tell of them would never be told.

use std::fmt;

/// Versions, each with the first offset that it held from. Of commits by an earlier release, or by hand, nothing is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held(Vec<(i64, String)>);

/// The last so many changes are told. A broker takes 4096 bytes (offset.metadata.max.bytes), and each is 85 at the most.
const CHANGES: usize = 32;

impl Held {
    /// As it was told.
    pub fn read(told: &str) -> Self {
        let mut words = told.split(' ');
        let mut held = Vec::new();
        while let (Some(from), Some(version)) = (words.next(), words.next()) {
            let Ok(from) = from.parse() else { return Self::default() };
            held.push((from, version.to_owned()));
        }
        Self(held)
    }

    /// The one that held at an offset; None: it is not known.
    pub fn at(&self, offset: i64) -> Option<&str> {
        self.0.iter().rfind(|(from, _)| *from <= offset).map(|(_, version)| version.as_str())
    }

    /// A state goes on at an offset with this one, which an event of the log has brought into force or not. If it is another one
    /// than held there, somebody has begun with another text: what was before cannot be made again, and is not told any more.
    /// Of before a state that an earlier release has left nothing is known, unless it goes on with what it began with.
    pub fn go_on(&mut self, at: i64, version: &str, by_event: bool) {
        if self.at(at) != Some(version) {
            self.0.clear();
        }
        self.hold(if self.0.is_empty() && !by_event { 0 } else { at }, version);
    }

    /// From here on this one holds. What was told of later offsets is told again when they come.
    pub fn hold(&mut self, from: i64, version: &str) {
        self.0.retain(|(earlier, _)| *earlier < from);
        if self.at(from) != Some(version) {
            self.0.push((from, version.to_owned()));
        }
        self.0.drain(..self.0.len().saturating_sub(CHANGES));
    }

    /// What a partition begins with of which nothing is committed: what the others of its group hold now. (An event that changes it
    /// stands in all partitions that there were: the one that has taken most of them is ahead.)
    pub fn by_others(others: impl IntoIterator<Item = Held>) -> Option<String> {
        let ahead = others.into_iter().max_by_key(|held| held.0.len())?;
        ahead.0.into_iter().next_back().map(|(_, version)| version)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (from, version)) in self.0.iter().enumerate() {
            write!(f, "{}{from} {version}", if i == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(told: &str) -> Held {
        let held = Held::read(told);
        assert_eq!(held.to_string(), told);
        held
    }

    #[test]
    fn what_held_is_known_at_each_offset() {
        let held = held("7 a 501 b 900 a");
        for (offset, wanted) in
            [(6, None), (7, Some("a")), (500, Some("a")), (501, Some("b")), (i64::MAX, Some("a"))]
        {
            assert_eq!(held.at(offset), wanted, "{offset}");
        }
        for unknown in ["", "by hand", "x", "1"] {
            assert_eq!(Held::read(unknown), Held::default(), "{unknown}");
        }
    }

    #[test]
    fn a_change_is_told_once_however_often_it_is_taken() {
        for (before, (from, version), after) in [
            ("", (0, "a"), "0 a"),
            ("0 a", (501, "b"), "0 a 501 b"),
            ("0 a 501 b", (501, "b"), "0 a 501 b"),
            ("0 a 501 b", (600, "b"), "0 a 501 b"),
            ("0 a 501 b", (600, "a"), "0 a 501 b 600 a"),
        ] {
            let mut told = held(before);
            told.hold(from, version);
            assert_eq!(told.to_string(), after, "{version} from {from} after `{before}`");
        }
    }

    #[test]
    fn what_cannot_be_made_again_is_not_told() {
        for (before, (at, version, by_event), after) in [
            // A state is loaded, and the change is taken again; or the log begins behind it by now.
            ("0 a 501 b", (400, "a", false), "0 a"),
            ("0 a 501 b", (600, "b", true), "0 a 501 b"),
            ("0 a 501 b", (600, "b", false), "0 a 501 b"),
            // Somebody has begun with another text, anew or in the midst of it.
            ("0 a 501 b", (0, "c", false), "0 c"),
            ("0 a", (400, "c", false), "0 c"),
            // An earlier release has told nothing.
            ("", (400, "a", false), "0 a"),
            ("", (600, "b", true), "600 b"),
        ] {
            let mut told = held(before);
            told.go_on(at, version, by_event);
            assert_eq!(told.to_string(), after, "{version} at {at} after `{before}`");
        }
    }

    #[test]
    fn a_broker_takes_it_however_many_changes_there_were() {
        let mut held = Held::default();
        for n in 0..100 {
            held.hold(i64::MAX - 100 + n, &format!("{n:064}"));
        }
        assert!(held.to_string().len() < 4096 && held.at(i64::MAX) == Some(&format!("{:064}", 99)));
    }

    #[test]
    fn a_partition_that_is_new_begins_with_what_the_others_hold() {
        let by_others = |told: &[&str]| Held::by_others(told.iter().map(|told| held(told)));
        assert_eq!(by_others(&[]), None);
        assert_eq!(by_others(&["", ""]), None);
        assert_eq!(by_others(&["", "0 a", "3 a"]).as_deref(), Some("a"));
        assert_eq!(by_others(&["0 a", "0 a 501 b", ""]).as_deref(), Some("b"), "it is under way");
    }
}
