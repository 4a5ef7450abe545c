//! The built-in checks: cases as data, and the laws of their check characters.

use proptest::prelude::*;
use tarim_datamart::checks::{Builtin, credit_code, identity, industry};

#[test]
fn the_cases_hold() {
    let mut reader = csv::Reader::from_reader(include_str!("data/checks.csv").as_bytes());
    let mut count = 0;
    for record in reader.records() {
        let record = record.expect("the cases are CSV");
        let check = Builtin::named(&record[0]).expect("a check");
        assert_eq!(check.check(&record[1]).is_ok(), &record[2] == "yes", "{record:?}");
        count += 1;
    }
    assert!(count > 40);
}

#[test]
fn every_check_is_found_by_its_name() {
    for check in Builtin::ALL {
        assert_eq!(Builtin::named(check.name()), Some(check));
    }
}

#[test]
fn industries_are_consistent() {
    let cases = [
        ((Some("J"), Some("66"), Some("662"), Some("6621")), Some(true)),
        ((Some("J"), Some("66"), Some("662"), None), None),
        ((None, None, None, None), None),
        ((Some("A"), None, None, Some("6621")), Some(false)),
        ((Some("J"), Some("67"), None, Some("6621")), Some(false)),
        ((None, Some("66"), Some("671"), None), Some(false)),
        ((None, None, Some("661"), Some("6621")), Some(false)),
        ((Some("U"), None, None, None), Some(false)),
        ((Some("J"), Some("66"), Some("662"), Some("662")), Some(false)),
    ];
    for ((section, division, group, class), expected) in cases {
        let answer = industry::consistent(section, division, group, class);
        assert_eq!(answer, expected, "{section:?} {division:?} {group:?} {class:?}");
    }
}

/// A valid identity number.
fn identity_number() -> impl Strategy<Value = String> {
    let province = prop::sample::select(vec![11, 13, 31, 45, 65, 71, 81, 82, 83]);
    (province, 0..10_000, 1900..2030, 1..=12, 1..=28, 0..1000).prop_map(
        |(p, region, year, month, day, seq)| {
            let body = format!("{p:02}{region:04}{year:04}{month:02}{day:02}{seq:03}");
            let check = identity::check_character(body.as_bytes()).expect("17 digits");
            format!("{body}{}", char::from(check))
        },
    )
}

/// A valid unified social credit code.
fn social_credit_code() -> impl Strategy<Value = String> {
    ("[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{9}").prop_map(|body| {
        let check = credit_code::check_character(body.as_bytes()).expect("17 characters");
        format!("{body}{}", char::from(check))
    })
}

/// The text with another character at one place, of the same alphabet.
fn changed(text: &str, place: usize, step: usize, alphabet: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = alphabet.bytes().position(|b| b == bytes[place]).unwrap_or(0);
    bytes[place] = alphabet.as_bytes()[(at + step) % alphabet.len()];
    String::from_utf8(bytes).expect("ASCII")
}

proptest! {
    #[test]
    fn a_valid_identity_number_is_let_through(number in identity_number()) {
        prop_assert_eq!(identity::check(&number), Ok(()));
    }

    #[test]
    fn one_wrong_character_of_an_identity_number_is_found(
        number in identity_number(), place in 0..18_usize, step in 1..10_usize,
    ) {
        let alphabet = if place == 17 { "0123456789X" } else { "0123456789" };
        let wrong = changed(&number, place, step, alphabet);
        prop_assert!(identity::check(&wrong).is_err(), "{number} → {wrong}");
    }

    #[test]
    fn two_exchanged_neighbours_of_an_identity_number_are_found(number in identity_number(), place in 0..17_usize) {
        let mut bytes = number.clone().into_bytes();
        bytes.swap(place, place + 1);
        let wrong = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(wrong == number || identity::check(&wrong).is_err(), "{number} → {wrong}");
    }

    #[test]
    fn one_wrong_character_of_a_social_credit_code_is_found(
        code in social_credit_code(), place in 0..18_usize, step in 1..31_usize,
    ) {
        prop_assert_eq!(credit_code::check(&code), Ok(()));
        let wrong = changed(&code, place, step, "0123456789ABCDEFGHJKLMNPQRTUWXY");
        prop_assert!(credit_code::check(&wrong).is_err(), "{code} → {wrong}");
    }

    #[test]
    fn no_text_is_too_odd_for_a_check(text in any::<String>()) {
        for check in Builtin::ALL {
            let _ = check.check(&text);
        }
    }
}
