//! Export, marks of journals, and audit; the import is in `import.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::GenericClient;
use kyma_core::catalog::{
    Audit, CatalogIdentity, Database, DatabaseDefinition, ExtentPage, Import, IngestionMapping, JournalMark,
    JournalState, NumberedReceipt, ObjectState, Receipt, ReceiptPage, Recovery, TableDefinition, TableTexts,
    TableTotals,
};
use kyma_core::extent::Extent;
use kyma_core::{DatabaseId, ExtentId, Result, Sequence, TableId};
use tokio_postgres::types::{Json, ToSql};
use tokio_postgres::{IsolationLevel, Row};
use uuid::Uuid;

use crate::commit::database_unknown;
use crate::definitions::{read_function, read_mapping, read_policy, read_texts};
use crate::pool::{PostgresCatalog, execute, get, query, transact};
use crate::tables::{read_database, read_table};
use crate::{error, import, rows, tables};

const STATES: &str = "SELECT d.id, d.name, d.sequence, d.definitions_version, coalesce(j.revision, 0), \
        coalesce(j.sequence, 0), coalesce(j.definitions_version, 0), coalesce(j.full_revision, 0) \
    FROM databases d LEFT JOIN journals j ON j.database_id = d.id ORDER BY d.id";

const ADVANCE: &str = "INSERT INTO journals AS j (database_id, revision, sequence, definitions_version, full_revision) \
    SELECT $1::bigint, $3::bigint, $4::bigint, $5::bigint, $6::bigint \
    WHERE $2::bigint = 0 OR EXISTS (SELECT 1 FROM journals WHERE database_id = $1) \
    ON CONFLICT (database_id) DO UPDATE SET revision = excluded.revision, sequence = excluded.sequence, \
        definitions_version = excluded.definitions_version, full_revision = excluded.full_revision \
    WHERE j.revision = $2";

const DEFINITION: &str = "SELECT d.id, d.name, d.sequence, d.definitions_version, \
        coalesce((SELECT max(forgotten_seq) FROM manifests WHERE database_id = d.id), 0), \
        coalesce((SELECT max(id) FROM tables), 0) \
    FROM databases d WHERE d.id = $1";

/// The walk of one table's index; pages begin after a place, and the next table is looked for when a walk ends.
const EXTENTS: &str = concat!(
    "SELECT ",
    rows::columns!(),
    ", removed_seq FROM extents WHERE table_id = $1 AND added_seq >= $2 AND added_seq <= $3 \
        AND (added_seq > $2 OR id > $4) ORDER BY added_seq, id LIMIT $5"
);

const RECEIPTS: &str = "SELECT database_id, key, answer, sequence FROM receipts WHERE database_id = $1 \
    AND sequence >= $2 AND sequence <= $3 AND (sequence > $2 OR key > $4) ORDER BY sequence, key LIMIT $5";

/// What is kept beside what is counted, of the tables where the two differ.
const TOTALS: &str = "SELECT c.table_id, c.extents, c.rows, c.stored, c.raw, \
        coalesce(m.extent_count, 0), coalesce(m.row_count, 0), coalesce(m.stored_bytes, 0), coalesce(m.raw_bytes, 0) \
    FROM (SELECT t.id AS table_id, count(e.id) AS extents, coalesce(sum(e.row_count), 0)::bigint AS rows, \
            coalesce(sum(e.object_length), 0)::bigint AS stored, coalesce(sum(e.raw_bytes), 0)::bigint AS raw \
        FROM tables t LEFT JOIN extents e ON e.table_id = t.id AND e.removed_seq IS NULL \
        WHERE t.database_id = $1 GROUP BY t.id) c \
    LEFT JOIN manifests m ON m.table_id = c.table_id \
    WHERE (c.extents, c.rows, c.stored, c.raw) IS DISTINCT FROM (coalesce(m.extent_count, 0), coalesce(m.row_count, 0), \
        coalesce(m.stored_bytes, 0), coalesce(m.raw_bytes, 0)) LIMIT $2";

const MISPLACED: &str = "SELECT e.id FROM tables t JOIN extents e ON e.table_id = t.id JOIN databases d ON d.id = t.database_id \
    WHERE d.id = $1 AND (e.added_seq > d.sequence OR e.added_seq <= 0 OR e.removed_seq > d.sequence \
        OR e.removed_seq < e.added_seq) LIMIT $2";

const LOST_RECEIPTS: &str = "SELECT r.key FROM receipts r JOIN databases d ON d.id = r.database_id \
    WHERE d.id = $1 AND (r.sequence > d.sequence OR r.sequence <= 0) LIMIT $2";

/// Takes the lock that every commit takes, so that no commit is between its extents and its totals.
const LOCK_DATABASE: &str = "SELECT 1 FROM databases WHERE id = $1 FOR UPDATE";

