use std::path::Path;

use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_assert_eq, prop_oneof, proptest},
};
use tarim_datamart::{Problems, Type, Value};

use super::*;

/// Values of expressions 0, 1, 2, …
struct Given(Vec<Value>);

impl Answers for Given {
    fn truth(&self, id: ExprId) -> Option<bool> {
        if let Value::Boolean(b) = self.0[id.0 as usize] { Some(b) } else { None }
    }
    fn int(&self, id: ExprId) -> Option<i64> {
        if let Value::Int64(i) = self.0[id.0 as usize] { Some(i) } else { None }
    }
    fn float(&self, id: ExprId) -> Option<f64> {
        if let Value::Float64(x) = self.0[id.0 as usize] { Some(x) } else { None }
    }
    fn text(&self, id: ExprId) -> Option<&str> {
        if let Value::Utf8(s) = &self.0[id.0 as usize] { Some(s) } else { None }
    }
    fn date(&self, _: ExprId) -> Option<i32> {
        None
    }
    fn timestamp(&self, _: ExprId) -> Option<i64> {
        None
    }
    fn value(&self, id: ExprId) -> Value {
        self.0[id.0 as usize].clone()
    }
}

const TOML: &str = r#"
[scorecard]
id = "card"
zh = "评分卡"
en = "card"
base_points = 500
points_at_odds = { points = 600, odds = 30, double = 40 }

[[characteristic]]
name = "age"
zh = "年龄"
en = "age"
input = "application.age"

[[characteristic]]
name = "home"
zh = "住房"
en = "home"
input = "application.home"

[[grade]]
name = "A"
points_min = 600
[[grade]]
name = "B"
"#;

const CSV: &str = "characteristic,bin,points,reason,zh,en
age,<25,10,R1,年轻,young
age,\"[25,60)\",60.5,,,
age,>=60,40,,,
home,own,50,,,
home,other,20,R2,无房,no home of their own
home,missing,0,R3,住房未知,home unknown
";

fn read(toml: &str, csv: &str) -> Result<(Scorecard, BinCheck), Problems> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("card.toml"), toml).unwrap();
    std::fs::write(folder.path().join("card.csv"), csv).unwrap();
    ScorecardText::read(folder.path(), Path::new("card.toml"))?
        .compile(vec![Domain::new(Type::Int64), Domain::new(Type::Utf8)])
}

fn bins(card: &Scorecard, age: Value, home: Value) -> Vec<Option<usize>> {
    let mut bins = Vec::new();
    card.bins(&Given(vec![age, home]), &mut bins);
    bins
}

#[test]
fn points_grade_and_what_was_lost() {
    let (card, check) = read(TOML, CSV).unwrap();
    assert!(check.warnings.is_empty());
    let best = bins(&card, Value::Int64(30), Value::Utf8("own".into()));
    assert_eq!(card.points(&best), Some(610.5));
    assert_eq!(card.grades()[card.grade(610.5)].name, "A");
    assert_eq!(card.losses::<4>(&best), [None; 4]);
    let poor = bins(&card, Value::Int64(60), Value::Utf8("rented".into()));
    assert_eq!(card.points(&poor), Some(560.0));
    assert_eq!(card.grades()[card.grade(560.0)].name, "B");
    let lost: Vec<_> =
        card.losses::<4>(&poor).iter().flatten().map(|l| (l.characteristic, l.points)).collect();
    assert_eq!(lost, [(1, 30.0), (0, 20.5)]);
    assert_eq!(card.losses::<1>(&poor).map(|l| l.unwrap().characteristic), [1]);
}

