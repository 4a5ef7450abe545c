//! Compiles the `.proto` files without a system `protoc`: protox parses them, tonic generates.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["tarim/decision/v1/decision.proto", "tarim/decision/v1/journal.proto"];
    println!("cargo:rerun-if-changed=tarim");
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    // Ordered maps: a message then has one encoding, which can be hashed.
    tonic_prost_build::configure().btree_map(".").compile_fds(descriptors)?;
    Ok(())
}
