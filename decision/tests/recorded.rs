//! Inputs that were written down are read back as they were, or refused with what is wrong with them.

use std::{fs, path::Path};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarim_decision::{
    engine::{DecodeError, Inputs, InputsBuilder, decide_recorded},
    outcome::Call,
    rulebook::Rulebook,
};

use crate::{
    broken::copy,
    wire::{AT_US, fill},
};

fn example() -> Rulebook {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
    Rulebook::read(&folder).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn inputs_are_read_back_as_they_were_or_refused() {
    let rulebook = example();
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut builder = InputsBuilder::new(&rulebook);
    let member = &rulebook.members()[0];
    let encode = |inputs: &Inputs| {
        let mut bytes = Vec::new();
        inputs.encode(&rulebook, &mut bytes).expect("whole rows");
        bytes
    };
    let refused = |bytes: &[u8]| Inputs::decode(&rulebook, bytes).err().expect("not as it was written");
    let mut bytes = Vec::new();
    for product in &member.products {
        builder.start(AT_US);
        fill(&mut builder, &mut random);
        let inputs = builder.finish(&member.code, product);
        bytes = encode(&inputs);
        let back = Inputs::decode(&rulebook, &bytes).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(
            back.named_values(&rulebook).expect("whole rows"),
            inputs.named_values(&rulebook).unwrap()
        );
        assert_eq!(encode(&back), bytes);
        assert_eq!((back.member(), back.product(), back.at_us()), (&*member.code, &**product, AT_US));
        for end in 0..bytes.len() {
            assert!(Inputs::decode(&rulebook, &bytes[..end]).is_err(), "cut at {end}");
        }
    }
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        refused(&bytes)
    };
    assert!(matches!(changed(1), DecodeError::Format));
    // Magic, member, product, time; then rows, each behind its tag and its length.
    let product = member.products.last().expect("it offers some");
    let rows = 3 + 4 + member.code.len() + 4 + product.len() + 8;
    assert!(matches!(changed(rows), DecodeError::Relations { .. }));
    let mut at = rows + 4;
    for relation in rulebook.given() {
        let told = changed(at).to_string();
        assert!(told.starts_with(&format!("where the row of `{}` should be", relation.name)), "{told}");
        let length = bytes[at + 8..].first_chunk().expect("a length");
        at += 8 + 4 + u32::from_le_bytes(*length) as usize;
    }
}

/// What a release decided that did not round the points of a scorecard is made again to the same bits.
#[test]
fn points_are_as_they_were_when_it_was_decided() {
    let folder = tempfile::tempdir().unwrap();
    copy(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rulebook")), folder.path());
    let table = folder.path().join("models/personal_score.csv");
    let mut text = fs::read_to_string(&table).unwrap();
    for (points, tenths) in
        [(10, "10.1"), (60, "60.2"), (70, "70.1"), (30, "30.7"), (50, "50.1"), (25, "25.3")]
    {
        text = text.replace(&format!(",{points},"), &format!(",{tenths},"));
    }
    fs::write(&table, text).unwrap();
    let rulebook = Rulebook::read(folder.path()).unwrap_or_else(|e| panic!("{e}"));
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut builder = InputsBuilder::new(&rulebook);
    let member = &rulebook.members()[0];
    let decided = |bytes: &[u8]| {
        let inputs = Inputs::decode(&rulebook, bytes).unwrap_or_else(|e| panic!("{e}"));
        let mut again = Vec::new();
        inputs.encode(&rulebook, &mut again).unwrap();
        assert_eq!(again, bytes, "it is written down as it was");
        decide_recorded(&rulebook, &inputs, Call::All).unwrap().score.map(|score| score.points)
    };
    let (mut scored, mut differ) = (0, 0);
    for _ in 0..300 {
        builder.start(AT_US);
        fill(&mut builder, &mut random);
        let mut bytes = Vec::new();
        builder.finish(&member.code, &member.products[0]).encode(&rulebook, &mut bytes).unwrap();
        let now = decided(&bytes);
        assert_eq!(&bytes[..3], b"TI3");
        bytes[..3].copy_from_slice(b"TI2");
        let then = decided(&bytes);
        assert_eq!(now, then.map(|points| (points * 1e6).round() / 1e6));
        scored += u32::from(now.is_some());
        differ += u32::from(now != then);
    }
    assert!(scored > 50 && differ > 5, "{differ} of {scored} differ");
}

/// Rows that are packed alike are told apart by whose they are.
#[test]
fn a_row_is_written_down_under_its_name_and_layout() {
    let (one, other) = (example(), example());
    let tags: Vec<_> = one.relations().iter().map(|relation| relation.tag).collect();
    assert!(other.relations().iter().map(|relation| relation.tag).eq(tags.iter().copied()));
    for (i, tag) in tags.iter().enumerate() {
        assert!(!tags[..i].contains(tag), "two relations have one tag");
    }
}
