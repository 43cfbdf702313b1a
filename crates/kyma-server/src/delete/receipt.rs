//! What a deletion has removed: counted in the transactions that removed it, added up afterwards.

use kyma_core::catalog::{self, Catalog};
use kyma_core::{DatabaseId, Error, ExtentId, Result, Sequence};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What was removed, of one extent or of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Receipt {
    /// Rows that went.
    pub(crate) rows_removed: u64,
    /// Extents that were written again without them.
    pub(crate) extents_rewritten: u64,
    /// Extents of which nothing was left.
    pub(crate) extents_removed: u64,
    /// Extents that held none of the rows.
    pub(crate) extents_untouched: u64,
    /// Stored bytes of the extents that went.
    pub(crate) bytes_removed: u64,
    /// Stored bytes of those that came.
    pub(crate) bytes_written: u64,
    /// The last commit; 0 when there was none.
    pub(crate) sequence: i64,
}

impl Receipt {
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn add(&mut self, other: &Receipt) {
        self.rows_removed += other.rows_removed;
        self.extents_rewritten += other.extents_rewritten;
        self.extents_removed += other.extents_removed;
        self.bytes_removed += other.bytes_removed;
        self.bytes_written += other.bytes_written;
    }
}

/// How the keys of an operation's receipts begin.
fn prefix(operation: Uuid) -> String {
    format!("{}/{operation}/", super::TASK)
}

/// The key of one extent's receipt: no client can guess it.
pub(super) fn key(operation: Uuid, extent: ExtentId) -> String {
    format!("{}{extent}", prefix(operation))
}

/// The receipt that goes with a commit.
pub(super) fn of(database: DatabaseId, operation: Uuid, extent: ExtentId, what: Receipt) -> Result<catalog::Receipt> {
    let answer = serde_json::to_value(what).map_err(|error| Error::internal("a receipt is no JSON").because(error))?;
    Ok(catalog::Receipt { database, key: key(operation, extent), answer, window_seconds: None })
}

/// The sum of an operation's receipts.
pub(super) async fn total(catalog: &dyn Catalog, database: DatabaseId, operation: Uuid) -> Result<Receipt> {
    let mut total = Receipt::default();
    for (_, answer, Sequence(sequence)) in catalog.receipts(database, &prefix(operation)).await? {
        let one: Receipt = serde_json::from_value(answer)
            .map_err(|error| Error::corrupt("a receipt in the catalog is not understood").because(error))?;
        total.add(&one);
        total.sequence = total.sequence.max(sequence);
    }
    Ok(total)
}
