//! GB/T 4754-2017: industries (国民经济行业分类).
//!
//! ```text
//! J | 66 | 2 | 1       finance | monetary and financial services | … | commercial banks
//! section | division 66 | group 662 | class 6621
//! ```
//!
//! Listed are all 20 sections with all 97 divisions. Of the 473 groups and 1,380 classes only the structure is
//! checked: a group is three digits that begin with a division, a class four, and levels that are given
//! together must belong together ([`consistent`]). Who needs groups and classes exactly (the first amendment of
//! 2019 changed some) gives the field a `code_list`.

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
const SECTIONS: [(u8, u8, u8); 20] = [
    (b'A', 1, 5),   // 农、林、牧、渔业 agriculture, forestry, animal husbandry and fishery
    (b'B', 6, 12),  // 采矿业 mining
    (b'C', 13, 43), // 制造业 manufacturing
    (b'D', 44, 46), // 电力、热力、燃气及水生产和供应业 electricity, heat, gas and water
    (b'E', 47, 50), // 建筑业 construction
    (b'F', 51, 52), // 批发和零售业 wholesale and retail
    (b'G', 53, 60), // 交通运输、仓储和邮政业 transport, storage and post
    (b'H', 61, 62), // 住宿和餐饮业 accommodation and catering
    (b'I', 63, 65), // 信息传输、软件和信息技术服务业 information and software
    (b'J', 66, 69), // 金融业 finance
    (b'K', 70, 70), // 房地产业 real estate
    (b'L', 71, 72), // 租赁和商务服务业 leasing and business services
    (b'M', 73, 75), // 科学研究和技术服务业 research and technical services
    (b'N', 76, 79), // 水利、环境和公共设施管理业 water, environment and public facilities
    (b'O', 80, 82), // 居民服务、修理和其他服务业 household services and repair
    (b'P', 83, 83), // 教育 education
    (b'Q', 84, 85), // 卫生和社会工作 health and social work
    (b'R', 86, 90), // 文化、体育和娱乐业 culture, sports and entertainment
    (b'S', 91, 96), // 公共管理、社会保障和社会组织 public administration and social security
    (b'T', 97, 97), // 国际组织 international organisations
];

/// Whether `text` is a code of that level, else what is wrong with it.
pub fn check(level: Level, text: &str) -> Result<(), &'static str> {
    match level {
        Level::Section => match text.as_bytes() {
            [letter] if SECTIONS.iter().any(|s| s.0 == *letter) => Ok(()),
            _ => Err("an industry section is a letter from A to T"),
        },
        Level::Division => digits(text, 2, "an industry division has two digits, 01 to 97"),
        Level::Group => {
            digits(text, 3, "an industry group has three digits and begins with a division, 01 to 97")
        }
        Level::Class => {
            digits(text, 4, "an industry class has four digits and begins with a division, 01 to 97")
        }
    }
}

fn digits(text: &str, count: usize, wrong: &'static str) -> Result<(), &'static str> {
    if text.len() == count && section_of(text).is_some() { Ok(()) } else { Err(wrong) }
}

/// The section that a division, group or class belongs to.
pub fn section_of(code: &str) -> Option<char> {
    let bytes = code.as_bytes();
    if !(2..=4).contains(&bytes.len()) || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let division = (bytes[0] - b'0') * 10 + (bytes[1] - b'0');
    SECTIONS.iter().find(|s| (s.1..=s.2).contains(&division)).map(|s| char::from(s.0))
}

/// Whether the codes of the levels that are given belong together: FALSE if two contradict each other or one
/// is no code; else NULL if one is missing; else TRUE.
pub fn consistent(
    section: Option<&str>,
    division: Option<&str>,
    group: Option<&str>,
    class: Option<&str>,
) -> Option<bool> {
    let levels = [Level::Section, Level::Division, Level::Group, Level::Class];
    let given = [section, division, group, class];
    let invalid = |(level, code): (&Level, &Option<&str>)| code.is_some_and(|c| check(*level, c).is_err());
    if levels.iter().zip(&given).any(invalid) {
        return Some(false);
    }
    // The digits of a finer level begin with those of every coarser one; its section is looked up.
    let finest = given[1..].iter().rev().copied().flatten().next();
    let fits = |code: &str, finest: &str| match code.as_bytes() {
        [letter] => section_of(finest).is_some_and(|s| s == char::from(*letter)),
        _ => finest.starts_with(code),
    };
    if let Some(finest) = finest
        && !given.iter().flatten().all(|code| fits(code, finest))
    {
        return Some(false);
    }
    given.iter().all(Option::is_some).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sections_cover_every_division_once() {
        let divisions: Vec<u8> = SECTIONS.iter().flat_map(|s| s.1..=s.2).collect();
        assert_eq!(divisions, (1..=97).collect::<Vec<_>>());
        let letters: Vec<u8> = SECTIONS.iter().map(|s| s.0).collect();
        assert_eq!(letters, (b'A'..=b'T').collect::<Vec<_>>());
    }
}
