//! What the engine calls: a plan in, rows out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::StreamExt;
use futures::stream::BoxStream;
use kyma_core::explain::Explanation;
use kyma_core::{Result, Schema, Type};
use kyma_plan::{Node, Plan};
use parking_lot::Mutex;

use crate::df_adapter::error::from_df;
use crate::df_adapter::explain::explain;
use crate::df_adapter::literal::as_type;
use crate::df_adapter::lower::{Lowering, Place};
use crate::df_adapter::narrow::prepared;
use crate::df_adapter::session::session;
use crate::df_adapter::watch::{Watched, watch};
use crate::scope::QueryScope;

/// The rows of a statement while they are made.
pub struct Rows {
    /// Their columns.
    pub schema: Schema,
    /// They, in the Arrow types of `schema`.
    pub batches: BoxStream<'static, Result<RecordBatch>>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

/// Runs the statements of one query.
pub struct Runner {
    lowering: Lowering,
    running: Mutex<Option<Watched>>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

impl Runner {
    /// For the query of `scope`.
    pub fn new(scope: &Arc<QueryScope>) -> Result<Self> {
        Ok(Runner { lowering: Lowering::new(Arc::clone(scope), session(scope)?), running: Mutex::default() })
    }

    /// For the query of `scope`, of which nothing is run.
    pub fn explaining(scope: &Arc<QueryScope>) -> Result<Self> {
        let mut runner = Runner::new(scope)?;
        runner.lowering.explained = Some(Mutex::default());
        Ok(runner)
    }

    /// Starts a statement, after the one before it has ended. What its operators do is in the profile until this is
    /// dropped.
    pub async fn start(&self, plan: &Plan) -> Result<Rows> {
        let (physical, schema) = self.plan(plan).await?;
        let (columns, arrow) = (schema.clone(), schema.arrow());
        self.running.lock().take();
        *self.running.lock() = Some(watch(&self.lowering.scope, &physical));
        let rows = execute_stream(physical, self.lowering.state.task_ctx()).map_err(from_df)?;
        let batches = rows.map(move |batch| conform(&batch.map_err(from_df)?, &columns, &arrow)).boxed();
        Ok(Rows { schema, batches })
    }

    /// Adds how a statement would run.
    pub async fn explain(&self, plan: &Plan, explanation: &mut Explanation) -> Result<()> {
        let (physical, _) = self.plan(plan).await?;
        let sub_queries = self.lowering.explained.as_ref().map(|plans| std::mem::take(&mut *plans.lock()));
        for sub_query in sub_queries.unwrap_or_default() {
            explain(&sub_query, explanation).await;
        }
        explain(&physical, explanation).await;
        Ok(())
    }

    async fn plan(&self, plan: &Plan) -> Result<(Arc<dyn ExecutionPlan>, Schema)> {
        let plan = prepared(plan.clone());
        let logical = self.lowering.lower(&plan, Place { input: None, depth: 0 }).await?;
        let physical = self.lowering.state.create_physical_plan(&logical).await.map_err(from_df)?;
        let schema = match plan.node {
            Node::Sql(_) => distinct(Schema::of_arrow(&physical.schema())),
            _ => plan.schema,
        };
        Ok((physical, schema))
    }
}

/// The schema with distinct names: SQL may give one name twice.
fn distinct(schema: Schema) -> Schema {
    let mut seen = std::collections::HashSet::new();
    let columns = schema.columns().iter().map(|column| {
        let mut name = column.name.clone();
        let mut count = 1;
        while !seen.insert(name.clone()) {
            name = format!("{}{count}", column.name);
            count += 1;
        }
        kyma_core::Column::new(name, column.ty)
    });
    columns.collect()
}

/// The batch in the types and names of `schema`.
fn conform(batch: &RecordBatch, schema: &Schema, arrow: &SchemaRef) -> Result<RecordBatch> {
    let column = |(array, column): (&ArrayRef, &kyma_core::Column)| match nested(array.data_type()) {
        true => as_json(array),
        false => as_type(unsigned(array)?, column.ty).map_err(from_df),
    };
    let columns = batch.columns().iter().zip(schema.columns()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(arrow), columns, &options)?)
}

fn nested(ty: &DataType) -> bool {
    Type::of_arrow(ty) == Type::Dynamic
}

/// Times of SQL that have no direct way to nanoseconds go by way of numbers.
fn unsigned(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Time64(_) | DataType::Time32(_) => {
            let nanos = arrow::compute::cast(array, &DataType::Time64(arrow::datatypes::TimeUnit::Nanosecond))?;
            Ok(arrow::compute::cast(&nanos, &DataType::Int64)?)
        }
        _ => Ok(Arc::clone(array)),
    }
}

/// Lists, structs and the like as JSON text.
fn as_json(array: &ArrayRef) -> Result<ArrayRef> {
    use arrow::json::writer::{JsonArray, WriterBuilder};
    let field = Arc::new(arrow::datatypes::Field::new("v", array.data_type().clone(), true));
    let schema = Arc::new(arrow::datatypes::Schema::new(vec![field]));
    let mut out = Vec::with_capacity(array.len());
    let formatter = ArrayFormatter::try_new(&**array, &FormatOptions::default())?;
    for row in 0..array.len() {
        if array.is_null(row) {
            out.push(None);
            continue;
        }
        let one = RecordBatch::try_new(Arc::clone(&schema), vec![array.slice(row, 1)])?;
        let mut writer = WriterBuilder::new().with_explicit_nulls(true).build::<_, JsonArray>(Vec::new());
        let written = writer.write(&one).and_then(|()| writer.finish());
        let text = String::from_utf8(writer.into_inner()).unwrap_or_default();
        let value = text.strip_prefix("[{\"v\":").and_then(|text| text.strip_suffix("}]"));
        out.push(match (written, value) {
            (Ok(()), Some(value)) => Some(value.to_owned()),
            _ => Some(serde_json::Value::from(formatter.value(row).to_string()).to_string()),
        });
    }
    Ok(Arc::new(out.into_iter().collect::<arrow::array::StringViewArray>()))
}
