//! Why a call gets no answer, and how that is said on the wire.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    ledger::{Failure, LedgerError},
    lifecycle,
};

/// Why a call gets no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller must correct a field.
    Invalid { field: &'static str, what: String },
    /// The member has no such warning.
    NotFound(String),
    /// The warning's state does not allow it.
    NotAllowed(String),
    /// The request id was used before, for something else.
    Differs(String),
    /// As many calls as the service takes at once are in flight.
    Busy,
    /// The service takes nothing: the ledger cannot be written, or it is shutting down.
    Unavailable(String),
    /// What was on disk cannot be read any more.
    Lost(String),
}

impl Refusal {
    pub fn invalid(field: &'static str, what: impl Into<String>) -> Self {
        Self::Invalid { field, what: what.into() }
    }

    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } => Code::InvalidArgument,
            Self::NotFound(_) => Code::NotFound,
            Self::NotAllowed(_) => Code::FailedPrecondition,
            Self::Differs(_) => Code::AlreadyExists,
            Self::Busy => Code::ResourceExhausted,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Lost(_) => Code::Internal,
        }
    }

    /// For people.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid { field, what } => format!("{field}: {what}"),
            Self::Busy => "too many calls; nothing was changed, try again later".into(),
            Self::NotFound(what)
            | Self::NotAllowed(what)
            | Self::Differs(what)
            | Self::Unavailable(what)
            | Self::Lost(what) => what.clone(),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.message());
        match refusal {
            Refusal::Invalid { field, what } => Status::with_error_details(
                code,
                message,
                ErrorDetails::with_bad_request_violation(field, what),
            ),
            _ => Status::new(code, message),
        }
    }
}

impl From<lifecycle::Refused> for Refusal {
    fn from(refused: lifecycle::Refused) -> Self {
        let said = refused.to_string();
        match refused {
            lifecycle::Refused::NotFound { .. } => Self::NotFound(said),
            lifecycle::Refused::NotAllowed { .. } => Self::NotAllowed(said),
            lifecycle::Refused::Differs => Self::Differs(said),
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Body { .. } | LedgerError::Corrupt { .. } | LedgerError::NoWarning { .. } => {
                Self::Lost(error.to_string())
            }
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string())
    }
}
