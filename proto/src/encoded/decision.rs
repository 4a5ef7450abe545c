//! A decision that is bytes already.
//!
//! The fields of a protobuf message may come in any order, so a decision that is encoded before its number is
//! known needs nothing but the number appended.

use std::mem;

use bytes::{Buf, Bytes, BytesMut};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

/// Number of the field `decision_id` of a decision.
const DECISION_ID: u32 = 15;

/// A [`Decision`](crate::decision::v1::Decision), encoded. Clones share the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Decision {
    /// Every field but `decision_id`.
    body: Bytes,
    decision_id: String,
}

impl Decision {
    /// The decision of that number. `body` is a decision without `decision_id`.
    pub fn numbered(body: Bytes, number: u64) -> Self {
        Self { body, decision_id: number.to_string() }
    }

    /// The same decision, of another number.
    pub fn renumbered(self, number: u64) -> Self {
        Self::numbered(self.body, number)
    }
}

impl Message for Decision {
    fn encode_raw(&self, buf: &mut impl bytes::BufMut) {
        buf.put_slice(&self.body);
        if !self.decision_id.is_empty() {
            encoding::string::encode(DECISION_ID, &self.decision_id, buf);
        }
    }

    fn encoded_len(&self) -> usize {
        match self.decision_id.is_empty() {
            true => self.body.len(),
            false => self.body.len() + encoding::string::encoded_len(DECISION_ID, &self.decision_id),
        }
    }

    /// Keeps the field as it is, whatever it is.
    fn merge_field(
        &mut self,
        tag: u32,
        wire: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag == DECISION_ID {
            return encoding::string::merge(wire, &mut self.decision_id, buf, context);
        }
        let mut body = BytesMut::from(mem::take(&mut self.body));
        macro_rules! copy {
            ($codec:ident, $ty:ty) => {{
                let mut value = <$ty>::default();
                encoding::$codec::merge(wire, &mut value, buf, context)?;
                encoding::$codec::encode(tag, &value, &mut body);
            }};
        }
        match wire {
            WireType::Varint => copy!(uint64, u64),
            WireType::SixtyFourBit => copy!(fixed64, u64),
            WireType::ThirtyTwoBit => copy!(fixed32, u32),
            // Groups, which proto3 does not have, are refused here.
            _ => copy!(bytes, Bytes),
        }
        self.body = body.freeze();
        Ok(())
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::v1::{self as plain, value::Kind};
    use crate::encoded::{StreamedDecision, streamed_decision};

    fn decision() -> plain::Decision {
        let value = |kind| plain::NamedValue {
            name: "customer.age".into(),
            value: Some(plain::Value { kind: Some(kind) }),
            stale: true,
        };
        plain::Decision {
            request_id: "r".into(),
            reasons: vec![plain::Reason {
                id: "A1".into(),
                values: vec![value(Kind::IntValue(-1)), value(Kind::DoubleValue(0.1))],
                ..Default::default()
            }],
            pd: Some(0.25),
            limit_fen: Some(i64::MIN),
            ..Default::default()
        }
    }

    #[test]
    fn an_encoded_decision_is_the_ordinary_one_on_the_wire() {
        let body = Bytes::from(decision().encode_to_vec());
        let encoded = Decision::numbered(body, 1234);
        let bytes = encoded.encode_to_vec();
        let ordinary = plain::Decision { decision_id: "1234".into(), ..decision() };
        assert_eq!(plain::Decision::decode(&bytes[..]), Ok(ordinary.clone()));
        assert_eq!(Decision::decode(&bytes[..]), Ok(encoded.clone()));
        assert_eq!(Decision::decode(&ordinary.encode_to_vec()[..]), Ok(encoded.clone()));

        let result = streamed_decision::Result::Decision(encoded);
        let streamed = StreamedDecision { request_id: "r".into(), result: Some(result) };
        let result = plain::streamed_decision::Result::Decision(ordinary);
        let expected = plain::StreamedDecision { request_id: "r".into(), result: Some(result) };
        assert_eq!(plain::StreamedDecision::decode(&streamed.encode_to_vec()[..]), Ok(expected));
    }

    #[test]
    fn fields_of_a_later_release_are_kept() {
        let mut bytes = decision().encode_to_vec();
        encoding::uint64::encode(1001, &7, &mut bytes);
        encoding::fixed32::encode(1002, &8, &mut bytes);
        encoding::fixed64::encode(1003, &9, &mut bytes);
        let kept = Decision::decode(&bytes[..]).expect("fields of all kinds");
        assert_eq!(kept.encode_to_vec(), bytes);
        encoding::encode_key(1004, WireType::StartGroup, &mut bytes);
        assert!(Decision::decode(&bytes[..]).is_err());
    }
}
