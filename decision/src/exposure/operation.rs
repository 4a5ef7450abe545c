//! What a ledger is asked, and what it says.

use tarim_datamart::Value;

use super::{
    prospect::pairs,
    scheme::{SchemeSet, Unknown},
};

/// The most that one operation may move, in fen: 10 million million CNY, so that no sum of a ledger overflows unseen.
pub const FEN_MAX: i64 = 1_000_000_000_000_000;
/// Longest id of an exposure or customer, key, or code, in bytes.
pub const NAME_MAX: usize = 64;
/// Most attributes of an exposure.
pub const ATTRIBUTES_MAX: usize = 24;

/// What exposures are told apart by, and the value: `industry`, `6621`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
pub struct Attribute {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

impl Attribute {
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// Takes room for an exposure that does not exist yet: at application or contract.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reserve {
    #[prost(string, tag = "1")]
    pub member: String,
    /// What the caller calls it: the number of an application, say. It is the key of this operation too.
    #[prost(string, tag = "2")]
    pub exposure: String,
    #[prost(string, tag = "3")]
    pub customer: String,
    /// A value of each dimension that a limit speaks of, or [`NONE`](super::scheme::NONE); in any order.
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<Attribute>,
    #[prost(int64, tag = "5")]
    pub fen: i64,
    /// What is not drawn by then is released, at the next full minute. 0: never. In microseconds since 1970.
    #[prost(int64, tag = "6")]
    pub expires_us: i64,
}

/// Turns what is reserved into what is out: at disbursement, whole or in parts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Commit {
    #[prost(string, tag = "1")]
    pub member: String,
    #[prost(string, tag = "2")]
    pub exposure: String,
    /// Of this operation, once for each exposure.
    #[prost(string, tag = "3")]
    pub key: String,
    #[prost(int64, tag = "4")]
    pub fen: i64,
    /// What is above the reservation is taken too, if there is room. Otherwise it is refused.
    #[prost(bool, tag = "5")]
    pub grow: bool,
}

/// Gives back what was out.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Repay {
    #[prost(string, tag = "1")]
    pub member: String,
    #[prost(string, tag = "2")]
    pub exposure: String,
    #[prost(string, tag = "3")]
    pub key: String,
    #[prost(int64, tag = "4")]
    pub fen: i64,
}

/// Gives back what was reserved and not drawn.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Release {
    #[prost(string, tag = "1")]
    pub member: String,
    #[prost(string, tag = "2")]
    pub exposure: String,
    #[prost(string, tag = "3")]
    pub key: String,
    /// 0: all of it.
    #[prost(int64, tag = "4")]
    pub fen: i64,
}

/// A customer belongs to a group of connected customers from now on, or to none.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Regroup {
    #[prost(string, tag = "1")]
    pub member: String,
    #[prost(string, tag = "2")]
    pub customer: String,
    /// Empty: to none.
    #[prost(string, tag = "3")]
    pub group: String,
}

/// A large exposure was filed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct FileLarge {
    #[prost(string, tag = "1")]
    pub member: String,
    /// Its number, of [`Answer::large`].
    #[prost(uint32, tag = "2")]
    pub large: u32,
    /// Of the filing, with whoever it is filed with.
    #[prost(string, tag = "3")]
    pub reference: String,
    #[prost(string, tag = "4")]
    pub officer: String,
}

/// What expired by now is released; at most [`TICK_MAX`] exposures at once.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Tick {}

/// Most exposures that one [`Tick`] releases.
pub const TICK_MAX: usize = 1024;

/// From now on it is counted by these schemes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Adopt {
    #[prost(message, optional, tag = "1")]
    pub schemes: Option<SchemeSet>,
}

/// What changes a ledger. Everything that ever did stands in its log.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Operation {
    #[prost(message, tag = "2")]
    Reserve(Reserve),
    #[prost(message, tag = "3")]
    Commit(Commit),
    #[prost(message, tag = "4")]
    Repay(Repay),
    #[prost(message, tag = "5")]
    Release(Release),
    #[prost(message, tag = "6")]
    Regroup(Regroup),
    #[prost(message, tag = "7")]
    FileLarge(FileLarge),
    #[prost(message, tag = "8")]
    Tick(Tick),
    #[prost(message, tag = "9")]
    Adopt(Adopt),
}

/// How a counter stands.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CounterUse {
    /// Id of the limit.
    #[prost(string, tag = "1")]
    pub limit: String,
    /// Empty: of the whole federation.
    #[prost(string, tag = "2")]
    pub member: String,
    /// What it is apart by: dimension (with its level), value.
    #[prost(message, repeated, tag = "3")]
    pub per: Vec<Attribute>,
    #[prost(int64, tag = "4")]
    pub used_fen: i64,
    #[prost(int64, tag = "5")]
    pub warning_fen: i64,
    #[prost(int64, tag = "6")]
    pub hard_fen: i64,
}

impl CounterUse {
    /// What may still be taken. Below 0: it is over its hard line.
    pub fn headroom_fen(&self) -> i64 {
        self.hard_fen.saturating_sub(self.used_fen)
    }
}

/// That something was done, and is durable.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Answer {
    /// Number of the operation, from 1; as it was the first time. (Of a [`FileLarge`], or a [`Regroup`], that changes nothing: of
    /// the last operation.)
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// Counters that it touched (of [`Adopt`], any) which are above their warning line, those over the hard line too.
    #[prost(message, repeated, tag = "2")]
    pub warnings: Vec<CounterUse>,
    /// Large exposures that were recognised by it.
    #[prost(uint32, repeated, tag = "3")]
    pub large: Vec<u32>,
}

