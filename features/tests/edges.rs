//! Edges: whom they lead to, against a model that looks at every row; from tables; and definitions that cannot be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use crate::support::session;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use tarim_datamart::{Problems, Standards};
use tarim_features::edges::{Builder, EdgeSet, Edges, Row, Search, load};

/// A row with everything of its own.
#[derive(Clone, Debug)]
struct Owned {
    edge: usize,
    member: String,
    from: String,
    to: String,
    since_us: Option<i64>,
    until_us: Option<i64>,
}

impl Owned {
    fn stands(&self, at_us: i64) -> bool {
        self.since_us.is_none_or(|since| since <= at_us) && self.until_us.is_none_or(|until| at_us < until)
    }
}

fn edges(kinds: usize, rows: &[Owned]) -> Edges {
    let mut builder = Builder::new(kinds);
    for Owned { edge, member, from, to, since_us, until_us } in rows {
        let row = Row { edge: *edge, member, from, to, since_us: *since_us, until_us: *until_us };
        builder.add(row).unwrap();
    }
    builder.finish().unwrap()
}

/// Id, kind of the last edge, hops, and whom it comes from.
type Found = (String, usize, u8, Option<String>);

/// Ring by ring, looking at all rows each time.
fn model(rows: &[Owned], member: &str, id: &str, search: Search<'_>) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut ring = vec![id.to_owned()];
    for hops in 1..=search.hops {
        let mut next = Vec::new();
        for from in &ring {
            for edge in search.along {
                let of = |r: &&Owned| r.edge == *edge && r.member == member && r.from == *from;
                let targets: BTreeSet<&String> =
                    rows.iter().filter(of).filter(|r| r.stands(search.at_us)).map(|r| &r.to).collect();
                for to in targets {
                    if *to == id || found.iter().any(|(id, ..)| id == to) {
                        continue;
                    }
                    let through = (hops > 1).then(|| from.clone());
                    found.push((to.clone(), *edge, hops, through));
                    next.push(to.clone());
                }
            }
        }
        ring = next;
    }
    found
}

fn near(edges: &Edges, member: &str, id: &str, search: Search<'_>) -> (Vec<Found>, bool) {
    let near = edges.near(member, id, search);
    let found = near.found.iter().map(|n| (n.id.into(), n.edge, n.hops, n.through.map(str::to_owned)));
    (found.collect(), near.cut)
}

#[test]
fn neighbours_are_those_of_the_model() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut most, mut cuts) = (0, 0);
    for round in 0..300 {
        let customers = rng.random_range(1..30);
        let time = |rng: &mut ChaCha8Rng| rng.random_bool(0.5).then(|| rng.random_range(0..20));
        let mut rows: Vec<Owned> = (0..rng.random_range(0..300))
            .map(|_| Owned {
                edge: rng.random_range(0..3),
                member: format!("00{}", rng.random_range(1..4)),
                // Of different lengths, so that one is the beginning of another.
                from: format!("c{}", rng.random_range(0..customers)),
                to: format!("c{}", rng.random_range(0..customers)),
                since_us: time(&mut rng),
                until_us: time(&mut rng),
            })
            .collect();
        if round % 3 == 0 {
            rows.iter_mut().for_each(|r| (r.since_us, r.until_us) = (None, None));
        }
        let built = edges(3, &rows);
        let mut along = vec![0, 1, 2];
        along.shuffle(&mut rng);
        along.truncate(rng.random_range(1..4));
        rows.shuffle(&mut rng);
        let again = edges(3, &rows);
        for _ in 0..40 {
            let member = format!("00{}", rng.random_range(1..5));
            let id = format!("c{}", rng.random_range(0..customers + 1));
            let hops = rng.random_range(1..=3);
            let all = Search { along: &along, hops, at_us: rng.random_range(-1..22), most: usize::MAX };
            let wanted = model(&rows, &member, &id, all);
            assert_eq!(
                near(&built, &member, &id, all),
                (wanted.clone(), false),
                "round {round}: {all:?} {rows:?}"
            );
            assert_eq!(near(&again, &member, &id, all).0, wanted, "the order of the rows");
            most = most.max(wanted.len());

            let few = Search { most: rng.random_range(0..8), ..all };
            let cut = wanted.len() > few.most;
            cuts += usize::from(cut);
            let nearest = wanted.into_iter().take(few.most).collect::<Vec<_>>();
            assert_eq!(near(&built, &member, &id, few), (nearest, cut));
        }
    }
    assert!(most > 12 && cuts > 500, "at most {most} neighbours, {cuts} times cut");
}

