//! GB/T 2260: administrative regions (行政区划代码), six digits.
//!
//! ```text
//! 45 | 01 | 03     Guangxi | Nanning | Qingxiu District
//! province | prefecture | county; 450100 is the prefecture, 450000 the province
//! ```
//!
//! The list below has all 34 provinces, regions and municipalities and all 333 prefectures, as they stand since
//! 2019, with the places that the standard keeps for the districts (01) and counties (02) of municipalities and
//! for counties directly under a province (90). Checked against the statistical division codes of the National
//! Bureau of Statistics of 2023. Counties are not listed: they change every year, so any number under a
//! prefecture passes; who needs them exactly gives the field a `code_list`. A prefecture that was abolished
//! does not pass.

/// Provinces with the ranges of their prefectures.
const PROVINCES: [(u8, &[(u8, u8)]); 34] = [
    (11, &[(1, 1)]),
    (12, &[(1, 1)]),
    (13, &[(1, 11)]),
    (14, &[(1, 11)]),
    (15, &[(1, 9), (22, 22), (25, 25), (29, 29)]),
    (21, &[(1, 14)]),
    (22, &[(1, 8), (24, 24)]),
    (23, &[(1, 12), (27, 27)]),
    (31, &[(1, 1)]),
    (32, &[(1, 13)]),
    (33, &[(1, 11)]),
    (34, &[(1, 8), (10, 13), (15, 18)]),
    (35, &[(1, 9)]),
    (36, &[(1, 11)]),
    (37, &[(1, 11), (13, 17)]),
    (41, &[(1, 17), (90, 90)]),
    (42, &[(1, 3), (5, 13), (28, 28), (90, 90)]),
    (43, &[(1, 13), (31, 31)]),
    (44, &[(1, 9), (12, 20), (51, 53)]),
    (45, &[(1, 14)]),
    (46, &[(1, 4), (90, 90)]),
    (50, &[(1, 2)]),
    (51, &[(1, 1), (3, 11), (13, 20), (32, 34)]),
    (52, &[(1, 6), (23, 23), (26, 27)]),
    (53, &[(1, 1), (3, 9), (23, 23), (25, 26), (28, 29), (31, 31), (33, 34)]),
    (54, &[(1, 6), (25, 25)]),
    (61, &[(1, 10)]),
    (62, &[(1, 12), (29, 30)]),
    (63, &[(1, 2), (22, 23), (25, 28)]),
    (64, &[(1, 5)]),
    (65, &[(1, 2), (4, 5), (23, 23), (27, 32), (40, 40), (42, 43), (90, 90)]),
    // Taiwan, Hong Kong, Macao: the standard does not divide them.
    (71, &[]),
    (81, &[]),
    (82, &[]),
];

/// Whether two digits are a province.
pub fn is_province(digits: &[u8]) -> bool {
    digits.len() == 2 && number(digits).is_some_and(|province| prefectures(province).is_some())
}

/// Whether `text` is a region, else what is wrong with it.
pub fn check(text: &str) -> Result<(), &'static str> {
    let bytes = text.as_bytes();
    let digits = (bytes.len() == 6).then(|| [&bytes[..2], &bytes[2..4], &bytes[4..]].map(number));
    let Some([Some(province), Some(prefecture), Some(county)]) = digits else {
        return Err("a region has six digits");
    };
    let Some(prefectures) = prefectures(province) else {
        return Err("the first two digits of the region are no province");
    };
    if prefecture == 0 {
        return if county == 0 { Ok(()) } else { Err("the region has a county, but no prefecture") };
    }
    if !prefectures.iter().any(|(first, last)| (*first..=*last).contains(&prefecture)) {
        return Err("the third and fourth digit of the region are no prefecture of its province");
    }
    Ok(())
}

fn prefectures(province: u8) -> Option<&'static [(u8, u8)]> {
    PROVINCES.iter().find(|p| p.0 == province).map(|p| p.1)
}

/// Two digits as a number.
fn number(digits: &[u8]) -> Option<u8> {
    digits.iter().try_fold(0, |n: u8, b| b.is_ascii_digit().then(|| n * 10 + (b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_complete() {
        let prefectures: u32 =
            PROVINCES.iter().flat_map(|p| p.1).map(|(first, last)| u32::from(last - first) + 1).sum();
        // 333 prefectures; 5 places of the municipalities, 4 of counties directly under a province.
        assert_eq!(prefectures, 333 + 5 + 4);
    }
}
