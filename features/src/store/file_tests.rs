use std::collections::HashMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn write(records: &[(Vec<String>, Vec<u8>)], key_parts: usize) -> Result<KeyedFile<u64>, StoreError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.part");
    let mut file = FileWriter::create(&path, key_parts)?;
    for (key, payload) in records {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        file.push(&key, payload)?;
    }
    let dictionary: Dictionary = ["", "甲县", "乙县"].into_iter().collect();
    let written = file.finish(&dictionary, &42u64)?;
    assert_eq!(written.records, records.len() as u64);
    let read = KeyedFile::open(&path, &written)?;
    assert!(read.dictionary().iter().eq(dictionary.iter()));
    assert_eq!(*read.about(), 42u64);
    Ok(read)
}

fn get<'f>(file: &'f KeyedFile<u64>, key: &[String]) -> Option<&'f [u8]> {
    match key {
        [a] => file.get([a]),
        [a, b] => file.get([a, b]),
        [a, b, c] => file.get([a, b, c]),
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
        let file = write(&list, parts).unwrap();
        for key in records.keys().chain(&others) {
            assert_eq!(get(&file, key), records.get(key).map(Vec::as_slice), "{key:?}");
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
        assert_eq!(file.get([&key[0], &key[1]]), Some(payload.as_slice()));
        assert_eq!(file.get([&key[1], &key[0]]), None);
    }
}

#[test]
fn an_empty_file_has_nothing() {
    let file = write(&[], 2).unwrap();
    assert_eq!(file.get(["001", "C1"]), None);
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

#[test]
fn the_beginning_of_a_record_is_in_one_line() {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let record = |i: u32, random: &mut ChaCha8Rng| {
        let len = random.random_range(4..60);
        let key = vec!["001".to_owned(), format!("{i:0>len$}")];
        (key, vec![1; random.random_range(0..300)])
    };
    let records: Vec<_> = (0..2000).map(|i| record(i, &mut random)).collect();
    let folder = tempfile::tempdir().unwrap();
    let mut file = FileWriter::create(&folder.path().join("a.part"), 2).unwrap();
    for (key, payload) in &records {
        file.push(&[&key[0], &key[1]], payload).unwrap();
        let at = file.entries.last().unwrap().1 as usize;
        let begin = head_len(2) + key[0].len() + key[1].len() + 1;
        assert!(begin > LINE || at / LINE == (at + begin - 1) / LINE, "{begin} bytes at {at}");
    }
}
