//! Finding the mapping that an ingestion names or brings along.

use kyma_core::{Error, Result};
use kyma_ingest::{BodyFormat, Mapping};

use crate::state::Shared;

/// Which mapping is wanted, if one is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The name of one that the table has.
    pub(crate) name: Option<String>,
    /// Or its text.
    pub(crate) inline: Option<String>,
}

/// The mapping for a body of `format` that goes to `table`.
///
/// # Errors
/// `NotFound` with code `ingest.mapping_missing`; `Invalid` with code `ingest.mapping_invalid`.
pub(crate) async fn resolve(
    state: &Shared,
    database: &str,
    table: &str,
    format: BodyFormat,
    wanted: &Wanted,
) -> Result<Option<Mapping>> {
    let present = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    if let Some(text) = present(&wanted.inline) {
        return Mapping::parse(format.mapping_kind(), &text).map(Some);
    }
    let Some(name) = present(&wanted.name) else { return Ok(None) };
    let missing = || {
        let message =
            format!("the table has no such mapping: database={database:?}, table={table:?}, mapping={name:?}");
        Error::not_found("ingest.mapping_missing", message)
            .hint("create it with .create table T ingestion json mapping, or see .show table T ingestion mappings")
    };
    let owner = state.catalog.database(database).await?.ok_or_else(missing)?;
    let table = state.catalog.table(owner.id, table).await?.ok_or_else(missing)?;
    let stored = state.catalog.ingestion_mapping(table.id, &name).await?.ok_or_else(missing)?;
    Mapping::parse(stored.kind.parse()?, &stored.json).map(Some)
}
