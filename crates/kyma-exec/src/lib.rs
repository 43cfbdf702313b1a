//! Plan to rows: prune, assign, scan, execute.
