//! The catalog on a real PostgreSQL.

mod conformance;
mod local;
mod faults;
mod lost_commit;
mod outage;
mod upgrade;
