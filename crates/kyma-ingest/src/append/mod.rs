//! The append call: from the node that decoded rows to the node that buffers their table.
//!
//! `client` sends, `service` receives. A write is one stream with an explicit end; what breaks off before its end is
//! forgotten. Idempotency keys are claimed here, so that a retry that arrives while the first try is still being
//! stored waits for its answer instead of storing again.

pub(crate) mod client;
pub(crate) mod once;
pub(crate) mod service;
