//! The worker on a real PostgreSQL and a real S3.

mod compact;
mod garbage;
mod recovery;
mod retention;
mod support;
mod tasks;
