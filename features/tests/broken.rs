//! Broken definitions, by cases: `broken.toml`. All problems of a case are reported at once, each with file,
//! line, what is wrong and how to fix it.

use std::{collections::BTreeMap, fs, path::Path};

use serde::Deserialize;
use tarim_datamart::Standards;
use tarim_features::view::FeatureSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// Short for a file features/wealth.toml with this source.
    select: Option<String>,
    expect: Vec<String>,
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

fn view_of(select: &str) -> String {
    format!(
        r#"[view]
name = "wealth"
entity = "customer"
zh = "资产"
en = "wealth"

source = "{select}"
event_time = "booked_at"
known_at = "known_at"

[[feature]]
name = "rows_seen"
zh = "行数"
en = "rows"
type = "int64"
sql = "count(*)"
"#
    )
}

#[test]
fn problems_name_place_and_remedy() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken.toml")).unwrap();
    let cases = toml::from_str::<File>(&text).unwrap_or_else(|e| panic!("{e}")).case;
    let mut failures = Vec::new();
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rulebook"), folder.path());
        let select = case.select.iter().map(|s| ("features/wealth.toml".to_owned(), view_of(s)));
        for (file, text) in case.files.into_iter().chain(select) {
            fs::write(folder.path().join(file), text).unwrap();
        }
        let standards = Standards::read(folder.path()).unwrap_or_else(|p| panic!("{p}"));
        let problems = match FeatureSet::read(folder.path(), &standards) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().cloned().collect(),
        };
        let found: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.place, p.what)).collect();
        let as_expected = found.len() == case.expect.len()
            && found.iter().zip(&case.expect).all(|(f, e)| f.starts_with(e.as_str()));
        if !as_expected {
            failures.push(format!("{}\n  {}", case.about, found.join("\n  ")));
        }
        assert!(problems.iter().all(|p| !p.fix.is_empty()), "{}: a problem without a remedy", case.about);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
