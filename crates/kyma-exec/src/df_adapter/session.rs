//! A session per query: its options, its memory, its tables.

use std::sync::Arc;

use datafusion::catalog::CatalogProviderList;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use kyma_core::Result;

use crate::df_adapter::error::from_df;
use crate::df_adapter::grouped::FuseGroupedScan;
use crate::df_adapter::late::ReadLate;
use crate::df_adapter::memory::QueryPool;
use crate::df_adapter::sql::SnapshotCatalog;
use crate::df_adapter::sql_functions;
use crate::scope::QueryScope;
use crate::settings::BATCH_ROWS;

/// Name of the one catalog that SQL sees.
pub(crate) const CATALOG: &str = "kyma";

/// The session of a query.
pub(crate) fn session(scope: &Arc<QueryScope>) -> Result<SessionState> {
    let settings = &scope.shared.settings;
    let mode = match &settings.spill_dir {
        Some(dir) => DiskManagerMode::Directories(vec![dir.clone()]),
        None => DiskManagerMode::Disabled,
    };
    let runtime = |mode: DiskManagerMode| {
        let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(settings.spill_bytes);
        RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(QueryPool::new(scope)))
            .with_disk_manager_builder(disk)
            .build_arc()
    };
    // The folder is a cache: where it is gone or may not be written, queries go on without it.
    let runtime = runtime(mode).or_else(|error| {
        tracing::debug!(error = %error, "queries cannot spill");
        runtime(DiskManagerMode::Disabled)
    });
    let runtime = runtime.map_err(from_df)?;
    let catalogs: Arc<dyn CatalogProviderList> = Arc::new(SnapshotCatalog::new(scope));
    let mut builder = SessionStateBuilder::new()
        .with_config(config(scope))
        .with_runtime_env(runtime)
        .with_default_features()
        .with_catalog_list(catalogs);
    if settings.prune {
        builder = builder
            .with_physical_optimizer_rule(Arc::new(FuseGroupedScan))
            .with_physical_optimizer_rule(Arc::new(ReadLate));
    }
    sql_functions::register(builder.build(), scope.now)
}

fn config(scope: &QueryScope) -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(scope.shared.settings.query_partitions())
        .with_batch_size(BATCH_ROWS)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, scope.database.clone())
        .with_information_schema(true)
        // A pipeline keeps its order: nothing may spread ordered rows over partitions.
        .with_round_robin_repartition(false);
    let options = config.options_mut();
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.coalesce_batches = true;
    // Bounds come from statistics; a filter that moves would keep the scan from trusting these.
    options.optimizer.enable_aggregate_dynamic_filter_pushdown = false;
    config
}
