//! CPU time of this thread: the machine may be busy with other things, so that the wall clock says little.

use anyhow::{Context, Result};

/// CPU seconds this thread has used.
pub(crate) fn seconds() -> Result<f64> {
    // The kernel accounts at ticks and when a thread gives way: without this, short times would read as none.
    std::thread::yield_now();
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).with_context(|| path.to_owned())?;
    let nanos: u64 = text.split_whitespace().next().unwrap_or_default().parse().with_context(|| path.to_owned())?;
    Ok(nanos as f64 / 1e9)
}

/// Runs `work` and gives its answer with the CPU seconds it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(T, f64)> {
    let before = seconds()?;
    let answer = work()?;
    Ok((answer, seconds()? - before))
}
