//! Queries over real extents and a real catalog.

#![allow(clippy::disallowed_methods)] // Tasks of a test end with its runtime.

mod examples;
mod limits;
mod manifest;
mod operators;
mod order;
mod profile;
mod snapshot;
mod soundness;
mod sql;
mod world;
