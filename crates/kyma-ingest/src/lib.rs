//! Rows to committed extents: the write path.
//!
//! `accept → decode → (infer) → route → append → buffer → seal → commit → ack`: the files read in this order. Start with
//! [`Ingester`] for the way in, and with `commit` for why an acknowledged row is never lost or doubled. [`Rewriter`] makes
//! extents of stored ones.
//!
//! Owns: body formats and their limits, schema inference, `_unmapped` and `_rejected`, group commit, idempotency and
//! backpressure of writes. Must not know: HTTP, query languages, any format's layout, Postgres.
//!
//! # Errors
//! | code | kind | when |
//! |---|---|---|
//! | `ingest.body_too_large` | invalid (HTTP 413) | the body has more bytes than `body_bytes_max` after decompression |
//! | `ingest.body_broken` | invalid, cancelled | the body cannot be decompressed, or stopped coming |
//! | `ingest.header_invalid` | invalid | the CSV header cannot be read |
//! | `ingest.mapping_invalid` | invalid | the mapping cannot be read, or does not fit the body's format |
//! | `ingest.key_invalid` | invalid | the idempotency key is too long |
//! | `ingest.format_unknown`, `ingest.encoding_unknown` | invalid | the body's format or encoding is not known |
//! | `ingest.database_missing`, `ingest.table_missing` | not found | and `create_on_write` is off |
//! | `ingest.table_gone` | conflict | the table was dropped while its rows were on their way |
//! | `ingest.columns_exhausted` | exhausted | the table is full and has no bag |
//! | `ingest.overloaded` | exhausted (HTTP 429) | memory or slots are used up; see [`Ingester::retry_after`] |
//! | `ingest.stopping` | unavailable | the node shuts down |
//! | `ingest.outcome_unknown` | unavailable | the catalog went away during the commit |
//! | `ingest.too_many_rows` | exhausted | rewritten extents have more rows than one extent may |
//! | `ingest.commit_failed` | unavailable | the commit was tried too often |

mod accept;
mod answer;
mod append;
mod buffer;
mod commit;
mod content;
mod cpu;
mod decode;
mod ingester;
mod ipc;
pub mod loopback;
mod mapping;
mod memory;
mod metadata;
mod metrics;
mod rewrite;
mod route;
mod seal;
mod settings;
mod tables;

pub use answer::{BodyFormat, Encoding, IngestAnswer, IngestOptions, IngestRequest};
pub use append::service::AppendService;
pub use ingester::{IngestParts, Ingester};
pub use mapping::{MAPPING_BYTES_MAX, Mapping, MappingKind};
pub use metadata::with_append_metadata;
pub use rewrite::{Kept, Rewrite, Rewriter, Rewritten};
pub use route::{AppendChannel, IngestRouter, LocalRouter};
pub use settings::{IDEMPOTENCY_KEY_BYTES_MAX, IngestSettings, LINE_BYTES_MAX, RAW_BYTES_MAX};
