//! The layout of an extent in words and numbers, for `kyma inspect`.

use kyma_core::format::SegmentReader;
use serde_json::{Value, json};

use crate::constants::index::place;
use crate::constants::{VERSION_MAJOR, VERSION_MINOR};
use crate::encoding;
use crate::footer::{Block, Piece, SubPiece};
use crate::index::directory::Directory;
use crate::index::filter::Filter;
use crate::index::search::Searched;
use crate::reader::Reader;

/// Templates of a column that are shown, and characters of each.
const SHOWN_TEMPLATES: usize = 50;
const SHOWN_TEMPLATE_CHARS: usize = 200;

/// Sections, identity, columns and blocks of `reader`.
pub(crate) fn describe(reader: &Reader) -> Value {
    let footer = &reader.footer;
    let identity = &footer.identity;
    let (bitmaps, bitmap_bytes) = footer.presence.size();
    let sketch_bytes = footer.sketches.bytes();
    let index_bytes = footer.indexes.as_ref().map_or(0, Directory::bytes);
    let data_bytes = reader.length - u64::from(reader.footer_length);
    let data_bytes = data_bytes.saturating_sub(bitmap_bytes + sketch_bytes + index_bytes);
    json!({
        "format": "tlm",
        "version": format!("{VERSION_MAJOR}.{VERSION_MINOR}"),
        "extent": identity.extent.to_string(),
        "database": { "id": identity.database.0, "name": identity.database_name },
        "table": { "id": identity.table.0, "name": identity.table_name },
        "time_column": identity.time_column,
        "sorted_by": identity.sorted_by,
        "level": identity.level,
        "block_rows": identity.block_rows,
        "rows": reader.rows(),
        "bytes": reader.length,
        "raw_bytes": footer.checksum.map(|_| identity.raw_bytes),
        "replaces": identity.replaces.len(),
        "writes": identity.writes.len(),
        "sections": [
            { "name": "data", "bytes": data_bytes },
            { "name": "indexes", "bytes": index_bytes },
            { "name": "path bitmaps", "bytes": bitmap_bytes, "bitmaps": bitmaps },
            { "name": "sketches", "bytes": sketch_bytes },
            { "name": "footer", "bytes": reader.footer_length },
        ],
        "dictionaries": dictionaries(reader),
        "templates": templates(reader),
        "columns": columns(reader),
        "indexes": footer.indexes.as_ref().map(|indexes| describe_indexes(reader, indexes)),
        "blocks": footer.blocks.iter().map(|block| describe_block(reader, block)).collect::<Vec<_>>(),
    })
}

/// What columns of several blocks share, and which columns do.
fn dictionaries(reader: &Reader) -> Vec<Value> {
    let footer = &reader.footer;
    let users = |number: usize| {
        let uses =
            |at: &usize| footer.blocks.iter().any(|block| block.columns[*at].piece.dictionary == Some(number as u32));
        (0..footer.schema.len()).filter(uses).map(|at| footer.schema.columns()[at].name.as_str()).collect::<Vec<_>>()
    };
    let describe = |(number, shared): (usize, &crate::shared::Dictionary)| {
        let mut described = describe_piece(&number.to_string(), &shared.piece);
        described["values"] = json!(shared.values);
        described["columns"] = json!(users(number));
        described
    };
    footer.dictionaries.iter().enumerate().map(describe).collect()
}

/// Bytes per column over all blocks, and their share of the extent.
fn columns(reader: &Reader) -> Vec<Value> {
    let mut columns = Vec::new();
    for (at, column) in reader.footer.schema.columns().iter().enumerate() {
        let stored = reader.footer.blocks.iter().map(|block| &block.columns[at]);
        let bytes: u64 =
            stored.map(|column| column.piece.bytes() + column.shredded.iter().map(SubPiece::bytes).sum::<u64>()).sum();
        let rows = reader.rows().max(1);
        columns.push(json!({
            "name": column.name,
            "type": column.ty.name(),
            "bytes": bytes,
            "bytes_per_row": (bytes as f64 / rows as f64 * 100.0).round() / 100.0,
            "share": (bytes as f64 / reader.length.max(1) as f64 * 1000.0).round() / 1000.0,
            "encodings": encodings(reader, at),
        }));
    }
    columns
}

