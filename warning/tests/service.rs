//! The warning service as its callers have it: over gRPC, with a ledger on disk.

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
};

use prometheus_client::encoding::text::encode;
use tarim_proto::warning::v1::{
    Alert, ChangeRequest, GetWarningRequest, InspectionKind, Level, ListPushesRequest, ListWarningsRequest,
    OpenWarningsRequest, Push, PushKind, State, Warning, warning_service_client::WarningServiceClient,
};
use tarim_warning::{
    delivery::{Budgets, Calendar, Escalation, Managers, Policy},
    feed::Fed,
    ledger::{Ledger, Pushing},
    lifecycle::{Inspections, NewAlert},
    service::{Clock, Config, Running, SERVICE, ServeError, serve},
};
use tokio::sync::oneshot;
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_types::StatusExt;

const NOW_US: i64 = 1_767_225_600_000_000;

type Client = WarningServiceClient<Channel>;

struct Served {
    ledger: Arc<Ledger>,
    client: Client,
    channel: Channel,
    running: Running,
    stop: oneshot::Sender<()>,
}

impl Served {
    async fn on(folder: &Path) -> Self {
        Self::with(Ledger::open(folder).unwrap()).await
    }

    async fn with(ledger: Ledger) -> Self {
        Self::of_members(ledger, &[]).await
    }

    /// With a rulebook of these members.
    async fn of_members(ledger: Ledger, members: &[&str]) -> Self {
        let ledger = Arc::new(ledger);
        let members = members.iter().map(|code| (*code).to_owned()).collect();
        let (stop, stopped) = oneshot::channel();
        let on = Config::on("127.0.0.1:0".parse().unwrap());
        let config = Config { clock: Clock::Fixed(NOW_US), members, ..on };
        let running = serve(config, ledger.clone(), async { drop(stopped.await) }).await.unwrap();
        let url = format!("http://{}", running.address());
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        Self { ledger, client: Client::new(channel.clone()), channel, running, stop }
    }

    fn raise(&self, alerts: Vec<Alert>) {
        let new = |alert| NewAlert::new(alert, &Inspections::default(), 0).unwrap();
        self.ledger.take_now(alerts.into_iter().map(new).collect(), None).unwrap();
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        drop((self.client, self.channel));
        self.running.ended().await.unwrap();
        self.ledger.close().unwrap();
    }
}

fn id(n: u64) -> String {
    format!("{n:032x}")
}

fn alert(n: u64, member: &str, customer: &str, level: Level) -> Alert {
    Alert {
        alert_id: id(n),
        member: member.into(),
        customer_id: customer.into(),
        rule_id: format!("W-{}", level.as_str_name()),
        level: level.into(),
        raised_at_us: NOW_US + n as i64,
        ..Alert::default()
    }
}

fn request(member: &str, request: &str, warning: u64) -> ChangeRequest {
    ChangeRequest {
        member: member.into(),
        request_id: request.into(),
        warning_id: id(warning),
        by: "zhang".into(),
        why: "visited, all is well".into(),
    }
}

fn list(member: &str) -> ListWarningsRequest {
    ListWarningsRequest { member: member.into(), ..Default::default() }
}

async fn get(client: &mut Client, member: &str, n: u64) -> Result<Warning, Status> {
    let request = GetWarningRequest { member: member.into(), warning_id: id(n) };
    client.get_warning(request).await.map(tonic::Response::into_inner)
}

async fn open(client: &mut Client, member: &str, customer: &str) -> Vec<String> {
    let request = OpenWarningsRequest { member: member.into(), customer_id: customer.into() };
    let answer = client.open_warnings(request).await.unwrap().into_inner();
    answer.warnings.into_iter().map(|w| w.warning_id).collect()
}

