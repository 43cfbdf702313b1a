//! `make-series`: rows get their bin, are aggregated by key and bin, and are laid out over all bins.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use kyma_core::{Result, Type, Value};
use kyma_functions::Arg;
use kyma_functions::table::{SeriesValue, make_series, series_bins};

use crate::df_adapter::operators::Operator;

/// Ends and width of the axis.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    /// Its type.
    pub(crate) ty: Type,
    /// First bin.
    pub(crate) from: Option<Value>,
    /// End.
    pub(crate) to: Option<Value>,
    /// Width of a bin.
    pub(crate) step: Value,
}

/// Replaces the last column by its bin and drops rows outside.
#[derive(Debug)]
pub(crate) struct Bins(pub(crate) Axis);

impl Operator for Bins {
    fn name(&self) -> &'static str {
        "series bins"
    }

    fn whole(&self) -> bool {
        false
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let axis = &self.0;
        let mut columns = batch.columns().to_vec();
        let last = columns.pop().ok_or_else(|| kyma_core::Error::internal("a series without an axis"))?;
        let (from, to) = (axis.from.as_ref(), axis.to.as_ref());
        let (bins, inside) = series_bins(&Arg::Array(last), axis.ty, from, to, &axis.step, batch.num_rows())?;
        columns.push(bins);
        let binned = RecordBatch::try_new(batch.schema(), columns)?;
        Ok(filter_record_batch(&binned, &BooleanArray::new(inside, None))?)
    }
}

/// Lays out: keys, the bin, then the aggregates come in; keys, arrays and the axis come out.
#[derive(Debug)]
pub(crate) struct LayOut {
    /// The axis.
    pub(crate) axis: Axis,
    /// How many keys.
    pub(crate) keys: usize,
    /// Type and default of every aggregate.
    pub(crate) values: Vec<(Type, Value)>,
    /// What comes out.
    pub(crate) schema: SchemaRef,
}

impl Operator for LayOut {
    fn name(&self) -> &'static str {
        "make-series"
    }

    fn whole(&self) -> bool {
        true
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let (keys, rest) = batch.columns().split_at(self.keys);
        let value = |(array, (ty, default)): (&arrow::array::ArrayRef, &(Type, Value))| SeriesValue {
            array: Arc::clone(array),
            ty: *ty,
            default: default.clone(),
        };
        let values: Vec<SeriesValue> = rest[1..].iter().zip(&self.values).map(value).collect();
        let Axis { ty, from, to, step } = &self.axis;
        let series = make_series(keys, &rest[0], *ty, &values, from.as_ref(), to.as_ref(), step)?;
        let sources = UInt32Array::from(series.sources);
        let mut columns =
            keys.iter().map(|key| take(key, &sources, None)).collect::<std::result::Result<Vec<_>, _>>()?;
        columns.extend(series.values);
        columns.push(series.axis);
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
