//! How a query would run and what it would cost, said without running it.
//!
//! The names of members are a promise, as those of [`crate::profile`] are.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::profile::{LevelProfile, bytes_text};

/// A plan and its estimate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// The snapshot that it would read, by database name.
    pub snapshot: BTreeMap<String, i64>,
    /// The plan, each operator before its inputs; sub-queries before the statements they are part of.
    pub operators: Vec<PlannedOperator>,
    /// Extents that the catalog's statistics answer for, without a scan.
    pub metadata_answers: u64,
    /// What the catalog's level considered, over all scans.
    pub catalog: LevelProfile,
    /// What all scans together would read at most.
    pub estimate: Estimate,
}

/// One operator of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlannedOperator {
    /// What it does: `scan`, `filter`, `sort`.
    pub name: String,
    /// To what, for people.
    pub detail: String,
    /// Operators above it; 0 starts the tree of a statement or of a sub-query.
    pub depth: u32,
    /// What was pushed into it, for a scan.
    pub scan: Option<ScanPlan>,
}

/// What was pushed into a scan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScanPlan {
    /// Its database.
    pub database: String,
    /// Its table.
    pub table: String,
    /// Conditions that it tests by itself, before its rows reach an operator. All of them hold.
    pub filters: Vec<String>,
    /// Columns, and paths inside dynamic columns, that it reads for its filters.
    pub filter_columns: Vec<String>,
    /// Columns, and paths inside dynamic columns, that it gives.
    pub columns: Vec<String>,
    /// Rows after which it stops.
    pub limit: Option<u64>,
    /// The order in which it takes up extents: `newest first` or `oldest first`.
    pub order: String,
    /// What the catalog's level left of its extents, and why.
    pub catalog: LevelProfile,
    /// What it would read.
    pub estimate: Estimate,
}

/// What scans would read: a bound from above, since what pruning inside extents, limits and caches save is not known
/// beforehand. Bytes are those that are needed; a request that bridges the gap between two ranges fetches the gap, too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Estimate {
    /// Extents that it would open.
    pub extents: u64,
    /// Of those, how many footers are at hand, so that bytes are those of the columns it reads; for the others they are
    /// those of the whole extent.
    pub extents_known: u64,
    /// Blocks of those extents.
    pub blocks: u64,
    /// Rows of those extents.
    pub rows: u64,
    /// Bytes to read, gaps left out.
    pub bytes: u64,
    /// Requests to the store.
    pub requests: u64,
    /// What the requests would cost, in US dollars.
    pub dollars: f64,
}

impl Estimate {
    /// Adds another scan's.
    pub fn add(&mut self, other: &Estimate) {
        self.extents += other.extents;
        self.extents_known += other.extents_known;
        self.blocks += other.blocks;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.requests += other.requests;
        self.dollars += other.dollars;
    }

    /// What the bytes were taken from.
    fn bytes_source(&self) -> &'static str {
        match self.extents_known {
            _ if self.extents == 0 => "nothing to read",
            0 => "whole extents",
            known if known == self.extents => "columns read, by open footers",
            _ => "columns read where footers are open, else whole extents",
        }
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate { extents, blocks, rows, requests, .. } = self;
        write!(
            f,
            "at most {extents} extents, {blocks} blocks, {rows} rows, {requests} requests, ${:.7}; {} ({})",
            self.dollars,
            bytes_text(self.bytes),
            self.bytes_source()
        )
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operator in &self.operators {
            let indent = "  ".repeat(operator.depth as usize);
            match &operator.scan {
                Some(scan) => scan.write(f, &indent)?,
                None if operator.detail.is_empty() => writeln!(f, "{indent}{}", operator.name)?,
                None => writeln!(f, "{indent}{}: {}", operator.name, operator.detail)?,
            }
        }
        if self.metadata_answers > 0 {
            writeln!(f, "metadata: {} extents are answered without being read", self.metadata_answers)?;
        }
        writeln!(f, "catalog: {}", self.catalog)?;
        writeln!(f, "estimate: {}", self.estimate)
    }
}

impl ScanPlan {
    fn write(&self, f: &mut fmt::Formatter<'_>, indent: &str) -> fmt::Result {
        writeln!(f, "{indent}scan: {}.{}, {}", self.database, self.table, self.order)?;
        if !self.filters.is_empty() {
            writeln!(f, "{indent}  pushed filter: {}", self.filters.join(" and "))?;
            writeln!(f, "{indent}  read to filter: {}", self.filter_columns.join(", "))?;
        }
        writeln!(f, "{indent}  pushed columns: {}", self.columns.join(", "))?;
        if let Some(limit) = self.limit {
            writeln!(f, "{indent}  pushed limit: {limit}")?;
        }
        writeln!(f, "{indent}  catalog: {}", self.catalog)?;
        writeln!(f, "{indent}  estimate: {}", self.estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::Reason;

    #[test]
    fn a_plan_reads_as_a_tree() {
        let catalog = LevelProfile { considered: 5, kept: 1, pruned: BTreeMap::from([(Reason::Time, 4)]) };
        let estimate = Estimate {
            extents: 1,
            extents_known: 0,
            blocks: 10,
            rows: 100,
            bytes: 2048,
            requests: 4,
            dollars: 0.000_001_6,
        };
        let scan = ScanPlan {
            database: "default".to_owned(),
            table: "T".to_owned(),
            filters: vec!["n = 7".to_owned()],
            filter_columns: vec!["n".to_owned()],
            columns: vec!["s".to_owned(), "d.pod".to_owned()],
            limit: Some(10),
            order: "newest first".to_owned(),
            catalog: catalog.clone(),
            estimate: estimate.clone(),
        };
        let operators = vec![
            PlannedOperator { name: "limit".to_owned(), detail: "fetch=10".to_owned(), ..Default::default() },
            PlannedOperator { name: "scan".to_owned(), depth: 1, scan: Some(scan), ..Default::default() },
        ];
        let explanation = Explanation { operators, catalog, estimate, ..Explanation::default() };
        assert_eq!(
            explanation.to_string(),
            "limit: fetch=10\n  \
               scan: default.T, newest first\n    \
                 pushed filter: n = 7\n    \
                 read to filter: n\n    \
                 pushed columns: s, d.pod\n    \
                 pushed limit: 10\n    \
                 catalog: considered=5, kept=1, pruned by time=4\n    \
                 estimate: at most 1 extents, 10 blocks, 100 rows, 4 requests, $0.0000016; 2.0 KiB (whole extents)\n\
             catalog: considered=5, kept=1, pruned by time=4\n\
             estimate: at most 1 extents, 10 blocks, 100 rows, 4 requests, $0.0000016; 2.0 KiB (whole extents)\n"
        );
    }
}