#[tokio::test]
async fn a_warning_lives_and_is_as_it_was_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    served.raise(vec![alert(1, "001", "c1", Level::Red), alert(2, "001", "c1", Level::Red)]);
    served.raise(vec![alert(3, "001", "c1", Level::Blue)]);
    let client = &mut served.client;
    assert_eq!(open(client, "001", "c1").await, [id(1), id(3)]);

    let acknowledged = client.acknowledge(request("001", "r1", 1)).await.unwrap().into_inner();
    assert_eq!((acknowledged.state(), acknowledged.count), (State::Acknowledged, 2));
    assert_eq!((acknowledged.first_raised_at_us, acknowledged.last_raised_at_us), (NOW_US + 1, NOW_US + 2));
    let inspection = acknowledged.inspection.clone().unwrap();
    assert_eq!((inspection.kind(), inspection.done), (InspectionKind::Unscheduled, false));
    assert_eq!(inspection.due_at_us, NOW_US + 1 + 86_400_000_000);

    // By the repeat's alert it is the same warning.
    client.dispose(request("001", "r2", 2)).await.unwrap();
    assert_eq!(open(client, "001", "c1").await, [id(3)]);
    let closed = client.close(request("001", "r3", 1)).await.unwrap().into_inner();
    assert_eq!(closed.state(), State::Closed);
    assert!(closed.inspection.as_ref().unwrap().done);
    let steps: Vec<_> = closed.history.iter().map(|c| (c.change_id.clone(), c.from(), c.to())).collect();
    let wanted = [
        (format!("{}-1", id(1)), State::Open, State::Acknowledged),
        (format!("{}-2", id(1)), State::Acknowledged, State::Disposed),
        (format!("{}-3", id(1)), State::Disposed, State::Closed),
    ];
    assert_eq!(steps, wanted);
    let first = &closed.history[0];
    assert_eq!(
        (first.by.as_str(), first.at_us, first.why.as_str()),
        ("zhang", NOW_US, "visited, all is well")
    );
    served.end().await;

    let mut served = Served::on(folder.path()).await;
    let client = &mut served.client;
    assert_eq!(get(client, "001", 1).await.unwrap(), closed);
    assert_eq!(get(client, "001", 3).await.unwrap().inspection, None, "blue asks for none");
    let again = client.acknowledge(request("001", "r1", 1)).await.unwrap().into_inner();
    assert_eq!(again, acknowledged, "a repeated request gets the first answer");
    served.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    served.raise(vec![alert(1, "001", "c1", Level::Red)]);
    let client = &mut served.client;
    let good = request("001", "r1", 1);
    for (bad, field) in [
        (ChangeRequest { member: String::new(), ..good.clone() }, "member"),
        (ChangeRequest { request_id: String::new(), ..good.clone() }, "request_id"),
        (ChangeRequest { request_id: "r".repeat(65), ..good.clone() }, "request_id"),
        (ChangeRequest { warning_id: "1".into(), ..good.clone() }, "warning_id"),
        (ChangeRequest { by: " ".into(), ..good.clone() }, "by"),
        (ChangeRequest { why: String::new(), ..good.clone() }, "why"),
        (ChangeRequest { why: "w".repeat(2001), ..good.clone() }, "why"),
    ] {
        let status = client.dispose(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, field);
    }
    for (bad, field) in [
        (ListWarningsRequest { page_size: 1001, ..list("001") }, "page_size"),
        (ListWarningsRequest { page_token: "x".into(), ..list("001") }, "page_token"),
        (ListWarningsRequest { state: 9, ..list("001") }, "state"),
        (ListWarningsRequest { level_at_least: 9, ..list("001") }, "level_at_least"),
        (list(""), "member"),
    ] {
        let status = client.list_warnings(bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
    }

    let early = client.close(good.clone()).await.unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    assert_eq!(early.message(), "the warning is open, and cannot become closed; next comes acknowledged");
    // The request id is not used up, and nobody must say why he looks into it.
    let acknowledge = ChangeRequest { why: String::new(), ..good.clone() };
    client.acknowledge(acknowledge.clone()).await.unwrap();
    for other in [good, ChangeRequest { by: "li".into(), ..acknowledge.clone() }] {
        assert_eq!(client.acknowledge(other).await.unwrap_err().code(), Code::AlreadyExists);
    }
    client.acknowledge(acknowledge).await.unwrap();
    assert_eq!(get(client, "001", 7).await.unwrap_err().code(), Code::NotFound);
    served.end().await;
}

