//! One file per command.

pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod generate;
pub(crate) mod ingest;
pub(crate) mod inspect;
pub(crate) mod migrate;
pub(crate) mod query;
pub(crate) mod rebuild_catalog;
pub(crate) mod serve;
pub(crate) mod tasks;
pub(crate) mod verify;
