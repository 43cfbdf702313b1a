//! Every table of an answer while it is made: what says which tables there are comes first, then, table after table, its
//! columns and its rows. A statement starts when the one before has given its last row.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::BoxStream;
use kyma_core::Schema;
use kyma_core::profile::Profile;
use kyma_plan::{Diagnostic, Visualization};
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    Account, Bounds, Engine, Meter, Ready, Running, STREAM_BATCHES, Watch, joined, nothing_asked, span_of, start,
};
use crate::df_adapter::run::{Rows, Runner};
use crate::request::{QueryError, QueryRequest};

/// The tables of an answer while they are made. Dropping it stops the query.
pub struct AnswerParts {
    /// One per table, in order.
    pub tables: Vec<TableHead>,
    /// Remarks.
    pub warnings: Vec<Diagnostic>,
    /// For each table its columns, then its rows; ends after the first error.
    pub parts: BoxStream<'static, Result<Part, QueryError>>,
    /// What it has cost so far; final after the last part.
    pub profile: Box<dyn Fn() -> Profile + Send + Sync>,
}

impl std::fmt::Debug for AnswerParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AnswerParts").field("tables", &self.tables).finish_non_exhaustive()
    }
}

/// What is known of a table before it is made.
#[derive(Debug, Clone)]
pub struct TableHead {
    /// Its name, when the query gave one.
    pub name: Option<String>,
    /// How to draw it.
    pub visualization: Option<Visualization>,
}

/// A part of an answer.
#[derive(Debug, Clone)]
pub enum Part {
    /// The next table begins, with these columns.
    Table(Schema),
    /// Rows of the table that began last.
    Rows(RecordBatch),
}

impl Engine {
    /// Answers every statement of a query, table after table, batch by batch.
    pub async fn stream_tables(
        &self,
        request: QueryRequest,
        cancel: CancellationToken,
    ) -> Result<AnswerParts, QueryError> {
        let (work, io) = (Arc::clone(&self.work), Handle::current());
        let bounds = Bounds::new(request.limits.timeout, cancel);
        let watch = Watch::default();
        let account = Account::open(&self.work, &request.language, &watch);
        let inner = Arc::clone(&watch);
        let span = span_of(&request);
        let task = self.spawn(async move { work.plan(request, None, &io, &inner).await }.instrument(span.clone()))?;
        let ready = match bounds.hold(joined(task)).await {
            Ok(ready) => ready,
            Err(error) => return Err(account.fail(error)),
        };
        let head = |statement: &kyma_plan::Statement| TableHead {
            name: statement.name.clone(),
            visualization: statement.visualization.clone(),
        };
        let tables: Vec<TableHead> = ready.query.statements.iter().map(head).collect();
        if tables.is_empty() {
            return Err(nothing_asked().into());
        }
        let (scope, warnings) = (Arc::clone(&ready.scope), ready.query.warnings.clone());
        let (send, receive) = tokio::sync::mpsc::channel(STREAM_BATCHES);
        let pumping = async move {
            let scope = Arc::clone(&ready.scope);
            let sent = bounds.hold(pump(ready, &send)).await;
            account.close(&scope.profile(), sent.as_ref().err());
            if let Err(error) = sent {
                let _ = send.send(Err(error)).await;
            }
        };
        let pump = self.spawn(pumping.instrument(span))?;
        let parts = futures::stream::unfold((receive, pump), |(mut receive, pump)| async move {
            receive.recv().await.map(|part| (part, (receive, pump)))
        });
        Ok(AnswerParts { tables, warnings, parts: parts.boxed(), profile: Box::new(move || scope.profile()) })
    }
}

/// Sends the tables, within the limits of the whole answer.
async fn pump(ready: Ready, send: &Sender<Result<Part, QueryError>>) -> Result<(), QueryError> {
    let Ready { scope, query, limits, truncate } = ready;
    let runner = Runner::new(&scope)?;
    let mut meter = Meter::new(&limits, truncate);
    for statement in &query.statements {
        let Rows { schema, mut batches } = start(&scope, &runner, &statement.plan).await?;
        let running = Running::begin(&scope);
        if send.send(Ok(Part::Table(schema))).await.is_err() {
            return Ok(());
        }
        while !meter.is_full
            && let Some(batch) = batches.next().await
        {
            let batch = batch?;
            let last = meter.rows_before_the_limit(&batch);
            let (batch, error) = match meter.admit(batch) {
                Ok(batch) => (batch, None),
                Err(error) => (last, Some(error)),
            };
            running.gave(meter.rows);
            if let Some(batch) = batch
                && send.send(Ok(Part::Rows(batch))).await.is_err()
            {
                return Ok(());
            }
            if let Some(error) = error {
                return Err(error.into());
            }
        }
    }
    Ok(())
}

impl Meter {
    /// The part of a batch that the limit of rows has room for, when it has not for all: whoever reads a stream gets
    /// what was asked for before the error.
    fn rows_before_the_limit(&self, batch: &RecordBatch) -> Option<RecordBatch> {
        let room = self.rows_max?.saturating_sub(self.rows);
        (0 < room && room < batch.num_rows()).then(|| batch.slice(0, room))
    }
}
