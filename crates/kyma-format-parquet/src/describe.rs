//! The layout of an extent in words and numbers, for `kyma inspect`.

use kyma_core::format::SegmentReader;
use parquet::file::metadata::ColumnChunkMetaData;
use serde_json::{Value, json};

use crate::footer::Chunk;
use crate::reader::Reader;

/// Sections, identity, columns and row groups of `reader`.
pub(crate) fn describe(reader: &Reader) -> Value {
    let identity = &reader.footer.identity;
    let (major, minor) = identity.version;
    let data: u64 = chunks(reader).map(Chunk::bytes).sum();
    json!({
        "format": "parquet",
        "version": format!("{major}.{minor}"),
        "extent": identity.extent.to_string(),
        "database": { "id": identity.database.0, "name": identity.database_name },
        "table": { "id": identity.table.0, "name": identity.table_name },
        "time_column": identity.time_column,
        "sorted_by": identity.sorted_by,
        "level": identity.level,
        "block_rows": identity.block_rows,
        "rows": reader.rows(),
        "bytes": reader.length,
        "sections": [
            { "name": "data", "bytes": data },
            { "name": "filters", "bytes": chunks(reader).map(Chunk::filter_bytes).sum::<u64>() },
            { "name": "footer", "bytes": reader.footer_length },
        ],
        "paths": reader.footer.statistics.paths.as_ref().map(Vec::len),
        "columns": columns(reader),
        "blocks": reader.block_rows().iter().map(|rows| json!({ "rows": rows })).collect::<Vec<_>>(),
        "row_groups": row_groups(reader),
    })
}

fn chunks(reader: &Reader) -> impl Iterator<Item = &Chunk> {
    reader.footer.groups.iter().flat_map(|group| &group.chunks)
}

/// Bytes per column over all row groups, and their share of the extent.
fn columns(reader: &Reader) -> Vec<Value> {
    let mut columns = Vec::new();
    for (at, column) in reader.schema().columns().iter().enumerate() {
        let stored = reader.footer.groups.iter().filter_map(|group| group.chunks.get(at));
        let bytes: u64 = stored.map(Chunk::bytes).sum();
        let rows = reader.rows().max(1);
        columns.push(json!({
            "name": column.name,
            "type": column.ty.name(),
            "bytes": bytes,
            "bytes_per_row": (bytes as f64 / rows as f64 * 100.0).round() / 100.0,
            "share": (bytes as f64 / reader.length.max(1) as f64 * 1000.0).round() / 1000.0,
        }));
    }
    columns
}

fn row_groups(reader: &Reader) -> Vec<Value> {
    let described = reader.footer.metadata.metadata().row_groups();
    let groups = reader.footer.groups.iter().zip(described);
    let describe = |(group, described): (&crate::footer::Group, &parquet::file::metadata::RowGroupMetaData)| {
        let columns = reader.schema().columns().iter().zip(&group.chunks).zip(described.columns());
        let columns = columns.map(|((column, chunk), stored)| describe_chunk(&column.name, chunk, stored));
        json!({ "first_block": group.first_block, "rows": group.rows, "columns": columns.collect::<Vec<_>>() })
    };
    groups.map(describe).collect()
}

fn describe_chunk(name: &str, chunk: &Chunk, stored: &ColumnChunkMetaData) -> Value {
    json!({
        "name": name,
        "encodings": stored.encodings().map(|encoding| encoding.to_string()).collect::<Vec<_>>(),
        "bytes": chunk.bytes(),
        "uncompressed_bytes": stored.uncompressed_size(),
        "dictionary_bytes": chunk.dictionary.map_or(0, |piece| piece.bytes()),
        "pages": chunk.pages.len(),
        "filter_bytes": chunk.filter_bytes(),
    })
}
