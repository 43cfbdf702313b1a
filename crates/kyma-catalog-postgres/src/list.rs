//! The list of a table's visible extents, streamed in order of time.
//!
//! 1. Extents are kept in an index by `span`, the hexadecimal digits of their duration: one of span *n* lasts less than
//!    16ⁿ ns. Those that overlap a window therefore end no later than 16ⁿ ns after it, and one walk per span, bounded at
//!    both ends, finds them wherever in time the window is, however long a few extents are.
//! 2. One statement merges the walks of all spans lazily and stops at its page.
//! 3. Pages are read by key, each a short statement of its own: no connection and no transaction is held while the reader
//!    works. That is sound because what a pinned sequence shows does not change.
//! 4. Once a page's last key is known the next page is asked for, and arrives while this one is decoded and used. At most
//!    two pages are in memory. Pages grow: "the last 100 rows" needs few extents.
//! 5. Column ranges are tested by the same statement (`keys.rs`), so that what they exclude is neither sent nor decoded.
//!
//! The spans are those of interval indexes over B-trees, for example Enderle et al., "Joining interval data in relational
//! databases", SIGMOD 2004.

use std::sync::LazyLock;

use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use kyma_core::catalog::{ExtentOrder, ExtentQuery};
use kyma_core::extent::Extent;
use kyma_core::{Error, Result};
use tokio::task::JoinSet;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::keys::{self, SlotRange};
use crate::pool::{PostgresCatalog, get};
use crate::rows;

/// Extents of the first page.
const PAGE_FIRST: i64 = 200;
/// Extents of the largest page; a few megabytes.
const PAGE_MAX: i64 = 4_000;
/// By how much a page is larger than the one before.
const PAGE_GROWTH: i64 = 5;
/// The largest span: any length.
const SPAN_MAX: u32 = 16;

/// Column ranges that a list tests; further ones are left to the reader.
const RANGES_MAX: usize = 4;

/// Statements by how many ranges they test, newest first and oldest first.
static NEWEST: LazyLock<Vec<String>> = LazyLock::new(|| statements("time_end", '<', "DESC"));
static OLDEST: LazyLock<Vec<String>> = LazyLock::new(|| statements("time_start", '>', "ASC"));

fn statements(key: &str, beyond: char, direction: &str) -> Vec<String> {
    (0..=RANGES_MAX).map(|ranges| statement(key, beyond, direction, ranges)).collect()
}

/// $1 table, $2 and $3 the window, $4 the sequence, $5 and $6 the key after which each span goes on, $7 the page; then slot,
/// high and low of each range. The limit of each walk keeps the planner from sorting all of it.
fn statement(key: &str, beyond: char, direction: &str, ranges: usize) -> String {
    let test = |range: usize| {
        let (slot, high, low) = (8 + 3 * range, 9 + 3 * range, 10 + 3 * range);
        format!(" AND (lows[${slot}] <= ${high}) IS NOT FALSE AND (highs[${slot}] >= ${low}) IS NOT FALSE")
    };
    let tests: String = (0..ranges).map(test).collect();
    let walk = |span: u32| {
        format!(
            "(SELECT {columns}, removed_seq FROM extents WHERE table_id = $1 AND span = {span} \
             AND time_end >= $2 AND time_start <= $3 AND ({key}, id) {beyond} (($5::bigint[])[{span}], ($6::uuid[])[{span}]) \
             AND added_seq <= $4 AND (removed_seq IS NULL OR removed_seq > $4){tests} \
             ORDER BY {key} {direction}, id {direction} LIMIT $7)",
            columns = rows::columns!()
        )
    };
    let walks: Vec<String> = (1..=SPAN_MAX).map(walk).collect();
    let walks = walks.join(" UNION ALL ");
    format!("SELECT * FROM ({walks}) walks ORDER BY {key} {direction}, id {direction} LIMIT $7")
}

/// Visible extents that overlap the query's time, in its order.
pub(crate) fn list(catalog: PostgresCatalog, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
    if query.time.is_empty() {
        return stream::empty().boxed();
    }
    let lister = Lister { catalog, after: None, page: PAGE_FIRST, fetching: JoinSet::new(), ended: false, query };
    let pages = stream::try_unfold(lister, |mut lister| async move {
        let page = lister.next().await?;
        Ok::<_, Error>(page.map(|page| (page, lister)))
    });
    pages.map_ok(|page| stream::iter(page).map(|row| rows::read(&row))).try_flatten().boxed()
}

/// The state of one list. Dropping it stops what it fetches.
struct Lister {
    catalog: PostgresCatalog,
    query: ExtentQuery,
    /// The last key that was fetched.
    after: Option<(i64, Uuid)>,
    /// Extents of the page that is being fetched, or is fetched next.
    page: i64,
    fetching: JoinSet<Result<Vec<Row>>>,
    ended: bool,
}

impl Lister {
    /// The next page, with the one after it on its way.
    async fn next(&mut self) -> Result<Option<Vec<Row>>> {
        if self.ended {
            return Ok(None);
        }
        if self.fetching.is_empty() {
            self.fetch();
        }
        let fetched = self.fetching.join_next().await;
        let page = fetched.ok_or_else(|| Error::internal("a page of extents was not fetched"))?;
        let page = page.map_err(|died| Error::internal("the fetch of a page of extents died").because(died))??;
        self.ended = (page.len() as i64) < self.page;
        if let (Some(last), false) = (page.last(), self.ended) {
            self.after = Some(self.key(last)?);
            self.page = PAGE_MAX.min(self.page * PAGE_GROWTH);
            self.fetch();
        }
        Ok(Some(page))
    }

