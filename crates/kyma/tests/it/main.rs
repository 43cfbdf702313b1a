//! The binary as people run it: real processes, real signals.

#![allow(clippy::disallowed_methods)] // Files and pauses of tests, outside any node.

mod bad_input;
mod client;
mod command_line;
mod dev;
mod hostile;
mod leaving;
mod metrics;
mod process;
mod telemetry;
