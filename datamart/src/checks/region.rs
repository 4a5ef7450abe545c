//! GB/T 2260: administrative regions (行政区划代码), six digits: province, prefecture, county.

/// First two digits of every province, region, municipality and special administrative region.
const PROVINCES: [&[u8; 2]; 34] = [
    b"11", b"12", b"13", b"14", b"15", b"21", b"22", b"23", b"31", b"32", b"33", b"34", b"35", b"36", b"37",
    b"41", b"42", b"43", b"44", b"45", b"46", b"50", b"51", b"52", b"53", b"54", b"61", b"62", b"63", b"64",
    b"65", b"71", b"81", b"82",
];

/// Whether two digits are a province.
pub fn is_province(digits: &[u8]) -> bool {
    PROVINCES.iter().any(|p| p.as_slice() == digits)
}

/// Whether `text` is a region, else what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    if bytes.len() != 6 || !bytes.iter().all(u8::is_ascii_digit) {
        return Err("a region has six digits");
    }
    if !is_province(&bytes[..2]) {
        return Err("the first two digits of the region are no province");
    }
    Ok(())
}