#[tokio::test]
async fn members_are_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    // Even if the other has a customer of the same id.
    served.raise(vec![alert(1, "001", "c1", Level::Red), alert(2, "002", "c1", Level::Red)]);
    let client = &mut served.client;
    assert_eq!(open(client, "001", "c1").await, [id(1)]);
    assert_eq!(open(client, "002", "c1").await, [id(2)]);
    assert!(open(client, "003", "c1").await.is_empty());
    assert_eq!(get(client, "002", 1).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.acknowledge(request("002", "r1", 1)).await.unwrap_err().code(), Code::NotFound);
    // A request id is the member's own.
    client.acknowledge(request("001", "r1", 1)).await.unwrap();
    client.acknowledge(request("002", "r1", 2)).await.unwrap();
    let listed = client.list_warnings(list("002")).await.unwrap().into_inner();
    assert_eq!(listed.warnings.iter().map(|w| w.warning_id.clone()).collect::<Vec<_>>(), [id(2)]);
    served.end().await;
}

#[tokio::test]
async fn who_asks_for_a_member_that_nobody_knows_is_told_who_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::of_members(Ledger::open(folder.path()).unwrap(), &["001", "003"]).await;
    served.raise(vec![alert(1, "002", "c1", Level::Red), alert(2, "001", "c1", Level::Red)]);
    // A member that the rulebook no longer has is known by its warnings, one without warnings by the rulebook.
    for (member, known) in [("099", &["001", "002", "003"][..]), ("001", &[]), ("002", &[]), ("003", &[])] {
        let told = served.client.list_warnings(list(member)).await.unwrap().into_inner();
        assert_eq!(told.known_members, known, "{member}");
        let inbox = ListPushesRequest { member: member.into(), ..Default::default() };
        let told = served.client.list_pushes(inbox).await.unwrap().into_inner();
        assert_eq!(told.known_members, known, "{member}");
    }
    served.end().await;
    // Without a rulebook a member of whom there is no warning yet may be one all the same.
    let mut served = Served::on(folder.path()).await;
    let told = served.client.list_warnings(list("003")).await.unwrap().into_inner();
    assert_eq!(told.known_members, [""; 0]);
    served.end().await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    let levels = [Level::Blue, Level::Yellow, Level::Orange, Level::Red];
    let customer = |n: u64| format!("c{}", n / 4);
    served.raise((0..40).map(|n| alert(n, "001", &customer(n), levels[n as usize % 4])).collect());
    let client = &mut served.client;
    client.acknowledge(request("001", "r", 7)).await.unwrap();

    let mut wanted =
        ListWarningsRequest { page_size: 7, level_at_least: Level::Orange.into(), ..list("001") };
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        let answer = client.list_warnings(wanted.clone()).await.unwrap().into_inner();
        found.extend(answer.warnings.into_iter().map(|w| w.warning_id));
        pages += 1;
        if answer.next_page_token.is_empty() {
            break;
        }
        wanted.page_token = answer.next_page_token;
    }
    let newest_first: Vec<_> = (0..40).rev().filter(|n| n % 4 >= 2).map(id).collect();
    assert_eq!((found, pages), (newest_first, 3));

    let other = ListWarningsRequest { level_at_least: 0, ..wanted };
    let status = client.list_warnings(other).await.unwrap_err();
    assert!(status.message().starts_with("page_token: it is of another list"), "{status}");

    for (request, ids) in [
        (ListWarningsRequest { customer_id: "c1".into(), ..list("001") }, vec![7, 6, 5, 4]),
        (ListWarningsRequest { state: State::Acknowledged.into(), ..list("001") }, vec![7]),
        (
            ListWarningsRequest { rule_id: "W-LEVEL_RED".into(), customer_id: "c9".into(), ..list("001") },
            vec![39],
        ),
        (ListWarningsRequest { state: State::Closed.into(), ..list("001") }, vec![]),
    ] {
        let answer = client.list_warnings(request).await.unwrap().into_inner();
        let found: Vec<_> = answer.warnings.into_iter().map(|w| w.warning_id).collect();
        assert_eq!(found, ids.into_iter().map(id).collect::<Vec<_>>());
    }
    served.end().await;
}

