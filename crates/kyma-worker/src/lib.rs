//! Claims tasks and runs them.
//!
//! Start with [`Worker::run`]: a node that has the worker role runs it until it is told to stop. A kind of work is a
//! [`TaskHandler`]; [`garbage`] deletes objects that nothing needs, [`compact`] merges small extents, [`retention`] removes
//! what is past its time, and each module says in which order.
//!
//! This crate must not know how the catalog or the store are implemented, and names no segment format.

pub mod compact;
pub mod garbage;
mod handler;
pub mod journal;
mod metrics;
mod progress;
pub mod rebuild;
pub mod retention;
mod settings;
pub mod verify;
mod worker;

pub use handler::TaskHandler;
pub use journal::{Journal, JournalSettings};
pub use progress::Progress;
pub use settings::{CompactSettings, GarbageSettings, RetentionSettings, WorkerSettings};
pub use worker::Worker;
