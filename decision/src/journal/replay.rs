//! Makes journaled decisions, interceptions and overrides again, and tells where the bits differ.
//!
//! Each entry is decided by the published rulebook of its own version from its own recorded inputs:
//! neither the datamart nor the online store nor today's rulebook has a part in it. So a difference means
//! that the engine, the entry or the published rulebook is not what it was.

mod points;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
};

use prost::Message;
use tarim_proto::decision::v1::{self as wire, JournalEntry};

use super::{JournalError, read};
use crate::{
    convert,
    engine::{Inputs, Replayer},
    rulebook::Rulebook,
};

pub use self::points::made_at_us;

/// Entries that are decided in one go: a rulebook is made ready once for all of them.
const BATCH: usize = 1024;

/// What became of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same, bit for bit.
    Same,
    /// These fields are not.
    Differs(Vec<Difference>),
    /// It could not be decided: why.
    Unreadable(String),
}

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its path in the decision: `reasons[2].values[0].value`.
    pub field: String,
    /// As it was answered; None: it was not there.
    pub recorded: Option<String>,
    /// As it came out now.
    pub recomputed: Option<String>,
}

/// What a replay tells while it runs.
pub enum Event<'a> {
    /// An entry was read, chosen or not: its bytes.
    Read(u64),
    /// An entry was replayed; its number.
    Replayed(u64, &'a JournalEntry, &'a Verdict),
}

/// Replays journals.
pub struct Replay {
    published: PathBuf,
    /// By version; an error is told once for each entry.
    rulebooks: HashMap<String, Result<Rulebook, String>>,
    standing: points::Standing,
}

/// An entry with its number, and what became of it if that is known already.
type Chosen = (u64, JournalEntry, Option<Verdict>);

impl Replay {
    /// With the rulebooks of this folder, one folder per version.
    pub fn new(published: &Path) -> Self {
        Self { published: published.into(), rulebooks: HashMap::new(), standing: points::Standing::default() }
    }

    /// Replays the chosen entries of a journal's folder, in order.
    pub fn run(
        &mut self,
        journal: &Path,
        choose: &dyn Fn(&JournalEntry) -> bool,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), JournalError> {
        let mut batch = Vec::with_capacity(BATCH);
        read(journal, &mut |number, entry, size| {
            tell(Event::Read(size));
            // Whether an override is right hangs on what was before it, chosen or not.
            let verdict = self.standing.next(number, &entry);
            if choose(&entry) {
                batch.push((number, entry, verdict));
            }
            if batch.len() == BATCH {
                self.batch(&batch, tell);
                batch.clear();
            }
            Ok(())
        })?;
        self.batch(&batch, tell);
        Ok(())
    }

    fn batch(&mut self, batch: &[Chosen], tell: &mut dyn FnMut(Event<'_>)) {
        let mut by_version: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut verdicts = vec![Verdict::Same; batch.len()];
        for (i, (_, entry, verdict)) in batch.iter().enumerate() {
            match verdict {
                Some(verdict) => verdicts[i] = verdict.clone(),
                None => by_version.entry(version(entry)).or_default().push(i),
            }
        }
        for (version, entries) in by_version {
            let published = &self.published;
            let rulebook =
                self.rulebooks.entry(version.into()).or_insert_with(|| read_version(published, version));
            match rulebook {
                Ok(rulebook) => {
                    let mut replayer = Replayer::new(rulebook);
                    for i in entries {
                        verdicts[i] = verdict(rulebook, &mut replayer, &batch[i].1);
                    }
                }
                Err(why) => entries.iter().for_each(|i| verdicts[*i] = Verdict::Unreadable(why.clone())),
            }
        }
        for ((number, entry, _), verdict) in batch.iter().zip(&verdicts) {
            tell(Event::Replayed(*number, entry, verdict));
        }
    }
}

/// The rulebook that an entry was decided by.
fn version(entry: &JournalEntry) -> &str {
    match (&entry.decision, &entry.interception) {
        (Some(decision), _) => &decision.rulebook_version,
        (None, Some(interception)) => &interception.rulebook_version,
        (None, None) => "",
    }
}

fn read_version(published: &Path, version: &str) -> Result<Rulebook, String> {
    // A version is a hash; anything else could lead out of the folder.
    if version.is_empty() || !version.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err("the entry names no rulebook version".into());
    }
    let folder = published.join(version);
    if !folder.is_dir() {
        return Err(format!(
            "rulebook version {version} is not in {}; bring its folder back to replay it",
            published.display()
        ));
    }
    let rulebook = Rulebook::read(&folder).map_err(|problems| format!("rulebook {version}: {problems}"))?;
    if rulebook.version() != version {
        return Err(format!(
            "{} was changed after it was published: its contents are version {}",
            folder.display(),
            rulebook.version()
        ));
    }
    Ok(rulebook)
}

fn verdict(rulebook: &Rulebook, replayer: &mut Replayer<'_>, entry: &JournalEntry) -> Verdict {
    if entry.call() == wire::Call::Intercept {
        return points::verdict(rulebook, replayer, entry);
    }
    match decide_again(rulebook, replayer, entry) {
        Err(why) => Verdict::Unreadable(why),
        Ok((recorded, recomputed)) if recorded.encode_to_vec() == recomputed.encode_to_vec() => Verdict::Same,
        Ok((recorded, recomputed)) => Verdict::Differs(differences(&recorded, &recomputed)),
    }
}

