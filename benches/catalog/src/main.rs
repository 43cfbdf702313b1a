//! What the catalog's level of a query takes over a million synthetic extents of one table: 30 days, of which one in ten
//! extents lasts a minute and one in a hundred an hour, with bounds of six columns.
//!
//! `cargo run --release -p kyma-bench-catalog [-- EXTENTS [URL]]` fills a throw-away PostgreSQL (or an empty database at a URL)
//! with `psql`, and prints one table. The rival of a list is `psql` copying the same rows to nowhere in PostgreSQL's own
//! binary format: what sending them costs when nobody looks at them.

#![allow(clippy::disallowed_methods)] // A bench writes no data of kyma.

// By path, because `kyma-exec` as a whole is a query engine that takes a quarter of an hour to compile.
#[allow(dead_code, unreachable_pub, missing_docs)]
#[path = "../../../crates/kyma-exec/src/manifest.rs"]
mod manifest;

mod fill;
mod measure;

use std::sync::Arc;

use anyhow::{Result, anyhow};
use kyma_catalog_postgres::local::{Options, Server};
use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};

/// Extents unless told otherwise.
const EXTENTS: u64 = 1_000_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let extents = arguments.next().map_or(Ok(EXTENTS), |text| text.parse())?;
    let url = arguments.next();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(extents, url))
}

async fn run(extents: u64, url: Option<String>) -> Result<()> {
    let directory = tempfile::tempdir()?;
    open_to_server_user(directory.path())?;
    let server = match url {
        Some(_) => None,
        None => Some(Server::start(Options::throw_away(directory.path().join("postgres"))).await.map_err(explain)?),
    };
    let url = url.unwrap_or_else(|| server.as_ref().map_or_else(String::new, |server| server.url_of("postgres")));
    let catalog = PostgresCatalog::connect(&url, &CatalogSettings::default()).await.map_err(explain)?;
    catalog.migrate().await.map_err(explain)?;
    let table = fill::fill(&*catalog, &url, extents).await?;
    measure::measure(&(Arc::clone(&catalog) as Arc<_>), &url, &table, extents).await?;
    if let Some(server) = server {
        server.stop().await.map_err(explain)?;
    }
    Ok(())
}

/// Root's server runs as another user, who must be able to enter the directory.
fn open_to_server_user(directory: &std::path::Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))?)
}

fn explain(error: kyma_core::Error) -> anyhow::Error {
    anyhow!("{error:?}")
}
