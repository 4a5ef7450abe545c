//! Keeps the ledger as the rulebook says: opens it, adopts schemes, looks after groups, and tells how it stands.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use tarim_datamart::Value;
use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    Desk, ExposureError, ExposureSource, SERVICE, groups::regroup, metrics::Standing, outbox::Telling,
    recover::note,
};
use crate::{
    exposure::{Config, Ledger, LedgerError, scheme::SchemeSet},
    journal::Journal,
    service::{Clock, Serving},
};

/// How often it is looked how many counters are above their lines: that reads them all.
const STANDING_EVERY: Duration = Duration::from_secs(15);
/// How often it is noted how far the journal has come. What it loses that is younger may not be missed ([`super::recover`]).
const NOTE_EVERY: Duration = Duration::from_secs(10);
/// After what failed, groups are tried again so soon.
const AGAIN: Duration = Duration::from_secs(60);

/// Looks after the ledger.
pub struct Keeper {
    source: Arc<ExposureSource>,
    desk: Desk,
    journal: Arc<Journal>,
    clock: Clock,
    health: HealthReporter,
    /// Version of the rulebook whose schemes were taken over.
    followed: String,
    /// When groups are looked at next.
    groups_due: Instant,
    standing_due: Instant,
    note_due: Instant,
    /// Tells events, once the ledger is open.
    telling: Option<Telling>,
}

impl Keeper {
    pub fn new(
        source: Arc<ExposureSource>,
        desk: Desk,
        journal: Arc<Journal>,
        clock: Clock,
        health: HealthReporter,
    ) -> Self {
        let now = Instant::now();
        Self {
            source,
            desk,
            journal,
            clock,
            health,
            followed: String::new(),
            groups_due: now,
            standing_due: now,
            // Before, whoever starts the service looks what the journal has lost.
            note_due: now + NOTE_EVERY,
            telling: None,
        }
    }

    /// Brings everything to what the rulebook says. If something fails, the rest stays as it was.
    pub async fn keep(&mut self, serving: &Arc<Serving>) -> Result<(), ExposureError> {
        self.open(serving).await?;
        let Some(ledger) = self.desk.opened().cloned() else {
            self.tell_health(ServingStatus::NotServing).await;
            return Ok(());
        };
        let open = ledger.is_open();
        self.tell_health(if open { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        if !open {
            return Err(LedgerError::Closed("see the log; start anew when the disk is well".into()).into());
        }
        let noted = self.note().await;
        self.adopt(serving).await?;
        self.regroup(serving).await?;
        self.look().await?;
        noted
    }

    async fn open(&mut self, serving: &Serving) -> Result<(), ExposureError> {
        let wanted = self.source.found || !serving.engine.rulebook().limits().schemes.is_empty();
        if self.desk.opened().is_some() || !wanted {
            return Ok(());
        }
        let (source, clock) = (self.source.clone(), self.clock);
        let keys_kept = Some(source.keys_kept);
        let open =
            move || (source.open)(Config { keys_kept, ..Config::new(Arc::new(move || clock.now_us())) });
        let ledger = tokio::task::spawn_blocking(open).await.map_err(thread)??;
        let ledger = Arc::new(ledger);
        let (source, of, metrics) = (self.source.clone(), ledger.clone(), self.desk.metrics.clone());
        let begin = move || {
            check_clock(&of, clock)?;
            Telling::start(&source.events, of, metrics)
        };
        self.telling = tokio::task::spawn_blocking(begin).await.map_err(thread)??;
        self.desk.open(ledger);
        Ok(())
    }

    /// Schemes of a new rulebook; the ledger counts by them beside, and goes on.
    async fn adopt(&mut self, serving: &Serving) -> Result<(), ExposureError> {
        let rulebook = serving.engine.rulebook();
        if self.followed == rulebook.version() {
            return Ok(());
        }
        let ledger = self.desk.opened().expect("it was opened").clone();
        let limits = rulebook.limits().clone();
        let in_force = {
            let ledger = ledger.clone();
            let ask = move || ledger.ask(|core| core.schemes().clone());
            tokio::task::spawn_blocking(ask).await.map_err(thread)??
        };
        if limits.schemes.is_empty() && !in_force.schemes.is_empty() {
            tracing::warn!(
                "rulebook {} has no exposure limits; those of {} stay in force",
                rulebook.version(),
                in_force.version
            );
        } else if !same(&limits, &in_force) {
            let adopt = move || ledger.adopt(limits);
            let answer = tokio::task::spawn_blocking(adopt).await.map_err(thread)??;
            self.desk.metrics.adoptions.fetch_add(1, Ordering::Relaxed);
            tracing::info!(
                over = answer.warnings.len(),
                large = answer.large.len(),
                "exposures are counted by the limits of rulebook {}",
                rulebook.version()
            );
        }
        self.followed = rulebook.version().to_owned();
        (self.groups_due, self.standing_due) = (Instant::now(), Instant::now());
        Ok(())
    }

    async fn regroup(&mut self, serving: &Arc<Serving>) -> Result<(), ExposureError> {
        let Some(groups) = self.source.groups.clone() else { return Ok(()) };
        if Instant::now() < self.groups_due {
            return Ok(());
        }
        self.groups_due = Instant::now() + groups.every.min(AGAIN);
        let ledger = self.desk.opened().expect("it was opened").clone();
        let (serving, now_us) = (serving.clone(), self.clock.now_us());
        let work = move || {
            let rulebook = serving.engine.rulebook();
            regroup(&ledger, rulebook, serving.folder(), &groups.datamart, now_us)
        };
        let count = tokio::task::spawn_blocking(work).await.map_err(thread)??;
        self.groups_due = Instant::now() + groups.every;
        self.desk.metrics.regrouped.fetch_add(count, Ordering::Relaxed);
        if count > 0 {
            tracing::info!("{count} customers are in another group");
        }
        Ok(())
    }

    /// How far the journal has come.
    async fn note(&mut self) -> Result<(), ExposureError> {
        if Instant::now() < self.note_due {
            return Ok(());
        }
        self.note_due = Instant::now() + NOTE_EVERY;
        let ledger = self.desk.opened().expect("it was opened").clone();
        let journal = self.journal.clone();
        Ok(tokio::task::spawn_blocking(move || note(&ledger, &journal)).await.map_err(thread)??)
    }

    /// How many counters are above their lines.
    async fn look(&mut self) -> Result<(), ExposureError> {
        if Instant::now() < self.standing_due {
            return Ok(());
        }
        self.standing_due = Instant::now() + STANDING_EVERY;
        let ledger = self.desk.opened().expect("it was opened").clone();
        let look = move || ledger.view().map(|core| Standing::of(&core));
        let standing = tokio::task::spawn_blocking(look).await.map_err(thread)??;
        self.desk.metrics.standing.store(Some(Arc::new(standing)));
        Ok(())
    }

    async fn tell_health(&self, status: ServingStatus) {
        self.health.set_service_status(SERVICE, status).await;
    }

    /// Keeps it every so often, and when a rulebook was swapped in; counts in `kept` how often that went well. Ends when
    /// `stopping` says so. An error is logged once: the ledger goes on as it was.
    pub async fn run(
        mut self,
        serving: Arc<ArcSwap<Serving>>,
        every: Duration,
        swaps: watch::Receiver<u64>,
        kept: watch::Sender<u64>,
        stopping: watch::Receiver<bool>,
    ) {
        self.keep_on(serving, every, swaps, kept, stopping).await;
        if let Some(telling) = self.telling.take() {
            // It panicked, or the runtime is about to end.
            let _ = tokio::task::spawn_blocking(|| telling.stop()).await;
        }
    }

    async fn keep_on(
        &mut self,
        serving: Arc<ArcSwap<Serving>>,
        every: Duration,
        mut swaps: watch::Receiver<u64>,
        kept: watch::Sender<u64>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut logged = String::new();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                // An error: nobody swaps any more, and all is about to end.
                Ok(()) = swaps.changed() => {}
                () = tokio::time::sleep(every) => {}
            }
            let serving = serving.load_full();
            let ended = tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                ended = self.keep(&serving) => ended,
            };
            self.desk.metrics.failing.store(ended.is_err(), Ordering::Relaxed);
            match ended.map_err(|e| e.to_string()) {
                Ok(()) => {
                    logged.clear();
                    kept.send_modify(|count| *count += 1);
                }
                Err(e) if e != logged => {
                    tracing::error!("exposures are kept as before: {e}");
                    logged = e;
                }
                Err(_) => {}
            }
        }
    }
}

