//! Migrations: forward only, embedded, run under the migrator's own lock.

use kyma_core::{Error, Result};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, SqlSafeStr};

use crate::error;
use crate::settings::CatalogSettings;

/// Every migration: number, name, text. A released one never changes.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "create catalog", include_str!("../../../migrations/0001_create_catalog.sql")),
    (2, "add manifests", include_str!("../../../migrations/0002_add_manifests.sql")),
    (3, "add definitions", include_str!("../../../migrations/0003_add_definitions.sql")),
    (4, "add upkeep", include_str!("../../../migrations/0004_add_upkeep.sql")),
    (5, "add journals", include_str!("../../../migrations/0005_add_journals.sql")),
    (6, "add history", include_str!("../../../migrations/0006_add_history.sql")),
    (7, "add caching", include_str!("../../../migrations/0007_add_caching.sql")),
];

pub(crate) async fn run(url: &str, settings: &CatalogSettings) -> Result<()> {
    let connecting = tokio::time::timeout(settings.connect_timeout(), PgConnection::connect(url));
    let mut connection =
        connecting.await.map_err(|_| error::timed_out("migrate"))?.map_err(|error| error::down("migrate", error))?;
    let migrated = migrator().run_direct(None, &mut connection, false).await;
    let closed = connection.close().await;
    migrated.map_err(|error| {
        Error::internal("the catalog cannot be migrated")
            .hint("was it migrated by a newer kyma? then use that one")
            .because(error)
    })?;
    closed.map_err(|error| error::down("migrate", error))
}

fn migrator() -> Migrator {
    let embedded = |&(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.iter().map(embedded).collect())
}
