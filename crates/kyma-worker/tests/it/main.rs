//! The worker on a real PostgreSQL and a real S3.

mod garbage;
mod retention;
mod support;
mod tasks;
