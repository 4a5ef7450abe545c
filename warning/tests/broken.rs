//! Broken rulebooks: each case of `tests/broken/*.toml` patches the small rulebook in `tests/rulebook` and says which problem
//! must be told, with its file and line.

use std::{fs, panic::catch_unwind, path::Path};

use crate::support::copy;
use serde::Deserialize;
use tarim_datamart::{Problem, Problems};
use tarim_warning::rulebook::WarningBook;

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
    /// Other problems follow from it.
    #[serde(default)]
    and_more: bool,
    /// It has entities, and rules that read features of them (`tests/known`).
    #[serde(default)]
    known: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    file: String,
    /// Stands in the file exactly once; absent: the whole file, which may be new.
    replace: Option<String>,
    with: Option<String>,
    /// Goes to the end of the file.
    append: Option<String>,
    /// There is no such file.
    #[serde(default)]
    remove: bool,
}

#[test]
fn every_broken_rulebook_is_refused_with_file_line_and_remedy() {
    let tests = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests"));
    let (mut count, mut failures) = (0, Vec::new());
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
    assert!(count >= 50, "only {count} kinds of broken rulebook");
}

fn run(good: &Path, case: &Case) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    copy(good, folder.path());
    if case.known {
        copy(&good.with_file_name("known"), folder.path());
    }
    for patch in &case.patch {
        apply(folder.path(), patch)?;
    }
    let read = catch_unwind(|| WarningBook::read(folder.path())).map_err(|_| "  it panicked")?;
    let problems = match read {
        Ok(_) => Problems::default(),
        Err(problems) => problems,
    };
    let told = |p: &Problem| {
        let text = format!("{}\n{}", p.what, p.fix);
        p.place.to_string() == case.at && case.says.iter().all(|part| text.contains(part))
    };
    if !problems.iter().any(told) {
        return Err(format!("  wanted {}: {:?}\n{problems}", case.at, case.says));
    }
    if let Some(lame) = problems.iter().find(|p| p.fix.trim().is_empty() || p.what.trim().is_empty()) {
        return Err(format!("  no remedy: {lame}"));
    }
    if case.and_more == (problems.iter().count() == 1) {
        return Err(format!("  one mistake, and not one message (or `and_more` for nothing):\n{problems}"));
    }
    Ok(())
}

fn apply(folder: &Path, patch: &Patch) -> Result<(), String> {
    let path = folder.join(&patch.file);
    if patch.remove {
        return fs::remove_file(&path).map_err(|e| format!("{}: {e}", patch.file));
    }
    let old = fs::read_to_string(&path).unwrap_or_default();
    let text = match patch {
        Patch { append: Some(end), .. } => old + end,
        Patch { replace: None, with: Some(with), .. } => with.clone(),
        Patch { replace: Some(part), with: Some(with), .. } => match old.matches(part.as_str()).count() {
            1 => old.replace(part.as_str(), with),
            n => return Err(format!("  {part:?} stands {n} times in {}", patch.file)),
        },
        _ => return Err(format!("  nothing is done to {}", patch.file)),
    };
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).map_err(|e| format!("{}: {e}", patch.file))
}
