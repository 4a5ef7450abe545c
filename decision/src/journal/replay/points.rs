//! Interceptions and overrides, made again.
//!
//! An interception is made again from its own inputs, as a decision is. An override is made again from what stood before it in
//! the journal: so one that was not allowed, or was of an older interception, differs.

use std::collections::HashMap;

use prost::Message;
use tarim_proto::decision::v1::{self as wire, Interception, JournalEntry};

use super::{Difference, Fields, Verdict, differing, put_reasons};
use crate::{
    convert,
    engine::{Inputs, Replayer},
    interception,
    outcome::Call,
    rulebook::Rulebook,
    wire::Heading,
};

/// What stands of each subject, as far as the journal was read.
#[derive(Default)]
pub struct Standing(HashMap<(String, i32, String), Interception>);

impl Standing {
    /// Takes the next entry. Of an override, whether it comes out the same.
    pub fn next(&mut self, number: u64, entry: &JournalEntry) -> Option<Verdict> {
        let recorded = entry.interception.as_ref()?;
        let key = (entry.member.clone(), recorded.point, recorded.subject.clone());
        let mut now = recorded.clone();
        let verdict = (entry.call() == wire::Call::Override).then(|| self.again(&key, entry, recorded));
        if verdict.is_none() {
            now.interception_id = number.to_string();
        }
        // What passes cannot be overridden.
        match now.verdict() {
            wire::Verdict::Block => _ = self.0.insert(key, now),
            _ => _ = self.0.remove(&key),
        }
        verdict
    }

    fn again(&self, key: &(String, i32, String), entry: &JournalEntry, recorded: &Interception) -> Verdict {
        let Some(request) = &entry.r#override else {
            return Verdict::Unreadable("the entry does not say what was overridden".into());
        };
        let latest = self.0.get(key).filter(|latest| latest.request_id == request.interception);
        let Some(latest) = latest else {
            let what = "nothing that blocks is the latest interception of its subject here";
            return Verdict::Unreadable(format!("{what}: {}", request.interception));
        };
        match interception::overridden(latest, request, entry.at_us) {
            Ok(again) => compare(recorded, &again),
            Err(e) => Verdict::Unreadable(format!("it could not be overridden: {e}")),
        }
    }
}

/// Is an interception what its inputs come to?
pub fn verdict(rulebook: &Rulebook, replayer: &mut Replayer<'_>, entry: &JournalEntry) -> Verdict {
    match intercept_again(rulebook, replayer, entry) {
        Ok((recorded, again)) => compare(&recorded, &again),
        Err(why) => Verdict::Unreadable(why),
    }
}

fn intercept_again(
    rulebook: &Rulebook,
    replayer: &mut Replayer<'_>,
    entry: &JournalEntry,
) -> Result<(Interception, Interception), String> {
    let recorded = entry.interception.clone().ok_or("the entry has no interception")?;
    let point = interception::point(recorded.point);
    let point = point.ok_or_else(|| format!("point {} is not known to this release", recorded.point))?;
    let inputs = Inputs::decode(rulebook, &entry.inputs).map_err(|e| e.to_string())?;
    let decision = replayer.decide(&inputs, Call::One(point)).map_err(|e| e.to_string())?;
    let heading = Heading {
        request_id: &entry.request_id,
        member: inputs.member(),
        product: inputs.product(),
        at_us: inputs.at_us(),
        rulebook_version: rulebook.version(),
        // What was read is in the inputs; the store's name for it takes no part.
        feature_version: &recorded.feature_version,
    };
    let again = interception::intercepted(&decision, &heading, recorded.point(), &recorded.subject);
    Ok((recorded, again))
}

fn compare(recorded: &Interception, again: &Interception) -> Verdict {
    if recorded.encode_to_vec() == again.encode_to_vec() {
        return Verdict::Same;
    }
    Verdict::Differs(differences(recorded, again))
}

fn differences(recorded: &Interception, again: &Interception) -> Vec<Difference> {
    differing(fields(recorded), fields(again))
}

/// When an entry of a control point was made, microseconds since 1970-01-01T00:00:00Z.
pub fn made_at_us(entry: &JournalEntry) -> Option<i64> {
    match entry.call() {
        wire::Call::Override => Some(entry.at_us),
        _ => convert::microseconds(entry.interception.as_ref()?.intercepted_at.as_ref()?).ok(),
    }
}

/// Every field by its path.
fn fields(of: &Interception) -> Fields {
    let mut fields = Fields::new();
    for (path, text) in [
        ("request_id", &of.request_id),
        ("member", &of.member),
        ("product", &of.product),
        ("subject", &of.subject),
        ("rulebook_version", &of.rulebook_version),
        ("feature_version", &of.feature_version),
        ("interception_id", &of.interception_id),
    ] {
        fields.insert(path.into(), text.clone());
    }
    fields.insert("point".into(), format!("{:?}", of.point()));
    fields.insert("verdict".into(), format!("{:?}", of.verdict()));
    if let Some(at) = &of.intercepted_at {
        fields.insert("intercepted_at".into(), format!("{at}"));
    }
    put_reasons(&of.reasons, &mut fields);
    for (i, overridden) in of.overrides.iter().enumerate() {
        fields.insert(format!("overrides[{i}]"), format!("{overridden:?}"));
    }
    fields
}
