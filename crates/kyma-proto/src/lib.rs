//! The wire between nodes: generated messages and services, and how errors travel.
//!
//! Owns `prost`. The `.proto` files under `proto/` are the source; the code under `generated/` is checked in and a test
//! compares it (`UPDATE=1 cargo test -p kyma-proto` writes it again), so that a build needs no protoc. Must not know
//! what the messages are for.

mod status;

pub use status::{error_of, status_of};

/// Version 1 of the wire.
#[allow(missing_docs, unreachable_pub, clippy::all, rustdoc::all)] // Generated.
pub mod v1 {
    include!("generated/kyma.v1.rs");
}
