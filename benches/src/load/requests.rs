//! Requests, encoded once and sent many times, each time under another id.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::ensure;
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
    encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};
use tarim_proto::decision::v1::DecisionRequest;

/// Number of the field `request_id`, and of `requests` in a batch.
const FIRST: u32 = 1;

/// Longest name of a run, in characters: an id has 64 at most, a dash and a number of up to twenty digits behind it.
const RUN_MAX: usize = 43;

/// What is sent, in turn. Ids never repeat: a repeated one would get the answer that it had before.
pub struct Requests {
    /// Without their ids.
    bodies: Vec<Bytes>,
    /// Tells this run's ids from those of others.
    run: String,
    next: AtomicU64,
}

impl Requests {
    /// `run` is part of every id. An error if it is so long that ids would be, or if there is no request to send.
    pub fn new(requests: impl IntoIterator<Item = DecisionRequest>, run: &str) -> anyhow::Result<Self> {
        ensure!(run.chars().count() <= RUN_MAX, "the run `{run}` has more than {RUN_MAX} characters");
        let bodies: Vec<Bytes> = requests
            .into_iter()
            .map(|mut request| {
                request.request_id.clear();
                request.encode_to_vec().into()
            })
            .collect();
        ensure!(!bodies.is_empty(), "there is no request to send");
        Ok(Self { bodies, run: run.to_owned(), next: AtomicU64::new(0) })
    }

    /// How many different ones there are.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// The next request.
    pub fn next(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(512);
        self.put_next(&mut out);
        out.freeze()
    }

    /// The next `n` in one message.
    pub fn next_batch(&self, n: usize) -> Bytes {
        let (mut out, mut one) = (BytesMut::with_capacity(512 * n), BytesMut::with_capacity(512));
        for _ in 0..n {
            one.clear();
            self.put_next(&mut one);
            encode_key(FIRST, WireType::LengthDelimited, &mut out);
            encode_varint(one.len() as u64, &mut out);
            out.put_slice(&one);
        }
        out.freeze()
    }

    fn put_next(&self, out: &mut BytesMut) {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{n}", self.run);
        let body = &self.bodies[n as usize % self.bodies.len()];
        out.reserve(key_len(FIRST) + encoded_len_varint(id.len() as u64) + id.len() + body.len());
        // Fields may stand in any order: the id goes before what was encoded without one.
        encode_key(FIRST, WireType::LengthDelimited, out);
        encode_varint(id.len() as u64, out);
        out.put_slice(id.as_bytes());
        out.put_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use tarim_proto::decision::v1::BatchDecideRequest;

    use super::*;

    fn request(product: &str) -> DecisionRequest {
        DecisionRequest { request_id: "old".into(), product: product.into(), ..Default::default() }
    }

    #[test]
    fn requests_take_turns_under_new_ids() {
        let requests = Requests::new([request("a"), request("b")], "run").expect("two requests");
        let one = |id: &str, product| DecisionRequest { request_id: id.into(), ..request(product) };
        assert_eq!(DecisionRequest::decode(requests.next()), Ok(one("run-0", "a")));
        let batch = BatchDecideRequest::decode(requests.next_batch(2)).expect("a batch");
        assert_eq!(batch.requests, [one("run-1", "b"), one("run-2", "a")]);
    }

    #[test]
    fn nothing_cannot_be_sent() {
        let refused = Requests::new([], "run").err().expect("nothing");
        assert_eq!(refused.to_string(), "there is no request to send");
    }

    /// Two runs whose names differ only in what is cut off would ask for the same decisions.
    #[test]
    fn the_name_of_a_run_is_not_cut_off() {
        let run = |characters| Requests::new([request("a")], &"场".repeat(characters));
        assert!(run(43).is_ok());
        assert!(run(44).err().expect("too long").to_string().ends_with("has more than 43 characters"));
    }
}
