//! Inputs that were written down are read back as they were, or refused with what is wrong with them.

use std::path::Path;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tarim_decision::{
    engine::{DecodeError, Inputs, InputsBuilder},
    rulebook::Rulebook,
};

use crate::wire::{AT_US, fill};

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
    assert!(matches!(changed(2), DecodeError::Format));
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
