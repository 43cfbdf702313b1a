//! `evaluate`: plugins.
//!
//! [`TABLE`] has a row for every one: how it is written, what it does, an example, and what binds it. Those that are refused say
//! why. Some are other operators in disguise; the others are kernels of `kyma_functions::table` over a projection to the columns
//! that they want.

mod activity;
mod bag_unpack;
mod geo_lookup;
mod lookup;
mod pivot;
mod rows;
mod sketches;

use kyma_core::error::Span;
use kyma_core::{Schema, Value};
use kyma_plan::functions::nearest;
use kyma_plan::table::{Plugin, TableFunction};
use kyma_plan::{Expr, Node, Plan};

use super::operators::Columns;
use super::{Bind, Binder, ScopeId, fail, fail_with_hint};
use crate::ast::{self, Arg, Call, Declared};
use crate::limits::PLUGIN_COLUMNS_MAX;

pub(super) use geo_lookup::cross;

/// One call of a plugin.
struct Use<'a> {
    input: Plan,
    call: &'a Call,
    declared: Option<&'a Declared>,
    scope: ScopeId,
    span: Span,
}

/// What makes a plan of a call.
type Build = fn(&mut Binder<'_>, Use<'_>) -> Bind<Plan>;

/// A plugin, for docs and completion.
pub(crate) struct PluginInfo {
    pub(crate) name: &'static str,
    pub(crate) syntax: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) example: &'static str,
    build: Build,
}

const fn plugin(
    name: &'static str,
    syntax: &'static str,
    doc: &'static str,
    example: &'static str,
    build: Build,
) -> PluginInfo {
    PluginInfo { name, syntax, doc, example, build }
}

