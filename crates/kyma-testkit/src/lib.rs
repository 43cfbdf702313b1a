//! Builders, conformance suites, throw-away Postgres and S3, faulty stores.
