//! How messages of the server's own types become frames.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{BufferSettings, Codec};
use tonic_prost::{ProstDecoder, ProstEncoder};

/// Answers of a stream leave together once they have this many bytes; tonic's own threshold.
const LEAVE: usize = 32 << 10;

/// Room for them, so that a buffer of answers does not grow: tonic's begins with a quarter of it, and is copied twice on the
/// way. (A power of two: what takes the place of a buffer that is still being sent is as large as the first.)
const ROOM: usize = 2 * LEAVE;

/// As [`tonic_prost::ProstCodec`], with more room for answers.
#[derive(Debug)]
pub struct Roomy<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Roomy<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Roomy<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = ProstDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstEncoder::new(BufferSettings::new(ROOM, LEAVE))
    }

    fn decoder(&mut self) -> ProstDecoder<U> {
        ProstDecoder::default()
    }
}
