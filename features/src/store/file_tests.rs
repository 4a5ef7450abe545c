use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::store::{FileWriter, perfect_hash};

fn write(records: &[(Vec<String>, Vec<u8>)], key_parts: usize) -> Result<KeyedFile<u64>, StoreError> {
    write_by(perfect_hash::build, records, key_parts)
}

fn write_by(
    build: impl Fn(&mut [u64]) -> perfect_hash::Built,
    records: &[(Vec<String>, Vec<u8>)],
    key_parts: usize,
) -> Result<KeyedFile<u64>, StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.part");
    let mut file = FileWriter::create(&path, key_parts)?;
    for (key, payload) in records {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        file.push(&key, payload)?;
    }
    let dictionary: Dictionary = ["", "甲县", "乙县"].into_iter().collect();
    let written = file.finish_by(build, &dictionary, &42u64)?;
    assert_eq!(written.records, records.len() as u64);
    let read = KeyedFile::open(&path, &written)?;
    assert!(read.dictionary().iter().eq(dictionary.iter()));
    assert_eq!(*read.about(), 42u64);
    Ok(read)
}

fn get<'f>(file: &'f KeyedFile<u64>, key: &[String]) -> Option<&'f [u8]> {
    match key {
        [a] => file.get(&FirstPart::new(a), []),
        [a, b] => file.get(&FirstPart::new(a), [b]),
        [a, b, c] => file.get(&FirstPart::new(a), [b, c]),
        _ => panic!("no key has {} parts", key.len()),
    }
}

#[test]
fn every_key_is_found_and_no_other() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let alphabet: Vec<char> = "aab0甲\u{0}".chars().collect();
    for round in 0..300 {
        let parts = random.random_range(1..=MOST_PARTS);
        // Short ones, of which many are alike, and of every other way in which a text is read.
        let most = [4, 12, 20, 50, 90][round % 5];
        let mut text = || -> String {
            let len = random.random_range(0..most);
            (0..len).map(|_| alphabet[random.random_range(0..alphabet.len())]).collect()
        };
        let records: HashMap<Vec<String>, Vec<u8>> =
            (0..60).map(|i| ((0..parts).map(|_| text()).collect(), vec![i as u8; i % 5 * most])).collect();
        let others: Vec<Vec<String>> = (0..60).map(|_| (0..parts).map(|_| text()).collect()).collect();
        let list: Vec<_> = records.clone().into_iter().collect();
        // Where no pilot is found for many of the keys, they are found all the same.
        for pilots in [1, 1 << 16] {
            let file = write_by(|hashes| perfect_hash::build_of(hashes, pilots), &list, parts).unwrap();
            for key in records.keys().chain(&others) {
                assert_eq!(get(&file, key), records.get(key).map(Vec::as_slice), "{key:?}");
            }
        }
    }
}

#[test]
fn many_keys() {
    let records: Vec<_> = (0..50_000u32)
        .map(|i| (vec![format!("{:03}", i % 83), format!("C{i}")], i.to_le_bytes().to_vec()))
        .collect();
    let file = write(&records, 2).unwrap();
    for (key, payload) in &records {
        assert_eq!(get(&file, key), Some(payload.as_slice()));
        assert_eq!(get(&file, &[key[1].clone(), key[0].clone()]), None);
    }
}

#[test]
fn records_of_every_length() {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    // Of about one length: each in its slot; of others, one is behind the other.
    for (lens, in_slots) in [(1000..1001, true), (900..1060, true), (0..3000, false)] {
        let mut record = |i: u32| {
            (vec!["001".to_owned(), format!("C{i}")], vec![i as u8; random.random_range(lens.clone())])
        };
        let records: Vec<_> = (0..400).map(&mut record).collect();
        // With few pilots to try, some keys have no slot.
        for pilots in [30, 1 << 16] {
            let file = write_by(|hashes| perfect_hash::build_of(hashes, pilots), &records, 2).unwrap();
            assert_eq!(file.records.are_in_slots(), in_slots, "{lens:?}");
            assert_eq!(file.records.unplaced() > 0, pilots == 30, "{}", file.records.unplaced());
            for (key, payload) in &records {
                assert_eq!(get(&file, key), Some(payload.as_slice()));
            }
            for other in ["", "C", "C400", "c1"] {
                assert_eq!(file.get(&FirstPart::new("001"), [other]), None);
            }
        }
    }
}

#[test]
fn one_record_that_is_longer_than_what_is_read_at_a_time() {
    let key = |i: usize| vec!["001".to_owned(), "C".repeat(i)];
    let records = [(key(1), vec![1; 40 << 20]), (key(2), vec![2; 3]), (key(65_535), vec![3; 70_000])];
    let file = write(&records, 2).unwrap();
    for (key, payload) in &records {
        assert!(get(&file, key) == Some(payload.as_slice()), "a key of {} bytes", key[1].len());
    }
}

#[test]
fn two_keys_of_one_hash() {
    // By way of how words are stirred: under this member, one is the other with two words changed for each other.
    let keys = [
        "XPMMe1qO'g{ng-?1$,oR^d%Y&8!<^|h60123456789abcdef",
        "XPMMe1qO'g{ng-?1{uxH-v:[ya6&-nw40123456789abcdef",
    ];
    let [one, other] = keys.map(|key| FirstPart::new("001").hash(&[key]));
    assert_eq!(one, other);
    let record = |i: usize, key: &str| (vec!["001".to_owned(), key.to_owned()], vec![i as u8; 1 + i]);
    let mut records: Vec<_> = keys.iter().enumerate().map(|(i, key)| record(i, key)).collect();
    records.extend((2..50).map(|i| record(i, &i.to_string())));
    let file = write(&records, 2).unwrap();
    assert!(file.records.unplaced() >= 2);
    for (key, payload) in &records {
        assert_eq!(get(&file, key), Some(payload.as_slice()));
    }
    records.push(record(0, keys[0]));
    assert!(matches!(write(&records, 2), Err(StoreError::Repeated { .. })));
}

#[test]
fn an_empty_file_has_nothing() {
    let file = write(&[], 2).unwrap();
    for key in ["", "001"] {
        assert_eq!(file.get(&FirstPart::new(key), [key]), None);
    }
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let twice = vec![(vec!["001".to_owned(), "C1".to_owned()], vec![1]); 2];
    let error = write(&twice, 2).err().unwrap().to_string();
    assert!(error.ends_with("the key \"001/C1\" came twice; a key is unique"), "{error}");
}

#[test]
fn a_file_of_another_version_is_told_from_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.part");
    let written = FileWriter::create(&path, 2).unwrap().finish(&Dictionary::new(), &42u64).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    for (first, expected) in
        [(b"TARIM-2\n", "another version of Tarim wrote it"), (b"PK\x03\x04    ", "not begin")]
    {
        bytes[..8].copy_from_slice(first);
        std::fs::write(&path, &bytes).unwrap();
        let error = KeyedFile::<u64>::open(&path, &written).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
