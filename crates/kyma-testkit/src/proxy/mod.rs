//! Proxies that stand before a real server and break what passes, as told.

pub mod postgres;
pub mod s3;
