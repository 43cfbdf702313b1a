//! `mv-apply` and `partition`: a sub-pipeline over the rows of every input row, or of every distinct key.
//!
//! The input is run first; then the body is planned and run once per group, in the order in which groups first appear;
//! most bodies of `mv-apply` are one plan over all rows instead ([`apply`]).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::row::{RowConverter, SortField};
use datafusion::logical_expr::LogicalPlan;
use kyma_core::{Error, Result, Schema};
use kyma_plan::{Node, Plan};

use crate::df_adapter::apply;
use crate::df_adapter::error::from_df;
use crate::df_adapter::literal::as_type;
use crate::df_adapter::lower::{InputRows, Lowering, Place, is_ordered, mv_expand};
use crate::df_adapter::narrow::prepared;
use crate::settings::BODIES_MAX;

impl Lowering {
    /// The rows of an operator with a body.
    pub(crate) async fn bodies(&self, plan: &Plan, place: Place<'_>) -> Result<LogicalPlan> {
        let batches = match &plan.node {
            Node::Partition { input, key, body } => {
                let rows = self.lower(input, place).await?;
                let width = input.schema.len();
                let keyed = self.with_columns(rows, std::slice::from_ref(key))?;
                let batch = self.one_batch(&keyed).await?;
                let groups = groups_of(batch.column(width))?;
                let batch = typed(&batch, &input.schema)?;
                let mut out = Vec::new();
                for rows in self.bounded(groups)? {
                    let group = take_record_batch(&batch, &UInt32Array::from(rows))?;
                    out.extend(self.body(body, group, place).await?);
                }
                retyped(out, &plan.schema)?
            }
            Node::MvApply { input, columns, item_index, row_limit, body, keep } => {
                let rows = self.lower(input, place).await?;
                let batch = typed(&self.one_batch(&rows).await?, &input.schema)?;
                let inner = input_schema(body).unwrap_or_else(|| input.schema.clone());
                let expand = mv_expand(&input.schema, &inner, columns, item_index.is_some(), false, *row_limit);
                let (expanded, sources) = expand.expand(&batch)?;
                if let Some(rows) = self.apply_flat(plan, &inner, &batch, &expanded, &sources, place).await? {
                    return Ok(rows);
                }
                let mut out = Vec::new();
                for (source, rows) in
                    self.bounded(runs(&sources))?.into_iter().map(|rows| (sources[rows[0] as usize], rows))
                {
                    let group = take_record_batch(&expanded, &UInt32Array::from(rows))?;
                    for answer in self.body(body, group, place).await? {
                        out.push(beside(&batch, keep, source, &answer, &plan.schema)?);
                    }
                }
                out
            }
            _ => return Err(Error::internal("this operator has no body")),
        };
        self.rows(batches, plan.schema.arrow())
    }

    /// `mv-apply` as one plan over the elements of all rows, where its body allows that.
    async fn apply_flat(
        &self,
        plan: &Plan,
        inner: &Schema,
        batch: &RecordBatch,
        expanded: &RecordBatch,
        sources: &[u32],
        place: Place<'_>,
    ) -> Result<Option<LogicalPlan>> {
        let Node::MvApply { input, body, keep, .. } = &plan.node else { return Ok(None) };
        let kept: Vec<_> = keep.iter().filter_map(|at| input.schema.columns().get(*at).cloned()).collect();
        let leaf = apply::leaf(inner, &kept);
        let flat = apply::flat(body, &leaf, kept.len(), is_ordered(input), &plan.schema);
        let Some(flat) = flat.filter(|_| self.scope.shared.settings.prune) else { return Ok(None) };
        let mut columns = expanded.columns().to_vec();
        let source = UInt32Array::from(sources.to_vec());
        for at in keep {
            columns.push(take(batch.column(*at), &source, None)?);
        }
        columns.push(Arc::new(Int64Array::from_iter_values(sources.iter().copied().map(i64::from))));
        let rows = typed(&RecordBatch::try_new(leaf.arrow(), columns)?, &leaf)?;
        let input = InputRows { schema: rows.schema(), batches: vec![rows] };
        let place = Place { input: Some(&input), depth: place.depth };
        self.lower(&prepared(flat), place).await.map(Some)
    }

    fn bounded(&self, groups: Vec<Vec<u32>>) -> Result<Vec<Vec<u32>>> {
        if groups.len() > BODIES_MAX {
            let text = format!("the sub-pipeline would run too often: times={}, limit={BODIES_MAX}", groups.len());
            return Err(Error::exhausted("query.too_many_bodies", text).hint("filter before mv-apply or partition"));
        }
        Ok(groups)
    }

    async fn one_batch(&self, plan: &LogicalPlan) -> Result<RecordBatch> {
        let batches = self.collect(plan, u32::MAX as usize).await?;
        Ok(concat_batches(plan.schema().inner(), &batches)?)
    }

    async fn body(&self, body: &Plan, rows: RecordBatch, place: Place<'_>) -> Result<Vec<RecordBatch>> {
        let input = InputRows { schema: rows.schema(), batches: vec![rows] };
        let plan = self.lower(body, Place { input: Some(&input), depth: place.depth }).await?;
        self.collect(&plan, u32::MAX as usize).await
    }
}

/// The schema of the body's leaf.
fn input_schema(body: &Plan) -> Option<Schema> {
    match &body.node {
        Node::Input => Some(body.schema.clone()),
        _ => body.inputs().into_iter().find_map(input_schema),
    }
}

/// The batch with exactly the columns of `schema`, in their Arrow types.
pub(crate) fn typed(batch: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.columns());
    let columns = columns.map(|(array, column)| as_type(Arc::clone(array), column.ty).map_err(from_df));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.arrow(), columns.collect::<Result<Vec<_>>>()?, &options)?)
}

fn retyped(batches: Vec<RecordBatch>, schema: &Schema) -> Result<Vec<RecordBatch>> {
    batches.iter().map(|batch| typed(batch, schema)).collect()
}

/// Row numbers by distinct value, in order of first appearance.
fn groups_of(key: &ArrayRef) -> Result<Vec<Vec<u32>>> {
    let rows = RowConverter::new(vec![SortField::new(key.data_type().clone())])?.convert_columns(&[Arc::clone(key)])?;
    let mut places = HashMap::new();
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let place = *places.entry(row).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(at as u32);
    }
    Ok(groups)
}

/// Row numbers by runs of one source.
fn runs(sources: &[u32]) -> Vec<Vec<u32>> {
    let mut groups: Vec<Vec<u32>> = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        match groups.last_mut().filter(|_| at > 0 && sources[at - 1] == *source) {
            Some(group) => group.push(at as u32),
            None => groups.push(vec![at as u32]),
        }
    }
    groups
}

/// Columns of one input row beside the rows of its body's answer.
fn beside(input: &RecordBatch, keep: &[usize], row: u32, answer: &RecordBatch, schema: &Schema) -> Result<RecordBatch> {
    let again = UInt32Array::from_value(row, answer.num_rows());
    let kept = keep.iter().map(|place| Ok(take(input.column(*place), &again, None)?));
    let columns: Vec<ArrayRef> =
        kept.chain(answer.columns().iter().map(|array| Ok(Arc::clone(array)))).collect::<Result<_>>()?;
    let columns = columns.into_iter().zip(schema.columns());
    let columns =
        columns.map(|(array, column)| as_type(array, column.ty).map_err(from_df)).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(answer.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?)
}
