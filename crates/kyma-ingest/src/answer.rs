//! What a client asks and is answered.

use std::str::FromStr;

use kyma_core::{Error, ExtentId, Result, Sequence};
use serde::{Deserialize, Serialize};

use crate::mapping::{Mapping, MappingKind};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// One JSON object per line.
    NdJson,
    /// An array of JSON objects, one object, or several one after another.
    Json,
    /// Comma-separated values; the first record names the columns.
    Csv,
    /// Comma-separated values without names: the fields are the table's columns in order. The table must exist.
    CsvPositional,
    /// The same with tabs.
    TsvPositional,
    /// The same with tabs, where `\t`, `\n`, `\r` and `\\` are escapes and quotes mean nothing.
    TsvEscapedPositional,
    /// The same with `|`.
    PsvPositional,
    /// The same with `;`.
    ScsvPositional,
    /// The same with the character 1.
    SohsvPositional,
    /// Each line is the one field of a record.
    TextLines,
    /// The whole body is the one field of one record.
    Raw,
}

impl BodyFormat {
    /// The format that Kusto calls so. Kusto's `json` is one object per line; `multijson` is anything that JSON can be.
    pub fn of_kusto(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" => BodyFormat::CsvPositional,
            "tsv" => BodyFormat::TsvPositional,
            "tsve" => BodyFormat::TsvEscapedPositional,
            "psv" => BodyFormat::PsvPositional,
            "scsv" => BodyFormat::ScsvPositional,
            "sohsv" => BodyFormat::SohsvPositional,
            "txt" => BodyFormat::TextLines,
            "raw" => BodyFormat::Raw,
            "json" => BodyFormat::NdJson,
            "multijson" | "singlejson" => BodyFormat::Json,
            _ => return None,
        })
    }

    /// What a mapping for it reads.
    pub fn mapping_kind(self) -> MappingKind {
        match self {
            BodyFormat::NdJson | BodyFormat::Json => MappingKind::Json,
            _ => MappingKind::Csv,
        }
    }

    /// Whether its records are fields in order, without names.
    pub(crate) fn is_positional(self) -> bool {
        !matches!(self, BodyFormat::NdJson | BodyFormat::Json | BodyFormat::Csv)
    }
}

impl FromStr for BodyFormat {
    type Err = Error;

    /// Reads a name (`ndjson`, `jsonl`, `json`, `csv`, ...) or a content type.
    fn from_str(text: &str) -> Result<Self> {
        let name = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Ok(match name.as_str() {
            "ndjson"
            | "jsonl"
            | "jsonlines"
            | "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/x-jsonlines" => BodyFormat::NdJson,
            "json" | "json_array" | "array" | "application/json" | "text/json" => BodyFormat::Json,
            "csv" | "text/csv" | "application/csv" => BodyFormat::Csv,
            _ => {
                return Err(Error::invalid(
                    "ingest.format_unknown",
                    format!("body format is not known: format={text:?}"),
                )
                .hint("use ndjson (application/x-ndjson), json (application/json) or csv (text/csv)"));
            }
        })
    }
}

/// How a body is compressed. The body's first bytes count more than what its sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    /// gzip, one or more members.
    Gzip,
    /// zstd, one or more frames.
    Zstd,
}

impl FromStr for Encoding {
    type Err = Error;

    /// Reads a `Content-Encoding`.
    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            _ => Err(Error::invalid(
                "ingest.encoding_unknown",
                format!("content encoding is not known: encoding={text:?}"),
            )
            .hint("use gzip, zstd or identity")),
        }
    }
}

/// One write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestRequest {
    /// Name of the database.
    pub database: String,
    /// Name of the table.
    pub table: String,
    /// How the body is written.
    pub format: BodyFormat,
    /// How the body is compressed.
    pub encoding: Encoding,
    /// The client's `Idempotency-Key`: a write with the same key in the same database is stored once.
    pub idempotency_key: Option<String>,
    /// Where the body came from, for rejected rows: an address, a file, a protocol.
    pub source: String,
}

/// How a body is read, where there is a choice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngestOptions {
    /// Which parts of a record become which columns; without it fields have their names or the table's order.
    pub mapping: Option<Mapping>,
    /// Whether the first record names the fields and is no row. For positional formats.
    pub skip_first: bool,
}

/// The answer to a write: everything in it is durable and visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestAnswer {
    /// Rows stored in the table.
    pub rows: u64,
    /// Rows that could not be decoded and are in `_rejected`.
    pub rejected: u64,
    /// Values that did not fit their column and are in `_unmapped`.
    pub unmapped: u64,
    /// The extents that hold the rows, rejected ones included.
    pub extents: Vec<ExtentId>,
    /// The commit that made them visible; queries pinned to it or later see them.
    pub sequence: Sequence,
}

impl IngestAnswer {
    /// The answer as a receipt keeps it: without its sequence, which the commit gives.
    pub(crate) fn to_receipt(&self) -> Result<serde_json::Value> {
        let mut value = serde_json::to_value(self)
            .map_err(|error| Error::internal("an answer cannot be written").because(error))?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("sequence");
        }
        Ok(value)
    }

    /// The remembered answer of a receipt.
    pub(crate) fn of_receipt(mut value: serde_json::Value, sequence: Sequence) -> Result<Self> {
        if let Some(fields) = value.as_object_mut() {
            fields.insert("sequence".to_owned(), serde_json::Value::from(sequence.0));
        }
        serde_json::from_value(value).map_err(|error| Error::internal("a receipt cannot be read").because(error))
    }
}