#[test]
fn versions_that_follow_each_other_are_one_edge() {
    let row = |since_us, until_us| Owned {
        edge: 0,
        member: "001".into(),
        from: "a".into(),
        to: "b".into(),
        since_us,
        until_us,
    };
    let rows = [
        row(Some(5), Some(7)),
        row(None, Some(3)),
        row(Some(3), Some(4)),
        row(Some(7), None),
        row(Some(9), Some(2)),
    ];
    let built = edges(1, &rows);
    assert_eq!((built.count(0), built.customers()), (2, 2));
    for at_us in 0..12 {
        let search = Search { along: &[0], hops: 1, at_us, most: 9 };
        assert_eq!(near(&built, "001", "a", search).0.len(), usize::from(at_us != 4), "at {at_us}");
        assert!(near(&built, "001", "b", search).0.is_empty(), "an edge has a direction");
    }
}

/// The small rulebook with a file of edges.
fn read(file: &str) -> Result<(EdgeSet, Standards), Problems> {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
    fs::create_dir_all(folder.path().join("features/edges")).unwrap();
    fs::write(folder.path().join("features/edges/all.toml"), file).unwrap();
    let standards = Standards::read(folder.path()).unwrap_or_else(|p| panic!("{p}"));
    let set = EdgeSet::read(folder.path(), &standards)?;
    // What reads views does not mind the folder.
    tarim_features::view::FeatureSet::read(folder.path(), &standards).unwrap_or_else(|p| panic!("{p}"));
    Ok((set, standards))
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn edge(name: &str, sql: &str) -> String {
    format!("[[edge]]\nname = \"{name}\"\nzh = \"关系\"\nen = \"edge\"\nsql = \"{sql}\"\n")
}

#[tokio::test]
async fn edges_are_rows_of_tables() {
    let both = "SELECT member, customer_id AS from_id, account_id AS to_id FROM transactions \
                UNION ALL SELECT member, account_id, customer_id FROM transactions";
    // Of the versions of an account each stands while it is the newest.
    let versions = "SELECT member, account_id AS from_id, customer_id AS to_id, known_at AS since, \
                    superseded_at AS until FROM accounts";
    let (set, standards) =
        read(&(edge("both", both) + &edge("owners", versions) + &edge("left_out", both))).unwrap();
    assert_eq!((set.index("owners"), set.index("none")), (Some(1), None));
    let tables: Vec<&str> = set.edges()[1].tables().collect();
    assert_eq!(tables, ["accounts"]);
    let transactions = "member,txn_id,customer_id,account_id,booked_at,known_at,amount_fen,rate\n\
                        001,T1,C1,A1,2026-06-20T00:00:00,2026-06-20T00:00:00,1,\n\
                        001,T2,C1,A1,2026-06-21T00:00:00,2026-06-21T00:00:00,1,\n\
                        001,T3,,A1,2026-06-21T00:00:00,2026-06-21T00:00:00,1,\n\
                        002,T1,C2,A1,2026-06-20T00:00:00,2026-06-20T00:00:00,1,\n";
    let accounts = "member,account_id,customer_id,opened_on,known_at,balance_fen\n\
                    001,A1,O1,1970-01-01,1970-01-02,1\n\
                    001,A1,O1,1970-01-01,1970-01-03,2\n\
                    001,A1,O2,1970-01-01,1970-01-04,2\n";
    let tables = [("transactions", transactions), ("accounts", accounts)];
    let tables = BTreeMap::from(tables.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let session = session(&standards, &tables);
    let edges = load(&session, &set, &[0, 1]).await.unwrap();
    assert_eq!([0, 1, 2].map(|kind| edges.count(kind)), [4, 2, 0]);

    let ids = |member, id, day: i64| {
        let search = Search { along: &[0, 1], hops: 2, at_us: day * 86_400_000_000, most: 9 };
        near(&edges, member, id, search)
            .0
            .into_iter()
            .map(|(id, edge, hops, _)| (id, edge, hops))
            .collect::<Vec<_>>()
    };
    let wanted = |them: &[(&str, usize, u8)]| {
        them.iter().map(|(id, edge, hops)| ((*id).to_owned(), *edge, *hops)).collect::<Vec<_>>()
    };
    assert_eq!(ids("001", "C1", 0), wanted(&[("A1", 0, 1)]));
    assert_eq!(ids("001", "C1", 2), wanted(&[("A1", 0, 1), ("O1", 1, 2)]));
    assert_eq!(ids("001", "A1", 3), wanted(&[("C1", 0, 1), ("O2", 1, 1)]));
    assert_eq!(ids("002", "A1", 3), wanted(&[("C2", 0, 1)]));
    assert!(ids("003", "A1", 3).is_empty());
}

#[tokio::test]
async fn dates_that_nanoseconds_cannot_count_are_times_of_edges_too() {
    // As in the example's rulebook, and where a date meets a time in a condition, or in the same column.
    let given = "SELECT g.member, g.guarantee_id AS from_id, g.customer_id AS to_id, \
                 greatest(CAST(g.signed_on AS TIMESTAMP), c.known_at) AS since, \
                 least(CAST(g.expires_on AS TIMESTAMP), c.superseded_at) AS until \
                 FROM guarantees g JOIN customers c ON g.member = c.member AND g.customer_id = c.customer_id \
                 AND g.expires_on > c.known_at";
    let both = "SELECT member, customer_id AS from_id, guarantee_id AS to_id, signed_on AS since, expires_on AS until \
                FROM guarantees WHERE CAST(expires_on AS TIMESTAMP) > '1970-01-03' UNION ALL \
                SELECT member, customer_id, customer_id || 'x', known_at, superseded_at FROM customers";
    let (set, standards) = read(&(edge("given", given) + &edge("both", both))).unwrap();
    let guarantees = "member,guarantee_id,customer_id,signed_on,expires_on\n\
                      001,G1,C1,0001-01-01,9999-12-31\n\
                      001,G2,C1,1970-01-01,1970-01-08\n\
                      001,G3,C1,0001-01-01,0001-01-02\n";
    let customers = "member,customer_id,opened_at,known_at,city,income_fen\n\
                     001,C1,1970-01-01T00:00:00,1970-01-03T12:00:00,,\n";
    let tables = [("guarantees", guarantees), ("customers", customers)];
    let tables = BTreeMap::from(tables.map(|(name, text)| (name.to_owned(), text.to_owned())));
    let edges = load(&session(&standards, &tables), &set, &[0, 1]).await.unwrap();
    assert_eq!([0, 1].map(|kind| edges.count(kind)), [2, 3]);
    let ids = |id, kind: usize, us| {
        let near = near(&edges, "001", id, Search { along: &[kind], hops: 1, at_us: us, most: 9 }).0;
        near.into_iter().map(|(id, ..)| id).collect::<Vec<_>>().join(" ")
    };
    const DAY_US: i64 = 86_400_000_000;
    /// 9999-12-31.
    const END_US: i64 = 2_932_896 * DAY_US;
    for (us, from_g1, from_g2, from_c1) in [
        (-719_163 * DAY_US, "", "", ""),
        (-719_162 * DAY_US, "", "", "G1"),
        (2 * DAY_US, "", "", "G1 G2"),
        (5 * DAY_US / 2, "C1", "C1", "C1x G1 G2"),
        (7 * DAY_US, "C1", "", "C1x G1"),
        (END_US - 1, "C1", "", "C1x G1"),
        (END_US, "", "", "C1x"),
    ] {
        let found = (ids("G1", 0, us), ids("G2", 0, us), ids("C1", 1, us));
        assert_eq!(found, (from_g1.into(), from_g2.into(), from_c1.into()), "at {us}");
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    broken: Vec<Broken>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broken {
    name: String,
    /// The whole file, or the SELECT of one edge.
    file: Option<String>,
    sql: Option<String>,
    at: String,
    says: Vec<String>,
}

#[test]
fn broken_definitions_are_refused_with_file_line_and_remedy() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/edges/broken.toml")).unwrap();
    let mut failures = Vec::new();
    for case in toml::from_str::<File>(&text).unwrap_or_else(|e| panic!("{e}")).broken {
        let file = case.file.unwrap_or_else(|| edge("e", case.sql.as_deref().unwrap_or_default()));
        let problems = read(&file).err().unwrap_or_default();
        let told = problems.iter().any(|p| {
            let text = format!("{}\n{}", p.what, p.fix);
            p.place.to_string() == case.at && case.says.iter().all(|part| text.contains(part))
        });
        if !told || problems.iter().count() != 1 {
            failures.push(format!("{}: wanted {} {:?}\n{problems}", case.name, case.at, case.says));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
