//! GB 32100-2015: unified social credit code of an organisation (统一社会信用代码).
//!
//! ```text
//! 9 | 1 | 350100 | M000100Y4 | 3
//! registrar | kind | region of registration | organisation | check character, modulo 31
//! ```
//!
//! The alphabet leaves out I, O, S, V and Z. Registrar and kind are not checked against a list (they have
//! been amended), nor is the region (it is the region at registration, 100000 for the state's own register).

const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
const WEIGHTS: [u32; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];

/// Whether `text` is a unified social credit code, else what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    let Ok(bytes) = <&[u8; 18]>::try_from(text.as_bytes()) else {
        return Err("a unified social credit code has 18 characters");
    };
    if !bytes[2..8].iter().all(u8::is_ascii_digit) {
        return Err("characters 3 to 8 of a unified social credit code are digits");
    }
    let Some(wanted) = check_character(&bytes[..17]) else {
        return Err("a unified social credit code has digits and capitals other than I, O, S, V, Z");
    };
    if wanted != bytes[17] {
        return Err("the check character of the unified social credit code is wrong");
    }
    Ok(())
}

/// The check character that belongs after 17 characters; None if one is not of the alphabet.
pub fn check_character(body: &[u8]) -> Option<u8> {
    if body.len() != WEIGHTS.len() {
        return None;
    }
    let mut sum = 0;
    for (byte, weight) in body.iter().zip(WEIGHTS) {
        sum += ALPHABET.iter().position(|a| a == byte)? as u32 * weight;
    }
    Some(ALPHABET[((31 - sum % 31) % 31) as usize])
}
