//! Rows to committed extents: decode, route, buffer, seal, commit.
