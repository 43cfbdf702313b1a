//! The conformance suite of `kyma_core::catalog::Catalog`: one function per promise.
//!
//! Each check makes a database of its own, so that checks do not see each other. Tasks and nodes are shared by a whole
//! catalog; their checks use kinds and identities of their own.

mod definitions;
mod extents;
mod garbage;
mod history;
mod queue;
mod recovery;
mod tables;
mod upkeep;

pub use recovery::{journal_suite, recovery_suite};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kyma_core::catalog::{Catalog, Commit, Database, ExtentOrder, ExtentQuery, NewTable, Reservation, Table};
use kyma_core::extent::{ColumnBounds, Extent, NewExtent, ObjectRange};
use kyma_core::stats::ColumnStats;
use kyma_core::time::TimeRange;
use kyma_core::{Column, ExtentId, Kind, NodeId, Result, Schema, Sequence, Type, Value};
use uuid::Uuid;

/// Runs every check. Panics at the first promise that is broken.
pub async fn catalog_suite(catalog: Arc<dyn Catalog>) {
    catalog.ping().await.expect("the catalog answers");
    tables::names_are_checked_and_unique(&catalog).await;
    tables::a_table_is_created_once_by_many(&catalog).await;
    tables::grown_columns_agree(&catalog).await;
    tables::a_format_is_for_new_extents(&catalog).await;
    tables::a_window_of_deduplication_is_kept(&catalog).await;
    tables::columns_that_extents_hold_stay(&catalog).await;
    tables::names_are_swapped_or_nothing_is(&catalog).await;
    tables::a_dropped_table_is_gone_but_its_past_is_not(&catalog).await;
    definitions::mappings_have_one_name(&catalog).await;
    definitions::functions_and_policies_raise_the_schema_version(&catalog).await;
    definitions::texts_and_policies_are_kept_as_written(&catalog).await;
    definitions::operations_end_once(&catalog).await;
    extents::what_is_committed_is_read_back(&catalog).await;
    extents::a_snapshot_does_not_change(&catalog).await;
    extents::lists_are_in_order_and_overlap(&catalog).await;
    extents::any_window_finds_extents_of_any_length(&catalog).await;
    extents::ranges_leave_out_only_what_they_exclude(&catalog).await;
    extents::a_pin_tells_what_changed(&catalog).await;
    extents::changes_lead_from_one_snapshot_to_the_next(&catalog).await;
    extents::ten_thousand_extents_are_streamed(&catalog).await;
    extents::one_of_many_commits_with_a_key_succeeds(&catalog).await;
    extents::a_content_gives_way_after_its_window(&catalog).await;
    extents::a_refused_commit_changes_nothing(&catalog).await;
    extents::concurrent_commits_take_distinct_sequences(&catalog).await;
    extents::commits_over_several_databases_do_not_block_each_other_for_ever(&catalog).await;
    extents::a_replacement_revalidates_its_sources(&catalog).await;
    extents::an_outcome_is_final(&catalog).await;
    garbage::a_revoked_writer_cannot_commit(&catalog).await;
    garbage::a_commit_and_a_revocation_never_both_win(&catalog).await;
    garbage::only_objects_without_visible_extents_are_doomed(&catalog).await;
    garbage::what_a_snapshot_holds_is_not_doomed(&catalog).await;
    garbage::unknown_objects_are_doomed_and_known_ones_are_not(&catalog).await;
    history::extents_past_their_time_are_the_old_ones(&catalog).await;
    history::a_time_names_one_sequence_for_ever(&catalog).await;
    history::the_oldest_sequence_rises_with_what_is_doomed(&catalog).await;
    history::a_drop_can_be_undone(&catalog).await;
    history::a_drop_is_given_up_after_the_grace_period(&catalog).await;
    history::answers_are_found_by_the_beginning_of_their_keys(&catalog).await;
    queue::tasks_are_claimed_exactly_once(&catalog).await;
    queue::a_stale_token_is_refused(&catalog).await;
    queue::failures_are_retried_then_parked(&catalog).await;
    queue::a_task_that_is_given_back_was_not_tried(&catalog).await;
    queue::tasks_wait_for_their_time_and_go_by_priority(&catalog).await;
    queue::open_tasks_are_listed_and_parked_ones_are_queued_anew(&catalog).await;
    queue::nodes_come_and_go(&catalog).await;
    upkeep::what_may_be_merged_is_found(&catalog).await;
}

