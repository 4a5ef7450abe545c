//! A decision is the same on the wire whether its bytes are written directly or by way of the messages.

use std::path::Path;

use prost::Message;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarim_datamart::{Type, Value};
use tarim_decision::{
    convert,
    engine::{InputsBuilder, Replayer},
    outcome::{Call, Stage},
    rulebook::Rulebook,
    wire::{Heading, encode_decision},
};
use tarim_proto::decision::v1 as wire;

pub const AT_US: i64 = 1_780_000_000_000_000;

#[test]
fn bytes_are_those_of_the_message() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rulebook");
    let rulebook = Rulebook::read(&folder).unwrap_or_else(|e| panic!("{e}"));
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut builder = InputsBuilder::new(&rulebook);
    let mut replayer = Replayer::new(&rulebook);
    let mut unlike = [0; 3];
    for member in rulebook.members() {
        for product in &member.products {
            for _ in 0..20 {
                builder.start(AT_US);
                fill(&mut builder, &mut random);
                let inputs = builder.finish(&member.code, product);
                for call in [Call::All].into_iter().chain(Stage::ALL.map(Call::One)) {
                    let judged = replayer.judge(&inputs, call).unwrap();
                    let heading = Heading {
                        request_id: "r-1",
                        member: &member.code,
                        product,
                        at_us: AT_US,
                        rulebook_version: rulebook.version(),
                        feature_version: "7-abc",
                    };
                    let mut bytes = Vec::new();
                    encode_decision(&judged, &heading, &mut bytes);
                    let expected = wire::Decision {
                        request_id: "r-1".into(),
                        member: member.code.clone(),
                        product: product.clone(),
                        decided_at: Some(convert::timestamp(AT_US)),
                        rulebook_version: rulebook.version().into(),
                        feature_version: "7-abc".into(),
                        ..convert::wire_decision(&judged.tell())
                    };
                    assert_eq!(bytes, expected.encode_to_vec(), "{expected:?}");
                    unlike[judged.verdict().outcome as usize] += 1;
                }
            }
        }
    }
    assert!(unlike[1..].iter().all(|n| *n > 100), "{unlike:?} approved, referred, declined");
}

/// Random values, some of them unknown, some views stale.
pub fn fill(builder: &mut InputsBuilder<'_>, random: &mut ChaCha8Rng) {
    let relations: Vec<_> = builder.relations().iter().map(|r| r.layout.clone()).collect();
    for (i, layout) in relations.iter().enumerate() {
        for (j, column) in layout.columns().iter().enumerate() {
            let value = match column.ty {
                _ if random.random_bool(0.2) => continue,
                Type::Boolean => Value::Boolean(random.random_bool(0.3)),
                Type::Int64 => match column.range {
                    Some((low, high)) => Value::Int64(random.random_range(low..=high)),
                    None => Value::Int64(random.random_range(0..20)),
                },
                Type::Float64 => Value::Float64(random.random_range(0.0..2.0)),
                Type::Utf8 if !column.codes.is_empty() => {
                    Value::Utf8(column.codes[random.random_range(0..column.codes.len())].clone())
                }
                Type::Utf8 => {
                    Value::Utf8(["A", "own", "public_servant", "二级"][random.random_range(0..4)].into())
                }
                Type::Date32 => Value::Date32(random.random_range(0..20_000)),
                Type::Timestamp => Value::Timestamp(AT_US - random.random_range(0..1 << 50)),
            };
            builder.set(i, j, &value).unwrap();
        }
        for group in 1..layout.groups().len() {
            if random.random_bool(0.1) {
                builder.set_stale(i, group);
            }
        }
    }
}
