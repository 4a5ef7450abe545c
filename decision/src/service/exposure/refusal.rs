//! Why a caller of the ledger gets no answer, and how that is said on the wire.

use prost::Message;
use prost_types::Any;
use tarim_proto::exposure::v1 as wire;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt, pb};

use super::wire::counter;
use crate::exposure::{self as ledger, Breach, LedgerError};

/// Why nothing was done.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// The caller must correct a field.
    Invalid {
        field: String,
        what: String,
    },
    /// The ledger has a reason.
    Refused(ledger::Refusal),
    /// The member has no such thing.
    NotFound(String),
    Busy(String),
    Late,
    /// There is no ledger, or nothing of the time that was asked for.
    Absent(String),
    Unavailable(String),
    Internal(String),
}

/// Most bytes of a message, and of the counters in a detail. Both are in headers, for which clients have 8 KiB.
const MESSAGE_MAX: usize = 1024;
const BREACHES_MAX: usize = 3072;

impl Refusal {
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), what: what.into() }
    }

    /// As google.rpc.Code.
    pub fn code(&self) -> Code {
        use ledger::Refusal as R;
        match self {
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::Refused(refusal) => match refusal {
                R::Breached(_) | R::TooMuch { .. } | R::Expired(_) | R::Gone(_) => Code::FailedPrecondition,
                R::Conflict { .. } | R::Filed { .. } => Code::AlreadyExists,
                R::UnknownMember(_) | R::UnknownExposure { .. } | R::UnknownLarge { .. } => Code::NotFound,
                R::UnknownValue(_) | R::Missing(_) | R::Passed { .. } | R::Invalid(_) => {
                    Code::InvalidArgument
                }
                R::Full(_) => Code::ResourceExhausted,
            },
            Self::NotFound(_) => Code::NotFound,
            Self::Busy(_) => Code::ResourceExhausted,
            Self::Late => Code::DeadlineExceeded,
            Self::Absent(_) => Code::FailedPrecondition,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// For people.
    pub fn message(&self) -> String {
        let message = match self {
            Self::Invalid { field, what } => format!("{field}: {what}"),
            Self::Refused(refusal) => match self.field() {
                Some(field) => format!("{field}: {refusal}"),
                None => refusal.to_string(),
            },
            Self::Late => {
                "the deadline has passed; repeat the request with the same key to learn whether it was done"
                    .into()
            }
            Self::Busy(what) => format!("too many {what}; nothing was done, try again later"),
            Self::NotFound(what) | Self::Absent(what) | Self::Unavailable(what) | Self::Internal(what) => {
                what.clone()
            }
        };
        message[..message.floor_char_boundary(MESSAGE_MAX)].to_owned()
    }

    /// The field that must be corrected.
    fn field(&self) -> Option<String> {
        match self {
            Self::Invalid { field, .. } => Some(field.clone()),
            Self::Refused(ledger::Refusal::UnknownValue(unknown)) => {
                Some(format!("attributes.{}", unknown.dimension))
            }
            Self::Refused(ledger::Refusal::Missing(_)) => Some("attributes".into()),
            // What else a ledger finds invalid was checked before, but for the one thing that takes its time.
            Self::Refused(ledger::Refusal::Passed { .. } | ledger::Refusal::Invalid(_)) => {
                Some("expires_at".into())
            }
            _ => None,
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.message());
        if let Some(field) = refusal.field() {
            let details = ErrorDetails::with_bad_request_violation(field, message.clone());
            return Status::with_error_details(code, message, details);
        }
        match refusal {
            Refusal::Refused(ledger::Refusal::Breached(breaches)) => {
                let breaches = told(&breaches);
                let type_url = "type.googleapis.com/tarim.exposure.v1.LimitBreaches".into();
                let details = vec![Any { type_url, value: breaches.encode_to_vec() }];
                let status = pb::Status { code: code.into(), message: message.clone(), details };
                Status::with_details(code, message, status.encode_to_vec().into())
            }
            _ => Status::new(code, message),
        }
    }
}

/// As many as fit.
fn told(all: &[Breach]) -> wire::LimitBreaches {
    let mut told = wire::LimitBreaches::default();
    let mut bytes = 0;
    for breach in all {
        let counter = Some(counter(breach.counter.clone()));
        let breach = wire::Breach { counter, shortfall_fen: breach.shortfall_fen };
        bytes += breach.encoded_len() + 4;
        if bytes > BREACHES_MAX {
            told.omitted += 1;
        } else {
            told.breaches.push(breach);
        }
    }
    told
}

impl From<LedgerError> for Refusal {
    fn from(e: LedgerError) -> Self {
        match e {
            LedgerError::Refused(refusal) => Self::Refused(refusal),
            LedgerError::Busy => Self::Busy("operations wait".into()),
            LedgerError::TooEarly(_) => Self::Absent(format!("as_of: {e}")),
            LedgerError::Absent(_) => Self::Absent(e.to_string()),
            LedgerError::Closed(_) | LedgerError::Disk(_) => Self::Unavailable(e.to_string()),
            LedgerError::Snapshot { .. } => Self::Internal(e.to_string()),
        }
    }
}
