//! A federation's limits, twelve of which each exposure touches, and exposures of many customers.

use std::sync::Arc;

use tarim_decision::exposure::{
    Attribute, Operation, Reserve,
    scheme::{CUSTOMER, Code, Condition, Dimension, Kind, Lines, Per, Scheme, SchemeSet, Scope},
};

/// Counters that an exposure touches.
pub const COUNTERS: u64 = 12;

const MEMBERS: u64 = 83;
/// Fewer exposures than customers of a lender have in the end: each has five.
const PER_CUSTOMER: u64 = 5;

fn dimension(name: &str, kind: Kind, codes: &[String]) -> Dimension {
    let codes = codes.iter().map(|code| Code { code: code.clone(), parent: String::new() });
    Dimension { name: name.into(), kind: kind.into(), codes: codes.collect() }
}

/// Lines so wide that nothing is refused: what is measured is taking.
pub fn schemes() -> Arc<SchemeSet> {
    let codes = |prefix: &str, count: u32| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>();
    let dimensions = vec![
        dimension("customer", Kind::Customer, &[]),
        dimension("group", Kind::Group, &[]),
        dimension("industry", Kind::Industry, &[]),
        dimension("region", Kind::Region, &[]),
        dimension("product", Kind::Codes, &codes("p", 5)),
        dimension("purpose", Kind::Codes, &codes("u", 4)),
        dimension("guarantee_type", Kind::Codes, &codes("g", 4)),
    ];
    let per = |pairs: &[(u32, u32)]| -> Vec<Per> {
        pairs.iter().map(|(dimension, level)| Per { dimension: *dimension, level: *level }).collect()
    };
    let all_industries = vec![Condition { dimension: 2, any_of: ('A'..='T').map(String::from).collect() }];
    let schemes = [
        (Scope::Member, per(&[(CUSTOMER, 0)]), vec![]),
        (Scope::Member, per(&[(CUSTOMER, 0), (6, 0)]), vec![]),
        (Scope::Member, per(&[(2, 1)]), vec![]),
        (Scope::Member, per(&[(2, 2)]), vec![]),
        (Scope::Member, per(&[(2, 4)]), vec![]),
        (Scope::Member, per(&[(3, 2)]), vec![]),
        (Scope::Member, per(&[(4, 0)]), vec![]),
        (Scope::Member, per(&[(5, 0)]), vec![]),
        (Scope::Member, per(&[(6, 0)]), vec![]),
        (Scope::Member, per(&[(4, 0), (6, 0)]), vec![]),
        (Scope::Member, per(&[]), all_industries.clone()),
        (Scope::Federation, per(&[(2, 1)]), vec![]),
    ];
    assert_eq!(schemes.len() as u64, COUNTERS);
    let wide = Lines { warning_fen: i64::MAX / 4, hard_fen: i64::MAX / 2 };
    let schemes = schemes.into_iter().enumerate().map(|(number, (scope, per, conditions))| Scheme {
        id: format!("limit_{number}"),
        zh: "限额".into(),
        en: "limit".into(),
        scope: scope.into(),
        per,
        conditions,
        from_us: i64::MIN,
        to_us: i64::MAX,
        lines: vec![wide; if scope == Scope::Federation { 1 } else { MEMBERS as usize }],
    });
    Arc::new(SchemeSet {
        version: "bench".into(),
        members: (0..MEMBERS).map(|m| format!("{m:03}")).collect(),
        dimensions,
        schemes: schemes.collect(),
        large_fen: vec![i64::MAX / 2; MEMBERS as usize],
        group_edges: Vec::new(),
    })
}

/// The exposure of a number.
pub fn reserve(number: u64) -> Operation {
    // Neighbours in time are no neighbours in memory.
    let customer = (number / PER_CUSTOMER).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let mut dice = number.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ (number << 7);
    let mut pick = |count: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % count
    };
    let industries = ["0111", "1311", "2710", "4710", "5211", "6621", "7010", "8010"];
    let attributes = vec![
        Attribute::new("guarantee_type", format!("g{}", pick(4))),
        Attribute::new("industry", industries[pick(8) as usize]),
        Attribute::new("product", format!("p{}", pick(5))),
        Attribute::new("purpose", format!("u{}", pick(4))),
        Attribute::new("region", ["450102", "450103", "450203", "450305"][pick(4) as usize]),
    ];
    Operation::Reserve(Reserve {
        member: format!("{:03}", customer % MEMBERS),
        exposure: format!("2026-{number:012}"),
        customer: format!("C{customer:014}"),
        attributes,
        fen: 100_000 + pick(10_000_000) as i64,
        expires_us: 0,
    })
}
