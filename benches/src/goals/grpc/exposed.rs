//! Decisions that look at the exposure ledger, beside the same ones under a rulebook without limits: both are the real service.

use std::fs;

use tarim_benches::{
    fixture::{self, Bank, book::Book},
    load::{Mode, Pace},
};
use tarim_decision::rulebook;
use tarim_proto::decision::v1::{DecisionRequest, Reserve};

use super::{Arena, STREAM, Server, UNARY, caller, server};
use crate::goals::{Goal, Line, Quantity, Setting, Wanted, exposure::LIMITS};

pub struct GrpcExposed;

impl Goal for GrpcExposed {
    fn name(&self) -> &'static str {
        "grpc_exposed"
    }

    fn about(&self) -> &'static str {
        "Decide and DecideStream that look at the exposure ledger, beside the same without exposure limits"
    }

    fn run(&self, setting: &Setting) -> anyhow::Result<Vec<Line>> {
        let book = Book::full(5, 200, 200, setting.size(100_000, 4096));
        let requests: Vec<_> = book.applications(16_384).into_iter().map(fixture::request).collect();
        let executable = server::build(setting)?;
        let start = |name: &str, limits: &str| {
            let folder = setting.folder(name)?;
            let rulebook = folder.join("rulebook");
            book.write(&rulebook)?;
            fs::create_dir_all(rulebook.join("limits"))?;
            fs::write(rulebook.join("limits/limits.toml"), limits)?;
            Bank::open(&rulebook, &folder.join("store"), &mut &book)?;
            rulebook::publish(&rulebook, &folder.join("published"))?;
            Server::decide(&executable, &folder)
        };
        let (ours, peer) = (start("grpc_exposed", LIMITS)?, start("grpc_unexposed", "")?);
        Arena { ours, peer, runtime: caller()?, setting }.exposed(&requests)
    }
}

impl Arena<'_> {
    fn exposed(&self, requests: &[DecisionRequest]) -> anyhow::Result<Vec<Line>> {
        let rates = |what: String, ours: f64, peer: f64, wanted| {
            Line::new(what, Quantity::Rate(ours), wanted).beside("without limits", Quantity::Rate(peer))
        };
        let mut lines = Vec::new();
        for (what, mode, in_flight) in
            [("Decide", Mode::Unary, UNARY), ("DecideStream", Mode::Stream, STREAM)]
        {
            let looks = self.throughput(requests, mode, in_flight)?;
            let what = format!("{what} that looks at the ledger, {in_flight} in flight");
            lines.push(rates(what, looks.ours, looks.peer, Wanted::Faster(0.8)));
        }
        let reserve = Some(Reserve { amount_fen: Some(100), expires_at: None });
        let plan = self.plan(Mode::Unary, Pace::InFlight(UNARY));
        for (what, every) in [("of which one in ten reserves", 10), ("that reserves too", 1)] {
            let some = requests.iter().enumerate().map(|(i, request)| match i % every {
                0 => DecisionRequest { reserve, ..request.clone() },
                _ => request.clone(),
            });
            let some: Vec<_> = some.collect();
            let measured = self.once(&self.ours, &some, &plan, &format!("reserve-{every}"))?;
            let rate = Quantity::Rate(measured.throughput());
            lines.push(Line::new(format!("Decide {what}, {UNARY} in flight"), rate, Wanted::Told));
        }
        Ok(lines)
    }
}
