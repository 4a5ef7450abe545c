use std::collections::HashSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Hash of a key, whose first part is given as one of many would be.
fn hash_of(key: &[&str]) -> u64 {
    let hash = super::hash_of(key.iter().map(|part| part.as_bytes()));
    let (first, rest) = key.split_first().expect("a key has a part");
    assert_eq!(FirstPart::new(first).hash(rest), hash);
    hash
}

#[test]
fn the_hash_is_the_same_on_every_machine() {
    // Files are copied between machines and read by later versions.
    let long = "从前有座山，山里有座庙，庙里有个老和尚";
    let hashes = [&["001"][..], &["001", "C1"], &["001", "customer0000000012"], &[long, ""]].map(hash_of);
    assert_eq!(
        hashes,
        [
            18_388_453_107_426_239_426,
            6_485_771_908_635_703_287,
            7_344_577_408_402_776_616,
            14_690_721_799_619_404_461
        ]
    );
}

#[test]
fn a_part_is_found_where_it_stands_and_nowhere_else() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for len in (0..80).cycle().take(2000) {
        let text: String = (0..len).map(|_| random.random_range('a'..='c')).collect();
        let stored = format!("{text}behind it");
        assert_eq!(strip(stored.as_bytes(), &text), Some(&b"behind it"[..]), "{text}");
        assert_eq!(FirstPart::new(&text).strip(stored.as_bytes()), Some(&b"behind it"[..]), "{text}");
        // One byte differs, wherever it is.
        for at in 0..len {
            let mut other = text.clone().into_bytes();
            other[at] ^= 1;
            let other = String::from_utf8(other).unwrap();
            assert_eq!(strip(stored.as_bytes(), &other), None, "{text} is not {other}");
            assert_eq!(FirstPart::new(&other).strip(stored.as_bytes()), None, "{text} is not {other}");
            assert_ne!(hash_of(&[&text]), hash_of(&[&other]), "{text} is not {other}");
        }
    }
    assert_eq!(strip(b"001", "001C1"), None);
    assert_eq!(FirstPart::new("001C1001C").strip(b"001C1001"), None);
}

#[test]
fn where_parts_end_is_part_of_a_key() {
    let text = "0010010000000000000000000000000000000000000000000000000000000000";
    let splits: HashSet<u64> = (0..=text.len()).map(|at| hash_of(&[&text[..at], &text[at..]])).collect();
    assert_eq!(splits.len(), text.len() + 1);
    let lens: HashSet<u64> = (0..=text.len()).map(|len| hash_of(&["", &text[text.len() - len..]])).collect();
    assert_eq!(lens.len(), text.len() + 1);
}

/// Keys as lenders have them: numbers that count up, of a few members, with and without what stands before them.
fn keys(way: usize) -> impl Iterator<Item = u64> {
    (0..1u32 << 16).map(move |i| match way {
        0 => hash_of(&["001", &format!("customer{i:010}")]),
        1 => hash_of(&[&format!("{:03}", i % 83), &format!("C{}", i / 83)]),
        2 => hash_of(&["001", &i.to_string()]),
        3 => hash_of(&["001", &format!("{:016x}", u64::from(i) << 40)]),
        _ => hash_of(&["black", "001", &format!("{i:064b}")]),
    })
}

/// χ² of so many bits of hashes being evenly spread, in standard deviations from what chance gives.
fn unevenness(hashes: &[u64], bits: u32, of: impl Fn(u64) -> u64) -> f64 {
    let mut counts = vec![0_u32; 1 << bits];
    for hash in hashes {
        counts[(of(*hash) & ((1 << bits) - 1)) as usize] += 1;
    }
    let expected = hashes.len() as f64 / counts.len() as f64;
    let chi: f64 = counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    let free = counts.len() as f64 - 1.0;
    (chi - free) / (2.0 * free).sqrt()
}

#[test]
fn keys_are_spread_evenly() {
    for way in 0..5 {
        let hashes: Vec<u64> = keys(way).collect();
        for at in (0..64).step_by(4) {
            let unevenness = unevenness(&hashes, 12, |hash| hash.rotate_right(at));
            assert!(unevenness.abs() < 5.0, "keys {way}, 12 bits from {at}: {unevenness}");
        }
        // What chooses the bucket says nothing of the rest, by which a pilot tells its keys apart.
        for at in (32..64).step_by(4) {
            let of = |hash: u64| (hash.rotate_right(at) & 0xff) | (hash >> 24 & 0xff) << 8;
            let unevenness = unevenness(&hashes, 14, of);
            assert!(unevenness.abs() < 5.0, "keys {way}, bucket and 8 bits from {at}: {unevenness}");
        }
        assert_eq!(hashes.iter().collect::<HashSet<_>>().len(), hashes.len(), "keys {way}");
    }
}

#[test]
fn every_bit_of_a_key_changes_half_of_the_hash() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for len in [3, 6, 12, 18, 40] {
        let mut changed = vec![[0_u32; 64]; len * 7];
        const ROUNDS: u32 = 300;
        for _ in 0..ROUNDS {
            let text: Vec<u8> = (0..len).map(|_| random.random_range(0..128)).collect();
            let hash = |text: &[u8]| hash_of(&["001", std::str::from_utf8(text).unwrap()]);
            let before = hash(&text);
            for (bit, changed) in changed.iter_mut().enumerate() {
                let mut other = text.clone();
                other[bit / 7] ^= 1 << (bit % 7);
                let differ = before ^ hash(&other);
                (0..64).for_each(|i| changed[i] += (differ >> i & 1) as u32);
            }
        }
        for (bit, changed) in changed.iter().enumerate() {
            for (i, changed) in changed.iter().enumerate() {
                let share = f64::from(*changed) / f64::from(ROUNDS);
                // Five standard deviations.
                assert!((share - 0.5).abs() < 0.15, "bit {bit} of {len} bytes changes bit {i} in {share}");
            }
        }
    }
}
