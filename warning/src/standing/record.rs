//! A record of the topic of what stands.

use serde_json::{Value as Json, json};
use tarim_features::warnings::{LEVELS, Standing};

/// Key of a beat. That of a customer has a slash.
pub const BEAT: &str = "beat";

/// Header with the [`Stamp`].
pub const STAMP: &str = "stamp";

/// When a record was told: by whom, and its number among theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When the sender began, in microseconds since 1970-01-01T00:00:00Z.
    pub epoch: i64,
    pub number: u64,
}

/// Everything that was known at a time stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    pub epoch: i64,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub heard_us: i64,
    /// How many partitions beat.
    pub partitions: usize,
}

/// A record, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Customer { member: String, customer: String, standing: Standing, stamp: Stamp },
    Beat(Beat),
}

/// Key of a customer; None: the member's code has a slash, which no member of a rulebook has.
pub fn key(member: &str, customer: &str) -> Option<String> {
    (!member.contains('/')).then(|| format!("{member}/{customer}"))
}

/// Member and customer of a key; None: it is no customer's.
pub fn customer(key: &[u8]) -> Option<(&str, &str)> {
    str::from_utf8(key).ok()?.split_once('/')
}

impl Stamp {
    pub fn text(self) -> String {
        format!("{}-{}", self.epoch, self.number)
    }

    pub fn read(text: &[u8]) -> Option<Self> {
        let (epoch, number) = str::from_utf8(text).ok()?.split_once('-')?;
        Some(Self { epoch: epoch.parse().ok()?, number: number.parse().ok()? })
    }
}

/// What is written of a customer; None: nothing stands, and the topic may forget the customer.
pub fn standing_json(standing: &Standing) -> Option<Json> {
    if standing.open() == 0 {
        return None;
    }
    let mut json = json!({
        "open": standing.open(),
        "unacknowledged": standing.unacknowledged(),
        "escalated": standing.escalated,
        "oldest_raised_us": standing.oldest_raised_us,
        "latest_raised_us": standing.latest_raised_us,
    });
    for (name, level) in LEVELS {
        json[name] = standing.by_level[level as usize].into();
        json[unacknowledged(name)] = standing.unacknowledged[level as usize].into();
    }
    Some(json)
}

/// The count of a level that nobody has looked at.
fn unacknowledged(level: &str) -> String {
    format!("unacknowledged_{level}")
}

pub fn beat_json(beat: &Beat) -> Json {
    let Beat { epoch, heard_us, partitions } = beat;
    json!({ "epoch": epoch, "heard_us": heard_us, "partitions": partitions })
}

/// A record from its key, stamp and payload, or what is wrong with it.
pub fn read(key: &[u8], stamp: Option<&[u8]>, payload: Option<&[u8]>) -> Result<Record, String> {
    let key = str::from_utf8(key).map_err(|e| format!("its key is no text: {e}"))?;
    let json = || -> Result<Json, String> {
        serde_json::from_slice(payload.unwrap_or_default()).map_err(|e| format!("it is not JSON: {e}"))
    };
    let integer = |json: &Json, name: &str| {
        json[name].as_i64().ok_or_else(|| format!("{name}: it is missing, or no whole number"))
    };
    if key == BEAT {
        let json = json()?;
        let partitions = usize::try_from(integer(&json, "partitions")?).map_err(|_| "partitions: below 0")?;
        let (epoch, heard_us) = (integer(&json, "epoch")?, integer(&json, "heard_us")?);
        return Ok(Record::Beat(Beat { epoch, heard_us, partitions }));
    }
    let (member, customer) = customer(key.as_bytes()).ok_or("its key is not member/customer")?;
    let stamp = match (stamp.and_then(Stamp::read), payload) {
        (Some(stamp), _) => stamp,
        // Put there by hand, to make the topic forget what nobody can read. It is older than all else.
        (None, None) => Stamp::default(),
        (None, Some(_)) => return Err("its header `stamp` is missing, or no epoch-number".into()),
    };
    let mut standing = Standing::default();
    if payload.is_some() {
        let json = json()?;
        let count = |name: &str| -> Result<u32, String> {
            u32::try_from(integer(&json, name)?).map_err(|_| format!("{name}: it is no count"))
        };
        for (name, level) in LEVELS {
            standing.by_level[level as usize] = count(name)?;
        }
        let all = count("unacknowledged")?;
        for (name, level) in LEVELS {
            let name = unacknowledged(name);
            // A sender of before told the sum alone: as many of each level as may be.
            let most = standing.by_level[level as usize].min(all);
            standing.unacknowledged[level as usize] =
                if json[&name].is_null() { most } else { count(&name)? };
        }
        standing.escalated = count("escalated")?;
        standing.oldest_raised_us = integer(&json, "oldest_raised_us")?;
        standing.latest_raised_us = integer(&json, "latest_raised_us")?;
    }
    Ok(Record::Customer { member: member.into(), customer: customer.into(), standing, stamp })
}

#[cfg(test)]
mod tests {
    use tarim_features::warnings::Level;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut standing = Standing::default();
        standing.add(Level::Red, true, true, -5, 7);
        standing.add(Level::Blue, false, false, 3, 9);
        let stamp = Stamp { epoch: 1_790_000_000_000_000, number: 12 };
        for standing in [Standing::default(), standing] {
            let payload = standing_json(&standing).map(|json| json.to_string());
            let key = key("001", "c/1").unwrap();
            let stamped = stamp.text();
            let found = read(key.as_bytes(), Some(stamped.as_bytes()), payload.as_deref().map(str::as_bytes));
            let (member, customer) = ("001".into(), "c/1".into());
            assert_eq!(found, Ok(Record::Customer { member, customer, standing, stamp }));
        }
        let before = r#"{"blue": 5, "yellow": 0, "orange": 1, "red": 0, "unacknowledged": 2, "escalated": 0,
            "oldest_raised_us": 3, "latest_raised_us": 9}"#;
        let Ok(Record::Customer { standing, .. }) = read(b"001/c1", Some(b"1-1"), Some(before.as_bytes()))
        else {
            panic!("a record of before is read");
        };
        assert_eq!(standing.unacknowledged, [2, 0, 1, 0]);
        let beat = Beat { epoch: 3, heard_us: 4, partitions: 5 };
        let payload = beat_json(&beat).to_string();
        assert_eq!(read(BEAT.as_bytes(), None, Some(payload.as_bytes())), Ok(Record::Beat(beat)));
        assert_eq!(key("0/1", "c1"), None);
    }

    #[test]
    fn what_is_no_record_is_told() {
        let said = |key: &str, stamp: Option<&str>, payload: Option<&str>| {
            read(key.as_bytes(), stamp.map(str::as_bytes), payload.map(str::as_bytes)).unwrap_err()
        };
        assert_eq!(said("c1", Some("1-1"), None), "its key is not member/customer");
        assert!(said("001/c1", None, Some("{}")).contains("stamp"));
        assert!(said("001/c1", Some("1-1"), Some("{}")).contains("blue: it is missing"));
        assert!(said("001/c1", Some("1-1"), Some("")).contains("not JSON"));
        assert!(said(BEAT, None, None).contains("not JSON"));
    }
}
