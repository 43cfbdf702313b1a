//! The Catalog on PostgreSQL.
