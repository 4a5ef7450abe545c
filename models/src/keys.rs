//! Keys that several kinds of rulebook files have in common, on top of [`Section`].

use tarim_datamart::{At, Problems, Section, Type, Value, nearest};

/// The value of a key that must be one of some words; None if it is absent or wrong.
pub fn choice<T: Copy>(
    section: &Section<'_>,
    key: &'static str,
    words: &[(&str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let text = section.text(key, problems)?;
    one_of(&text, words, problems)
}

/// What a word means; a problem if it is none of them.
pub fn one_of<T: Copy>(text: &At<String>, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text.value).map(|(_, meaning)| *meaning);
    if found.is_none() {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let fix = match nearest(&text.value, &all) {
            Some(near) => format!("did you mean `{near}`? (one of {})", all.join(", ")),
            None => format!("write one of {}", all.join(", ")),
        };
        problems.push(text.place.problem(format!("`{}` is not allowed here", text.value), fix));
    }
    found
}

/// A number that must be there.
pub fn need_number(section: &Section<'_>, key: &'static str, problems: &mut Problems) -> Option<At<f64>> {
    number(section.need(key, problems)?.value(Type::Float64, problems)?)
}

/// A number.
pub fn optional_number(section: &Section<'_>, key: &'static str, problems: &mut Problems) -> Option<At<f64>> {
    number(section.item(key)?.value(Type::Float64, problems)?)
}

fn number(value: At<Value>) -> Option<At<f64>> {
    let At { value: Value::Float64(x), place } = value else { return None };
    Some(At { value: x, place })
}

/// The two texts that people read: both must be there, and say something.
pub fn texts(section: &Section<'_>, what: &str, problems: &mut Problems) -> Option<(String, String)> {
    let (zh, en) = (section.need_text("zh", problems), section.need_text("en", problems));
    let (zh, en) = (zh?, en?);
    for text in [&zh, &en] {
        if text.value.trim().is_empty() {
            let what = format!("{what} lacks a text");
            problems.push(text.place.problem(what, "give both zh and en: people read them"));
        }
    }
    Some((zh.value, en.value))
}
