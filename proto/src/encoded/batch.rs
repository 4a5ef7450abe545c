//! A batch as the server reads it: no more of it than is answered.

use bytes::{Buf, BufMut};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, WireType},
};

use super::DecisionRequest;

/// A [`BatchDecideRequest`](crate::decision::v1::BatchDecideRequest), the same on the wire. An empty request is two bytes there
/// and a hundred times as many here: so those beyond the most that a batch may have are counted, not kept.
#[derive(Clone, Debug, Default)]
pub struct BatchDecideRequest {
    /// The first [`BatchDecideRequest::MOST`].
    pub requests: Vec<DecisionRequest>,
    /// How many there are.
    pub count: usize,
}

impl BatchDecideRequest {
    /// Most requests of a batch.
    pub const MOST: usize = 1000;
}

/// Number of its only field.
const REQUESTS: u32 = 1;

impl Message for BatchDecideRequest {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.requests.iter().for_each(|request| encoding::message::encode(REQUESTS, request, buf));
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        if tag != REQUESTS {
            return encoding::skip_field(wire_type, tag, buf, context);
        }
        self.count += 1;
        match self.requests.len() < Self::MOST {
            true => encoding::message::merge_repeated(wire_type, &mut self.requests, buf, context),
            false => encoding::skip_field(wire_type, tag, buf, context),
        }
    }

    fn encoded_len(&self) -> usize {
        encoding::message::encoded_len_repeated(REQUESTS, &self.requests)
    }

    fn clear(&mut self) {
        self.requests.clear();
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::v1;

    #[test]
    fn a_batch_is_the_same_on_the_wire_and_no_longer_than_it_may_be() {
        let request = |i: usize| v1::DecisionRequest { request_id: i.to_string(), ..Default::default() };
        for count in [0, 1, BatchDecideRequest::MOST, BatchDecideRequest::MOST + 1, 5000] {
            let sent = v1::BatchDecideRequest { requests: (0..count).map(request).collect() }.encode_to_vec();
            let read = BatchDecideRequest::decode(&sent[..]).expect("a batch");
            assert_eq!((read.count, read.requests.len()), (count, count.min(BatchDecideRequest::MOST)));
            let ids = read.requests.iter().map(|r| r.request_id.parse());
            assert!(ids.eq((0..read.requests.len()).map(Ok)), "the first of them, in order");
            if count == read.requests.len() {
                assert_eq!((read.encoded_len(), read.encode_to_vec()), (sent.len(), sent));
            }
        }
        assert!(BatchDecideRequest::decode(&[0x0a, 5, 0][..]).is_err(), "cut off");
    }
}
