//! Random rulebooks over the small one's kinds of events.

use std::{fmt::Write, fs, path::Path, sync::Arc};

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tarim_warning::rulebook::WarningBook;

use super::copy;

/// Name, kind of events, what is measured, and the two ways in which its panes are cut.
type Shape = (&'static str, &'static str, &'static str, [&'static str; 2]);

const WINDOWS: [Shape; 14] = [
    ("t_count", "transaction", "measure = \"count\"", ["day", "hour"]),
    (
        "t_out",
        "transaction",
        "measure = \"sum\"\nof = \"event.amount_fen\"\nwhere = \"event.direction = 'D'\"",
        ["day", "month"],
    ),
    (
        "t_in_mean",
        "transaction",
        "measure = \"avg\"\nof = \"event.amount_fen\"\nwhere = \"event.direction = 'C'\"",
        ["day", "day"],
    ),
    (
        "t_out_spread",
        "transaction",
        "measure = \"stddev\"\nof = \"event.amount_fen\"\nwhere = \"event.direction = 'D'\"",
        ["day", "day"],
    ),
    ("t_least", "transaction", "measure = \"min\"\nof = \"event.amount_fen\"", ["hour", "day"]),
    ("t_most", "transaction", "measure = \"max\"\nof = \"event.amount_fen\"", ["day", "month"]),
    ("t_first", "transaction", "measure = \"first\"\nof = \"event.amount_fen\"", ["day", "day"]),
    ("t_last", "transaction", "measure = \"last\"\nof = \"event.amount_fen\"", ["hour", "hour"]),
    ("t_who", "transaction", "measure = \"distinct\"\nof = \"event.counterparty\"", ["day", "hour"]),
    ("l_failed", "login", "measure = \"count\"\nwhere = \"NOT event.succeeded\"", ["hour", "day"]),
    ("l_risk", "login", "measure = \"max\"\nof = \"event.risk\"", ["day", "day"]),
    ("l_devices", "login", "measure = \"distinct\"\nof = \"event.device\"", ["day", "day"]),
    ("m_dpd", "repayment_missed", "measure = \"max\"\nof = \"event.dpd\"", ["month", "day"]),
    ("m_loans", "repayment_missed", "measure = \"distinct\"\nof = \"event.loan_id\"", ["day", "day"]),
];

/// A window that patterns read is in all of them.
const ALWAYS: &str = "[[window]]\nname = \"always\"\nzh = \"窗\"\nen = \"window\"\nmeasure = \"count\"\nwhere = \"event.direction = 'D'\"\n";

const PATTERNS: [&str; 7] = [
    "[[sequence]]\nid = \"P-1\"\nfirst = { event = \"loan_disbursed\", keep = \"amount_fen\" }\n\
     then = { event = \"transaction\", when = \"event.direction = 'D'\", add = \"amount_fen\" }\nwithin = \"7d\"\n\
     fires = \"episode.sum >= 0.3 * episode.kept\"\n",
    "[[sequence]]\nid = \"P-2\"\nfirst = { event = \"loan_disbursed\", when = \"window.always >= 0\", key = [\"loan_id\"] }\n\
     then = { event = \"repayment_paid\", key = [\"loan_id\"] }\nwithin = \"19d\"\n",
    "[[sequence]]\nid = \"P-3\"\nfirst = { event = \"transaction\", when = \"event.kind = 'cash_in'\" }\n\
     then = { event = \"transaction\", when = \"event.kind = 'transfer_out'\" }\nwithin = \"2d\"\n\
     fires = \"episode.count >= 2 AND window.always >= 1\"\n",
    "[[sequence]]\nid = \"P-4\"\nfirst = { event = \"repayment_due\", key = [\"loan_id\"] }\n\
     unless = { event = \"repayment_paid\", key = [\"loan_id\"] }\nwithin = \"12d\"\nshow = [\"window.always\"]\n",
    "[[sequence]]\nid = \"P-5\"\nfirst = { event = \"repayment_missed\" }\n\
     unless = { event = \"transaction\", when = \"window.always < 3\" }\nwithin = \"20d\"\n",
    "[[absence]]\nid = \"P-6\"\nevent = \"transaction\"\nwhen = \"event.kind = 'salary'\"\nafter = \"15d\"\n\
     if_unknown = \"ignore\"\n",
    "[[absence]]\nid = \"P-7\"\nevent = \"transaction\"\nwhen = \"window.always >= 2\"\nafter = \"6d\"\n\
     if_unknown = \"ignore\"\nshow = [\"window.always\"]\n",
];