/// Of many who ask for the same at once one is first; all who repeat the same request get its answer.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_one_is_first() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::on(folder.path()).await;
    served.raise(vec![alert(1, "001", "c1", Level::Red)]);
    let ask = |request: ChangeRequest| {
        let mut client = served.client.clone();
        tokio::spawn(async move { client.acknowledge(request).await.map(tonic::Response::into_inner) })
    };
    let all: Vec<_> = (0..64).map(|i| ask(request("001", &format!("r{}", i / 8), 1))).collect();
    let (mut made, mut refused) = (Vec::new(), 0);
    for answer in all {
        match answer.await.unwrap() {
            Ok(warning) => made.push(warning),
            Err(status) => {
                assert_eq!(status.code(), Code::FailedPrecondition);
                refused += 1;
            }
        }
    }
    assert_eq!((made.len(), refused), (8, 56));
    assert!(made.iter().all(|warning| warning.history == made[0].history && warning.history.len() == 1));
    served.end().await;
}

#[tokio::test]
async fn it_is_healthy_and_not_in_the_open() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::on(folder.path()).await;
    let mut health = HealthClient::new(served.channel.clone());
    let status = health.check(HealthCheckRequest { service: SERVICE.into() }).await.unwrap().into_inner();
    assert_eq!(status.status, 1, "SERVING");
    let open = Config::on("0.0.0.0:0".parse().unwrap());
    let refused = serve(open, served.ledger.clone(), std::future::pending()).await;
    assert!(matches!(refused, Err(ServeError::InTheOpen(_))));
    drop(health);
    served.end().await;
}

/// Each connection takes a file, and the ledger must find one.
#[tokio::test]
async fn who_comes_when_all_connections_are_taken_waits() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::open(folder.path()).unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let config = Config { max_connections: 1, ..Config::on("127.0.0.1:0".parse().unwrap()) };
    let running = serve(config, ledger.clone(), async { drop(stopped.await) }).await.unwrap();
    let url = format!("http://{}", running.address());
    let ask = || async {
        let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
        let mut client = Client::new(channel);
        let told = client.list_warnings(list("001")).await.unwrap().into_inner();
        (client, told.warnings.len())
    };
    let (mut first, told) = ask().await;
    assert_eq!(told, 0);
    let mut second = Box::pin(ask());
    for _ in 0..20 {
        assert!(futures::poll!(&mut second).is_pending(), "the system takes it, and nobody answers");
        first.list_warnings(list("001")).await.unwrap();
    }
    drop(first);
    let (second, told) = second.await;
    assert_eq!(told, 0);
    drop((second, stop));
    running.ended().await.unwrap();
    ledger.close().unwrap();
}