/// A database of one check.
async fn database(catalog: &Arc<dyn Catalog>) -> Database {
    catalog.ensure_database(&unique("db")).await.expect("a database")
}

/// A table with `Timestamp` and `Message`, in a database of its own.
async fn table(catalog: &Arc<dyn Catalog>) -> Table {
    let database = database(catalog).await;
    catalog.ensure_table(database.id, "Logs", &new_table()).await.expect("a table")
}

fn new_table() -> NewTable {
    NewTable {
        schema: Schema::from([("Timestamp", Type::Datetime), ("Message", Type::String)]),
        time_column: "Timestamp".to_owned(),
        sort_key: vec!["Service".to_owned()],
        format: "tlm".to_owned(),
    }
}

fn unique(prefix: &str) -> String {
    format!("{prefix}-{}", Uuid::now_v7().simple())
}

/// An extent of `table` over a closed time range, in the object `key`.
fn extent(table: &Table, key: &str, start: i64, end: i64) -> NewExtent {
    let stats = ColumnStats {
        min: Some(Value::Datetime(start)),
        max: Some(Value::Datetime(end)),
        exact: true,
        nulls: 0,
        rows: 10,
        distinct: Some(9),
        sum: None,
    };
    NewExtent {
        id: ExtentId::generate(),
        database: table.database,
        table: table.id,
        format: "tlm".to_owned(),
        location: ObjectRange { key: key.to_owned(), offset: 3, length: 100 },
        footer_length: 20,
        rows: 10,
        blocks: 1,
        raw_bytes: 1_000,
        time: TimeRange::new(start, end),
        level: 0,
        sorted_by: vec!["Service".to_owned(), "Timestamp".to_owned()],
        tags: vec!["a tag".to_owned()],
        paths: Some(vec!["Attributes.http.status".to_owned()]),
        columns: BTreeMap::from([("Timestamp".to_owned(), ColumnBounds { ty: Type::Datetime, stats })]),
    }
}

async fn reserve(catalog: &Arc<dyn Catalog>) -> Reservation {
    catalog.reserve(NodeId::generate(), &unique("extents/object")).await.expect("a reservation")
}

/// Commits one extent in an object of its own.
async fn add(catalog: &Arc<dyn Catalog>, table: &Table, start: i64, end: i64) -> (NewExtent, Sequence) {
    let reservation = reserve(catalog).await;
    let new = extent(table, &reservation.object_key, start, end);
    let commit = Commit { reservation: Some(reservation), extents: vec![new.clone()], receipts: vec![] };
    let committed = catalog.commit(&commit).await.expect("a commit");
    (new, committed.sequences[&table.database])
}

/// What is visible at a sequence, newest first.
async fn visible(catalog: &Arc<dyn Catalog>, table: &Table, at: Sequence) -> Vec<ExtentId> {
    let listed = list(catalog, table, at, TimeRange::ALL, ExtentOrder::NewestFirst).await;
    listed.iter().map(|extent| extent.id).collect()
}

async fn list(
    catalog: &Arc<dyn Catalog>,
    table: &Table,
    at: Sequence,
    time: TimeRange,
    order: ExtentOrder,
) -> Vec<Extent> {
    let listed = catalog.list(ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() });
    listed.map(|extent| extent.expect("a list")).collect().await
}

/// Asserts kind and code of a refusal.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T>, kind: Kind, code: &str) {
    let error = result.expect_err("it is refused");
    assert_eq!((error.kind(), error.code()), (kind, code), "{error:?}");
}

fn column(name: &str, ty: Type) -> Column {
    Column::new(name, ty)
}

/// Long enough for the catalog's clock to move on, and far longer than its resolution.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}
