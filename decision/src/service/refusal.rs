//! Why a request gets no decision, and how that is said on the wire.

use tarim_proto::decision::v1 as wire;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::engine::{FieldError, FieldErrors};

/// Why a request gets no decision. Nothing of it is in the journal, with one exception: a decision that
/// was being written when the deadline passed, or when the disk failed, may be there after all. Repeating
/// the request tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The caller must correct a field.
    Invalid {
        /// By its path in the request: `application.amount_fen`.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// Several.
    InvalidFields(Box<FieldErrors>),
    /// The request id was used before, for something else.
    Differs,
    /// As many requests as the service takes at once are being decided.
    Busy(&'static str),
    /// The deadline passed.
    Late,
    /// There is nothing of this request id; what says what there is not.
    NotFound(&'static str),
    /// What stands does not allow it: a rule, or what came later.
    Forbidden(String),
    /// It was done before, by another request.
    Done(String),
    /// The service takes no requests: the journal cannot be written, or it is shutting down.
    Unavailable(String),
    /// Something is damaged; the log has it.
    Internal(String),
}

impl Refusal {
    /// A field that the caller must correct.
    pub fn invalid(field: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Invalid { field: field.into(), what: what.into() }
    }

    /// Every code that a refusal can have; the last two are of messages that are not even read.
    pub const CODES: [Code; 10] = [
        Code::InvalidArgument,
        Code::AlreadyExists,
        Code::ResourceExhausted,
        Code::DeadlineExceeded,
        Code::NotFound,
        Code::FailedPrecondition,
        Code::Unavailable,
        Code::Internal,
        Code::OutOfRange,
        Code::Unimplemented,
    ];

    /// As google.rpc.Code.
    pub fn code(&self) -> Code {
        match self {
            Self::Invalid { .. } | Self::InvalidFields(_) => Code::InvalidArgument,
            Self::Differs | Self::Done(_) => Code::AlreadyExists,
            Self::Busy(_) => Code::ResourceExhausted,
            Self::Late => Code::DeadlineExceeded,
            Self::NotFound(_) => Code::NotFound,
            Self::Forbidden(_) => Code::FailedPrecondition,
            Self::Unavailable(_) => Code::Unavailable,
            Self::Internal(_) => Code::Internal,
        }
    }

    /// For people.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid { field, what } => format!("{field}: {what}"),
            Self::InvalidFields(errors) => errors.to_string(),
            Self::Differs => "request_id: it was used for another request; choose a new one".into(),
            Self::Busy(what) => format!("too many {what}; nothing was decided, try again later"),
            Self::Late => {
                "the deadline has passed; repeat the request with the same request_id to learn whether \
                           it was decided"
                    .into()
            }
            Self::NotFound(what) => (*what).into(),
            Self::Forbidden(why) | Self::Done(why) => why.clone(),
            Self::Unavailable(why) => why.clone(),
            Self::Internal(what) => what.clone(),
        }
    }

    /// The error of one request of a stream or a batch.
    pub fn streamed(&self) -> wire::Error {
        wire::Error { code: self.code().into(), message: self.message() }
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
            Refusal::InvalidFields(errors) => {
                let mut details = ErrorDetails::new();
                for FieldError { field, message } in errors.told() {
                    details.add_bad_request_violation(field, message);
                }
                Status::with_error_details(code, message, details)
            }
            _ => Status::new(code, message),
        }
    }
}

impl From<FieldErrors> for Refusal {
    fn from(errors: FieldErrors) -> Self {
        match errors.told() {
            [FieldError { field, message }] if errors.more() == 0 => Self::invalid(field, message),
            _ => Self::InvalidFields(Box::new(errors)),
        }
    }
}
