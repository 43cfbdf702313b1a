//! An object's file, opened without a catalog: every extent in it is found by its tail.
//!
//! An extent ends with the tail that `kyma-format-tlm` documents: the footer body's length in four bytes, 16 more, and
//! eight bytes of magic. Extents follow each other without gaps, so each starts where the one before ends. What
//! merely looks like a tail fails to open and is passed over.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow::array::{Array, AsArray};
use bytes::Bytes;
use kyma_core::format::{OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::{ExtentId, Result};
use serde_json::{Value as Json, json};

const MAGIC: &[u8; 8] = b"kymaTLM1";
const TAIL_BYTES: usize = 28;

/// Describes every extent of the object in `path`: its layout, how much smaller than its values each column is, and
/// its footer's bytes when wanted.
pub(crate) async fn describe(path: &Path, format: Arc<dyn SegmentFormat>, with_footer: bool) -> anyhow::Result<Json> {
    let bytes = Bytes::from(tokio::fs::read(path).await.context("the file cannot be read")?);
    let mut extents = Vec::new();
    let mut start = 0;
    for end in tail_ends(&bytes) {
        let Some(footer_length) = footer_length(&bytes[start..end]) else { continue };
        let options = OpenOptions {
            extent: ExtentId(uuid::Uuid::nil()),
            length: (end - start) as u64,
            footer_length,
            footer: None,
        };
        let reader = Arc::new(bytes.slice(start..end));
        if let Ok(opened) = format.open(reader.clone(), &options).await {
            let mut layout = opened.describe();
            add_ratios(opened.as_ref(), reader.as_ref(), &mut layout).await;
            let mut described = json!({ "offset": start, "length": end - start, "layout": layout });
            if with_footer {
                let footer = &bytes[end - footer_length as usize..end];
                described["footer"] = footer.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
            }
            extents.push(described);
            start = end;
        }
    }
    if extents.is_empty() {
        bail!("no extent ends in this file: is it one of the objects below the store's folder?");
    }
    Ok(json!({ "file_bytes": bytes.len(), "extents": extents.len(), "extent": numbered(extents) }))
}

/// Adds to each column of a layout the bytes of its values and how many times smaller they are stored. A column that cannot
/// be read says so.
async fn add_ratios(reader: &dyn SegmentReader, source: &Bytes, layout: &mut Json) {
    let Some(columns) = layout["columns"].as_array_mut() else { return };
    for (described, column) in columns.iter_mut().zip(reader.schema().columns()) {
        let wanted = [ReadColumn::column(&column.name, column.ty)];
        let mut value_bytes: Result<u64> = Ok(0);
        for block in 0..reader.block_rows().len() as u32 {
            let read = reader.read(source, block, &wanted, None).await;
            value_bytes = value_bytes.and_then(|sum| Ok(sum + bytes_of(read?.column(0).as_ref())));
        }
        match (value_bytes, described["bytes"].as_u64()) {
            (Ok(value_bytes), Some(stored)) => {
                described["value_bytes"] = json!(value_bytes);
                described["ratio"] = json!((value_bytes as f64 / stored.max(1) as f64 * 10.0).round() / 10.0);
            }
            (Err(error), _) => described["error"] = json!(error.message()),
            _ => {}
        }
    }
}

/// Bytes of the values: those of texts, or of each number.
fn bytes_of(array: &dyn Array) -> u64 {
    match array.as_string_view_opt() {
        Some(texts) => texts.iter().flatten().map(|text| text.len() as u64).sum(),
        None => array.to_data().buffers().iter().map(|buffer| buffer.len() as u64).sum(),
    }
}

/// Extents by their place in the file.
fn numbered(extents: Vec<Json>) -> Json {
    extents
        .into_iter()
        .enumerate()
        .map(|(nth, extent)| ((nth + 1).to_string(), extent))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn tail_ends(bytes: &[u8]) -> Vec<usize> {
    let positions = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    positions.map(|(at, _)| at + MAGIC.len()).collect()
}

/// The footer's length, body and tail, when it can lie in `extent`.
fn footer_length(extent: &[u8]) -> Option<u32> {
    let tail = extent.len().checked_sub(TAIL_BYTES)?;
    let body = u32::from_le_bytes(extent.get(tail..tail + 4)?.try_into().ok()?);
    let length = body.checked_add(TAIL_BYTES as u32)?;
    (length as usize <= extent.len()).then_some(length)
}