/// The encodings of a column with the number of blocks that have each, the most frequent first.
fn encodings(reader: &Reader, at: usize) -> String {
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for block in &reader.footer.blocks {
        *counts.entry(encoding::name(block.columns[at].piece.encoding)).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let shown =
        |&(name, count): &(&str, usize)| if counts.len() == 1 { name.to_owned() } else { format!("{name} ×{count}") };
    counts.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// The most frequent templates of each column of lines.
fn templates(reader: &Reader) -> Vec<Value> {
    let mut templates = Vec::new();
    for column in reader.footer.schema.columns() {
        let patterns = reader.patterns(&column.name);
        for pattern in patterns.iter().take(SHOWN_TEMPLATES) {
            let mut text: String = pattern.text.chars().take(SHOWN_TEMPLATE_CHARS).collect();
            if text.len() < pattern.text.len() {
                text.push('…');
            }
            templates.push(json!({ "column": column.name, "rows": pattern.rows, "template": text }));
        }
        if patterns.len() > SHOWN_TEMPLATES {
            let rest: u64 = patterns.iter().skip(SHOWN_TEMPLATES).map(|pattern| pattern.rows).sum();
            let more = format!("({} more)", patterns.len() - SHOWN_TEMPLATES);
            templates.push(json!({ "column": column.name, "rows": rest, "template": more }));
        }
    }
    templates
}

/// The filters, and per field its dictionary and where its terms are.
fn describe_indexes(reader: &Reader, indexes: &Directory) -> Value {
    let filter =
        |filter: &Filter| json!({ "bytes": filter.bytes(), "shards": filter.shards.len(), "bits": filter.width });
    let fields = indexes.fields.iter().map(|field| {
        let count = |place: u8| field.places.iter().filter(|found| **found == place).count();
        let dictionary = &field.dictionary;
        json!({
            "field": reader.field_name(field),
            "dictionary": {
                "bytes": dictionary.bytes(),
                "blocks": dictionary.blocks.len(),
                "terms": dictionary.terms,
                "postings": match dictionary.terms {
                    0 => "none",
                    _ if field.has_page_postings => "pages",
                    _ => "blocks",
                },
            },
            "classes": {
                "dictionary": count(place::DICTIONARY),
                "filter_of_pages": count(place::PAGES),
                "filter_of_blocks": count(place::BLOCKS),
            },
            "left_out_uuid_parts": field.left_out_uuid_parts,
        })
    });
    json!({
        "bytes": indexes.bytes(),
        "share": (indexes.bytes() as f64 / reader.length.max(1) as f64 * 1000.0).round() / 1000.0,
        "filter_of_pages": filter(&indexes.pages),
        "filter_of_blocks": filter(&indexes.blocks),
        "fields": fields.collect::<Vec<_>>(),
    })
}

fn describe_block(reader: &Reader, block: &Block) -> Value {
    let mut columns = Vec::new();
    for (at, stored) in block.columns.iter().enumerate() {
        let column = &reader.footer.schema.columns()[at];
        let mut described = describe_piece(&column.name, &stored.piece);
        if let Some(base) = stored.piece.base.and_then(|base| reader.footer.schema.columns().get(base as usize)) {
            described["difference_to"] = json!(base.name);
        }
        if let Some(dictionary) = stored.piece.dictionary {
            described["dictionary"] = json!(dictionary);
        }
        described["nulls"] = json!(stored.stats.nulls);
        described["distinct"] = json!(stored.stats.distinct);
        described["min"] = json!(stored.stats.min);
        described["max"] = json!(stored.stats.max);
        if !stored.shredded.is_empty() {
            let name = |path| reader.footer.paths[at].dotted(&column.name, path);
            let subs = stored.shredded.iter().map(|sub| {
                let mut described = describe_piece(&name(sub.path), &sub.piece);
                described["type"] = json!(if sub.list.is_some() { "list" } else { sub.ty.name() });
                described["bytes"] = json!(sub.bytes());
                described["complete"] = json!(sub.complete);
                described
            });
            described["paths"] = Value::Array(subs.collect());
        }
        columns.push(described);
    }
    json!({ "rows": block.rows, "columns": columns })
}

fn describe_piece(name: &str, piece: &Piece) -> Value {
    json!({
        "name": name,
        "encoding": encoding::name(piece.encoding),
        "offset": piece.offset,
        "bytes": piece.bytes(),
        "frames": piece.frames.len(),
    })
}