#[test]
fn decimals_add_up_as_on_paper_in_any_order() {
    let (mut card, _) = read(&TOML.replace("points_min = 600", "points_min = 640"), CSV).unwrap();
    let cases: [(f64, [f64; 3], f64, &str); 2] =
        [(400.0, [60.4, 89.8, 89.8], 640.0, "A"), (0.0, [-0.1, -0.2, 0.3], 0.0, "B")];
    for (base, points, total, grade) in cases {
        card.base_points = base;
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            card.characteristics = order.map(|i| of_bins([(Holds::Other, points[i])])).into();
            card.lookups = card.characteristics.iter().map(Lookup::of).collect();
            let sum = card.points(&[Some(0); 3]).unwrap();
            assert_eq!(sum.to_bits(), total.to_bits(), "{sum} in the order {order:?}");
            assert_eq!(card.grades()[card.grade(sum)].name, grade);
        }
    }
}

#[test]
fn a_missing_value_has_its_own_bin_or_makes_the_score_unknown() {
    let (card, _) = read(TOML, CSV).unwrap();
    assert_eq!(card.points(&bins(&card, Value::Int64(30), Value::Null)), Some(560.5));
    assert_eq!(card.points(&bins(&card, Value::Null, Value::Utf8("own".into()))), None);
}

#[test]
fn odds_double_every_so_many_points() {
    let (card, _) = read(TOML, CSV).unwrap();
    assert_eq!(card.pd(600.0), 1.0 / 31.0);
    assert_eq!(card.pd(640.0), 1.0 / 61.0);
    assert!(card.pd(-1e9) <= 1.0 && card.pd(1e9) >= 0.0);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let cases = [
        (TOML.to_owned(), CSV.replace("\"[25,60)\"", "\"[20,60)\""), "card.csv:3", "overlaps"),
        (TOML.to_owned(), CSV.replace("\"[25,60)\"", "\"[30,60)\""), "card.toml:10", "no bin for [25,29]"),
        (TOML.to_owned(), CSV.replace("age,>=60", "agee,>=60"), "card.csv:4", "not a characteristic"),
        (TOML.to_owned(), CSV.replace("\"[25,60)\"", "[25,60)"), "card.csv:3", "7 cells"),
        (TOML.to_owned(), CSV.replace("R2,无房,", "R2,,"), "card.csv:6", "belong together"),
        (TOML.to_owned(), CSV.replace("home,own", "#home,own"), "card.csv:5", "not a characteristic"),
        (TOML.to_owned(), CSV.replace("age,>=60", "#REF!,>=60"), "card.csv:4", "a cell is #REF!"),
        (TOML.to_owned(), CSV.replace("60.5,,", "60.5, #N/A ,"), "card.csv:3", "a cell is #N/A"),
        (TOML.replace("\"B\"", "\"B\"\npoints_min = 1"), CSV.into(), "card.toml:26", "the last grade"),
        (TOML.replace("points_min = 600\n", ""), CSV.into(), "card.toml:22", "no points_min"),
        (TOML.replace("id = \"card\"", "id = \"cart\""), CSV.into(), "card.toml:3", "card.toml"),
    ];
    for (toml, csv, place, what) in cases {
        if toml == TOML && csv == CSV {
            panic!("the case for {what} changes nothing");
        }
        let problems = read(&toml, &csv).unwrap_err().to_string();
        let line =
            problems.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {problems}"));
        if place.contains(':') {
            assert!(line.starts_with(&format!("{place}:")), "{what}: {problems}");
        }
    }
}

/// A bin over small numbers.
fn holds() -> impl Strategy<Value = Holds> {
    let key = || -1i64..25;
    let keys = prop_oneof![
        key().prop_map(|a| a.to_string()),
        (key(), 0i64..9).prop_map(|(a, n)| format!("[{a},{}]", a + n)),
        (key(), key(), key()).prop_map(|(a, b, c)| format!("{a}|{b}|(,{c})")),
        key().prop_map(|a| format!(">={a}")),
    ];
    let keys = keys.prop_map(|text| Ranges::parse(&text, &mut Domain::new(Type::Int64)).unwrap());
    prop_oneof![6 => keys.prop_map(Holds::Keys), 1 => Just(Holds::Missing), 1 => Just(Holds::Other)]
}

