//! Opens an object store from a URL and decorates it.
//!
//! Owns: the cloud features of `object_store`, every file-system write of the product (the local object store and the
//! disk cache), deadlines, retries and hedges, the bound of what a node reads at one time, range coalescing, and the
//! range cache. Start with [`open`] and [`Store`], then `reader` and `get` (what a range read does, in steps).
//!
//! Must not know: extents' layout, the catalog, tables. It moves bytes under keys.
//!
//! # Errors
//! | code | kind | when |
//! |---|---|---|
//! | `store.unavailable` | unavailable | the store did not answer within [`StoreSettings::request_timeout`] |
//! | `store.denied` | unavailable | the store refuses our credentials |
//! | `store.object_missing` | not found, unavailable for an extent | no object under that key |
//! | `store.object_exists` | conflict | another object is under that key |
//! | `store.key_invalid` | invalid | the key could leave the store's prefix |
//! | `store.url_invalid` | invalid | the URL or an option is not understood |
//! | `query.external_refused` | invalid | a file elsewhere is not under a prefix that the node allows |
//! | `query.external_unavailable` | unavailable | a file elsewhere could not be had |
//! | `query.external_too_large`, `query.external_timeout` | exhausted | a file elsewhere exceeds its limits |
//! | `storage.corrupt` | corrupt | an object is shorter than a range that it must have |

mod budget;
mod cache;
mod distrust;
mod error;
mod external;
pub mod fault;
mod flights;
mod gate;
mod get;
mod hedge;
mod key;
mod local;
mod measured;
mod metrics;
mod open;
mod peace;
mod reader;
mod retry;
mod settings;
mod store;

pub use cache::{BlockCache, CacheCounts, Cost, DiskCache, MemoryCache, RangeKey, TieredCache, Warmth, Worth};
pub use external::ExternalFiles;
pub use object_store;
pub use open::open;
pub use settings::StoreSettings;
pub use store::{Store, StoredObject};
