//! What stands against one customer, in numbers, and as the row `warning` that policies read.

use std::sync::{Arc, LazyLock};

use tarim_datamart::Type;

use crate::row::{CellError, Column, Layout, RowBuilder};

/// How grave a warning is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    Blue,
    Yellow,
    Orange,
    Red,
}

/// The levels by their names, the gravest last.
pub const LEVELS: [(&str, Level); 4] =
    [("blue", Level::Blue), ("yellow", Level::Yellow), ("orange", Level::Orange), ("red", Level::Red)];

/// What stands against a customer: warnings that are open, acknowledged or escalated. The default: none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How many of each level, in the order of [`LEVELS`].
    pub by_level: [u32; 4],
    /// Those of each level that nobody has looked at.
    pub unacknowledged: [u32; 4],
    /// Those that were passed on to somebody else.
    pub escalated: u32,
    /// When the first and the last of all their alerts arose, in microseconds since 1970-01-01T00:00:00Z. Of no meaning
    /// where nothing stands.
    pub oldest_raised_us: i64,
    pub latest_raised_us: i64,
}

impl Standing {
    pub fn open(&self) -> u32 {
        sum(self.by_level)
    }

    /// Those that nobody has looked at, of all levels.
    pub fn unacknowledged(&self) -> u32 {
        sum(self.unacknowledged)
    }

    /// None: nothing stands.
    pub fn gravest(&self) -> Option<Level> {
        let mut levels = LEVELS.iter().rev();
        levels.find(|(_, level)| self.by_level[*level as usize] > 0).map(|(_, level)| *level)
    }

    /// One more that stands.
    pub fn add(&mut self, level: Level, acknowledged: bool, escalated: bool, first_us: i64, last_us: i64) {
        let first = self.open() == 0;
        self.oldest_raised_us = if first { first_us } else { self.oldest_raised_us.min(first_us) };
        self.latest_raised_us = if first { last_us } else { self.latest_raised_us.max(last_us) };
        for (count, counts) in [
            (&mut self.by_level[level as usize], true),
            (&mut self.unacknowledged[level as usize], !acknowledged),
            (&mut self.escalated, escalated),
        ] {
            *count = count.saturating_add(u32::from(counts));
        }
    }

    /// Writes it into a row of [`layout`] in which nothing is set.
    ///
    /// # Errors
    /// None, for a row of that layout.
    pub fn pack(&self, row: &mut RowBuilder) -> Result<(), CellError> {
        let [blue, yellow, orange, red] = self.by_level;
        let counts = [self.open(), blue, yellow, orange, red, self.unacknowledged(), self.escalated];
        for (column, count) in counts.into_iter().enumerate() {
            row.set_int(column, i64::from(count))?;
        }
        let gravest = self.gravest();
        row.set_text(GRAVEST, gravest.map_or(NONE, |level| LEVELS[level as usize].0))?;
        if gravest.is_some() {
            row.set_timestamp(GRAVEST + 1, self.oldest_raised_us)?;
            row.set_timestamp(GRAVEST + 2, self.latest_raised_us)?;
        }
        for (column, (_, level)) in (GRAVEST + 3..).zip(UNACKNOWLEDGED) {
            row.set_int(column, i64::from(self.unacknowledged[level as usize]))?;
        }
        Ok(())
    }
}

fn sum(by_level: [u32; 4]) -> u32 {
    by_level.iter().fold(0, |sum, n| sum.saturating_add(*n))
}

/// Names of the counts, which stand first in the row.
const COUNTS: [&str; 7] = ["open", "blue", "yellow", "orange", "red", "unacknowledged", "escalated"];

/// Index of the gravest level; the two times follow it, and then those that nobody has looked at.
const GRAVEST: usize = COUNTS.len();

/// Of the levels that keep money back, those that nobody has looked at.
const UNACKNOWLEDGED: [(&str, Level); 2] =
    [("unacknowledged_orange", Level::Orange), ("unacknowledged_red", Level::Red)];

/// What the gravest level is called where nothing stands: a comparison with it can always be told.
const NONE: &str = "none";

/// The row that policies read. All of it is NULL where nothing is known; where nothing stands, only the times are.
pub fn layout() -> Arc<Layout> {
    static LAYOUT: LazyLock<Arc<Layout>> = LazyLock::new(|| {
        let count =
            |name: &&str| Column { range: Some((0, i64::from(u32::MAX))), ..Column::new(*name, Type::Int64) };
        let levels = LEVELS.iter().map(|(name, _)| *name);
        let gravest = Column {
            codes: std::iter::once(NONE).chain(levels).map(str::to_owned).collect(),
            ..Column::new("gravest", Type::Utf8)
        };
        let times = ["oldest_raised_at", "latest_raised_at"].map(|name| Column::new(name, Type::Timestamp));
        let unread = UNACKNOWLEDGED.iter().map(|(name, _)| count(name));
        let columns = COUNTS.iter().map(count).chain([gravest]).chain(times).chain(unread).collect();
        Arc::new(Layout::new(columns, Vec::new()).expect("names are distinct, ranges and codes in order"))
    });
    LAYOUT.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Row;

    fn shown(standing: Option<&Standing>) -> String {
        let layout = layout();
        let mut builder = RowBuilder::new(&layout);
        if let Some(standing) = standing {
            standing.pack(&mut builder).unwrap();
        }
        let row = Row::new(&layout, builder.finish(), layout.codes(), 0).unwrap();
        let values = layout.columns().iter().enumerate().map(|(i, c)| format!("{}={}", c.name, row.get(i)));
        values.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn none_is_not_unknown() {
        assert!(shown(None).split(' ').all(|v| v.ends_with("=–")), "{}", shown(None));
        assert_eq!(
            shown(Some(&Standing::default())),
            "open=0 blue=0 yellow=0 orange=0 red=0 unacknowledged=0 escalated=0 gravest=none \
             oldest_raised_at=– latest_raised_at=– unacknowledged_orange=0 unacknowledged_red=0"
        );
    }

    #[test]
    fn what_stands_is_counted() {
        let mut standing = Standing::default();
        standing.add(Level::Orange, false, false, 5_000_000, 9_000_000);
        standing.add(Level::Blue, true, false, 2_000_000, 3_000_000);
        standing.add(Level::Orange, true, true, 7_000_000, 8_000_000);
        standing.add(Level::Red, false, false, 8_000_000, 8_000_000);
        assert_eq!(
            shown(Some(&standing)),
            "open=4 blue=1 yellow=0 orange=2 red=1 unacknowledged=2 escalated=1 gravest=red \
             oldest_raised_at=1970-01-01T00:00:02Z latest_raised_at=1970-01-01T00:00:09Z \
             unacknowledged_orange=1 unacknowledged_red=1"
        );
    }
}
