//! Records with alerts: written so that it is known where each body stands, and read without the bodies.
//!
//! ```text
//! LedgerEntry  alerts: LedgerAlert { alert: the body | inspect_by_us | way }, …   what else there is
//!                                    └─ its place: offset in the file, length, checksum
//! ```
//!
//! The bytes are those of the messages in `ledger.proto`. A body has dozens of texts, and a log millions of bodies; so of a body
//! only its [`Head`] is read, and nothing is allocated for it.

use prost::Message;
use tarim_proto::warning::v1::{Alert, LedgerAlert, LedgerEntry, LedgerWay, Push};

use super::fields::{Field, fields};
use crate::{
    alert::bytes_as_json,
    lifecycle::{Head, NewAlert, Place, id_of_alert, level_of_alert},
};

/// Key of the first field of a message, which is a message: `LedgerEntry.alerts`, and `LedgerAlert.alert`.
const FIRST: u8 = 1 << 3 | 2;

/// Puts an alert behind what there is of an entry; gives the place of its body, if the entry begins at this offset.
pub fn put(entry: &mut Vec<u8>, begins: u64, alert: &NewAlert, way: Option<LedgerWay>) -> Place {
    let rest = LedgerAlert { alert: None, inspect_by_us: alert.inspect_by_us(), way };
    let body = alert.alert().encoded_len();
    let whole = 1 + prost::length_delimiter_len(body) + body + rest.encoded_len();
    let infallible = "a vector has room";
    entry.push(FIRST);
    prost::encode_length_delimiter(whole, entry).expect(infallible);
    entry.push(FIRST);
    prost::encode_length_delimiter(body, entry).expect(infallible);
    let at = entry.len();
    alert.alert().encode(entry).expect(infallible);
    let place = Place::new(begins + at as u64, &entry[at..]);
    rest.encode(entry).expect(infallible);
    place
}

/// An alert of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadAlert<'a> {
    pub head: Head<'a>,
    pub place: Place,
    pub way: Option<LedgerWay>,
}

/// An entry that begins at an offset of the log: its alerts, and what else there is. Or what is wrong with it.
pub fn read(entry: &[u8], begins: u64) -> Result<(Vec<ReadAlert<'_>>, LedgerEntry), String> {
    let (mut alerts, mut rest) = (Vec::new(), 0);
    for field in fields(entry) {
        let (number, field, end) = field?;
        if number != 1 {
            break;
        }
        let Field::Bytes(at, bytes) = field else { return Err("an alert is none".into()) };
        alerts.push(alert(bytes, begins + at as u64)?);
        rest = end;
    }
    let rest = LedgerEntry::decode(&entry[rest..]).map_err(|e| format!("not a ledger entry: {e}"))?;
    // Ours stand together.
    if rest.alerts.is_empty() { Ok((alerts, rest)) } else { Err("an alert stands behind its entry".into()) }
}

fn alert(bytes: &[u8], begins: u64) -> Result<ReadAlert<'_>, String> {
    let (mut body, mut inspect_by_us, mut way) = (None, None, None);
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(at, bytes), _) => body = Some((at, bytes)),
            (2, Field::Number(at_us), _) => inspect_by_us = Some(at_us as i64),
            (3, Field::Bytes(_, bytes), _) => {
                way = Some(LedgerWay::decode(bytes).map_err(|e| format!("not a way: {e}"))?);
            }
            _ => {}
        }
    }
    let (at, body) = body.ok_or("an alert is empty")?;
    let head = Head { inspect_by_us, ..head(body)? };
    head.check(body.len()).map_err(|e| e.to_string())?;
    Ok(ReadAlert { head, place: Place::new(begins + at as u64, body), way })
}

/// What is looked up and counted of a body.
fn head(body: &[u8]) -> Result<Head<'_>, String> {
    let (mut id, mut level, mut push) = ("", 0, 0);
    let (mut member, mut customer, mut rule, mut key, mut group) = ("", "", "", "", "");
    let (mut raised_at_us, mut repeats, mut text) = (0, 0, 0);
    for field in fields(body) {
        let (number, field, _) = field?;
        let into = match (number, &field) {
            (1, _) => &mut id,
            (2, _) => &mut member,
            (3, _) => &mut customer,
            (4, _) => &mut rule,
            (7, _) => &mut key,
            (16, _) => &mut group,
            (5, Field::Number(n)) => {
                level = *n as i32;
                continue;
            }
            (6, Field::Number(n)) => {
                push = *n as i32;
                continue;
            }
            (8, Field::Number(n)) => {
                raised_at_us = *n as i64;
                continue;
            }
            (15, Field::Number(n)) => {
                repeats = *n as u32;
                continue;
            }
            (9 | 10, Field::Bytes(_, bytes)) => {
                text += bytes_as_json(bytes) as u32;
                continue;
            }
            _ => continue,
        };
        let Field::Bytes(_, bytes) = field else {
            return Err(format!("field {number} of an alert is no text"));
        };
        *into = str::from_utf8(bytes).map_err(|e| format!("field {number} of an alert is no text: {e}"))?;
    }
    let id = id_of_alert(id).map_err(|e| e.to_string())?;
    let level = level_of_alert(level).map_err(|e| e.to_string())?;
    let push = Push::try_from(push).unwrap_or_default();
    let inspect_by_us = None;
    Ok(Head {
        id,
        member,
        customer,
        rule,
        key,
        group,
        level,
        push,
        raised_at_us,
        repeats,
        text,
        inspect_by_us,
    })
}

