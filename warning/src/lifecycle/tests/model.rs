//! Random lives against a model that looks everything up the long way.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// The same by plain lists: every question is answered by going through all that ever happened.
#[derive(Default)]
struct Model {
    warnings: Vec<ModelWarning>,
    answers: Vec<(String, String, NewChange, usize, usize, u32)>,
}

struct ModelWarning {
    alerts: Vec<Alert>,
    states: Vec<State>,
}

impl Model {
    fn alert(&mut self, alert: &Alert) -> &'static str {
        let of_member = |w: &&mut ModelWarning| w.alerts[0].member == alert.member;
        let mut mine: Vec<_> = self.warnings.iter_mut().filter(of_member).collect();
        if mine.iter().any(|w| w.alerts.iter().any(|a| a.alert_id == alert.alert_id)) {
            return "known";
        }
        let same = |a: &Alert| (a.customer_id.clone(), a.rule_id.clone(), a.key.clone());
        let stands = |w: &&mut &mut ModelWarning| {
            same(&w.alerts[0]) == same(alert)
                && !matches!(w.states.last(), Some(State::Disposed | State::Closed))
        };
        if let Some(warning) = mine.iter_mut().find(stands) {
            warning.alerts.push(alert.clone());
            return "repeated";
        }
        self.warnings.push(ModelWarning { alerts: vec![alert.clone()], states: vec![State::Open] });
        "opened"
    }

    /// What it did; of an answer: which warning it was, after how many steps and alerts.
    fn change(&mut self, change: &NewChange) -> Result<(usize, usize, u32), &'static str> {
        let found = self.warnings.iter().position(|w| {
            w.alerts[0].member == change.member
                && w.alerts.iter().any(|a| a.alert_id == change.warning.to_string())
        });
        let before = self.answers.iter().find(|(m, r, ..)| (m, r) == (&change.member, &change.request));
        if let Some((_, _, first, at, steps, count)) = before {
            let same = found == Some(*at)
                && (first.to, &first.by, &first.why) == (change.to, &change.by, &change.why);
            return if same { Ok((*at, *steps, *count)) } else { Err("differs") };
        }
        let at = found.ok_or("not found")?;
        let warning = &mut self.warnings[at];
        use State::{Acknowledged, Closed, Disposed, Escalated, Open};
        let allowed = [
            (Open, Acknowledged),
            (Acknowledged, Disposed),
            (Acknowledged, Escalated),
            (Disposed, Closed),
            (Escalated, Closed),
        ];
        if !allowed.contains(&(*warning.states.last().unwrap(), change.to)) {
            return Err("not allowed");
        }
        warning.states.push(change.to);
        let (steps, count) = (warning.states.len() - 1, warning.count());
        let (member, request) = (change.member.clone(), change.request.clone());
        self.answers.push((member, request, change.clone(), at, steps, count));
        Ok((at, steps, count))
    }
}

#[test]
fn random_lives_are_as_in_the_model() {
    let seed = std::env::var("TARIM_SEED").map_or_else(|_| rand::random(), |s| s.parse().unwrap());
    println!("TARIM_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for _ in 0..200 {
        let (mut lifecycle, mut model) = (Lifecycle::default(), Model::default());
        for _ in 0..120 {
            let member = ["001", "002"][rng.random_range(0..2)];
            if rng.random_bool(0.5) {
                let level = [Level::Blue, Level::Yellow, Level::Orange, Level::Red][rng.random_range(0..4)];
                let mut alert =
                    alert(rng.random_range(0..60), member, ["c1", "c2"][rng.random_range(0..2)], level);
                alert.key = ["", "loan"][rng.random_range(0..2)].into();
                alert.repeats = rng.random_range(0..3);
                let did = match raise(&mut lifecycle, &new(alert.clone())) {
                    Raised::Opened(_) => "opened",
                    Raised::Repeated(_) => "repeated",
                    Raised::Known => "known",
                };
                assert_eq!(did, model.alert(&alert));
            } else {
                let request = format!("r{}", rng.random_range(0..40));
                let to = State::ALL[rng.random_range(0..5)];
                let change = change(member, &request, rng.random_range(0..60), to);
                let did = match lifecycle.apply_change(&change) {
                    Ok(Changed::Made(w) | Changed::Before(w)) => {
                        let at = model.warnings.iter().position(|m| {
                            let opened = &m.alerts[0];
                            opened.alert_id == w.id.to_string() && opened.member == *w.member
                        });
                        Ok((at.unwrap(), w.history.len(), w.count))
                    }
                    Err(Refused::NotFound { .. }) => Err("not found"),
                    Err(Refused::Differs) => Err("differs"),
                    Err(Refused::NotAllowed { .. }) => Err("not allowed"),
                };
                assert_eq!(did, model.change(&change));
            }
        }
        let mut found: Vec<_> = lifecycle.warnings().map(|w| seen(&w)).collect();
        let mut wanted: Vec<_> = model.warnings.iter().map(ModelWarning::seen).collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
}

/// Of a warning: member, id, states, count, level, first and last, due and done.
type Seen = (String, String, Vec<&'static str>, u32, i32, i64, i64, Option<(i64, bool)>);

fn seen(w: &Arc<Warning>) -> Seen {
    let states = std::iter::once("open").chain(w.history.iter().map(|s| s.to.name())).collect();
    let inspection = w.inspection.map(|i| (i.due_at_us, i.done));
    let (first, last) = (w.first_raised_us, w.last_raised_us);
    (w.member.to_string(), w.id.to_string(), states, w.count, w.level.into(), first, last, inspection)
}

impl ModelWarning {
    /// The alert that opened it, each that followed, and what was held back before those.
    fn count(&self) -> u32 {
        self.alerts.len() as u32 + self.alerts[1..].iter().map(|a| a.repeats).sum::<u32>()
    }

    fn seen(&self) -> Seen {
        let times = || self.alerts.iter().map(|a| a.raised_at_us);
        let day = 86_400_000_000;
        let grave = self.alerts.iter().find(|a| a.level >= 3);
        let due = grave.map(|a| a.raised_at_us + if a.level == 4 { day } else { 7 * day });
        let done = self.states.iter().any(|s| matches!(s, State::Disposed | State::Closed));
        (
            self.alerts[0].member.clone(),
            self.alerts[0].alert_id.clone(),
            self.states.iter().map(|s| s.name()).collect(),
            self.count(),
            self.alerts.iter().map(|a| a.level).max().unwrap(),
            times().min().unwrap(),
            times().max().unwrap(),
            due.map(|due| (due, done)),
        )
    }
}