/// A counter that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub counter: CounterUse,
    /// How much less would have to be asked for.
    pub shortfall_fen: i64,
}

/// Why nothing was done. Whoever is refused may ask again with the same key: nothing is remembered of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{}", breached(.0))]
    Breached(Vec<Breach>),
    #[error("{}", conflict(exposure, key))]
    Conflict { exposure: String, key: String },
    #[error("`{0}` is not a member of the federation")]
    UnknownMember(String),
    #[error("member `{member}` has no exposure `{exposure}`; reserve it first")]
    UnknownExposure { member: String, exposure: String },
    #[error("member `{member}` has no large exposure {large}")]
    UnknownLarge { member: String, large: u32 },
    #[error("large exposure {large} was filed already, as `{reference}`")]
    Filed { large: u32, reference: String },
    #[error(transparent)]
    UnknownValue(#[from] Unknown),
    #[error("limits speak of {}; give a value of each, or `none`", .0.join(", "))]
    Missing(Vec<String>),
    #[error(
        "{asked_fen} fen is more than the {left_fen} fen that are left of the exposure (to commit or release: of what is reserved; \
         to repay: of what is out); ask for no more than that, or commit with `grow`, which takes the rest too if there is room"
    )]
    TooMuch { asked_fen: i64, left_fen: i64 },
    #[error(
        "the reservation would expire at {}, and the exposure ledger stands at {} already: it takes only what expires later",
        Value::Timestamp(*expires_us),
        Value::Timestamp(*now_us)
    )]
    Passed { expires_us: i64, now_us: i64 },
    #[error("the reservation of exposure `{0}` has expired; reserve anew")]
    Expired(String),
    #[error(
        "exposure `{0}` was closed so long ago that what was done to it is not remembered any more; nothing more can be: \
         reserve another"
    )]
    Gone(String),
    #[error("{0}")]
    Invalid(String),
    #[error("the ledger has no room for more {0}")]
    Full(&'static str),
}

/// Whoever reserves gives no key: the exposure's id is it.
fn conflict(exposure: &str, key: &str) -> String {
    match key {
        "" => format!("`{exposure}` was reserved before with other values; choose another id"),
        key => format!(
            "key `{key}` was used for another operation on exposure `{exposure}`; give each operation its own key"
        ),
    }
}

fn breached(breaches: &[Breach]) -> String {
    let one = |b: &Breach| {
        let per: Vec<_> = b.counter.per.iter().map(|a| format!("{} {}", a.name, a.value)).collect();
        let CounterUse { limit, used_fen, hard_fen, .. } = &b.counter;
        format!(
            "limit `{limit}` ({}): {used_fen} of {hard_fen} fen are used, {} fen too many were asked for",
            per.join(", "),
            b.shortfall_fen
        )
    };
    breaches.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// An operation with what it is found by, which can be worked out before the ledger's thread has it.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(super) operation: Operation,
    /// Of member, exposure and key.
    pub(super) key: u128,
    /// Of all of it.
    pub(super) content: u64,
    /// Of member and attributes.
    pub(super) profile: u128,
    /// Of member and customer.
    pub(super) customer: u64,
}

impl Prepared {
    /// Puts attributes in order, and hashes.
    pub fn new(mut operation: Operation) -> Self {
        if let Operation::Reserve(reserve) = &mut operation {
            reserve.attributes.sort_unstable();
        }
        let (mut key, mut profile, mut customer, mut content) = (0, 0, 0, 0);
        let mut keyed = |member: &str, exposure: &str, of: &str| {
            key = hash([member, exposure, of].into_iter());
            let mut bytes = Vec::with_capacity(operation.encoded_len());
            operation.encode(&mut bytes);
            content = u64::from_le_bytes(*blake3::hash(&bytes).as_bytes().first_chunk().expect("longer"));
        };
        match &operation {
            Operation::Reserve(r) => {
                keyed(&r.member, &r.exposure, "");
                profile = profile_hash(&r.member, &pairs(&r.attributes));
                customer = customer_hash(&r.member, &r.customer);
            }
            Operation::Commit(o) => keyed(&o.member, &o.exposure, &o.key),
            Operation::Repay(o) => keyed(&o.member, &o.exposure, &o.key),
            Operation::Release(o) => keyed(&o.member, &o.exposure, &o.key),
            Operation::Regroup(r) => customer = customer_hash(&r.member, &r.customer),
            Operation::FileLarge(_) | Operation::Tick(_) | Operation::Adopt(_) => {}
        }
        Self { operation, key, content, profile, customer }
    }

    pub fn operation(&self) -> &Operation {
        &self.operation
    }
}

/// Of attributes in order.
pub(super) fn profile_hash(member: &str, attributes: &[(&str, &str)]) -> u128 {
    hash(std::iter::once(member).chain(attributes.iter().flat_map(|(name, value)| [*name, *value])))
}

pub(super) fn customer_hash(member: &str, customer: &str) -> u64 {
    hash([member, customer].into_iter()) as u64
}

/// BLAKE3 of texts, each with its length before it, so that no two lists give the same bytes.
pub(super) fn hash<'a>(texts: impl Iterator<Item = &'a str>) -> u128 {
    let mut bytes = smallvec::SmallVec::<[u8; 512]>::new();
    for text in texts {
        bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    u128::from_le_bytes(*blake3::hash(&bytes).as_bytes().first_chunk().expect("longer"))
}
