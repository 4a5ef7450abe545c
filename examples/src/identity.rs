//! Names, identity numbers, mobile numbers and addresses.

use crate::{
    calendar::Day,
    codes::County,
    dice::{Dice, Topic},
    world::World,
};

const SURNAMES: [&str; 32] = [
    "韦", "黄", "覃", "李", "陆", "梁", "莫", "农", "蒙", "陈", "罗", "廖", "蓝", "卢", "谢", "潘", "唐",
    "刘", "张", "王", "蒋", "苏", "吴", "何", "周", "杨", "邓", "零", "岑", "玉", "银", "樊",
];
const GIVEN: [&str; 40] = [
    "建国", "秀英", "志强", "丽华", "文军", "海燕", "俊杰", "美玲", "国庆", "春梅", "伟", "芳", "勇", "静",
    "明", "婷", "磊", "雪", "超", "兰", "家豪", "雨欣", "子涵", "浩然", "思琪", "天佑", "桂芬", "荣华",
    "玉珍", "永福", "晓东", "小红", "振宇", "佩珊", "少华", "月娥", "宏", "琳", "斌", "霞",
];
const ROADS: [&str; 12] = [
    "民族大道",
    "人民路",
    "解放路",
    "江滨路",
    "工业大道",
    "桂花街",
    "木棉路",
    "建设街",
    "团结路",
    "青山路",
    "南环路",
    "朝阳街",
];

/// A personal name.
pub fn name(dice: &mut Dice) -> String {
    format!("{}{}", dice.pick(&SURNAMES), dice.pick(&GIVEN))
}

/// A valid identity number (GB 11643): county, birth date, sequence (odd for men), check character.
pub fn identity_number(dice: &mut Dice, county: &str, birth: Day, female: bool) -> String {
    let sequence = dice.int(0, 498) * 2 + i64::from(!female);
    let mut number = format!("{county}{}{sequence:03}", birth.iso().replace('-', ""));
    number.push(check_character(&number));
    number
}

/// Check character of the first 17 digits (ISO 7064, MOD 11-2).
fn check_character(digits: &str) -> char {
    let rest = digits.bytes().fold(0u32, |p, b| (p + u32::from(b - b'0')) * 2 % 11);
    match (12 - rest) % 11 {
        10 => 'X',
        value => char::from(b'0' + value as u8),
    }
}

/// A mobile number.
pub fn mobile(dice: &mut Dice) -> String {
    let prefix = dice.pick(&["134", "135", "138", "139", "150", "158", "177", "183", "188", "199"]);
    format!("{prefix}{:08}", dice.int(0, 99_999_999))
}

/// The address of a home. Those who live together name the same `home`.
pub fn address(world: &World, member: usize, home: u32, county: County) -> String {
    let mut dice = world.dice(Topic::Home, member, home);
    let road = dice.pick(&ROADS);
    format!("{}{road}{}号{}栋{:04}室", county.zh, dice.int(1, 400), dice.int(1, 30), home % 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_characters_of_the_standard() {
        // The example that GB 11643-1999 itself gives.
        assert_eq!(check_character("11010519491231002"), 'X');
        assert_eq!(check_character("44052418800101001"), '4');
    }
}
