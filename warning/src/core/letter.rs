//! Dead letters and evidence, made so that they always fit into a record of a log.
//!
//! A log refuses what is too long, and whoever cannot send what an event brought cannot go on behind it: one record would stop its
//! partition for ever. So what goes out is bounded here, whatever came in. As JSON a byte may take six (`\u0001`): the sum of
//! what is kept, six times over, stays below [`RECORD_MAX`].

use tarim_proto::warning::v1::DeadLetter;

use super::Position;

/// Longest record that Kafka's clients and brokers take unless somebody tells them otherwise, in bytes.
pub const RECORD_MAX: usize = 1_000_000;
/// So much of a payload a dead letter keeps; all of it stands in the log, where the letter says.
pub const PAYLOAD_MAX: usize = 128 << 10;
/// So much is said of what is wrong with it.
pub const REASON_MAX: usize = 8 << 10;
/// So long the values are that an alert shows, together.
pub const EVIDENCE_MAX: usize = 32 << 10;

/// The dead letter of a record.
pub fn letter(at: Position, reason: String, payload: &[u8]) -> DeadLetter {
    let kept = beginning(payload, PAYLOAD_MAX);
    let Position { partition, offset } = at;
    DeadLetter {
        reason: shortened(reason, REASON_MAX),
        partition,
        offset,
        payload: kept.to_vec(),
        payload_bytes: (kept.len() < payload.len()).then_some(payload.len() as u64),
    }
}

/// At most so many bytes of a text, and a word on how many are left out.
pub fn shortened(mut text: String, max: usize) -> String {
    if text.len() > max {
        let left_out = text.len() - text.floor_char_boundary(max);
        text.truncate(text.len() - left_out);
        text += &format!("… ({left_out} bytes more)");
    }
    text
}

/// At most so many bytes from the beginning; of a text whole characters, so that it stays one.
fn beginning(payload: &[u8], max: usize) -> &[u8] {
    let Some(cut) = payload.get(..max).filter(|_| payload.len() > max) else { return payload };
    match std::str::from_utf8(cut) {
        // It ends amid a character.
        Err(e) if e.error_len().is_none() => &cut[..e.valid_up_to()],
        _ => cut,
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::alert;

    const AT: Position = Position { partition: 3, offset: 7 };

    #[test]
    fn whatever_came_its_letter_fits_into_a_record() {
        // As JSON these take one byte, six, two (in hexadecimal), and three.
        for unit in ["x".as_bytes(), b"\x01", b"\xff", "贷".as_bytes()] {
            for len in [0, 1, PAYLOAD_MAX - 1, PAYLOAD_MAX, PAYLOAD_MAX + 1, 5 << 20] {
                let payload: Vec<u8> =
                    unit.iter().copied().cycle().take(len / unit.len() * unit.len()).collect();
                let letter = letter(AT, "\u{1}".repeat(len), &payload);
                let json = alert::dead_letter(&letter);
                assert!(
                    json.to_string().len() < RECORD_MAX && letter.encoded_len() < RECORD_MAX,
                    "{unit:?} {len}"
                );
                assert!(payload.starts_with(&letter.payload), "{unit:?} {len}");
                assert!(letter.payload.len() == payload.len() || letter.payload.len() > PAYLOAD_MAX - 4);
                let cut = (letter.payload.len() < payload.len()).then_some(payload.len() as u64);
                assert_eq!(letter.payload_bytes, cut);
                assert_eq!(json.get("payload_bytes").and_then(|n| n.as_u64()), cut);
                assert_eq!(json.get("payload").is_some(), unit != b"\xff" || len == 0, "a text stays one");
            }
        }
    }

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(shortened("贷款".into(), 6), "贷款");
        assert_eq!(shortened("贷款".into(), 5), "贷… (3 bytes more)");
        assert_eq!(shortened("贷款".into(), 0), "… (6 bytes more)");
    }
}
