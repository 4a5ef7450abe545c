//! A change that somebody asks for, and why it may be refused.

use super::{Id, State};

/// A change that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewChange {
    pub member: String,
    /// Chosen by whoever asks, unique within the member.
    pub request: String,
    /// Any alert of the warning.
    pub warning: Id,
    pub to: State,
    pub by: String,
    /// In microseconds since 1970-01-01T00:00:00Z.
    pub at_us: i64,
    pub why: String,
}

/// Why a change is not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("warning_id: member {member} has no warning {warning}")]
    NotFound { member: String, warning: Id },
    #[error("request_id: it was used for another change; choose a new one")]
    Differs,
    #[error("the warning is {}, and cannot become {}; {}", from.name(), to.name(), allowed(*from))]
    NotAllowed { from: State, to: State },
}

fn allowed(from: State) -> String {
    match from.next() {
        [] => "nothing follows".to_owned(),
        next => {
            let next: Vec<&str> = next.iter().map(|state| state.name()).collect();
            format!("next comes {}", next.join(" or "))
        }
    }
}