/// Every plugin that is there.
pub(crate) static TABLE: &[PluginInfo] = &[
    plugin(
        "active_users_count",
        "active_users_count(id, timeline, start, end, lookback, period, periods, bin[, dimension, ...])",
        "Per bin, how many ids were there in at least so many periods of the look-back that ends with it.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate active_users_count(u, t, datetime(2024-01-02), datetime(2024-01-10), 5d, 1d, 2, 1d)",
        activity::active_users_count,
    ),
    plugin(
        "activity_counts_metrics",
        "activity_counts_metrics(id, timeline, start, end, window[, dimension, ...])",
        "Per window: events, ids, new ids, and all ids so far.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate activity_counts_metrics(u, t, datetime(2024-01-02), datetime(2024-01-10), 1d)",
        activity::activity_counts_metrics,
    ),
    plugin(
        "activity_engagement",
        "activity_engagement(id, timeline[, start, end], inner, outer[, dimension, ...])",
        "Per inner window: its ids, those of the outer window that ends with it, and their ratio.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate activity_engagement(u, t, 1d, 3d)",
        activity::activity_engagement,
    ),
    plugin(
        "activity_metrics",
        "activity_metrics(id, timeline[, start, end], window[, dimension, ...])",
        "Per window: ids, new ids, and the shares of the last window's ids that came back and that did not.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate activity_metrics(u, t, 1d)",
        activity::activity_metrics,
    ),
    plugin(
        "autocluster",
        "autocluster([size_weight])",
        "Combinations of values that together explain most rows.",
        "datatable(a: string, b: string) ['x', 'p', 'x', 'p', 'y', 'q'] | evaluate autocluster()",
        rows::autocluster,
    ),
    plugin(
        "bag_unpack",
        "bag_unpack(column[, prefix][, columnsConflict = 'error'|'replace_source'|'keep_source'][, ignoredProperties = array])",
        "The members of a bag as columns; which there are is found in the rows unless they are declared.",
        "print d = dynamic({'a': 1, 'b': 'x'}) | evaluate bag_unpack(d)",
        bag_unpack::bag_unpack,
    ),
    plugin(
        "basket",
        "basket([threshold[, '~', dimensions]])",
        "Every combination of values that a share of the rows has.",
        "datatable(a: string, b: string) ['x', 'p', 'x', 'p', 'y', 'q'] | evaluate basket(0.5)",
        rows::basket,
    ),
    plugin(
        "dcount_intersect",
        "dcount_intersect(hll, hll, ...)",
        "Sizes of the first set, of the first two's intersection, of the first three's, and so on.",
        "range x from 1 to 100 step 1 | summarize a = hll(x), b = hll(x % 10) | evaluate dcount_intersect(a, b)",
        sketches::dcount_intersect,
    ),
    plugin(
        "diffpatterns",
        "diffpatterns(column, value_a, value_b[, '~', threshold[, dimensions]])",
        "Combinations of values whose shares differ between two sets of rows.",
        "datatable(a: string, s: string) ['x', 'A', 'x', 'A', 'y', 'B'] | evaluate diffpatterns(s, 'A', 'B')",
        rows::diffpatterns,
    ),
    plugin(
        "geo_line_lookup",
        "geo_line_lookup(lines, line, longitude, latitude, radius[, return_unmatched])",
        "Rows joined with the lines that their point is near.",
        "",
        geo_lookup::geo_line_lookup,
    ),
    plugin(
        "geo_polygon_lookup",
        "geo_polygon_lookup(polygons, polygon, longitude, latitude[, radius][, return_unmatched])",
        "Rows joined with the polygons that their point is in or near.",
        "",
        geo_lookup::geo_polygon_lookup,
    ),
    plugin(
        "ipv4_lookup",
        "ipv4_lookup(table, address, network[, key, ...][, return_unmatched])",
        "Rows joined with the IPv4 networks that their address is in.",
        "let N = datatable(net: string, name: string) ['10.0.0.0/8', 'inside']; print ip = '10.1.2.3' | evaluate ipv4_lookup(N, ip, net)",
        lookup::ip_lookup,
    ),
    plugin(
        "ipv6_lookup",
        "ipv6_lookup(table, address, network[, return_unmatched])",
        "Rows joined with the networks that their IPv4 or IPv6 address is in.",
        "let N = datatable(net: string, name: string) ['2001:db8::/32', 'docs']; print ip = '2001:db8::1' | evaluate ipv6_lookup(N, ip, net)",
        lookup::ip_lookup,
    ),
    plugin(
        "narrow",
        "narrow()",
        "One row per cell: the row's number, the column's name, the value as text.",
        "print a = 1, b = 'x' | evaluate narrow()",
        rows::narrow,
    ),
    plugin(
        "new_activity_metrics",
        "new_activity_metrics(id, timeline, start, end, window[, cohort][, dimension, ...][, look_back])",
        "For every window and each later one: how many of the ids that were new in the first are there in the second.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate new_activity_metrics(u, t, datetime(2024-01-02), datetime(2024-01-10), 1d)",
        activity::new_activity_metrics,
    ),
    plugin(
        "pivot",
        "pivot(column[, aggregate][, key, ...])",
        "The values of a column as columns, with an aggregate (a count) of their rows by the keys, or by all other columns.",
        "datatable(k: string, c: string) ['a', 'x', 'a', 'y', 'b', 'x'] | evaluate pivot(c)",
        pivot::pivot,
    ),
    plugin(
        "rolling_percentile",
        "rolling_percentile(value, percentile, index, bin, bins[, dimension, ...])",
        "Per bin, the percentile of the values of so many bins that end with it.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d | evaluate rolling_percentile(x, 50, t, 1d, 3)",
        activity::rolling_percentile,
    ),
    plugin(
        "rows_near",
        "rows_near(condition, rows[, rows_after])",
        "The rows that meet a condition, and so many before and after them.",
        "range x from 1 to 9 step 1 | sort by x asc | evaluate rows_near(x == 5, 1)",
        rows::rows_near,
    ),
    plugin(
        "schema_merge",
        "schema_merge([PreserveOrder = true])",
        "The schemas that `getschema` gives of several tables as one.",
        "union (print a = 1 | getschema), (print a = 1, b = 2 | getschema) | evaluate schema_merge()",
        rows::schema_merge,
    ),
    plugin(
        "sequence_detect",
        "sequence_detect(timeline, between, whole, name = condition, ...[, dimension, ...])",
        "Rows that meet conditions one after the other, with at most so much time between two and in all.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1h | evaluate sequence_detect(t, 2h, 1d, a = x == 2, b = x == 3)",
        rows::sequence_detect,
    ),
    plugin(
        "session_count",
        "session_count(id, timeline, start, end, bin, lookback[, dimension, ...])",
        "Per bin, the sessions that begin in it: a session ends where an id is not seen for the look-back.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate session_count(u, t, datetime(2024-01-01), datetime(2024-01-10), 1d, 1d)",
        activity::session_count,
    ),
    plugin(
        "sliding_window_counts",
        "sliding_window_counts(id, timeline, start, end, lookback, bin[, dimension, ...])",
        "Per bin: events and ids of the look-back that ends with it.",
        "range x from 1 to 9 step 1 | extend t = datetime(2024-01-01) + x * 1d, u = x % 2 | evaluate sliding_window_counts(u, t, datetime(2024-01-02), datetime(2024-01-10), 3d, 1d)",
        activity::sliding_window_counts,
    ),
];

