//! Queries over real extents and a real catalog.

mod limits;
mod operators;
mod order;
mod profile;
mod snapshot;
mod soundness;
mod sql;
mod world;