    fn key(&self, row: &Row) -> Result<(i64, Uuid)> {
        let place = match self.query.order {
            ExtentOrder::NewestFirst => rows::TIME_END,
            ExtentOrder::OldestFirst => rows::TIME_START,
        };
        Ok((get(row, place)?, get(row, rows::ID)?))
    }

    fn fetch(&mut self) {
        let (catalog, query, page) = (self.catalog.clone(), self.query.clone(), self.page);
        let (keys, ids): (Vec<i64>, Vec<Uuid>) = (1..=SPAN_MAX).map(|span| self.begin(span)).unzip();
        self.fetching.spawn(async move {
            let ExtentQuery { table, at, time, order, ranges } = &query;
            let ranges: Vec<SlotRange> = ranges.iter().take(RANGES_MAX).map(keys::of_range).collect();
            let sql: &'static str = match order {
                ExtentOrder::NewestFirst => &NEWEST[ranges.len()],
                ExtentOrder::OldestFirst => &OLDEST[ranges.len()],
            };
            let mut params: Vec<&(dyn ToSql + Sync)> =
                vec![&table.0, &time.start, &time.end, &at.0, &keys, &ids, &page];
            for range in &ranges {
                params.extend([&range.slot as &(dyn ToSql + Sync), &range.high, &range.low]);
            }
            catalog.rows("list", sql, &params).await
        });
    }

    /// Where the walk of a span goes on: after the last key, and not before it can find anything.
    fn begin(&self, span: u32) -> (i64, Uuid) {
        let duration = (span < SPAN_MAX).then(|| 1_i64 << (4 * span));
        let time = self.query.time;
        match self.query.order {
            ExtentOrder::NewestFirst => {
                let latest = duration.map_or(i64::MAX, |duration| time.end.saturating_add(duration));
                self.after.map_or((latest, Uuid::max()), |after| after.min((latest, Uuid::max())))
            }
            ExtentOrder::OldestFirst => {
                let earliest = duration.map_or(i64::MIN, |duration| time.start.saturating_sub(duration));
                self.after.map_or((earliest, Uuid::nil()), |after| after.max((earliest, Uuid::nil())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kyma_core::time::TimeRange;
    use kyma_core::{Sequence, TableId};
    use kyma_testkit::postgres;

    use super::*;
    use crate::CatalogSettings;

    async fn connect(database: &postgres::TestDatabase) -> PostgresCatalog {
        (*PostgresCatalog::connect(&database.url, &CatalogSettings::default()).await.unwrap()).clone()
    }

    fn newest(start: i64, end: i64) -> ExtentQuery {
        ExtentQuery {
            table: TableId(1),
            at: Sequence(1),
            time: TimeRange::new(start, end),
            order: ExtentOrder::NewestFirst,
            ranges: Vec::new(),
        }
    }

    /// A walk that ignored a bound, or a sort of all, would read what it does not need.
    #[tokio::test]
    async fn a_page_merges_bounded_walks_of_the_index() {
        let database = postgres::database().await;
        let catalog = connect(&database).await;
        for sql in [&NEWEST[0], &OLDEST[0]] {
            let explain: &'static str = format!("EXPLAIN {sql}").leak();
            let keys = vec![0_i64; SPAN_MAX as usize];
            let ids = vec![Uuid::nil(); SPAN_MAX as usize];
            let params: [&(dyn ToSql + Sync); 7] = [&1_i64, &0_i64, &9_i64, &1_i64, &keys, &ids, &10_i64];
            let plan = catalog.rows("explain", explain, &params).await;
            let lines: Vec<String> = plan.unwrap().iter().map(|row| row.get(0)).collect();
            let plan = lines.join("\n");
            assert!(plan.contains("Merge Append"), "{plan}");
            assert!(!lines.iter().any(|line| line.contains("->  Sort") || line.contains("Seq Scan")), "{plan}");
            assert_eq!(lines.iter().filter(|line| line.contains("Index Scan")).count(), SPAN_MAX as usize, "{plan}");
        }
    }

    #[tokio::test]
    async fn every_span_begins_where_an_extent_of_it_may_end() {
        let database = postgres::database().await;
        let catalog = connect(&database).await;
        let query = newest(100, 200);
        let mut lister = Lister { catalog, after: None, page: 1, fetching: JoinSet::new(), ended: false, query };
        assert_eq!(lister.begin(1), (216, Uuid::max()));
        assert_eq!(lister.begin(15).0, 200 + (1 << 60));
        assert_eq!(lister.begin(16).0, i64::MAX);
        lister.query = newest(-200, -100);
        assert_eq!((lister.begin(1).0, lister.begin(16).0), (-84, i64::MAX));
        lister.query = newest(100, 200);
        lister.after = Some((210, Uuid::nil()));
        assert_eq!(lister.begin(1), (210, Uuid::nil()));
        lister.query = newest(100, i64::MAX);
        assert_eq!(lister.begin(16), (210, Uuid::nil()));
    }
}
