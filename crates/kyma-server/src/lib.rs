//! A node: the HTTP edge, the mounted gRPC services, identity and heartbeat.
//!
//! Start with [`node`], which starts and stops everything (`drain`: what requests see of it), then `http` (one file per endpoint) and `kusto` (the
//! Kusto REST wire). Both end in the same three calls: [`kyma_ingest::Ingester`], [`kyma_exec::Engine`] and the
//! catalog. [`settings`] says what can be configured.
//!
//! This crate must not know which catalog, store, format or language it serves: components come in through
//! [`NodeParts`]. It is the only one that knows axum.

mod admission;
mod command;
mod delete;
mod drain;
mod encode;
mod extents;
mod failure;
mod health;
mod heartbeat;
mod http;
mod kusto;
mod listen;
mod metrics;
pub mod node;
mod process;
mod queries;
pub mod settings;
mod state;
mod trace;

pub use node::{Node, NodeParts, RunningNode};
pub use settings::{Role, Settings};
