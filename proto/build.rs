//! Compiles the `.proto` files without a system `protoc`: protox parses them, tonic generates.

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["tarim/decision/v1/decision.proto"];
    println!("cargo:rerun-if-changed=tarim");
    let descriptors = protox::compile(files, ["."])?;
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
