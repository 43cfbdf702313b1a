//! What kyma's architecture promises, checked against the tree, the dependency graph and real processes.

#![allow(clippy::disallowed_methods)] // Log files of the processes that the tests start.

mod bans;
mod compose;
mod invariants;
mod layers;
mod paths;
mod process;
mod product;
mod rolling;
mod seams;
mod tree;
