//! Finds partial aggregations over scans.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr_common::physical_expr::is_volatile;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};
use kyma_core::Type;

use super::{Aggregate, GroupedScan, Grouping};
use crate::df_adapter::filter::{places_of, renumber};
use crate::df_adapter::source::ExtentScan;
use crate::scan::facts::Fact;

/// Distinct values that a key may have in an extent.
const DISTINCT_MAX: u64 = 16_384;

/// The rule.
#[derive(Debug)]
pub(crate) struct FuseGroupedScan;

impl PhysicalOptimizerRule for FuseGroupedScan {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let fused = plan.transform_down(|node| match node.downcast_ref::<AggregateExec>().map(fused).transpose()? {
            Some(Some(fused)) => Ok(Transformed::yes(fused)),
            _ => Ok(Transformed::no(node)),
        });
        fused.map(|fused| fused.data)
    }

    fn name(&self) -> &str {
        "fuse_grouped_scan"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The aggregation over a scan that groups, if it is one.
fn fused(aggregate: &AggregateExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let group_by = aggregate.group_expr();
    let is_plain = aggregate.limit_options().is_none()
        && !group_by.has_grouping_set()
        && *aggregate.input_order_mode() == InputOrderMode::Linear
        && aggregate.aggr_expr().iter().all(|call| {
            call.groups_accumulator_supported()
                && !call.is_distinct()
                && call.order_bys().is_empty()
                && is_known(call, !group_by.is_empty())
        });
    if !is_plain {
        return Ok(None);
    }
    let partial = || {
        AggregateExec::try_new(
            AggregateMode::Partial,
            group_by.clone(),
            aggregate.aggr_expr().to_vec(),
            aggregate.filter_expr().to_vec(),
            Arc::clone(aggregate.input()),
            aggregate.input_schema(),
        )
    };
    match aggregate.mode() {
        AggregateMode::Partial => Ok(grouped(aggregate)?.map(|scan| scan as Arc<dyn ExecutionPlan>)),
        AggregateMode::Single => {
            let Some(scan) = grouped(&partial()?)? else { return Ok(None) };
            let filters = vec![None; aggregate.aggr_expr().len()];
            let single = AggregateExec::try_new(
                AggregateMode::Final,
                group_by.as_final(),
                aggregate.aggr_expr().to_vec(),
                filters,
                scan,
                aggregate.input_schema(),
            )?;
            let same = single.schema() == aggregate.schema();
            Ok(same.then(|| Arc::new(single) as Arc<dyn ExecutionPlan>))
        }
        _ => Ok(None),
    }
}

/// Aggregates whose grouped state is that of the ungrouped one. Extremes of reals are not: with groups, NaN and infinities
/// are compared otherwise.
fn is_known(call: &AggregateFunctionExpr, has_keys: bool) -> bool {
    match call.fun().name() {
        "min" | "max" => has_keys || !call.field().data_type().is_floating(),
        name => name.starts_with("kyma.") || matches!(name, "count" | "sum" | "avg"),
    }
}

fn grouped(partial: &AggregateExec) -> Result<Option<Arc<GroupedScan>>> {
    let mut found = Found { keys: Vec::new(), aggregates: Vec::new() };
    found.keys.extend(partial.group_expr().expr().iter().map(|(key, _)| Arc::clone(key)));
    for (call, filter) in partial.aggr_expr().iter().zip(partial.filter_expr()) {
        let aggregate = Aggregate { call: Arc::clone(call), args: call.expressions(), filter: filter.clone() };
        found.aggregates.push(aggregate);
    }
    let mut input = Arc::clone(partial.input());
    let scan = loop {
        if let Some(projection) = input.downcast_ref::<ProjectionExec>() {
            let exprs: Vec<Arc<dyn PhysicalExpr>> = projection.expr().iter().map(|one| Arc::clone(&one.expr)).collect();
            if !found.uses_once(&exprs) {
                return Ok(None);
            }
            found.change(|expr| substitute(expr, &exprs))?;
            input = Arc::clone(projection.input());
        } else if input.downcast_ref::<CooperativeExec>().is_some() {
            let Some(child) = input.children().first().map(|child| Arc::clone(child)) else { return Ok(None) };
            input = child;
        } else {
            break ExtentScan::of(&input);
        }
    };
    let Some(scan) = scan.filter(|scan| !scan.is_limited()) else { return Ok(None) };
    // Footers and statistics do not have what only the catalog knows.
    if scan.read_columns().iter().any(|column| Fact::of(column).is_some()) {
        return Ok(None);
    }
    if found.exprs().any(is_volatile) || !found.keys.iter().all(|key| is_small(key, scan)) {
        return Ok(None);
    }
    let places = found.places();
    found.change(|expr| renumber(expr, |place| places.iter().position(|one| *one == place)))?;
    let scan = scan.narrowed(&places)?;
    let schema = partial.schema();
    let key_schema = Schema::new(schema.fields()[..found.keys.len()].to_vec());
    let grouping = Grouping {
        keys: found.keys,
        key_schema: Arc::new(key_schema),
        aggregates: found.aggregates,
        schema,
        columns: scan.read_columns(),
        null_strings_are_empty: scan.query().null_strings_are_empty,
    };
    Ok(Some(Arc::new(GroupedScan::new(scan, grouping))))
}

/// Keys and aggregates on their way down to the scan.
struct Found {
    keys: Vec<Arc<dyn PhysicalExpr>>,
    aggregates: Vec<Aggregate>,
}

impl Found {
    fn change(&mut self, change: impl Fn(Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>>) -> Result<()> {
        let aggregates = self.aggregates.iter_mut();
        let inner = aggregates.flat_map(|aggregate| aggregate.args.iter_mut().chain(aggregate.filter.as_mut()));
        for expr in self.keys.iter_mut().chain(inner) {
            *expr = change(Arc::clone(expr))?;
        }
        Ok(())
    }

    fn exprs(&self) -> impl Iterator<Item = &Arc<dyn PhysicalExpr>> {
        self.keys.iter().chain(self.aggregates.iter().flat_map(Aggregate::exprs))
    }

    /// Whether each of `projected` that is to be computed is used once at most: it would be computed as often.
    fn uses_once(&self, projected: &[Arc<dyn PhysicalExpr>]) -> bool {
        let mut uses = vec![0_usize; projected.len()];
        for expr in self.exprs() {
            let counted = expr.apply(|node| {
                if let Some(count) = node.downcast_ref::<Column>().and_then(|column| uses.get_mut(column.index())) {
                    *count += 1;
                }
                Ok(TreeNodeRecursion::Continue)
            });
            if counted.is_err() {
                return false;
            }
        }
        let is_plain = |expr: &Arc<dyn PhysicalExpr>| {
            expr.downcast_ref::<Column>().is_some() || expr.downcast_ref::<Literal>().is_some()
        };
        projected.iter().zip(uses).all(|(expr, uses)| uses <= 1 || is_plain(expr))
    }

    /// The columns that are used, ascending.
    fn places(&self) -> Vec<usize> {
        places_of(self.exprs())
    }
}

/// The expression over what a projection's columns are.
fn substitute(expr: Arc<dyn PhysicalExpr>, projected: &[Arc<dyn PhysicalExpr>]) -> Result<Arc<dyn PhysicalExpr>> {
    let replaced = expr.transform_down(|node| {
        let inner = node.downcast_ref::<Column>().and_then(|column| projected.get(column.index()).cloned());
        // A replacement is over the projection's input: it must not be looked into again.
        Ok(match inner {
            Some(inner) => Transformed::new(inner, true, TreeNodeRecursion::Jump),
            None => Transformed::no(node),
        })
    });
    replaced.map(|replaced| replaced.data)
}

/// Whether a key has few values in an extent, as far as the manifest knows; paths are taken to.
fn is_small(key: &Arc<dyn PhysicalExpr>, scan: &ExtentScan) -> bool {
    let columns = scan.read_columns();
    let is_bin = super::known::bin_width(key).is_some();
    let used = collect_columns(key);
    used.len() == 1
        && used.iter().all(|column| {
            let Some(read) = columns.get(column.index()) else { return false };
            match read.ty {
                Type::Datetime => is_bin,
                Type::Bool => true,
                _ if !read.source.path.is_empty() => read.ty == Type::String,
                Type::Dynamic => false,
                _ => scan.distinct_max(column.index()).is_some_and(|distinct| distinct <= DISTINCT_MAX),
            }
        })
}
