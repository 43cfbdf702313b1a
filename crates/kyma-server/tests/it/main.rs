//! A node over HTTP, on a real PostgreSQL and a folder: what clients send and what they get.

mod changes;
mod commands;
mod connections;
mod definitions;
mod drain;
mod errors;
mod formats;
mod health;
mod kusto;
mod kusto_ingest;
mod kusto_wire;
mod lifecycle;
mod limits;
mod node;
mod outages;
mod profile;