/// A rulebook with some of these windows, as long as chance wants, and some of these patterns, or none. Rule `ALL` shows every
/// window at nearly every event.
pub fn random(rng: &mut ChaCha8Rng) -> Arc<WarningBook> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook");
    let folder = tempfile::tempdir().unwrap();
    copy(&base.join("standards"), &folder.path().join("standards"));
    let streams = folder.path().join("features/streams");
    fs::create_dir_all(&streams).unwrap();
    fs::create_dir_all(folder.path().join("warnings")).unwrap();
    let mut names = vec!["always".to_owned()];
    for of in ["transaction", "login", "repayment_missed"] {
        let mut text = format!("[stream]\nname = \"{of}\"\nzh = \"流\"\nen = \"stream\"\nevent = \"{of}\"\n");
        if of == "transaction" {
            let panes = ["2 days", "20 days", "30 hours"][rng.random_range(0..3)];
            writeln!(text, "{ALWAYS}panes = \"{panes}\"").unwrap();
        }
        for (name, _, measure, grains) in WINDOWS.iter().filter(|(_, kind, ..)| *kind == of) {
            if rng.random_bool(0.6) {
                let grain = grains[usize::from(rng.random_bool(0.2))];
                let most = if grain == "month" { 4 } else { 50 };
                let panes = rng.random_range(1..most);
                writeln!(
                    text,
                    "[[window]]\nname = \"{name}\"\nzh = \"窗\"\nen = \"window\"\n{measure}\npanes = \"{panes} {grain}s\""
                )
                .unwrap();
                names.push((*name).to_owned());
            }
        }
        // A stream without windows is refused.
        if !text.contains("[[window]]") {
            continue;
        }
        fs::write(streams.join(format!("{of}.toml")), text).unwrap();
    }
    let show: Vec<String> = names.iter().map(|name| format!("\"window.{name}\"")).collect();
    let kinds = [
        "transaction",
        "loan_disbursed",
        "repayment_due",
        "repayment_paid",
        "repayment_missed",
        "collateral_value",
        "legal_case",
        "login",
    ];
    let mut rules = format!(
        "[pipeline]\nallowed_lateness = \"2d\"\n[[rule]]\nid = \"ALL\"\nzh = \"全\"\nen = \"all\"\nlevel = \"blue\"\n\
         quiet = \"1s\"\nevent = {kinds:?}\nwhen = \"TRUE\"\nshow = [{}]\n",
        show.join(", ")
    );
    let patterns = rng.random_bool(0.6);
    for pattern in PATTERNS {
        if patterns && rng.random_bool(0.6) {
            // Of the same id in another rulebook, ten days more.
            let pattern = match rng.random_bool(0.3) {
                true => pattern.replace("within = \"", "within = \"1").replace("after = \"", "after = \"1"),
                false => pattern.to_owned(),
            };
            write!(rules, "{pattern}zh = \"序\"\nen = \"pattern\"\nlevel = \"blue\"\nquiet = \"1s\"\n")
                .unwrap();
        }
    }
    fs::write(folder.path().join("warnings/rules.toml"), rules).unwrap();
    Arc::new(WarningBook::read(folder.path()).unwrap_or_else(|p| panic!("{p}")))
}
