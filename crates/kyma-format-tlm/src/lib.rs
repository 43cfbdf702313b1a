//! TLM, the telemetry format: blocks, pages, statistics, footer.
