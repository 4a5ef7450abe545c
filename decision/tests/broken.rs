//! Broken rulebooks: each case of `tests/broken/*.toml` patches the small rulebook in `tests/rulebook` and
//! says which problem must be told, with its file and line.

use std::{fs, panic::catch_unwind, path::Path};

use serde::Deserialize;
use tarim_datamart::{Problem, Problems};
use tarim_decision::rulebook::check;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    broken: Vec<Case>,
}

/// A patch and the problem that it must lead to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    patch: Vec<Patch>,
    /// `file:line` of the problem.
    at: String,
    /// Parts of the message.
    says: Vec<String>,
    /// It is a warning, and there is no problem.
    #[serde(default)]
    warning: bool,
    /// Other problems follow from it.
    #[serde(default)]
    and_more: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    file: String,
    /// Stands in the file exactly once; absent: the whole file, which may be new.
    replace: Option<String>,
    /// Absent, with nothing to append: the file is removed.
    with: Option<String>,
    /// Goes to the end of the file.
    append: Option<String>,
    /// The same, for what is no text.
    bytes: Option<Vec<u8>>,
}

#[test]
fn every_broken_rulebook_is_refused_with_file_line_and_remedy() {
    let tests = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"));
    let mut count = 0;
    let mut failures = Vec::new();
    let mut files: Vec<_> = fs::read_dir(tests.join("broken")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let cases: File = toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        for case in cases.broken {
            count += 1;
            if let Err(why) = run(&tests.join("rulebook"), &case) {
                failures.push(format!("{}: {}\n{why}", file.display(), case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} cases fail:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= 40, "only {count} kinds of broken rulebook");
}

/// Whoever found it, a problem stands where its file and line belong.
#[test]
fn problems_stand_in_the_order_of_their_places() {
    let good = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook"));
    let folder = tempfile::tempdir().unwrap();
    copy(good, folder.path());
    for (file, text) in [
        ("tests/old/cases.toml", ""),
        ("features/old.txt", ""),
        ("federation.toml", "[oops"),
        ("lists/a.csv", ""),
    ] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let places = |problems: &Problems| problems.iter().map(|p| p.place.clone()).collect::<Vec<_>>();
    let told = places(&check(folder.path()).errors);
    let files: Vec<_> = told.iter().map(|place| place.file.to_str().unwrap()).collect();
    assert_eq!(files, ["features/old.txt", "federation.toml", "lists/a.csv", "tests/old/cases.toml"]);
    // And so do warnings, and what the tests of a rulebook that can be read tell.
    fs::copy(good.join("federation.toml"), folder.path().join("federation.toml")).unwrap();
    let report = check(folder.path());
    assert!(places(&report.errors).is_sorted() && places(&report.warnings).is_sorted());
    assert!(report.read.is_some() && report.errors.iter().count() == 3, "{}", report.errors);
}

fn run(good: &Path, case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    copy(good, folder.path());
    for patch in &case.patch {
        apply(folder.path(), patch)?;
    }
    let report = catch_unwind(|| check(folder.path())).map_err(|_| "  the check panicked")?;
    let (among, others): (&Problems, &Problems) =
        if case.warning { (&report.warnings, &report.errors) } else { (&report.errors, &report.warnings) };
    let told = |p: &Problem| {
        let text = format!("{}\n{}", p.what, p.fix);
        p.place.to_string() == case.at && case.says.iter().all(|part| text.contains(part))
    };
    let all = || format!("  problems:\n{}\n  warnings:\n{}", report.errors, report.warnings);
    if !among.iter().any(told) {
        return Err(format!("  wanted {}: {:?}\n{}", case.at, case.says, all()));
    }
    if let Some(lame) = among.iter().find(|p| p.fix.trim().is_empty() || p.what.trim().is_empty()) {
        return Err(format!("  no remedy: {lame}"));
    }
    if !case.and_more && (among.iter().count() != 1 || !others.is_empty()) {
        return Err(format!("  one mistake, and more than one message:\n{}", all()));
    }
    Ok(())
}

fn apply(folder: &Path, patch: &Patch) -> Result<(), String> {
    let path = folder.join(&patch.file);
    if let Some(end) = patch.append.as_deref().map(str::as_bytes).or(patch.bytes.as_deref()) {
        let start = fs::read(&path).map_err(|e| format!("{}: {e}", patch.file))?;
        return fs::write(&path, [&start, end].concat()).map_err(|e| format!("{}: {e}", patch.file));
    }
    let Some(with) = &patch.with else {
        return fs::remove_file(&path).map_err(|e| format!("{}: {e}", patch.file));
    };
    let text = match &patch.replace {
        None => with.clone(),
        Some(old) => {
            let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", patch.file))?;
            match text.matches(old.as_str()).count() {
                1 => text.replace(old.as_str(), with),
                n => return Err(format!("  {:?} stands {n} times in {}", old, patch.file)),
            }
        }
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).map_err(|e| format!("{}: {e}", patch.file))
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
