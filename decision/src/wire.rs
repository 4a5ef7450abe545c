//! A decision as bytes.
//!
//! The one place where a decision that was just made becomes protobuf: the service journals these bytes and
//! answers with them.

use prost::Message;
use tarim_proto::decision::v1 as wire;

use crate::{convert, outcome::Decision};

/// Who asked, when, and what it was decided by.
pub struct Heading<'a> {
    pub request_id: &'a str,
    pub member: &'a str,
    pub product: &'a str,
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    pub rulebook_version: &'a str,
    pub feature_version: &'a str,
}

/// Appends a decision as the protobuf message `Decision`, without its `decision_id`, to `out`.
pub fn encode_decision(decision: &Decision, heading: &Heading<'_>, out: &mut Vec<u8>) {
    let message = wire::Decision {
        request_id: heading.request_id.to_owned(),
        member: heading.member.to_owned(),
        product: heading.product.to_owned(),
        decided_at: Some(convert::timestamp(heading.at_us)),
        rulebook_version: heading.rulebook_version.to_owned(),
        feature_version: heading.feature_version.to_owned(),
        ..convert::wire_decision(decision)
    };
    message.encode(out).expect("a vector grows");
}