const REPAIR: &str = "INSERT INTO manifests AS m \
        (table_id, database_id, sequence, extent_count, row_count, stored_bytes, raw_bytes) \
    SELECT t.id, t.database_id, d.sequence, count(e.id), coalesce(sum(e.row_count), 0), \
        coalesce(sum(e.object_length), 0), coalesce(sum(e.raw_bytes), 0) \
    FROM tables t JOIN databases d ON d.id = t.database_id \
        LEFT JOIN extents e ON e.table_id = t.id AND e.removed_seq IS NULL \
    WHERE t.database_id = $1 GROUP BY t.id, t.database_id, d.sequence \
    ON CONFLICT (table_id) DO UPDATE SET sequence = excluded.sequence, extent_count = excluded.extent_count, \
        row_count = excluded.row_count, stored_bytes = excluded.stored_bytes, raw_bytes = excluded.raw_bytes \
    WHERE (m.extent_count, m.row_count, m.stored_bytes, m.raw_bytes) IS DISTINCT FROM \
        (excluded.extent_count, excluded.row_count, excluded.stored_bytes, excluded.raw_bytes)";

/// When an object was doomed is not noted: not before the last of its extents was removed, nor before it was reserved.
const OVERDUE: &str = "SELECT o.key FROM objects o WHERE o.state IN ('revoked', 'doomed') \
    AND o.reserved_at < clock_timestamp() - make_interval(secs => $1) \
    AND NOT EXISTS (SELECT 1 FROM extents e WHERE e.object_key = o.key \
        AND (e.removed_at IS NULL OR e.removed_at >= clock_timestamp() - make_interval(secs => $1))) \
    ORDER BY o.key LIMIT $2";

#[async_trait]
impl Recovery for PostgresCatalog {
    async fn identity(&self) -> Result<CatalogIdentity> {
        let rows = self.rows("identity", "SELECT id, rebuilt_from FROM catalog", &[]).await?;
        let row = rows.first().ok_or_else(|| kyma_core::Error::internal("the catalog has no identity"))?;
        Ok(CatalogIdentity { id: get(row, 0)?, rebuilt_from: get(row, 1)? })
    }

    async fn journal_states(&self) -> Result<Vec<JournalState>> {
        let rows = self.rows("journal states", STATES, &[]).await?;
        rows.iter().map(read_state).collect()
    }

    async fn advance_journal(&self, database: DatabaseId, from: i64, to: &JournalMark) -> Result<bool> {
        let JournalMark { revision, sequence, definitions_version, full_revision } = to;
        let params: [&(dyn ToSql + Sync); 6] =
            [&database.0, &from, revision, &sequence.0, definitions_version, full_revision];
        Ok(self.change("advance journal", ADVANCE, &params).await? == 1)
    }

    async fn definition(&self, database: DatabaseId) -> Result<DatabaseDefinition> {
        let doing = "definition";
        self.bounded(doing, async {
            let mut client = self.client().await?;
            let begin = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
            let transaction = begin.start().await.map_err(error::statement(doing))?;
            let definition = read_definition(&transaction, database).await?;
            transaction.commit().await.map_err(error::statement(doing))?;
            Ok(definition)
        })
        .await
    }

    async fn extent_page(&self, page: &ExtentPage) -> Result<Vec<Extent>> {
        let ExtentPage { database, to, after, limit } = *page;
        let first = (TableId(i64::MIN), Sequence(i64::MIN), ExtentId(Uuid::nil()));
        let (from, mut sequence, mut id) = after.unwrap_or(first);
        let sql = "SELECT table_id FROM manifests WHERE database_id = $1 AND table_id >= $2 ORDER BY table_id";
        let tables = self.rows("extent page", sql, &[&database.0, &from.0]).await?;
        let mut found = Vec::new();
        for row in &tables {
            let table: i64 = get(row, 0)?;
            if table != from.0 {
                (sequence, id) = (first.1, first.2);
            }
            let wanted = i64::try_from(limit - found.len()).unwrap_or(i64::MAX);
            let params: [&(dyn ToSql + Sync); 5] = [&table, &sequence.0, &to.0, &id.0, &wanted];
            for row in &self.rows("extent page", EXTENTS, &params).await? {
                found.push(rows::read(row)?);
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    async fn receipt_page(&self, page: &ReceiptPage) -> Result<Vec<NumberedReceipt>> {
        let ReceiptPage { database, after: (after, key), to, limit } = page;
        let limit = i64::try_from(*limit).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 5] = [&database.0, &after.0, &to.0, key, &limit];
        let rows = self.rows("receipt page", RECEIPTS, &params).await?;
        rows.iter().map(read_receipt).collect()
    }

    async fn begin_import(&self, rebuilt_from: Option<Uuid>) -> Result<Box<dyn Import>> {
        import::begin(self, rebuilt_from).await
    }

    async fn audit(&self, database: DatabaseId, limit: usize) -> Result<Audit> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let params: [&(dyn ToSql + Sync); 2] = [&database.0, &limit];
        let mut audit = Audit::default();
        for row in &self.rows("audit totals", TOTALS, &params).await? {
            audit.totals.insert(TableId(get(row, 0)?), (read_totals(row, 5)?, read_totals(row, 1)?));
        }
        for row in &self.rows("audit extents", MISPLACED, &params).await? {
            audit.misplaced.push(ExtentId(get(row, 0)?));
        }
        for row in &self.rows("audit receipts", LOST_RECEIPTS, &params).await? {
            audit.receipts.push(get(row, 0)?);
        }
        Ok(audit)
    }

    async fn repair_totals(&self, database: DatabaseId) -> Result<u64> {
        let doing = "repair totals";
        transact!(self, doing, |transaction| {
            query(transaction, doing, LOCK_DATABASE, &[&database.0]).await?;
            execute(transaction, doing, REPAIR, &[&database.0]).await
        })
    }

    async fn object_states(&self, keys: &[String]) -> Result<BTreeMap<String, ObjectState>> {
        let sql = "SELECT key, state FROM objects WHERE key = ANY($1)";
        let state = |row: &Row| {
            let state: String = get(row, 1)?;
            let state = match state.as_str() {
                "reserved" => ObjectState::Reserved,
                "registered" => ObjectState::Registered,
                _ => ObjectState::Doomed,
            };
            Ok((get(row, 0)?, state))
        };
        self.rows("object states", sql, &[&keys]).await?.iter().map(state).collect()
    }

    async fn overdue(&self, age: Duration, limit: usize) -> Result<Vec<String>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.rows("overdue", OVERDUE, &[&age.as_secs_f64(), &limit]).await?;
        rows.iter().map(|row| get(row, 0)).collect()
    }
}

