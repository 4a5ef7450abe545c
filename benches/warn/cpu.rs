//! Time that this thread was on a processor.

use anyhow::Context;

/// Nanoseconds of the calling thread, so far.
pub struct CpuTime(u64);

impl CpuTime {
    pub fn now() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("no /proc of Linux")?;
        let first = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
        first.map(Self).context("/proc/thread-self/schedstat says nothing")
    }

    /// Seconds since then.
    pub fn elapsed(&self) -> anyhow::Result<f64> {
        Ok((Self::now()?.0 - self.0) as f64 / 1e9)
    }
}
