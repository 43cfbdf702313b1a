//! A sample of the matrix, one cell at least of each mode; `cargo run -p kyma-crash -- matrix` runs all of it.

use std::time::Duration;

use futures::StreamExt;
use kyma_core::failpoint::Point;
use kyma_crash::plan::Cell;
use kyma_crash::{Mode, cell, table};

const CELLS: [(Point, Mode); 6] = [
    (Point::IngestAfterPut, Mode::Stop),
    (Point::CommitAfterCommit, Mode::Kill),
    (Point::GarbageAfterDelete, Mode::Error),
    (Point::CompactAfterSwap, Mode::Panic),
    (Point::ReplaceBeforeCommit, Mode::Error),
    (Point::TaskAfterClaim, Mode::Panic),
];
/// Longer than every lease and grace of a cell's settings, shorter than the matrix's.
const STOP: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_the_matrix_has_no_violation() {
    let binary = super::binary();
    let running = CELLS.map(|(point, mode)| cell::run(&binary, Cell { point, mode }, STOP));
    let reports: Vec<_> = futures::stream::iter(running).buffer_unordered(3).collect().await;
    let text = table::text(&reports);
    assert!(reports.iter().all(|report| report.violations.is_empty()), "{text}");
    assert!(reports.iter().all(|report| report.rows > 0), "{text}");
}
