//! What a node can be told, as plain values; and the limits that cannot be told.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Largest body of a query request, in bytes: the text's own limit and room for parameters and JSON escapes.
pub const QUERY_BODY_BYTES_MAX: usize = 4 * kyma_core::limits::QUERY_TEXT_BYTES_MAX;
/// How long the body of a query request may take to arrive.
pub const QUERY_BODY_TIME_MAX: Duration = Duration::from_secs(30);
/// Longest request id that is taken over from a client, in bytes.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
/// Rows that are encoded at once: the size of one chunk of a body.
pub const ENCODE_ROWS: usize = 4_096;
/// Extents that `.show extents` lists.
pub const SHOW_EXTENTS_MAX: usize = 100_000;
/// Patterns that `.show table T patterns` lists.
pub const SHOW_PATTERNS_MAX: usize = 100_000;
/// Rows that `.show ingestion failures` lists, the latest first.
pub const SHOW_FAILURES_MAX: usize = 10_000;
/// Operations that `.show operations` lists, the latest first.
pub const SHOW_OPERATIONS_MAX: usize = 1_000;
/// Tasks that `.show tasks` lists, the latest first.
pub const SHOW_TASKS_MAX: usize = 10_000;
/// Queries that ended and are still listed by `.show queries`.
pub const RECENT_QUERIES_MAX: usize = 1_000;
/// Bytes of a query's text that `.show queries` keeps.
pub const SHOWN_TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest stored function, in bytes.
pub const FUNCTION_BYTES_MAX: usize = 256 * 1024;
/// Bytes in memory of the rows that `.set`, `.append` and their like store at once.
pub const STORE_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Extents that one deletion of rows writes again at the same time.
pub const DELETE_EXTENTS_AT_ONCE: usize = 2;
/// Bytes in memory of the extents that deletions of rows write again, as estimated by the input that they came from.
pub const DELETE_MEMORY_BYTES: u64 = 1024 * 1024 * 1024;
/// How long a query of a deletion may take: it looks at a whole table, and nobody waits.
pub const DELETE_QUERY_TIME_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of a refused body that are read, so that its sender hears the answer.
pub const DISCARD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a refused body is read.
pub const DISCARD_TIME_MAX: Duration = Duration::from_secs(2);
/// Bytes of an uploaded blob that are held in memory and stored as one object.
pub const BLOB_PART_BYTES: usize = 8 * 1024 * 1024;
/// Uploads of blobs at a time; more are answered 503.
pub const BLOB_UPLOADS_MAX: usize = 32;
/// Blocks of one blob.
pub const BLOB_BLOCKS_MAX: usize = 50_000;
/// Longest name of a blob or of a block, in bytes.
pub const BLOB_NAME_BYTES_MAX: usize = 1_024;
/// How long a part may take to answer the question whether it is there.
pub const READY_TIME_MAX: Duration = Duration::from_secs(3);
/// How long leaving the catalog may take at shutdown.
pub const LEAVE_TIME_MAX: Duration = Duration::from_secs(3);

/// Time between the cut of requests that still run and the end of a node, at most.
const CUT_RESERVE: Duration = Duration::from_millis(1_500);

/// When the steps of a shutdown end, from the wish to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DrainTimes {
    /// All is answered until then.
    pub(crate) lame_duck: Duration,
    /// What runs may run until then.
    pub(crate) cut: Duration,
    /// All has ended then.
    pub(crate) total: Duration,
}

/// What a node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes writes.
    Ingest,
    /// Answers queries.
    Query,
    /// Runs background tasks.
    Worker,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Ingest, Role::Query, Role::Worker];

    /// The name that configuration and the catalog use.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Query => "query",
            Role::Worker => "worker",
        }
    }
}

/// Settings of a node's ports and of its life. A configuration says what is skipped here at its top level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where HTTP listens.
    #[serde(skip)]
    pub listen: SocketAddr,
    /// Where the internal gRPC services listen. Keep it on loopback or a private network.
    #[serde(skip)]
    pub grpc_listen: SocketAddr,
    /// What the node does.
    #[serde(skip)]
    pub roles: Vec<Role>,
    /// Its availability zone, or "".
    #[serde(skip)]
    pub zone: String,
    /// The database of requests that name none.
    pub default_database: String,
    /// HTTP connections at once; who comes then waits until one is closed.
    pub connections_max: usize,
    /// Seconds that a connection may send no whole head of a request before it is closed.
    pub idle_seconds: u64,
    /// Queries that run at once.
    pub queries_max: usize,
    /// Queries that wait for their turn; more are answered 429.
    pub queries_waiting_max: usize,
    /// Seconds that a query may run unless it asks for another time.
    pub query_seconds: u64,
    /// Seconds that a query may ask for at most.
    pub query_seconds_max: u64,
    /// Seconds between two heartbeats.
    pub heartbeat_seconds: u64,
    /// Seconds after a node's last heartbeat in which what its queries read is not collected; six heartbeats at least.
    pub hold_seconds: u64,
    /// Milliseconds between two looks at the catalog and the store while they answer.
    pub ready_period_millis: u64,
    /// Failures in a row before a part that is away makes the node unready...
    pub unready_failures: u32,
    /// ...which must span this many milliseconds.
    pub unready_millis: u64,
    /// Seconds from the wish to stop to the end, everything included.
    pub drain_seconds: u64,
    /// Milliseconds, of these, in which the node says that it is unready and still answers all: balancers notice.
    pub lame_duck_millis: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            grpc_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            roles: Role::ALL.to_vec(),
            zone: String::new(),
            default_database: "default".to_owned(),
            connections_max: 4_096,
            idle_seconds: 120,
            queries_max: 16,
            queries_waiting_max: 256,
            query_seconds: 60,
            query_seconds_max: 3_600,
            heartbeat_seconds: 5,
            hold_seconds: 60,
            ready_period_millis: 5_000,
            unready_failures: 3,
            unready_millis: 5_000,
            drain_seconds: 10,
            lame_duck_millis: 1_000,
        }
    }
}

impl Settings {
    /// Whether the node takes `role`.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// How the time of a shutdown is spent.
    pub(crate) fn drain_times(&self) -> DrainTimes {
        let total = Duration::from_secs(self.drain_seconds.max(1));
        // What is left after the cut answers, flushes and gives tasks back.
        let cut = total - (total / 4).min(CUT_RESERVE);
        DrainTimes { lame_duck: Duration::from_millis(self.lame_duck_millis).min(total / 3), cut, total }
    }

    /// The time a query gets when it asks for `wanted`.
    pub fn query_time(&self, wanted: Option<Duration>) -> Duration {
        let default = Duration::from_secs(self.query_seconds.max(1));
        wanted.unwrap_or(default).min(Duration::from_secs(self.query_seconds_max.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_a_shutdown_share_one_time() {
        let times = |drain_seconds, lame_duck_millis| {
            Settings { drain_seconds, lame_duck_millis, ..Settings::default() }.drain_times()
        };
        let millis = Duration::from_millis;
        let DrainTimes { lame_duck, cut, total } = times(10, 1_000);
        assert_eq!((lame_duck, cut, total), (millis(1_000), millis(8_500), millis(10_000)));
        let DrainTimes { lame_duck, cut, total } = times(0, 60_000);
        assert!(lame_duck < cut && cut < total && total == millis(1_000), "{lame_duck:?} {cut:?} {total:?}");
    }
}