/// A ledger's time does not go back. What is tried on a time that has not come must not take it there.
fn check_clock(ledger: &Ledger, clock: Clock) -> Result<(), ExposureError> {
    let (held, at_us) = ledger.ask(|core| (core.sequence(), core.now_us()))?;
    let (now_us, real_us) = (clock.now_us(), Clock::System.now_us());
    if let Clock::Fixed(us) = clock
        && us > real_us
        && held > 0
    {
        let (now, ahead) = (Value::Timestamp(us).to_string(), seconds(us, real_us));
        return Err(ExposureError::Future { now, ahead, operations: held });
    }
    if let Some(said) = behind(at_us, now_us) {
        tracing::warn!("{said}");
    }
    Ok(())
}

/// Clocks of two machines, or of one that was set right, may be so far apart.
const APART_S: i64 = 60;

/// What is said of a clock that the ledger's time is ahead of. It is no reason to refuse: decisions, drawings and repayments go on,
/// and what does not expire holds its room, so nothing is oversold.
fn behind(at_us: i64, now_us: i64) -> Option<String> {
    let ahead = seconds(at_us, now_us);
    (ahead > APART_S).then(|| {
        format!(
            "the exposure ledger stands at {}, {ahead} seconds ahead of this server's clock ({}), and its time does not go back: \
             until the clock is there nothing expires, and no reservation is taken that would expire before. If the clock is \
             slow, set it. If the ledger was once kept by a clock that was fast, bring a copy of its folder back that was made \
             before, or wait. To try something on a past day (--now), take another installation (--home)",
            Value::Timestamp(at_us),
            Value::Timestamp(now_us)
        )
    })
}

fn seconds(later_us: i64, earlier_us: i64) -> i64 {
    later_us.saturating_sub(earlier_us) / 1_000_000
}

/// But for the rulebook's version: who changes a policy alone does not have all exposures counted anew.
fn same(a: &SchemeSet, b: &SchemeSet) -> bool {
    a.members == b.members
        && a.dimensions == b.dimensions
        && a.schemes == b.schemes
        && a.large_fen == b.large_fen
        && a.group_edges == b.group_edges
}

fn thread(e: tokio::task::JoinError) -> ExposureError {
    ExposureError::Thread(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_is_ahead_of_the_clock_is_told_with_both_times() {
        let now_us = 1_782_777_600_000_000;
        for (ahead_s, is_told) in [(-86_400, false), (0, false), (60, false), (61, true), (86_400, true)] {
            let said = behind(now_us + ahead_s * 1_000_000, now_us);
            assert_eq!(said.is_some(), is_told, "{ahead_s}: {said:?}");
        }
        let said = behind(now_us + 86_400_000_000, now_us).unwrap_or_default();
        for part in ["2026-07-01T00:00:00Z", "86400 seconds", "2026-06-30T00:00:00Z", "--home"] {
            assert!(said.contains(part), "{part} in: {said}");
        }
    }
}
