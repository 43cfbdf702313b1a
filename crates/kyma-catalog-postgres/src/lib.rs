//! The `Catalog` on PostgreSQL, and a private PostgreSQL for laptops and tests.
//!
//! Start with [`PostgresCatalog::connect`]. `commit.rs` holds the one transaction that everything else leans on;
//! `migrations/` at the root of the repository holds the tables. [`local`] finds and runs a PostgreSQL process.
//!
//! The hot path is tokio-postgres with prepared statements; sqlx owns migrations. Connections are without TLS for now:
//! use a unix socket, a private network or a proxy beside the node.
//!
//! This crate must not know about object stores, formats, queries or HTTP.

mod bounds;
mod commit;
mod definitions;
mod error;
mod extents;
mod garbage;
mod history;
mod import;
mod keys;
mod list;
pub mod local;
mod metrics;
mod migrate;
mod nodes;
mod operations;
mod pool;
mod recovery;
mod rows;
mod settings;
mod tables;
mod tasks;
mod upkeep;

pub use pool::PostgresCatalog;
pub use settings::CatalogSettings;