/// A ledger that pushes: two at once a day, and a digest at 00:00 UTC.
fn pushing(folder: &Path, now: &Arc<std::sync::atomic::AtomicI64>) -> Ledger {
    let hour = 3_600_000_000;
    let escalation = Escalation {
        level: Level::Red,
        after_us: 4 * hour,
        to: "branch_head".into(),
        why: "nobody looked into it within 4h".into(),
    };
    let policy = Policy {
        calendar: Calendar::new(0, vec![0]),
        budgets: Budgets { common: Some(2), ..Budgets::default() },
        repeats_wait: false,
        escalations: vec![escalation],
        managers_sql: None,
    };
    let mut managers = Managers::default();
    managers.put("001", "c1", "m1");
    managers.put("002", "c1", "m1");
    Ledger::open_pushing(folder, Pushing { policy, managers, clock: Clock::Set(now.clone()) }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_manager_has_an_inbox() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Arc::default());
    let mut served = Served::with(pushing(folder.path(), &now)).await;
    let set = |us| now.store(us, std::sync::atomic::Ordering::Release);
    set(NOW_US + 1);
    let grouped = |n, level| Alert { group: "loans".into(), ..alert(n, "001", "c1", level) };
    let waits = Alert { push: Push::Digest.into(), repeats: 3, ..grouped(3, Level::Blue) };
    served.raise(vec![grouped(1, Level::Red), grouped(2, Level::Orange), waits, grouped(4, Level::Yellow)]);
    served.raise(vec![alert(5, "002", "c1", Level::Red), alert(6, "001", "c2", Level::Yellow)]);
    set(NOW_US + 5 * 3_600_000_000);
    let acknowledged = served.client.acknowledge(request("002", "r1", 5)).await.unwrap().into_inner();
    assert_eq!(acknowledged.history.len(), 2, "it was passed on before");
    set(NOW_US + 86_400_000_000);
    tokio::task::block_in_place(|| served.ledger.tick_now()).unwrap();

    let inbox = |member: &str, manager: &str| ListPushesRequest {
        member: member.into(),
        manager: manager.into(),
        ..Default::default()
    };
    let client = &mut served.client;
    let pushes = client.list_pushes(inbox("001", "m1")).await.unwrap().into_inner().pushes;
    let kinds: Vec<PushKind> = pushes.iter().map(|push| push.kind()).collect();
    assert_eq!(kinds, [PushKind::Digest, PushKind::Alert, PushKind::Alert], "the newest first");
    assert_eq!((pushes[2].warning_id.clone(), pushes[2].at_us), (id(1), NOW_US + 1));
    assert_eq!(pushes[2].alert.as_ref().unwrap().alert_id, id(1));
    let digest = pushes[0].digest.as_ref().unwrap();
    assert_eq!((digest.part, digest.parts, digest.groups.len()), (1, 1, 1));
    let group = &digest.groups[0];
    assert_eq!(
        (group.group.as_str(), group.customer_id.as_str(), group.level()),
        ("loans", "c1", Level::Yellow)
    );
    let lines: Vec<_> =
        group.lines.iter().map(|line| (line.warning_id.clone(), line.alerts, line.held_back)).collect();
    assert_eq!(lines, [(id(4), 1, 0), (id(3), 1, 3)]);
    assert_eq!(group.lines[0].state(), State::Open);

    let head = client.list_pushes(inbox("001", "branch_head")).await.unwrap().into_inner().pushes;
    let escalation = head[0].escalation.as_ref().unwrap();
    assert_eq!((head.len(), head[0].kind(), escalation.from.as_str()), (1, PushKind::Escalation, "m1"));
    assert_eq!((escalation.open_since_us, escalation.level(), escalation.count), (NOW_US + 1, Level::Red, 1));
    let warning = get(client, "001", 1).await.unwrap();
    let step = &warning.history[0];
    assert_eq!(
        (step.by.as_str(), step.escalated_to.as_str(), warning.state()),
        ("system", "branch_head", State::Open)
    );
    assert_eq!(step.why, "nobody looked into it within 4h");

    let unassigned = client.list_pushes(inbox("001", "unassigned")).await.unwrap().into_inner().pushes;
    assert_eq!(unassigned.len(), 1);
    let other = client.list_pushes(inbox("002", "")).await.unwrap().into_inner().pushes;
    let readers: Vec<&str> = other.iter().map(|push| push.manager.as_str()).collect();
    assert_eq!(readers, ["branch_head", "m1"], "another member's of the same name");

    let mut page = ListPushesRequest { page_size: 2, ..inbox("001", "") };
    let first = client.list_pushes(page.clone()).await.unwrap().into_inner();
    page.page_token = first.next_page_token;
    let second = client.list_pushes(page.clone()).await.unwrap().into_inner();
    assert_eq!((first.pushes.len(), second.pushes.len()), (2, 2));
    let foreign = ListPushesRequest { manager: "m1".into(), ..page };
    let status = client.list_pushes(foreign).await.unwrap_err();
    assert!(status.message().starts_with("page_token: it is of another list"), "{status}");
    // Who asks for somebody to whom nothing was pushed is told to whom something was.
    let others = |name: &str| inbox("001", name);
    let managers = client.list_pushes(others("nobody")).await.unwrap().into_inner().known_managers;
    assert_eq!(managers, ["branch_head", "m1", "unassigned"]);
    for known in ["", "m1", "unassigned"] {
        assert!(client.list_pushes(others(known)).await.unwrap().into_inner().known_managers.is_empty());
    }
    let kind = ListPushesRequest { kind: PushKind::Digest.into(), ..inbox("001", "m1") };
    assert_eq!(client.list_pushes(kind).await.unwrap().into_inner().pushes.len(), 1);
    for (bad, field) in [
        (inbox("", "m1"), "member"),
        (inbox("001", &"m".repeat(65)), "manager"),
        (ListPushesRequest { kind: 9, ..inbox("001", "m1") }, "kind"),
    ] {
        let status = client.list_pushes(bad).await.unwrap_err();
        assert!(status.message().starts_with(&format!("{field}: ")), "{status}");
    }
    served.end().await;
}

