//! `top-nested`: the top values of a first key, within each the top values of a second, and so on.
//!
//! 1. The rows at hand are grouped by the level's key, and each group is aggregated.
//! 2. The best groups stay, in order; each is taken apart by the next level.
//! 3. If the level asks for it, the rows of all other groups come out as one row, under the name given; deeper levels show
//!    it whole under their own name for others, or not at all.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, SortField};
use kyma_core::{Error, Result, Type, Value};
use kyma_functions::{Emit, aggregate, array_value};

use crate::df_adapter::literal::array_of;
use crate::df_adapter::operators::Operator;

/// One level; places are columns of the input.
#[derive(Debug)]
pub(crate) struct Level {
    /// How many groups stay; all when absent.
    pub(crate) count: Option<u64>,
    /// What is grouped by.
    pub(crate) key: (usize, Type),
    /// The aggregate.
    pub(crate) function: &'static str,
    /// Its arguments: place, type, and the value where it is constant.
    pub(crate) args: Vec<(usize, Type, Option<Value>)>,
    /// The type of its result.
    pub(crate) ty: Type,
    /// Smallest first.
    pub(crate) ascending: bool,
    /// The name of all others.
    pub(crate) others: Option<Value>,
}

/// The operator.
#[derive(Debug)]
pub(crate) struct TopNested {
    /// Outermost first.
    pub(crate) levels: Vec<Level>,
    /// What comes out: a key and an aggregate per level.
    pub(crate) schema: SchemaRef,
}

impl Operator for TopNested {
    fn name(&self) -> &'static str {
        "top-nested"
    }

    fn whole(&self) -> bool {
        true
    }

    fn apply(&self, batch: RecordBatch) -> Result<RecordBatch> {
        let all: Vec<u32> = (0..batch.num_rows() as u32).collect();
        let mut out = Vec::new();
        self.descend(&batch, 0, &all, &mut Vec::new(), &mut out)?;
        let column = |(at, field): (usize, &arrow::datatypes::FieldRef)| {
            array_of(out.iter().map(|row: &Vec<Value>| &row[at]), Type::of_field(field))
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl TopNested {
    /// Appends the answer's rows for `rows`, which all have the values of `above`.
    fn descend(
        &self,
        batch: &RecordBatch,
        depth: usize,
        rows: &[u32],
        above: &mut Vec<Value>,
        out: &mut Vec<Vec<Value>>,
    ) -> Result<()> {
        let Some(level) = self.levels.get(depth) else {
            out.push(above.clone());
            return Ok(());
        };
        let mut groups = level.groups(batch, rows)?;
        groups.sort_by(|a, b| level.compare(&a.result, &b.result));
        let kept = level.count.map_or(groups.len(), |count| groups.len().min(count as usize));
        let others: Vec<u32> = groups.split_off(kept).into_iter().flat_map(|group| group.rows).collect();
        for group in groups {
            above.extend([group.key, group.result]);
            self.descend(batch, depth + 1, &group.rows, above, out)?;
            above.truncate(depth * 2);
        }
        if level.others.is_some() && !others.is_empty() {
            out.push(self.others(batch, depth, &others, above)?);
        }
        Ok(())
    }

    /// The row of all others of a level.
    fn others(&self, batch: &RecordBatch, depth: usize, rows: &[u32], above: &[Value]) -> Result<Vec<Value>> {
        let mut row = above.to_vec();
        for level in &self.levels[depth..] {
            match &level.others {
                Some(name) => {
                    row.extend([name.clone(), level.aggregate(batch, rows, &vec![0; rows.len()], 1)?.remove(0)])
                }
                None => row.extend([Value::Null(level.key.1), Value::Null(level.ty)]),
            }
        }
        Ok(row)
    }
}

/// The rows of one key.
struct Group {
    key: Value,
    rows: Vec<u32>,
    result: Value,
}

impl Level {
    fn groups(&self, batch: &RecordBatch, rows: &[u32]) -> Result<Vec<Group>> {
        let keys = taken(batch, self.key.0, rows)?;
        let converter = RowConverter::new(vec![SortField::new(keys.data_type().clone())])?;
        let converted = converter.convert_columns(std::slice::from_ref(&keys))?;
        let mut places = HashMap::new();
        let mut groups: Vec<Group> = Vec::new();
        let mut group_of = Vec::with_capacity(rows.len());
        for (at, key) in converted.iter().enumerate() {
            let place = *places.entry(key).or_insert(groups.len());
            if place == groups.len() {
                let key = array_value(&*keys, at, self.key.1);
                groups.push(Group { key, rows: Vec::new(), result: Value::Null(self.ty) });
            }
            groups[place].rows.push(rows[at]);
            group_of.push(place);
        }
        let results = self.aggregate(batch, rows, &group_of, groups.len())?;
        groups.iter_mut().zip(results).for_each(|(group, result)| group.result = result);
        Ok(groups)
    }

    /// The aggregate of each of `total` groups.
    fn aggregate(&self, batch: &RecordBatch, rows: &[u32], group_of: &[usize], total: usize) -> Result<Vec<Value>> {
        let types: Vec<Type> = self.args.iter().map(|(_, ty, _)| *ty).collect();
        let constants: Vec<Option<Value>> = self.args.iter().map(|(_, _, value)| value.clone()).collect();
        let args = self.args.iter().map(|(place, ..)| taken(batch, *place, rows)).collect::<Result<Vec<_>>>()?;
        let mut running = aggregate(self.function, &types, &constants, &[self.ty])?;
        running.update(&args, group_of, total)?;
        let results = running.finish(Emit::All)?;
        let results = results.first().ok_or_else(|| Error::internal("an aggregate without a result"))?;
        Ok((0..total).map(|group| array_value(&**results, group, self.ty)).collect())
    }

    /// Best first; nulls last.
    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let by_null = a.is_null().cmp(&b.is_null());
        let order = a.partial_compare(b).unwrap_or(Ordering::Equal);
        by_null.then(if self.ascending { order } else { order.reverse() })
    }
}

fn taken(batch: &RecordBatch, place: usize, rows: &[u32]) -> Result<ArrayRef> {
    Ok(take(batch.column(place), &UInt32Array::from(rows.to_vec()), None)?)
}
