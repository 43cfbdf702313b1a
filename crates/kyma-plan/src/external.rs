//! Rows of files elsewhere: `externaldata`.

/// The files, and how rows are read from them. Columns of the result are named and typed by the node's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Where they are, in the order of the rows.
    pub urls: Vec<String>,
    /// How they are written; by each file's name when absent.
    pub format: Option<ExternalFormat>,
    /// Whether the first record of each file is no row.
    pub ignore_first: bool,
    /// Where each column comes from.
    pub columns: Vec<ExternalColumn>,
}

/// Where a column comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExternalColumn {
    /// Fields: the one at this place. Objects: the member of the column's name.
    Default(usize),
    /// The field at this place.
    Place(usize),
    /// The member reached by these keys.
    Path(Vec<String>),
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternalFormat {
    /// Records of fields with this byte between them; fields may be quoted.
    Separated(u8),
    /// Each line is a row of one string.
    Lines,
    /// The file is one row of one string.
    Whole,
    /// Objects, one after the other or in arrays, in any layout.
    Json,
}

impl ExternalFormat {
    /// Names of formats.
    pub const NAMES: [&'static str; 12] =
        ["csv", "tsv", "tsve", "psv", "scsv", "sohsv", "ssv", "txt", "raw", "json", "multijson", "singlejson"];

    /// The format of a name.
    pub fn named(name: &str) -> Option<ExternalFormat> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" => ExternalFormat::Separated(b','),
            "tsv" | "tsve" => ExternalFormat::Separated(b'\t'),
            "psv" => ExternalFormat::Separated(b'|'),
            "scsv" => ExternalFormat::Separated(b';'),
            "sohsv" => ExternalFormat::Separated(1),
            "ssv" => ExternalFormat::Separated(b' '),
            "txt" => ExternalFormat::Lines,
            "raw" => ExternalFormat::Whole,
            "json" | "multijson" | "singlejson" => ExternalFormat::Json,
            _ => return None,
        })
    }

    /// The format that a file's name suggests, behind a suffix of compression.
    pub fn of_file(name: &str) -> Option<ExternalFormat> {
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let (_, suffix) = name.rsplit_once('.')?;
        match suffix {
            "jsonl" | "ndjson" => Some(ExternalFormat::Json),
            "log" => Some(ExternalFormat::Lines),
            other => ExternalFormat::named(other),
        }
    }
}
