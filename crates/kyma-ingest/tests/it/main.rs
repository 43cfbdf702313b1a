//! The write path on a real PostgreSQL and a faulty object store, over the real append call.

mod bad_input;
mod catalog;
mod end_to_end;
mod failures;
mod node;
mod once;
mod real_logs;
mod rewrite;