/// A disk that lost what an alert said: it is told where, and never answered with less.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    let said = |n, en: &str| Alert { en: en.into(), ..alert(n, "001", "c1", Level::Blue) };
    served
        .raise(vec![said(1, "a loan is overdue"), Alert { key: "k".into(), ..said(2, "a case was opened") }]);
    let file = folder.path().join("warnings.ledger");
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(4).position(|bytes| bytes == b"loan").unwrap();
    bytes[at] ^= 1;
    // In its place: the ledger holds the file open.
    std::fs::write(&file, &bytes).unwrap();
    let client = &mut served.client;
    assert_eq!(get(client, "001", 2).await.unwrap().alert.unwrap().en, "a case was opened");
    let asked = OpenWarningsRequest { member: "001".into(), customer_id: "c1".into() };
    for refused in [
        get(client, "001", 1).await.map(drop),
        client.list_warnings(list("001")).await.map(drop),
        client.open_warnings(asked).await.map(drop),
        client.acknowledge(request("001", "r1", 1)).await.map(drop),
    ] {
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("warnings.ledger, byte "), "{status}");
    }
    served.end().await;
}

#[tokio::test]
async fn what_stands_and_how_calls_end_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Served::on(folder.path()).await;
    served.raise(vec![alert(1, "001", "c1", Level::Red), alert(2, "001", "c2", Level::Red)]);
    served.raise(vec![alert(3, "002", "c1", Level::Blue), alert(4, "002", "c1", Level::Orange)]);
    let client = &mut served.client;
    client.acknowledge(request("001", "r1", 1)).await.unwrap();
    client.acknowledge(request("002", "r1", 4)).await.unwrap();
    client.dispose(request("002", "r2", 4)).await.unwrap();
    assert_eq!(client.close(request("001", "r3", 2)).await.unwrap_err().code(), Code::FailedPrecondition);
    let told = |served: &Served, fed| {
        let mut text = String::new();
        encode(&mut text, &served.running.registry(fed)).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let lines = told(&served, None);
    for line in [
        "tarim_desk_calls_total{call=\"Acknowledge\",code=\"Ok\"} 2",
        "tarim_desk_calls_total{call=\"Close\",code=\"FailedPrecondition\"} 1",
        "tarim_desk_call_seconds_count{call=\"Dispose\"} 1",
        "tarim_desk_standing_warnings{state=\"acknowledged\",level=\"red\"} 1",
        "tarim_desk_standing_warnings{state=\"open\",level=\"red\"} 1",
        "tarim_desk_standing_warnings{state=\"open\",level=\"blue\"} 1",
        // What was dealt with stands no longer.
        "tarim_desk_standing_warnings{state=\"acknowledged\",level=\"orange\"} 0",
        "tarim_desk_standing_warnings{state=\"escalated\",level=\"red\"} 0",
        "tarim_desk_ledger_open 1",
        "tarim_desk_heard_age_seconds inf",
    ] {
        assert!(lines.iter().any(|told| told == line), "{line} is not in {lines:#?}");
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("tarim_desk_standing_warnings{")).count(), 12);
    assert!(!lines.iter().any(|line| line.starts_with("tarim_desk_alerts")), "there is no edge to tell of");

    // No more alerts come than those of the file: however long ago that was, all have been read.
    served.ledger.heard(1);
    assert!(told(&served, None).iter().any(|told| told == "tarim_desk_heard_age_seconds 0.0"));

    let fed = Arc::new(Fed::default());
    fed.taken.store(7, Ordering::Relaxed);
    let age = told(&served, Some(fed.clone()));
    assert!(
        !age.iter().any(|told| told == "tarim_desk_heard_age_seconds 0.0"),
        "of a topic more may have come"
    );
    served.ledger.heard(i64::MAX);
    let lines = told(&served, Some(fed));
    // A clock that was ahead makes no age that is negative.
    for line in
        ["tarim_desk_alerts_total 7", "tarim_desk_changes_sent_total 0", "tarim_desk_heard_age_seconds 0.0"]
    {
        assert!(lines.iter().any(|told| told == line), "{line} is not in {lines:#?}");
    }
    served.end().await;
}
