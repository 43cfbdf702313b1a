//! A node: HTTP edge, gRPC services, identity, heartbeat.
