//! Deadlines: the caller's `grpc-timeout`, counted from the arrival of its request.
//!
//! tonic cuts a call off at its deadline too, but answers CANCELLED, knows nothing of what is inside a
//! stream, and may do so while a decision is being written. Here the deadline is part of the decision's
//! own course: before the decision goes to the journal it stops everything; afterwards it only stops
//! the caller's waiting.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use hyper::HeaderMap;
use tonic::{Extensions, Request, Status};

use super::Refusal;

/// Until when a caller waits for an answer; None is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// Notes the deadline of a request, before its body is read, unless that was done when it arrived.
    pub fn stamp(mut request: Request<()>) -> Result<Request<()>, Status> {
        if request.extensions().get::<Self>().is_none() {
            let deadline = Self::of_headers(request.metadata().as_ref())?;
            request.extensions_mut().insert(deadline);
        }
        Ok(request)
    }

    /// The deadline of a request that has just arrived.
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self(timeout(headers)?.and_then(|t| Instant::now().checked_add(t))))
    }

    /// The deadline that [`Deadline::stamp`] noted.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().copied().unwrap_or_default()
    }

    /// The same, but no later than so long from now.
    pub fn within(self, most: Duration) -> Self {
        let latest = Instant::now().checked_add(most);
        Self(self.0.into_iter().chain(latest).min())
    }

    /// Has it passed?
    pub fn check(self) -> Result<(), Refusal> {
        match self.0 {
            Some(deadline) if Instant::now() >= deadline => Err(Refusal::Late),
            _ => Ok(()),
        }
    }

    /// Returns when it has passed.
    pub async fn passed(self) {
        match self.0 {
            Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for `answer`, but not longer. An answer that is there counts even if it is late.
    pub async fn wait<T>(self, answer: impl Future<Output = T>) -> Result<T, Refusal> {
        tokio::select! {
            biased;
            answer = answer => Ok(answer),
            () = self.passed() => Err(Refusal::Late),
        }
    }
}

/// `grpc-timeout`: up to eight digits and a unit.
fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(text) = headers.get("grpc-timeout") else { return Ok(None) };
    let parse = || {
        let text = text.to_str().ok()?;
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let n: u64 = digits.parse().ok()?;
        Some(match unit {
            "H" => Duration::from_secs(n * 3600),
            "M" => Duration::from_secs(n * 60),
            "S" => Duration::from_secs(n),
            "m" => Duration::from_millis(n),
            "u" => Duration::from_micros(n),
            "n" => Duration::from_nanos(n),
            _ => return None,
        })
    };
    match parse() {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(Refusal::invalid(
            "grpc-timeout",
            format!("{text:?} is not up to eight digits and one of HMSmun"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Option<Duration>> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().expect("ASCII"));
        timeout(&headers).ok()
    }

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, nanos) in [
            ("1H", 3_600_000_000_000_u64),
            ("2M", 120_000_000_000),
            ("3S", 3_000_000_000),
            ("4m", 4_000_000),
            ("5u", 5_000),
            ("6n", 6),
            ("00000000n", 0),
        ] {
            assert_eq!(parsed(text), Some(Some(Duration::from_nanos(nanos))), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "+1S", "123456789n", "1.5S"] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()).ok(), Some(None));
    }
}
