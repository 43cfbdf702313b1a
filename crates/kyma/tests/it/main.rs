//! The binary as people run it: real processes, real signals.

mod bad_input;
mod client;
mod command_line;
mod dev;
mod process;
