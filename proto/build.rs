//! Compiles the `.proto` files without a system `protoc`: protox parses them, tonic generates.

use std::{error::Error, path::Path};

use prost::Message;
use prost_types::FileDescriptorSet;

/// Messages that the server reads and writes in its own way, as types of `crate::encoded`.
const OWN: [&str; 3] = [
    ".tarim.decision.v1.BatchDecideRequest",
    ".tarim.decision.v1.Decision",
    ".tarim.decision.v1.DecisionRequest",
];

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "tarim/decision/v1/decision.proto",
        "tarim/decision/v1/interception.proto",
        "tarim/decision/v1/journal.proto",
        "tarim/event/v1/event.proto",
        "tarim/exposure/v1/exposure.proto",
        "tarim/warning/v1/ledger.proto",
        "tarim/warning/v1/push.proto",
        "tarim/warning/v1/service.proto",
        "tarim/warning/v1/warning.proto",
    ];
    println!("cargo:rerun-if-changed=tarim");
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Ordered maps: a message then has one encoding, which can be hashed.
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors.clone())?;
    encoded(descriptors, &out.join("encoded"))
}

/// Generates the server once more, around our own types: what holds one is generated anew, all else is the
/// ordinary message.
fn encoded(descriptors: FileDescriptorSet, out: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(out)?;
    let mut builder = tonic_prost_build::configure()
        .btree_map(".")
        .codec_path("crate::encoded::codec::Roomy")
        .build_client(false)
        .out_dir(out);
    for own in OWN {
        builder = builder.extern_path(own, own.replace(".tarim.decision.v1.", "crate::encoded::"));
    }
    for file in descriptors.file.iter().filter(|file| file.package() == "tarim.decision.v1") {
        let enums = file.enum_type.iter().map(|e| e.name());
        let plain = file.message_type.iter().filter(|message| !holds_an_own(&descriptors, message));
        for name in enums.chain(plain.map(|message| message.name())) {
            let path = format!(".tarim.decision.v1.{name}");
            if !OWN.contains(&path.as_str()) {
                builder = builder.extern_path(path, format!("crate::decision::v1::{name}"));
            }
        }
    }
    Ok(builder.compile_fds(descriptors)?)
}

fn holds_an_own(all: &FileDescriptorSet, message: &prost_types::DescriptorProto) -> bool {
    message.field.iter().any(|field| {
        OWN.contains(&field.type_name())
            || all
                .file
                .iter()
                .flat_map(|file| &file.message_type)
                .filter(|inner| field.type_name() == format!(".tarim.decision.v1.{}", inner.name()))
                .any(|inner| holds_an_own(all, inner))
    })
}
