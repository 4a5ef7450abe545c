//! GB 11643-1999: identity number of a person (公民身份号码).
//!
//! ```text
//! 11 01 05 | 1949 12 31 | 002 | X
//! region   | birth date | seq | check character, ISO 7064 MOD 11-2
//! ```
//!
//! Of the region only the province is checked: a number is kept for life, counties and prefectures are not.
//! 81, 82 and 83 are the residence permits of people from Hong Kong, Macao and Taiwan. The check character
//! finds every single wrong character and every swap of two neighbours. It must be a capital `X`: the same
//! person written with `x` would get another token.

use super::region;
use crate::gate::parse::epoch_days;

const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECK: &[u8; 11] = b"10X98765432";

/// Whether `text` is an identity number, else what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    let Ok(bytes) = <&[u8; 18]>::try_from(text.as_bytes()) else {
        return Err("an identity number has 18 characters");
    };
    let (body, last) = (&bytes[..17], bytes[17]);
    if !body.iter().all(u8::is_ascii_digit) {
        return Err("the first 17 characters of an identity number are digits");
    }
    if check_character(body) != Some(last) {
        return Err("the check character of the identity number is wrong");
    }
    if !region::is_province(&body[..2]) && &body[..2] != b"83" {
        return Err("the first two digits of the identity number are no province");
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    if epoch_days(number(&body[6..10]) as i32, number(&body[10..12]), number(&body[12..14])).is_none() {
        return Err("the birth date in the identity number does not exist");
    }
    Ok(())
}

/// The check character that belongs after 17 digits; None if they are not 17 digits.
pub fn check_character(body: &[u8]) -> Option<u8> {
    if body.len() != WEIGHTS.len() || !body.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(b, w)| u32::from(b - b'0') * w).sum();
    Some(CHECK[(sum % 11) as usize])
}