async fn read_definition(client: &impl GenericClient, database: DatabaseId) -> Result<DatabaseDefinition> {
    let doing = "definition";
    let of_database: [&(dyn ToSql + Sync); 1] = [&database.0];
    let heads = query(client, doing, DEFINITION, &of_database).await?;
    let head = heads.first().ok_or_else(|| database_unknown(database))?;
    let mappings = "SELECT m.table_id, m.name, m.kind, m.mapping FROM ingestion_mappings m \
                    JOIN tables t ON t.id = m.table_id WHERE t.database_id = $1 AND t.dropped_at IS NULL ORDER BY m.name";
    let mappings = query(client, doing, mappings, &of_database).await?;
    let mappings: Vec<IngestionMapping> = mappings.iter().map(read_mapping).collect::<Result<_>>()?;
    let texts = query(client, doing, crate::definitions::TEXTS, &of_database).await?;
    let mut texts: BTreeMap<TableId, TableTexts> = texts.iter().map(read_texts).collect::<Result<_>>()?;
    let mut definitions = Vec::new();
    for row in &query(client, doing, tables::TABLES, &of_database).await? {
        let table = read_table(row)?;
        let of_table = mappings.iter().filter(|mapping| mapping.table == table.id).cloned().collect();
        definitions.push(TableDefinition { texts: texts.remove(&table.id), mappings: of_table, table });
    }
    definitions.sort_by_key(|definition| definition.table.id);
    let functions = query(client, doing, crate::definitions::FUNCTIONS, &of_database).await?;
    let policies = query(client, doing, crate::definitions::POLICIES, &of_database).await?;
    Ok(DatabaseDefinition {
        database: read_database(head)?,
        sequence: Sequence(get(head, 2)?),
        definitions_version: get(head, 3)?,
        forgotten: Sequence(get(head, 4)?),
        tables_max: TableId(get(head, 5)?),
        tables: definitions,
        functions: functions.iter().map(read_function).collect::<Result<_>>()?,
        policies: policies.iter().map(read_policy).collect::<Result<_>>()?,
    })
}

fn read_state(row: &Row) -> Result<JournalState> {
    Ok(JournalState {
        database: Database { id: DatabaseId(get(row, 0)?), name: get(row, 1)? },
        sequence: Sequence(get(row, 2)?),
        definitions_version: get(row, 3)?,
        mark: JournalMark {
            revision: get(row, 4)?,
            sequence: Sequence(get(row, 5)?),
            definitions_version: get(row, 6)?,
            full_revision: get(row, 7)?,
        },
    })
}

fn read_receipt(row: &Row) -> Result<NumberedReceipt> {
    let Json(answer): Json<serde_json::Value> = get(row, 2)?;
    let receipt = Receipt { database: DatabaseId(get(row, 0)?), key: get(row, 1)?, answer, window_seconds: None };
    Ok(NumberedReceipt { receipt, sequence: Sequence(get(row, 3)?) })
}

fn read_totals(row: &Row, at: usize) -> Result<TableTotals> {
    let sum = |place| get::<i64>(row, at + place).map(i64::unsigned_abs);
    Ok(TableTotals { extents: sum(0)?, rows: sum(1)?, bytes: sum(2)?, raw_bytes: sum(3)? })
}
