//! GB/T 4754-2017: industries (国民经济行业分类): section, division, group and class.

/// A level of the classification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// 门类, a letter.
    Section,
    /// 大类, two digits.
    Division,
    /// 中类, three digits.
    Group,
    /// 小类, four digits.
    Class,
}

/// Each section with its first and last division.
const SECTIONS: [(char, u8, u8); 20] = [
    ('A', 1, 5),
    ('B', 6, 12),
    ('C', 13, 43),
    ('D', 44, 46),
    ('E', 47, 50),
    ('F', 51, 52),
    ('G', 53, 60),
    ('H', 61, 62),
    ('I', 63, 65),
    ('J', 66, 69),
    ('K', 70, 70),
    ('L', 71, 72),
    ('M', 73, 75),
    ('N', 76, 79),
    ('O', 80, 82),
    ('P', 83, 83),
    ('Q', 84, 85),
    ('R', 86, 90),
    ('S', 91, 96),
    ('T', 97, 97),
];

/// Whether `text` is a code of that level, else what is wrong with it.
pub fn check(level: Level, text: &str) -> Result<(), &'static str> {
    match level {
        Level::Section => match text.as_bytes() {
            [letter] if SECTIONS.iter().any(|s| s.0 == char::from(*letter)) => Ok(()),
            _ => Err("an industry section is a letter from A to T"),
        },
        Level::Division => digits(text, 2, "an industry division has two digits, 01 to 97"),
        Level::Group => digits(text, 3, "an industry group has three digits and starts with its division"),
        Level::Class => digits(text, 4, "an industry class has four digits and starts with its group"),
    }
}

fn digits(text: &str, count: usize, wrong: &'static str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let well_formed = bytes.len() == count && bytes.iter().all(u8::is_ascii_digit);
    if well_formed && section_of(text).is_some() { Ok(()) } else { Err(wrong) }
}

/// The section that a division, group or class belongs to.
pub fn section_of(code: &str) -> Option<char> {
    let division: u8 = code.get(..2)?.parse().ok()?;
    SECTIONS.iter().find(|s| (s.1..=s.2).contains(&division)).map(|s| s.0)
}

/// Whether the codes of the levels that are given belong together: FALSE if two contradict each other or one
/// is no code; else NULL if one is missing; else TRUE.
pub fn consistent(
    section: Option<&str>,
    division: Option<&str>,
    group: Option<&str>,
    class: Option<&str>,
) -> Option<bool> {
    let given = [
        (Level::Section, section),
        (Level::Division, division),
        (Level::Group, group),
        (Level::Class, class),
    ];
    let invalid = |(level, code): &(Level, Option<&str>)| code.is_some_and(|c| check(*level, c).is_err());
    if given.iter().any(invalid) {
        return Some(false);
    }
    // Digits of a finer level start with those of a coarser one; the section is looked up.
    let digits = [division, group, class];
    let mut known = digits.iter().flatten();
    let finest = digits.iter().rev().flatten().next();
    let nested = known.all(|code| finest.is_none_or(|f| f.starts_with(code)));
    let in_section = match (section, finest) {
        (Some(section), Some(code)) => section_of(code).is_some_and(|s| section.starts_with(s)),
        _ => true,
    };
    if !nested || !in_section {
        return Some(false);
    }
    (section.is_some() && digits.iter().all(Option::is_some)).then_some(true)
}
