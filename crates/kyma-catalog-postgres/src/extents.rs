//! Snapshots, reservations, receipts, and the list of extents.
//!
//! A list is read in pages by key, each page a short statement of its own: no connection and no transaction is held
//! while the reader works. That is sound because what a pinned sequence shows does not change.

use std::collections::VecDeque;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use kyma_core::catalog::{Commit, Committed, ExtentOrder, ExtentQuery, Extents, Reservation};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, Error, ExtentId, NodeId, ReservationId, Result, Sequence, TableId};
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::commit::{Removal, database_unknown};
use crate::pool::{PostgresCatalog, get};
use crate::rows;

/// Extents of the first page: small, because "the last 100 rows" needs few.
const PAGE_FIRST: i64 = 200;
/// Extents of each further page.
const PAGE_NEXT: i64 = 2_000;

const LIST_NEWEST: &str = concat!(
    "SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND time_end >= $2 AND time_start <= $3 \
     AND added_seq <= $4 AND (removed_seq IS NULL OR removed_seq > $4) AND (time_end, id) < ($5, $6) \
     ORDER BY time_end DESC, id DESC LIMIT $7"
);
const LIST_OLDEST: &str = concat!(
    "SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND time_end >= $2 AND time_start <= $3 \
     AND added_seq <= $4 AND (removed_seq IS NULL OR removed_seq > $4) AND (time_start, id) > ($5, $6) \
     ORDER BY time_start, id LIMIT $7"
);

#[async_trait]
impl Extents for PostgresCatalog {
    async fn pin(&self, database: DatabaseId) -> Result<Sequence> {
        let rows = self.rows("pin", "SELECT sequence FROM databases WHERE id = $1", &[&database.0]).await?;
        match rows.first() {
            Some(row) => Ok(Sequence(get(row, 0)?)),
            None => Err(database_unknown(database)),
        }
    }

    async fn reserve(&self, writer: NodeId, object_key: &str) -> Result<Reservation> {
        let id = ReservationId::generate();
        let sql = "INSERT INTO objects (key, state, reservation_id, writer) VALUES ($1, 'reserved', $2, $3) \
                   ON CONFLICT (key) DO NOTHING";
        let reserved = self.change("reserve", sql, &[&object_key, &id.0, &writer.0]).await?;
        if reserved == 1 {
            return Ok(Reservation { id, object_key: object_key.to_owned(), writer });
        }
        Err(Error::conflict("catalog.object_reserved", format!("the object key was used already: key={object_key}")))
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed> {
        self.commit_retrying(commit, None).await
    }

    async fn outcome(&self, reservation: &Reservation) -> Result<Option<Committed>> {
        self.resolve_outcome(reservation).await
    }

    async fn receipt(&self, database: DatabaseId, key: &str) -> Result<Option<(serde_json::Value, Sequence)>> {
        let sql = "SELECT answer, sequence FROM receipts WHERE database_id = $1 AND key = $2";
        let rows = self.rows("receipt", sql, &[&database.0, &key]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let Json(answer): Json<serde_json::Value> = get(row, 0)?;
        Ok(Some((answer, Sequence(get(row, 1)?))))
    }

    fn list(&self, query: ExtentQuery) -> BoxStream<'static, Result<Extent>> {
        let after = match query.order {
            ExtentOrder::NewestFirst => (i64::MAX, Uuid::max()),
            ExtentOrder::OldestFirst => (i64::MIN, Uuid::nil()),
        };
        let ended = query.time.is_empty();
        let lister = Lister { catalog: self.clone(), query, after, page: PAGE_FIRST, ready: VecDeque::new(), ended };
        stream::try_unfold(lister, |mut lister| async move {
            let next = lister.next().await?;
            Ok(next.map(|extent| (extent, lister)))
        })
        .boxed()
    }

    async fn replace(&self, table: TableId, sources: &[ExtentId], commit: &Commit) -> Result<Committed> {
        self.commit_retrying(commit, Some(Removal { table, sources })).await
    }
}

/// The state of one list: the page in hand and the key after which the next one starts.
struct Lister {
    catalog: PostgresCatalog,
    query: ExtentQuery,
    after: (i64, Uuid),
    page: i64,
    ready: VecDeque<Extent>,
    ended: bool,
}

impl Lister {
    async fn next(&mut self) -> Result<Option<Extent>> {
        if self.ready.is_empty() && !self.ended {
            self.fetch().await?;
        }
        Ok(self.ready.pop_front())
    }

    async fn fetch(&mut self) -> Result<()> {
        let ExtentQuery { table, at, time, order } = &self.query;
        let sql = match order {
            ExtentOrder::NewestFirst => LIST_NEWEST,
            ExtentOrder::OldestFirst => LIST_OLDEST,
        };
        let (bound, id) = &self.after;
        let rows =
            self.catalog.rows("list", sql, &[&table.0, &time.start, &time.end, &at.0, bound, id, &self.page]).await?;
        self.ended = (rows.len() as i64) < self.page;
        self.page = PAGE_NEXT;
        self.ready = rows.iter().map(rows::read).collect::<Result<_>>()?;
        if let Some(last) = self.ready.back() {
            let bound = match order {
                ExtentOrder::NewestFirst => last.time.end,
                ExtentOrder::OldestFirst => last.time.start,
            };
            self.after = (bound, last.id.0);
        }
        Ok(())
    }
}
