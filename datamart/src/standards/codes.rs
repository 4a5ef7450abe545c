//! Code lists: the values that a field may take, with their meaning.

use std::collections::HashMap;

use crate::{Problems, SourceText, section::Section, sheet};

/// One code and its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub code: String,
    pub zh: String,
    pub en: String,
    /// The code above it, in a list of several levels.
    pub parent: Option<String>,
}

/// The codes that a field may take.
#[derive(Clone, Debug)]
pub struct CodeList {
    name: String,
    codes: Vec<Code>,
    index: HashMap<String, usize>,
}

impl CodeList {
    /// The list's name: of its file, or of the field that has it inline.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All codes: in the order of a file, by code when they stand inline.
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// The code with its meaning, if the list has it.
    pub fn get(&self, code: &str) -> Option<&Code> {
        self.index.get(code).map(|i| &self.codes[*i])
    }

    /// Reads `standards/codes/<name>.csv`: columns `code,zh,en[,parent]`. What cannot be read is a list without
    /// codes, so that fields which name it are not reported on top.
    pub(super) fn read(text: &SourceText, problems: &mut Problems) -> Self {
        let name = text.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut list = Self { name, codes: Vec::new(), index: HashMap::new() };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.text().as_bytes());
        let headers = reader.headers().cloned().unwrap_or_default();
        let column = |wanted: &str| headers.iter().position(|h| h.trim() == wanted);
        let (Some(code), Some(zh), Some(en)) = (column("code"), column("zh"), column("en")) else {
            problems.push(text.place(0).problem(
                format!(
                    "the header of a code list is `code,zh,en` or `code,zh,en,parent`, not `{}`",
                    join(&headers)
                ),
                "write that header in the first line",
            ));
            return list;
        };
        let parent = column("parent");
        for stray in headers.iter().filter(|h| !["code", "zh", "en", "parent"].contains(&h.trim())) {
            problems.push(text.place(0).problem(
                format!("unknown column `{stray}` in a code list"),
                "remove it: a code list has the columns code, zh, en and parent",
            ));
        }
        let mut places = Vec::new();
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(e) => {
                    problems.push(text.place(0).problem(format!("this is not CSV: {e}"), "correct the line"));
                    return list;
                }
            };
            let place = text.place(record.position().map_or(0, |p| p.byte() as usize));
            if let Err(problem) = sheet::computed(&record, &place) {
                problems.push(problem);
                continue;
            }
            let cell = |column: usize| record.get(column).unwrap_or_default().trim().to_owned();
            let parent = parent.map(cell).filter(|p| !p.is_empty());
            let code = Code { code: cell(code), zh: cell(zh), en: cell(en), parent };
            if code.code.is_empty() {
                problems.push(place.problem("a code is empty", "write the code, or remove the line"));
            } else if list.get(&code.code).is_some() {
                problems.push(place.problem(
                    format!("the code `{}` stands twice in the list", code.code),
                    "remove one of the two lines",
                ));
            } else {
                list.add(code);
                places.push(place);
            }
        }
        if list.codes.is_empty() {
            problems.push(text.place(0).problem("the code list has no codes", "write one code per line"));
        }
        for (code, place) in list.codes.iter().zip(&places) {
            if let Some(parent) = code.parent.as_ref().filter(|p| list.get(p).is_none()) {
                problems.push(place.problem(
                    format!("the parent `{parent}` of `{}` is not in the list", code.code),
                    "add the parent as a code of its own, or leave the cell empty",
                ));
            }
        }
        list
    }

    /// Reads `codes = { C = "贷 credit", D = { zh = "借", en = "debit" } }`.
    pub(super) fn inline(field: &str, section: Section<'_>, problems: &mut Problems) -> Self {
        let mut list = Self { name: field.to_owned(), codes: Vec::new(), index: HashMap::new() };
        for (code, item) in section.entries() {
            let (zh, en) = if item.is_section() {
                let Some(texts) = item.section(problems) else { continue };
                let zh = texts.need_text("zh", problems);
                let en = texts.need_text("en", problems);
                texts.finish(problems);
                (zh.map_or_else(String::new, |t| t.value), en.map_or_else(String::new, |t| t.value))
            } else {
                let Some(text) = item.text(problems) else { continue };
                // "贷 credit": the first word is Chinese, the rest English; one word serves as both.
                match text.value.trim().split_once(' ') {
                    Some((zh, en)) => (zh.to_owned(), en.trim().to_owned()),
                    None => (text.value.clone(), text.value),
                }
            };
            list.add(Code { code: code.value.to_owned(), zh, en, parent: None });
        }
        list
    }

    fn add(&mut self, code: Code) {
        self.index.insert(code.code.clone(), self.codes.len());
        self.codes.push(code);
    }
}

fn join(record: &csv::StringRecord) -> String {
    record.iter().collect::<Vec<_>>().join(",")
}
