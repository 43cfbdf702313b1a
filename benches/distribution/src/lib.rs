//! The architectural tests live in `tests/`.
