//! `externaldata`: files are fetched while the plan is made, as sub-queries are run; where it is only explained, none is.

use datafusion::logical_expr::LogicalPlan;
use kyma_core::{Error, Result, Schema};
use kyma_plan::external::External;
use tokio_util::task::AbortOnDropHandle;

use super::Lowering;
use crate::external::rows;

impl Lowering {
    pub(super) async fn external(&self, external: &External, schema: &Schema) -> Result<LogicalPlan> {
        let mut batches = Vec::new();
        let urls = if self.explained.is_some() { &[][..] } else { &external.urls };
        for url in urls {
            let files = self.scope.shared.external.clone();
            let address = url.clone();
            // Requests run beside those to the store, not on the threads that compute.
            let fetched = AbortOnDropHandle::new(self.scope.io.spawn(async move { files.fetch(&address).await }));
            let bytes = fetched.await.map_err(|gone| Error::internal("a fetch died").because(gone))??;
            let bytes_max = self.scope.shared.settings.external_bytes_max;
            batches.push(rows(external, schema, url, &bytes, bytes_max)?);
        }
        self.rows(batches, schema.arrow())
    }
}
