//! Deterministic simulation of kyma: the real write path and background work over a simulated world.
//!
//! The code of `kyma-ingest`, `kyma-worker` and `kyma-storage` runs as it is, several nodes in one thread, over a paused clock
//! that jumps from timer to timer ([`time`]), a bucket ([`bucket`], [`store`]), a [`model`] of the catalog ([`remote`]), and ways
//! between them all on which requests are lost, late, doubled and refused ([`world`]). Nodes crash and stall at any point where
//! their code waits ([`scope`], [`chaos`]). [`clients`] use them, and an [`oracle`] that keeps its own account judges
//! every step. Everything that happens follows from a seed ([`plan`]); start reading with [`run`].
//!
//! This crate is never part of the product: a test in `benches/distribution` says so. It must not know PostgreSQL or the
//! query engine.

pub mod backlog;
pub mod bucket;
pub mod campaign;
pub mod chaos;
pub mod clients;
pub mod furnish;
pub mod holds;
pub mod journal;
pub mod keepers;
pub mod model;
pub mod node;
pub mod oracle;
pub mod panics;
pub mod plan;
pub mod rebuild;
pub mod remote;
pub mod rng;
pub mod run;
pub mod scope;
pub mod store;
pub mod time;
pub mod trace;
pub mod world;