/// The recorded decision, and what the recorded inputs come to now.
fn decide_again(
    rulebook: &Rulebook,
    replayer: &mut Replayer<'_>,
    entry: &JournalEntry,
) -> Result<(wire::Decision, wire::Decision), String> {
    let recorded = entry.decision.clone().ok_or("the entry has no decision")?;
    let call = wire::Call::try_from(entry.call).ok().and_then(convert::call);
    let call = call.ok_or_else(|| format!("call {} is not known to this release", entry.call))?;
    let inputs = Inputs::decode(rulebook, &entry.inputs).map_err(|e| e.to_string())?;
    let decision = replayer.decide(&inputs, call).map_err(|e| e.to_string())?;
    let recomputed = wire::Decision {
        request_id: entry.request_id.clone(),
        member: inputs.member().into(),
        product: inputs.product().into(),
        decided_at: Some(convert::timestamp(inputs.at_us())),
        rulebook_version: rulebook.version().into(),
        // What was read is in the inputs; the store's name for it takes no part.
        feature_version: recorded.feature_version.clone(),
        ..convert::wire_decision(&decision)
    };
    Ok((recorded, recomputed))
}

/// Fields that are not the same in both, in order of their paths.
pub fn differences(recorded: &wire::Decision, recomputed: &wire::Decision) -> Vec<Difference> {
    differing(fields(recorded), fields(recomputed))
}

/// Values of fields by their paths.
type Fields = BTreeMap<String, String>;

fn differing(mut a: Fields, mut b: Fields) -> Vec<Difference> {
    let paths: Vec<String> =
        a.keys().chain(b.keys()).cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    paths
        .into_iter()
        .filter_map(|field| {
            let (recorded, recomputed) = (a.remove(&field), b.remove(&field));
            (recorded != recomputed).then_some(Difference { field, recorded, recomputed })
        })
        .collect()
}

/// Every field by its path. Floats are told with their bits.
fn fields(decision: &wire::Decision) -> Fields {
    let wire::Decision {
        request_id,
        member,
        product,
        outcome: _,
        stages,
        reasons,
        score_points,
        grade,
        pd,
        limit_fen,
        rate_ppm,
        decided_at,
        rulebook_version,
        feature_version,
        decision_id,
        reservation,
    } = decision;
    let mut fields = BTreeMap::new();
    let mut put = |path: String, value: Option<String>| fields.extend(value.map(|value| (path, value)));
    for (path, text) in [
        ("request_id", request_id),
        ("member", member),
        ("product", product),
        ("grade", grade),
        ("rulebook_version", rulebook_version),
        ("feature_version", feature_version),
        ("decision_id", decision_id),
    ] {
        put(path.into(), Some(text.clone()));
    }
    put("outcome".into(), Some(format!("{:?}", decision.outcome())));
    put("decided_at".into(), decided_at.as_ref().map(|t| format!("{t}")));
    put("score_points".into(), score_points.map(bits));
    put("pd".into(), pd.map(bits));
    put("limit_fen".into(), limit_fen.map(|fen| fen.to_string()));
    put("rate_ppm".into(), rate_ppm.map(|ppm| ppm.to_string()));
    put("reservation".into(), reservation.as_ref().map(|reservation| format!("{reservation:?}")));
    for (i, stage) in stages.iter().enumerate() {
        put(format!("stages[{i}]"), Some(format!("{:?} {:?}", stage.stage(), stage.outcome())));
    }
    put_reasons(reasons, &mut fields);
    fields
}

fn put_reasons(reasons: &[wire::Reason], fields: &mut Fields) {
    let mut put = |path: String, value: Option<String>| fields.extend(value.map(|value| (path, value)));
    for (i, reason) in reasons.iter().enumerate() {
        let at = format!("reasons[{i}]");
        let what =
            format!("{} {:?} {:?} unknown={}", reason.id, reason.stage(), reason.effect(), reason.unknown);
        put(at.clone(), Some(what));
        put(format!("{at}.zh"), Some(reason.zh.clone()));
        put(format!("{at}.en"), Some(reason.en.clone()));
        put(format!("{at}.points_lost"), reason.points_lost.map(bits));
        let roles = &reason.override_roles;
        put(format!("{at}.override_roles"), (!roles.is_empty()).then(|| roles.join(", ")));
        for (j, value) in reason.values.iter().enumerate() {
            let at = format!("{at}.values[{j}]");
            put(at.clone(), Some(format!("{} stale={}", value.name, value.stale)));
            put(format!("{at}.value"), value.value.as_ref().map(value_text));
        }
    }
}

fn value_text(value: &wire::Value) -> String {
    match &value.kind {
        Some(wire::value::Kind::DoubleValue(x)) => bits(*x),
        other => format!("{other:?}"),
    }
}

fn bits(x: f64) -> String {
    format!("{x} (bits {:016x})", x.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_one_bit_is_told_by_its_path() {
        let value = |x: f64| wire::NamedValue {
            name: "customer.age".into(),
            value: Some(wire::Value { kind: Some(wire::value::Kind::DoubleValue(x)) }),
            stale: false,
        };
        let decision = |x: f64, limit_fen| wire::Decision {
            reasons: vec![wire::Reason { id: "A1".into(), values: vec![value(x)], ..Default::default() }],
            limit_fen,
            ..Default::default()
        };
        let found = differences(&decision(0.0, Some(5)), &decision(-0.0, None));
        let told: Vec<_> = found
            .iter()
            .map(|d| (d.field.as_str(), d.recorded.as_deref(), d.recomputed.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("limit_fen", Some("5"), None),
                (
                    "reasons[0].values[0].value",
                    Some("0 (bits 0000000000000000)"),
                    Some("-0 (bits 8000000000000000)")
                ),
            ]
        );
        assert_eq!(differences(&decision(f64::NAN, None), &decision(f64::NAN, None)), []);
    }
}
