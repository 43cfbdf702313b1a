//! A key of a batch as codes: distinct values, and per row which one.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, PrimitiveArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, DurationNanosecondType, Int32Type, Int64Type, TimestampNanosecondType};
use datafusion::common::internal_datafusion_err;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::collect_columns;

use crate::df_adapter::filter::renumber;
use crate::scan::columns::{batch_of, decoded, with_null};

/// Distinct numbers of a batch, up to which they are worth coding.
const NUMBERS_MAX: usize = 8_192;
/// A range of numbers up to this length is coded by a table.
const TABLE_MAX: u64 = 1 << 16;

/// A key of a batch.
pub(super) struct Codes {
    /// Its values, which may repeat.
    pub(super) values: ArrayRef,
    /// Per row, the place of its value.
    pub(super) codes: Vec<u32>,
}

/// The rows of a scan, some of whose strings are codes.
pub(super) struct Rows<'a> {
    batch: &'a RecordBatch,
    null_strings_are_empty: bool,
    /// The batch without codes, where it was asked for.
    plain: Option<RecordBatch>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(batch: &'a RecordBatch, null_strings_are_empty: bool) -> Self {
        Rows { batch, null_strings_are_empty, plain: None }
    }

    pub(super) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// The values of an expression.
    pub(super) fn evaluate(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<ArrayRef> {
        let rows = self.len();
        expr.evaluate(self.plain()?)?.into_array(rows)
    }

    fn plain(&mut self) -> Result<&RecordBatch> {
        if self.plain.is_none() {
            let column = |array| Ok(decoded(array, self.null_strings_are_empty)?);
            let columns = self.batch.columns().iter().map(column).collect::<Result<_>>()?;
            self.plain = Some(batch_of(columns, self.len())?);
        }
        self.plain.as_ref().ok_or_else(|| internal_datafusion_err!("a batch was not decoded"))
    }

    /// A key as codes; its plain values where that does not pay.
    pub(super) fn key(&mut self, expr: &Arc<dyn PhysicalExpr>) -> Result<std::result::Result<Codes, ArrayRef>> {
        if let Some(coded) = self.by_dictionary(expr)? {
            return Ok(Ok(coded));
        }
        let values = self.evaluate(expr)?;
        Ok(of_array(&values).ok_or(values))
    }

    /// The codes of an expression over one column that came as codes.
    fn by_dictionary(&self, expr: &Arc<dyn PhysicalExpr>) -> Result<Option<Codes>> {
        let columns = collect_columns(expr);
        let mut columns = columns.iter();
        let (Some(column), None) = (columns.next(), columns.next()) else { return Ok(None) };
        let array = self.batch.column(column.index());
        let Some(dictionary) = array.as_any_dictionary_opt() else { return Ok(None) };
        let Some(keys) = dictionary.keys().as_primitive_opt::<Int32Type>() else { return Ok(None) };
        let texts = match keys.null_count() {
            0 => Arc::clone(dictionary.values()),
            _ => with_null(dictionary.values(), self.null_strings_are_empty)?,
        };
        let null = dictionary.values().len() as u32;
        let code = |row: usize| if keys.is_null(row) { null } else { keys.value(row) as u32 };
        let codes = match keys.null_count() {
            0 => keys.values().iter().map(|&key| key as u32).collect(),
            _ => (0..keys.len()).map(code).collect(),
        };
        let values = match expr.downcast_ref::<Column>() {
            Some(_) => texts,
            None => {
                let (rows, local) = (texts.len(), renumber(Arc::clone(expr), |_| Some(0))?);
                // Values that no row has may have no result: then the rows are looked at.
                let values = local.evaluate(&batch_of(vec![texts], rows)?).and_then(|values| values.into_array(rows));
                let Ok(values) = values else { return Ok(None) };
                values
            }
        };
        Ok(Some(Codes { values, codes }))
    }
}

/// Whole numbers and times with few distinct values.
fn of_array(array: &ArrayRef) -> Option<Codes> {
    match array.data_type() {
        DataType::Int64 => of_numbers::<Int64Type>(array.as_primitive(), |number| number),
        DataType::Int32 => of_numbers::<Int32Type>(array.as_primitive(), i64::from),
        DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, _) => {
            of_numbers::<TimestampNanosecondType>(array.as_primitive(), |number| number)
        }
        DataType::Duration(arrow::datatypes::TimeUnit::Nanosecond) => {
            of_numbers::<DurationNanosecondType>(array.as_primitive(), |number| number)
        }
        DataType::Boolean => {
            let truths = array.as_boolean();
            let code = |row: usize| match truths.is_null(row) {
                true => 2,
                false => u32::from(truths.value(row)),
            };
            let values: arrow::array::BooleanArray = [Some(false), Some(true), None].into_iter().collect();
            Some(Codes { values: Arc::new(values), codes: (0..truths.len()).map(code).collect() })
        }
        _ => None,
    }
}

fn of_numbers<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, number: impl Fn(T::Native) -> i64) -> Option<Codes> {
    let mut coder = Coder::new(array, &number);
    // First rows of each code: the values are taken from there, nulls included.
    let (mut firsts, mut codes) = (Vec::<u32>::new(), Vec::with_capacity(array.len()));
    let mut last: Option<(Option<i64>, u32)> = None;
    for row in 0..array.len() {
        let value = array.is_valid(row).then(|| number(array.value(row)));
        if let Some((_, code)) = last.filter(|(known, _)| *known == value) {
            codes.push(code);
            continue;
        }
        let next = firsts.len() as u32;
        let code = coder.code(value, next);
        if code == next {
            if firsts.len() == NUMBERS_MAX {
                return None;
            }
            firsts.push(row as u32);
        }
        codes.push(code);
        last = Some((value, code));
    }
    let values = take(array, &UInt32Array::from(firsts), None).ok()?;
    Some(Codes { values, codes })
}

/// Gives numbers their codes.
struct Coder {
    null: Option<u32>,
    /// The least number, and the code of each from there on.
    table: Option<(i64, Vec<u32>)>,
    others: HashMap<i64, u32>,
}

const NO_CODE: u32 = u32::MAX;

impl Coder {
    fn new<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, number: &impl Fn(T::Native) -> i64) -> Self {
        let bounds = array.iter().flatten().map(number).fold(None, |bounds: Option<(i64, i64)>, value| {
            Some(bounds.map_or((value, value), |(min, max)| (min.min(value), max.max(value))))
        });
        let table = bounds.and_then(|(min, max)| {
            let length = max.abs_diff(min).checked_add(1).filter(|length| *length <= TABLE_MAX)?;
            Some((min, vec![NO_CODE; length as usize]))
        });
        Coder { null: None, table, others: HashMap::new() }
    }

    /// The code of a number; `next` when it is new.
    fn code(&mut self, value: Option<i64>, next: u32) -> u32 {
        let Some(value) = value else { return *self.null.get_or_insert(next) };
        match &mut self.table {
            Some((min, table)) => {
                let slot = &mut table[value.abs_diff(*min) as usize];
                if *slot == NO_CODE {
                    *slot = next;
                }
                *slot
            }
            None => *self.others.entry(value).or_insert(next),
        }
    }
}
