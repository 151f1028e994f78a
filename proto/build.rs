//! Compiles the .proto files without a protoc, to types, services, their JSON form and a descriptor set.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

const FILES: [&str; 10] = [
    "regflow/v1/registration.proto",
    "regflow/v1/registrations.proto",
    "regflow/v1/explanation.proto",
    "regflow/v1/operations.proto",
    "regflow/v1/audit.proto",
    "regflow/v1/trust.proto",
    "regflow/v1/catalog.proto",
    "regflow/v1/analytics.proto",
    "regflow/v1/proofs.proto",
    "regflow/v1/persons.proto",
];

/// Messages that carry google.rpc.Status, which has no JSON form here.
const WITHOUT_JSON: [&str; 2] = [".regflow.v1.SubmitBatchResponse", ".regflow.v1.SubmitResult"];

fn main() -> Result<(), Box<dyn Error>> {
    for folder in ["google", "regflow"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let descriptors = protox::compile(FILES, ["."])?;
    let bytes = descriptors.encode_to_vec();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("regflow.v1.fds"), &bytes)?;
    tonic_prost_build::configure()
        .btree_map(".")
        .bytes(".regflow.v1.ProofOfPurchase.content")
        .bytes(".regflow.v1.ExportChunk.lines")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf", "::pbjson_types")
        .extern_path(".google.rpc", "::tonic_types::pb")
        .compile_fds(descriptors)?;
    pbjson_build::Builder::new()
        .register_descriptors(&bytes)?
        .btree_map(["."])
        .exclude(WITHOUT_JSON)
        .build(&[".regflow.v1"])?;
    Ok(())
}
