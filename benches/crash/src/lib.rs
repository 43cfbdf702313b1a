//! Breaks real nodes on purpose and counts every row.
//!
//! A *cell* is one point of `kyma_core::failpoint` in one [`Mode`]. Start with [`cell`], whose header has its steps;
//! [`plan`] says which cells there are. [`cluster`] runs the real binary over a real PostgreSQL and a real server of
//! S3's protocol, [`load`] writes until acknowledged and reads meanwhile, [`ledger`] and [`deletions`] know what must be there, and
//! [`check`] looks at the end.
//!
//! Development only: nothing here ships.

pub mod cell;
pub mod check;
pub mod cluster;
pub mod deletions;
pub mod ledger;
pub mod load;
pub mod plan;
pub mod table;

pub use plan::Mode;