/// A characteristic of bins, given as (what it holds, points).
fn of_bins(bins: impl IntoIterator<Item = (Holds, f64)>) -> Characteristic {
    let place = Place::file(Path::new("card.csv"));
    let bin = |(holds, points)| Bin { holds, points, reason: None, place: place.clone() };
    Characteristic {
        name: "c".into(),
        zh: "特征".into(),
        en: "characteristic".into(),
        domain: Domain::new(Type::Int64),
        bins: bins.into_iter().map(bin).collect(),
    }
}

/// The points are few, so that losses are often equal, and tenths, which no float is exactly; of zeros there are both.
fn characteristic() -> impl Strategy<Value = Characteristic> {
    let points = prop_oneof![1 => Just(-0.0), 4 => (-3i64..4).prop_map(|tenths| tenths as f64 / 10.0)];
    vec((holds(), points), 1..12).prop_map(of_bins)
}

#[test]
fn of_two_zeros_none_lost_anything() {
    let (mut card, _) = read(TOML, CSV).unwrap();
    let keys = |text| Holds::Keys(Ranges::parse(text, &mut Domain::new(Type::Int64)).unwrap());
    for [a, b] in [[-0.0, 0.0], [0.0, -0.0]] {
        let zeros = || of_bins([(keys("1"), a), (keys("2"), b)]);
        let worse = of_bins([(keys("1"), 5.0), (keys("2"), 2.0)]);
        card.characteristics = vec![zeros(), worse, zeros()];
        card.lookups = card.characteristics.iter().map(Lookup::of).collect();
        for bin in [0, 1] {
            let losses = card.losses::<1>(&[Some(bin), Some(1), Some(bin)]);
            assert_eq!(losses, [Some(Loss { characteristic: 1, bin: 1, points: 3.0 })]);
        }
    }
}

proptest! {
    #[test]
    fn bins_points_and_losses_are_those_of_the_bins_as_written(
        characteristics in vec(characteristic(), 1..12),
        keys in vec(prop_oneof![1 => Just(Value::Null), 5 => (-3i64..28).prop_map(Value::Int64)], 12),
    ) {
        let (mut card, _) = read(TOML, CSV).unwrap();
        card.lookups = characteristics.iter().map(Lookup::of).collect();
        card.characteristics = characteristics;
        let mut bins = Vec::new();
        card.bins(&Given(keys.clone()), &mut bins);
        let written = || card.characteristics.iter().zip(&keys);
        prop_assert_eq!(&bins, &written().map(|(c, key)| c.bin(c.domain.key(key))).collect::<Vec<_>>());
        let tenths = |points: f64| (points * 10.0).round() as i64;
        let points = |(c, bin): (&Characteristic, &Option<usize>)| Some(tenths(c.bins[(*bin)?].points));
        let each: Option<Vec<i64>> = card.characteristics.iter().zip(&bins).map(points).collect();
        let total = each.map(|each| (tenths(card.base_points) + each.iter().sum::<i64>()) as f64 / 10.0);
        prop_assert_eq!(card.points(&bins), total);
        let mut losses: Vec<Loss> = Vec::new();
        for (characteristic, (c, bin)) in card.characteristics.iter().zip(&bins).enumerate() {
            let best = c.bins.iter().map(|bin| bin.points).fold(f64::NEG_INFINITY, f64::max);
            let Some(bin) = *bin else { continue };
            losses.push(Loss { characteristic, bin, points: best - c.bins[bin].points });
        }
        losses.retain(|loss| loss.points > 0.0);
        losses.sort_by(|a, b| b.points.total_cmp(&a.points));
        losses.truncate(4);
        prop_assert_eq!(card.losses::<4>(&bins).into_iter().flatten().collect::<Vec<_>>(), losses);
    }
}
