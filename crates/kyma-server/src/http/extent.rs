//! `GET /v1/extents/{id}`: what the catalog knows of an extent, and how its bytes are laid out; with `?footer=true` also
//! the footer's bytes in hexadecimal.

use axum::Json;
use axum::extract::{Path, Query, State};
use futures::TryStreamExt;
use kyma_core::extent::Extent;
use kyma_core::{Error, ExtentId, Result};
use serde_json::{Value as Json_, json};

use crate::extents;
use crate::failure::Failure;
use crate::state::{Shared, State as Node};

#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    footer: bool,
}

pub(crate) async fn describe(
    State(state): State<Shared>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Json_>, Failure> {
    let id = id.parse().map(ExtentId).map_err(|_| {
        Error::invalid("extent.id", format!("not an extent's id: id={id:?}")).hint("`.show extents` lists them")
    })?;
    let extent = find(&state, id).await?;
    let (opened, reader) = extents::open(&state, &extent).await?;
    let mut described = json!({ "extent": extent, "layout": opened.describe() });
    if wanted.footer {
        let length = extent.location.length;
        let start = length.saturating_sub(u64::from(extent.footer_length));
        let read = reader.read(std::slice::from_ref(&(start..length))).await?;
        let digits = read.iter().flatten().map(|byte| format!("{byte:02x}"));
        described["footer"] = digits.collect::<String>().into();
    }
    Ok(Json(described))
}

/// Looks through every table's visible extents: for people, not for queries.
async fn find(state: &Node, id: ExtentId) -> Result<Extent> {
    for database in state.catalog.databases().await? {
        for table in state.catalog.tables(database.id).await? {
            let mut extents = extents::list(state, &table).await?;
            while let Some(extent) = extents.try_next().await? {
                if extent.id == id {
                    return Ok(extent);
                }
            }
        }
    }
    Err(Error::not_found("extent.unknown", format!("no visible extent has this id: id={id}"))
        .hint("`.show extents` lists them"))
}
