//! The nouns of kyma, and the traits that every layer speaks.
//!
//! Start with [`types`] (Kusto's ten types and their Arrow shapes), [`extent`] (what the catalog
//! knows of stored rows), then the two traits: [`catalog`] and [`format`]. [`prune`] holds the one
//! implementation of "certainly none, or maybe" that every level of the cascade calls.
//!
//! This crate does no IO, names no implementation, and must not know about HTTP, SQL, Postgres,
//! DataFusion or any file layout.

pub mod accumulate;
pub mod catalog;
pub mod clock;
pub mod dynamic;
pub mod error;
pub mod explain;
pub mod extent;
pub mod failpoint;
pub mod format;
pub mod ids;
pub mod limits;
pub mod object;
pub mod pattern;
pub mod planted;
pub mod policy;
pub mod predicate;
pub mod profile;
pub mod prune;
pub mod schema;
pub mod scope;
pub mod sketch;
pub mod stats;
pub mod text;
pub mod time;
pub mod types;
pub mod value;

pub use error::{Error, Kind, Result};
pub use ids::{DatabaseId, ExtentId, NodeId, ReservationId, Sequence, TableId, TaskId};
pub use schema::{Column, Schema};
pub use types::Type;
pub use value::Value;
