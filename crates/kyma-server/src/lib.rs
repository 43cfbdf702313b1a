//! A node: the HTTP edge, the mounted gRPC services, identity and heartbeat.
//!
//! Start with [`node`], which starts and stops everything, then `http` (one file per endpoint) and `kusto` (the
//! Kusto REST wire). Both end in the same three calls: [`kyma_ingest::Ingester`], [`kyma_exec::Engine`] and the
//! catalog. [`settings`] says what can be configured.
//!
//! This crate must not know which catalog, store, format or language it serves: components come in through
//! [`NodeParts`]. It is the only one that knows axum.

mod admission;
mod command;
mod delete;
mod encode;
mod extents;
mod failure;
mod heartbeat;
mod http;
mod kusto;
mod metrics;
pub mod node;
mod queries;
pub mod settings;
mod state;

pub use node::{Node, NodeParts, RunningNode};
pub use settings::{Role, Settings};
