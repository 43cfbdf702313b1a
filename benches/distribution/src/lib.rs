//! The architectural tests live in `tests/it/`: one file per invariant of `ARCHITECTURE.md`, and the layer and path
//! tests that keep its map true. This library is empty on purpose.