/// Plugins that are refused, and why.
pub(crate) static REFUSED: &[(&str, &str)] = &[
    ("ai_chat_completion", CALLS_OUT),
    ("ai_chat_completion_prompt", CALLS_OUT),
    ("ai_embed_text", CALLS_OUT),
    ("ai_embeddings", CALLS_OUT),
    ("azure_digital_twins_query_request", CALLS_OUT),
    ("cosmosdb_sql_request", CALLS_OUT),
    ("csharp", RUNS_CODE),
    ("dax_request", CALLS_OUT),
    ("diffpatterns_text", "it is not there yet; `diffpatterns` compares columns"),
    ("estimate_rows_count", "`kyma query --explain` estimates what a query reads"),
    ("execute_query", "it is not documented"),
    ("execute_show_command", "it is not documented"),
    ("external_datatable", "`externaldata` reads files"),
    ("funnel_analysis", "it is not documented"),
    ("funnel_sequence", "it is not there yet; `sequence_detect` and `scan` follow sequences"),
    ("funnel_sequence_completion", "it is not there yet; `sequence_detect` and `scan` follow sequences"),
    ("http_request", CALLS_OUT),
    ("http_request_post", CALLS_OUT),
    ("identity", "it is not documented"),
    ("identity_v3", "it is not documented"),
    ("infer_storage_schema", CALLS_OUT),
    ("infer_storage_schema_with_suggestions", CALLS_OUT),
    ("mysql_request", CALLS_OUT),
    ("postgresql_request", CALLS_OUT),
    ("preview", "it gives two results; `fork` does"),
    ("python", RUNS_CODE),
    ("r", RUNS_CODE),
    ("sql_request", CALLS_OUT),
];

const CALLS_OUT: &str = "queries do not call other services";
/// What to do instead of calling out or running code.
const REFUSED_HINT: &str = "ingest what it would fetch or compute as a table, and query that";
const RUNS_CODE: &str = "queries do not run foreign code";

