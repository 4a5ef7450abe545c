//! ISO/IEC 7812-1, annex B: the check digit of card numbers (Luhn's formula).

/// Whether `text` is two or more digits that end in their check digit, else what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.len() < 2 || !bytes.iter().all(u8::is_ascii_digit) {
        return Err("a card number has two or more digits and nothing else");
    }
    let sum: u32 = bytes.iter().rev().enumerate().map(|(i, b)| weighted(i, u32::from(b - b'0'))).sum();
    if sum.is_multiple_of(10) { Ok(()) } else { Err("the check digit of the card number is wrong") }
}

/// Every second digit from the right counts double, and a double of two digits as their sum.
fn weighted(from_right: usize, digit: u32) -> u32 {
    match from_right % 2 {
        0 => digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    }
}
