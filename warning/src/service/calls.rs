//! What is counted of calls: how each ended, and how long it took.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};
use tonic::{Code, Status};

/// By the name of the call, as the service has it, and the code that it was answered with.
type Ended = [(&'static str, String); 2];
type Named = [(&'static str, &'static str); 1];

/// The calls of a service. Clones are the same.
#[derive(Clone)]
pub struct Calls {
    ended: Family<Ended, Counter>,
    took: Family<Named, Histogram, fn() -> Histogram>,
}

/// From a tenth of a millisecond to six and a half seconds: what is changed waits for the disk, and a page reads it.
fn buckets() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 17))
}

impl Default for Calls {
    fn default() -> Self {
        Self { ended: Family::default(), took: Family::new_with_constructor(buckets) }
    }
}

impl Calls {
    /// Counts a call when it ends. A caller who leaves before ends it, too: as cancelled.
    pub async fn count<T>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let mut ending = Ending { calls: self, call, since: Instant::now(), code: Code::Cancelled };
        let answer = work.await;
        ending.code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        answer
    }

    fn ended(&self, call: &'static str, code: Code, took: Duration) {
        self.ended.get_or_create(&[("call", call.into()), ("code", format!("{code:?}"))]).inc();
        self.took.get_or_create(&[("call", call)]).observe(took.as_secs_f64());
    }

    pub fn register(&self, registry: &mut Registry) {
        let help = "Calls that have ended, by the code of gRPC.";
        registry.register("tarim_desk_calls", help, self.ended.clone());
        let help = "Time of a call, from when it was read to its answer.";
        registry.register_with_unit("tarim_desk_call", help, Unit::Seconds, self.took.clone());
    }
}

/// A call at work.
struct Ending<'a> {
    calls: &'a Calls,
    call: &'static str,
    since: Instant,
    code: Code,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.calls.ended(self.call, self.code, self.since.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use std::{future, task};

    use super::*;

    #[tokio::test]
    async fn every_call_is_counted_as_it_ends() {
        let calls = Calls::default();
        let answered = calls.count("GetWarning", future::ready(Ok(7))).await;
        assert_eq!(answered.expect("as it was"), 7);
        let refused = future::ready(Err::<(), _>(Status::not_found("no such warning")));
        assert_eq!(calls.count("GetWarning", refused).await.expect_err("as it was").code(), Code::NotFound);
        {
            let mut left = std::pin::pin!(calls.count("Dispose", future::pending::<Result<(), Status>>()));
            let mut context = task::Context::from_waker(task::Waker::noop());
            assert!(left.as_mut().poll(&mut context).is_pending());
        }
        let mut registry = Registry::default();
        calls.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string grows");
        for line in [
            "tarim_desk_calls_total{call=\"GetWarning\",code=\"Ok\"} 1",
            "tarim_desk_calls_total{call=\"GetWarning\",code=\"NotFound\"} 1",
            "tarim_desk_calls_total{call=\"Dispose\",code=\"Cancelled\"} 1",
            "tarim_desk_call_seconds_count{call=\"GetWarning\"} 2",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
