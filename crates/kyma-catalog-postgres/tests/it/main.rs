//! The catalog on a real PostgreSQL.

mod conformance;
mod local;
mod outage;
