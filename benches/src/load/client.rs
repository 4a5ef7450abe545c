//! A client that sends what is already encoded, and does not decode answers.

use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes},
};
use tarim_proto::decision::v1::Error;
use tokio_stream::Stream;
use tonic::{
    Request, Status, Streaming,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

const UNARY: PathAndQuery = PathAndQuery::from_static("/tarim.decision.v1.DecisionService/Decide");
const BATCH: PathAndQuery = PathAndQuery::from_static("/tarim.decision.v1.DecisionService/BatchDecide");
const STREAM: PathAndQuery = PathAndQuery::from_static("/tarim.decision.v1.DecisionService/DecideStream");

/// Largest answer that is taken: a batch of 1,000 with many reasons each.
const MESSAGE_BYTES: usize = 16 << 20;

/// One connection to a decision service, or to its peer.
#[derive(Clone)]
pub struct Client {
    grpc: Grpc<Channel>,
}

/// The beginning of a `StreamedDecision`: what it says of an error. The decision itself is skipped.
#[derive(Clone, PartialEq, Message)]
struct Head {
    #[prost(message, tag = "3")]
    error: Option<Error>,
}

/// The beginnings of a `BatchDecideResponse`.
#[derive(Clone, PartialEq, Message)]
struct Heads {
    #[prost(message, repeated, tag = "1")]
    answers: Vec<Head>,
}

impl Client {
    pub async fn connect(endpoint: Endpoint) -> Result<Self, tonic::transport::Error> {
        let grpc = Grpc::new(endpoint.connect().await?).max_decoding_message_size(MESSAGE_BYTES);
        Ok(Self { grpc })
    }

    /// `Decide`; gives the encoded decision.
    pub async fn decide(&mut self, request: Bytes) -> Result<Bytes, Status> {
        self.unary(UNARY, request).await
    }

    /// `BatchDecide` of so many requests; gives why those that got no decision did not. An error if there is not an answer to
    /// each.
    pub async fn batch(&mut self, requests: Bytes, n: usize) -> Result<Vec<Error>, Status> {
        let answer = self.unary(BATCH, requests).await?;
        let heads = Heads::decode(answer).map_err(|e| Status::internal(e.to_string()))?;
        match heads.answers.len() {
            answers if answers == n => Ok(heads.answers.into_iter().filter_map(|head| head.error).collect()),
            answers => Err(Status::internal(format!("the server has {answers} answers to {n} requests"))),
        }
    }

    /// `DecideStream`; answers come in the order of requests, and [`error_of`] looks into them.
    pub async fn stream(
        &mut self,
        requests: impl Stream<Item = Bytes> + Send + 'static,
    ) -> Result<Streaming<Bytes>, Status> {
        self.ready().await?;
        Ok(self.grpc.streaming(Request::new(requests), STREAM, Raw).await?.into_inner())
    }

    async fn unary(&mut self, path: PathAndQuery, request: Bytes) -> Result<Bytes, Status> {
        self.ready().await?;
        Ok(self.grpc.unary(Request::new(request), path, Raw).await?.into_inner())
    }

    async fn ready(&mut self) -> Result<(), Status> {
        self.grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))
    }
}

/// Why an answer of a stream is no decision.
pub fn error_of(answer: Bytes) -> Result<Option<Error>, Status> {
    let head = Head::decode(answer).map_err(|e| Status::internal(e.to_string()))?;
    Ok(head.error)
}

/// Messages as they are.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
