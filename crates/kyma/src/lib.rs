//! The parts of the `kyma` binary that other programs may use: the telemetry generator.

pub mod generate;