impl Binder<'_> {
    pub(super) fn evaluate(
        &mut self,
        input: Plan,
        call: &Call,
        declared: Option<&Declared>,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let name = call.name.text.to_ascii_lowercase();
        if let Some(info) = TABLE.iter().find(|info| info.name == name) {
            return (info.build)(self, Use { input, call, declared, scope, span });
        }
        let place = call.name.span;
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            let message = format!("the plugin '{name}' is not supported: {why}");
            // Other reasons name what to use instead.
            let hint = matches!(*why, CALLS_OUT | RUNS_CODE).then(|| REFUSED_HINT.to_owned());
            return fail_with_hint("kql.unsupported", message, place, hint);
        }
        let near = nearest(&name, TABLE.iter().map(|info| info.name));
        let hint = near.map(|near| format!("did you mean '{near}'?"));
        fail_with_hint("kql.unknown_plugin", format!("unknown plugin '{name}'"), place, hint)
    }

    /// The word that an argument is, if it is given.
    fn word_of(&mut self, arg: Option<&Arg>, scope: ScopeId) -> Bind<Option<String>> {
        let Some(arg) = arg else { return Ok(None) };
        match self.constant(&arg.value, scope)? {
            Value::String(word) => Ok(Some(word)),
            _ => fail("kql.type", "expected a string", arg.value.span),
        }
    }

    /// The truth value that an argument is, if it is given.
    fn flag_of(&mut self, arg: Option<&Arg>, scope: ScopeId) -> Bind<Option<bool>> {
        let Some(arg) = arg else { return Ok(None) };
        match self.constant(&arg.value, scope)? {
            Value::Bool(flag) => Ok(Some(flag)),
            _ => fail("kql.type", "expected true or false", arg.value.span),
        }
    }
}

/// A kernel over the columns that it wants of `input`.
fn over(name: &'static str, input: Plan, columns: Columns, args: Vec<Value>, out: Schema, span: Span) -> Plan {
    kernel(name, vec![Plan::project(input, distinct(columns), span)], args, out, span)
}

/// A kernel over whole inputs.
fn kernel(name: &'static str, inputs: Vec<Plan>, args: Vec<Value>, out: Schema, span: Span) -> Plan {
    let function = Box::new(TableFunction::Plugin(Plugin { name, args }));
    Plan::new(Node::Table { function, inputs }, out, span)
}

/// The columns under names that are distinct; kernels go by places.
fn distinct(columns: Columns) -> Columns {
    columns.into_iter().enumerate().map(|(at, (_, expr))| (format!("${at}"), expr)).collect()
}

/// The argument at a place.
fn arg_at(call: &Call, at: usize, span: Span) -> Bind<&Arg> {
    match call.args.get(at) {
        Some(arg) => Ok(arg),
        None => {
            let name = &call.name.text;
            let syntax = TABLE.iter().find(|info| info.name.eq_ignore_ascii_case(name)).map(|info| info.syntax);
            let hint = syntax.map(|syntax| format!("evaluate {syntax}"));
            fail_with_hint("kql.arguments", format!("{name}() needs more arguments"), span, hint)
        }
    }
}

/// The name of a column that an argument must be.
fn bare_name(call: &Call, at: usize, span: Span) -> Bind<&str> {
    let arg = arg_at(call, at, span)?;
    match &arg.value.kind {
        ast::ExprKind::Name(name) => Ok(name),
        _ => fail("kql.arguments", format!("{}() needs the name of a column", call.name.text), arg.value.span),
    }
}

/// The argument given by this name.
fn named<'c>(call: &'c Call, name: &str) -> Option<&'c Arg> {
    call.args.iter().find(|arg| arg.names.first().is_some_and(|given| given.text.eq_ignore_ascii_case(name)))
}

/// Refuses what would make too many columns of rows.
fn check_columns(count: usize, span: Span) -> Bind<()> {
    if count <= PLUGIN_COLUMNS_MAX {
        return Ok(());
    }
    let message = format!("the plugin would make too many columns: columns={count}, limit={PLUGIN_COLUMNS_MAX}");
    fail_with_hint("kql.too_many_columns", message, span, Some("declare those that are wanted, or filter".to_owned()))
}

/// A null of a constant that is not given.
fn not_given() -> Value {
    Value::Null(kyma_core::Type::Long)
}

/// The place of a column as an expression.
fn column(schema: &Schema, at: usize, span: Span) -> Option<(String, Expr)> {
    let column = schema.columns().get(at)?;
    Some((column.name.clone(), Expr::column(at, column.ty, span)))
}
