//! The catalog on a real PostgreSQL.

mod conformance;
mod faults;
mod local;
mod lost_commit;
mod outage;
mod upgrade;
