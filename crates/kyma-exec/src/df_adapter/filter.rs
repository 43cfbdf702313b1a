//! The filter of a scan as conditions, evaluated by DataFusion's expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, DictionaryArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int32Type;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::expressions::DynamicFilterTracking;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_expr_common::physical_expr::{snapshot_generation, snapshot_physical_expr};
use kyma_core::format::ReadColumn;
use kyma_core::predicate::Predicate;
use kyma_core::{Result as KymaResult, Type};

use crate::df_adapter::error::from_df;
use crate::df_adapter::extract::Extractor;
use crate::scan::columns::{batch_of, with_null};
use crate::scan::{Condition, RowFilter};

/// More conditions than this are tested as one.
const CONDITIONS_MAX: usize = 16;

/// Conjuncts over the columns of a scan.
#[derive(Debug)]
pub(crate) struct ExprFilter {
    places: Vec<usize>,
    /// Over the batch of the columns at `places`.
    local: Arc<dyn PhysicalExpr>,
    /// Over all columns of the scan, where it changes.
    moving: Option<Arc<dyn PhysicalExpr>>,
    columns: Vec<ReadColumn>,
    null_strings_are_empty: bool,
}

/// What conjuncts of one condition share: whether they came after planning, whether they move, and their columns.
type Kind = (bool, bool, Vec<usize>);

/// The conditions that `filters` are, of which the first `planned` were known when the scan was planned. Conjuncts over the
/// same columns are one condition.
pub(crate) fn conditions(
    filters: &[Arc<dyn PhysicalExpr>],
    planned: usize,
    columns: &[ReadColumn],
    null_strings_are_empty: bool,
) -> Result<Vec<Condition>> {
    let mut groups: BTreeMap<Kind, Vec<Arc<dyn PhysicalExpr>>> = BTreeMap::new();
    for (at, filter) in filters.iter().enumerate() {
        for conjunct in split_conjunction(filter) {
            let is_moving = DynamicFilterTracking::classify(conjunct).contains_dynamic_filter();
            groups.entry((at >= planned, is_moving, places_of([conjunct]))).or_default().push(Arc::clone(conjunct));
        }
    }
    if groups.len() > CONDITIONS_MAX {
        groups = BTreeMap::from([((planned < filters.len(), true, Vec::new()), filters.to_vec())]);
    }
    let extractor = Extractor { columns, null_strings_are_empty, facts: false };
    let condition = |((is_later, is_moving, _), conjuncts): (Kind, Vec<Arc<dyn PhysicalExpr>>)| {
        let predicate = extractor.all(&conjuncts);
        let is_exact = !is_later && !is_moving && !predicate.has_opaque();
        let filter = Arc::new(ExprFilter::new(conjuncts, columns, null_strings_are_empty)?);
        Ok(Condition { filter, predicate, is_exact })
    };
    groups.into_iter().map(condition).collect()
}

/// Places of the columns that expressions use, ascending.
pub(crate) fn places_of<'a>(exprs: impl IntoIterator<Item = &'a Arc<dyn PhysicalExpr>>) -> Vec<usize> {
    let columns = exprs.into_iter().flat_map(collect_columns);
    let mut places: Vec<usize> = columns.map(|column| column.index()).collect();
    places.sort_unstable();
    places.dedup();
    places
}

impl ExprFilter {
    /// The conjunction of `filters`, whose columns are places in `columns`.
    fn new(filters: Vec<Arc<dyn PhysicalExpr>>, columns: &[ReadColumn], null_strings_are_empty: bool) -> Result<Self> {
        let whole = conjunction(filters);
        let places = places_of([&whole]);
        let local = renumber(Arc::clone(&whole), |place| places.iter().position(|one| *one == place))?;
        let moving = DynamicFilterTracking::classify(&whole).contains_dynamic_filter().then_some(whole);
        Ok(ExprFilter { places, local, moving, columns: columns.to_vec(), null_strings_are_empty })
    }

    fn passed(&self, batch: &RecordBatch) -> KymaResult<BooleanBuffer> {
        let rows = batch.num_rows();
        let value = self.local.evaluate(batch).and_then(|value| value.into_array(rows)).map_err(from_df)?;
        let passed: &BooleanArray = value
            .as_boolean_opt()
            .ok_or_else(|| kyma_core::Error::internal("a filter gave something else than truth values"))?;
        Ok(match passed.nulls() {
            Some(valid) => passed.values() & valid.inner(),
            None => passed.values().clone(),
        })
    }

    /// The test of a column of codes: of each value of the dictionary once.
    fn passed_of_codes(&self, codes: &DictionaryArray<Int32Type>) -> KymaResult<BooleanBuffer> {
        let (values, nulls) = (codes.values(), codes.nulls());
        let all = with_null(values, self.null_strings_are_empty)?;
        let passed = self.passed(&batch_of(vec![all], values.len() + 1)?)?;
        let (keys, null) = (codes.keys().values(), passed.value(values.len()));
        Ok(match nulls {
            None => BooleanBuffer::collect_bool(keys.len(), |row| passed.value(keys[row] as usize)),
            Some(valid) => BooleanBuffer::collect_bool(keys.len(), |row| match valid.is_valid(row) {
                true => passed.value(keys[row] as usize),
                false => null,
            }),
        })
    }
}

/// The expression with every column's place changed; columns without a new place stay.
pub(crate) fn renumber(
    expr: Arc<dyn PhysicalExpr>,
    place: impl Fn(usize) -> Option<usize>,
) -> Result<Arc<dyn PhysicalExpr>> {
    let changed = expr.transform_up(|node| {
        let moved = node.downcast_ref::<Column>().and_then(|column| {
            let to = place(column.index())?;
            Some(Arc::new(Column::new(column.name(), to)) as Arc<dyn PhysicalExpr>)
        });
        Ok(moved.map_or_else(|| Transformed::no(Arc::clone(&node)), Transformed::yes))
    })?;
    Ok(changed.data)
}

impl RowFilter for ExprFilter {
    fn columns(&self) -> &[usize] {
        &self.places
    }

    fn takes_codes(&self) -> bool {
        matches!(self.places.as_slice(), [place] if self.columns.get(*place).is_some_and(|one| one.ty == Type::String))
    }

    fn evaluate(&self, batch: &RecordBatch) -> KymaResult<BooleanBuffer> {
        match batch.columns() {
            [column] => match column.as_dictionary_opt::<Int32Type>() {
                Some(codes) => self.passed_of_codes(codes),
                None => self.passed(batch),
            },
            _ => self.passed(batch),
        }
    }

    fn live(&self) -> Option<(u64, Predicate)> {
        let moving = self.moving.as_ref()?;
        let generation = snapshot_generation(moving);
        let current = snapshot_physical_expr(Arc::clone(moving)).ok()?;
        let extractor =
            Extractor { columns: &self.columns, null_strings_are_empty: self.null_strings_are_empty, facts: false };
        Some((generation, extractor.predicate(&current)))
    }
}
