//! The service over lanes, as `tarim serve` has it: connections on threads of their own.

use std::{num::NonZero, sync::Arc};

use futures::future::{join_all, try_join_all};
use tarim_proto::decision::v1::{BatchDecideRequest, decision_service_client::DecisionServiceClient};
use tonic::transport::Channel;

use super::{
    bank::{Bank, request},
    exposing::{limited, reserving},
};
use crate::{
    journal::{Journal, power::Power},
    service::Threads,
};

#[test]
fn single_calls_streams_and_batches_of_many_connections_are_answered() {
    let (runtime, threads) = Threads::start(NonZero::new(2)).expect("threads");
    let disk = Power::default();
    runtime.block_on(async {
        let bank = Bank::new().await;
        let journal = Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk");
        let served =
            bank.serve_over(Some(threads.clone()), journal, bank.sources()).await.expect("it starts");
        let endpoint = Channel::from_shared(format!("http://{}", served.running.address())).expect("a URL");
        let clients = try_join_all((0..5).map(|_| endpoint.connect())).await.expect("it listens");
        let clients: Vec<_> = clients.into_iter().map(DecisionServiceClient::new).collect();
        let ids = |kind: &str, client: usize| -> Vec<_> {
            (0..20).map(|i| request(&format!("{kind}-{client}-{i}"), "c1", [])).collect()
        };
        let all = clients.iter().enumerate().map(|(i, client)| async move {
            let single = ids("single", i).into_iter().map(|request| {
                let mut client = client.clone();
                async move { client.decide(request).await.expect("decided") }
            });
            let (mut streams, mut batches) = (client.clone(), client.clone());
            let stream = async {
                let requests = tokio_stream::iter(ids("stream", i));
                let mut answers = streams.decide_stream(requests).await.expect("a stream").into_inner();
                let mut count = 0;
                while answers.message().await.expect("answers").is_some() {
                    count += 1;
                }
                count
            };
            let batch = batches.batch_decide(BatchDecideRequest { requests: ids("batch", i) });
            let (single, stream, batch) = tokio::join!(join_all(single), stream, batch);
            (single.len(), stream, batch.expect("decided").into_inner().answers.len())
        });
        assert_eq!(join_all(all).await, [(20, 20, 20); 5]);
        assert_eq!(threads.connections(), 1 + clients.len());
        drop(clients);
        served.end().await.expect("it ends in order");
        assert_eq!(threads.connections(), 0);
    });
    let journal = Journal::open_on(Arc::new(disk), 1 << 20).expect("what was written");
    for (kind, client, i) in [("single", 0, 0), ("stream", 4, 19), ("batch", 2, 7)] {
        assert!(journal.may_hold(journal.hash("001", &format!("{kind}-{client}-{i}"))));
    }
}

/// A caller is gone, and every connection, while room for its decision is being written: the service ends when that is
/// decided, as it would have been.
#[test]
fn what_was_begun_on_a_lane_is_decided_before_it_ends() {
    let (runtime, threads) = Threads::start(NonZero::new(2)).expect("threads");
    let disk = Power::default();
    runtime.block_on(async {
        let limited = limited().await;
        let ledger = limited.disk.clone();
        let journal = Journal::open_on(Arc::new(disk.clone()), 1 << 20).expect("a whole disk");
        let sources = limited.bank.sources().with_exposures(limited.source());
        let served = limited.bank.serve_over(Some(threads.clone()), journal, sources).await;
        let mut served = served.expect("it starts");
        ledger.hold_syncs(true);
        let mut client = served.client();
        let caller = tokio::spawn(async move { client.decide(reserving("r", "c1")).await });
        let held = ledger.clone();
        tokio::task::spawn_blocking(move || held.wait_for_held_sync()).await.expect("its room is written");
        caller.abort();
        assert!(caller.await.expect_err("it is gone").is_cancelled());
        served.stop();
        let (running, channel) = served.into_parts();
        drop(channel);
        while threads.connections() > 0 {
            tokio::task::yield_now().await;
        }
        let ended = tokio::spawn(running.ended());
        ledger.hold_syncs(false);
        ended.await.expect("no panic").expect("it ends in order");
    });
    let journal = Journal::open_on(Arc::new(disk), 1 << 20).expect("what was written");
    assert!(journal.find("001", "r").expect("a whole disk").is_some());
}
