//! The wire: protobuf messages and gRPC services, generated at build time from `proto/tarim`.
//!
//! The `.proto` files are the documentation of the calls; clients in other languages generate from
//! them. Written by hand are only the names of the modules and [`encoded::Decision`].

pub mod encoded;

/// `tarim.decision.v1`: the five calls and their answers.
pub mod decision {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("tarim.decision.v1");
    }
}

/// `tarim.event.v1`: what happens to customers.
pub mod event {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("tarim.event.v1");
    }
}

/// `tarim.exposure.v1`: exposure limits.
pub mod exposure {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("tarim.exposure.v1");
    }
}

/// `tarim.warning.v1`: alerts and what became of them.
pub mod warning {
    #[allow(missing_docs, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("tarim.warning.v1");
    }
}

/// The compiled descriptors of every file, for gRPC server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
