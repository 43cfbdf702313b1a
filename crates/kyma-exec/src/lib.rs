//! Plan to rows: prune, assign, scan, execute.
//!
//! Start with [`engine`], which is the whole way of a query: `request → frontend → snapshot → plan → run → answer`. Then
//! [`snapshot`] (what exists, pinned), [`prune`] (the catalog's level, over [`manifest`]), [`scan`] (extents, blocks, rows), and
//! [`df_adapter`], the only place that knows DataFusion: our plan becomes its plan there, our scan its source.
//!
//! This crate must not know a language's syntax (frontends are handed in), a segment format's name or layout (formats are
//! handed in), or the catalog's store.

pub mod df_adapter;
pub mod engine;
pub mod explain;
mod external;
pub mod holds;
pub mod manifest;
pub mod metrics;
pub mod prune;
pub mod request;
pub mod scan;
pub mod scope;
pub mod settings;
pub mod size;
pub mod snapshot;
pub mod timeline;

pub use engine::{AnswerParts, Engine, EngineParts, Part, TableHead};
pub use request::{Answer, AnswerStream, AsOf, Limits, QueryError, QueryRequest, ResultTable, TimeScope};
pub use settings::ExecSettings;