/// The body that stands at a place, or what is wrong with the bytes.
pub fn body(place: Place, bytes: &[u8]) -> Result<Alert, String> {
    if !place.holds(bytes) {
        return Err("the alert does not match its checksum".into());
    }
    Alert::decode(bytes).map_err(|e| format!("not an alert: {e}"))
}

#[cfg(test)]
mod tests {
    use tarim_proto::warning::v1::{EventRef, Evidence, LedgerPosition, Level};

    use super::*;
    use crate::lifecycle::Inspections;

    fn some(n: usize) -> NewAlert {
        let alert = Alert {
            alert_id: format!("{n:032x}"),
            member: "001".into(),
            customer_id: format!("贷{n}"),
            rule_id: "W1".into(),
            level: Level::Orange.into(),
            push: n as i32 % 3,
            key: ["", "loan"][n % 2].into(),
            raised_at_us: [-7, 0, 1 << 50][n % 3],
            zh: "贷".repeat(n * n),
            en: "x".repeat(n),
            unknown: n.is_multiple_of(2),
            values: vec![Evidence { name: "a".into(), value: String::new() }; n % 4],
            events: vec![EventRef { event_id: "e".into(), partition: 3, offset: 1 << 40 }; n % 3],
            rulebook_version: "v".into(),
            repeats: n as u32 / 2,
            group: ["", "g"][n % 2].into(),
        };
        NewAlert::new(alert, &Inspections::default(), 0).unwrap()
    }

    /// The bytes are those that the messages have; and what is read is what was put in, with the bodies at their places.
    #[test]
    fn what_was_put_is_read() {
        let begins = 1 << 35;
        let (mut bytes, mut places, mut wanted) = (Vec::new(), Vec::new(), LedgerEntry::default());
        let way = |n: usize| {
            (!n.is_multiple_of(3)).then(|| LedgerWay {
                at_us: 1 << (n % 50),
                reader: "m".repeat(n),
                ..Default::default()
            })
        };
        for n in 0..80 {
            let alert = some(n);
            places.push(put(&mut bytes, begins, &alert, way(n)));
            let (inspect_by_us, alert) = (alert.inspect_by_us(), Some(alert.alert().as_ref().clone()));
            wanted.alerts.push(LedgerAlert { alert, inspect_by_us, way: way(n) });
        }
        let position = LedgerPosition { topic: "t".into(), partition: 1, next: 5 };
        let rest = LedgerEntry { position: Some(position), sent: Some(4), ..Default::default() };
        rest.encode(&mut bytes).unwrap();
        assert_eq!(bytes, LedgerEntry { alerts: wanted.alerts, ..rest.clone() }.encode_to_vec());
        let (alerts, found) = read(&bytes, begins).unwrap();
        assert_eq!((alerts.len(), found), (80, rest));
        for (n, read) in alerts.iter().enumerate() {
            let alert = some(n);
            assert_eq!(*read, ReadAlert { head: alert.head(), place: places[n], way: way(n) });
            let at = (read.place.offset() - begins) as usize;
            let found = body(read.place, &bytes[at..at + read.place.length()]);
            assert_eq!(found.as_ref(), Ok(&**alert.alert()));
            assert!(body(read.place, &bytes[at + 1..at + 1 + read.place.length()]).is_err());
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        let mut bytes = Vec::new();
        put(&mut bytes, 0, &some(3), None);
        for cut in 1..bytes.len() {
            assert!(read(&bytes[..cut], 0).is_err(), "cut at {cut}");
        }
        for bad in [&[FIRST, 0][..], &[FIRST, 2, FIRST, 0], &[8, 1], &[0xff; 20]] {
            assert!(read(bad, 0).is_err(), "{bad:?}");
        }
        let behind =
            [&LedgerEntry { sent: Some(1), ..Default::default() }.encode_to_vec()[..], &bytes].concat();
        assert!(read(&behind, 0).is_err());
    }
}
