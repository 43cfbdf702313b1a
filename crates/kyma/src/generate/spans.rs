//! A hop as one span.

use std::io::Write as _;

use super::request::{End, Span};
use super::shop::SERVICES;

/// Appends the span of a hop; how many rows that is.
pub(super) fn write(hop: &Span, out: &mut Vec<u8>) -> u64 {
    let parent = hop.parent_id.map(|id| format!("{id:016x}")).unwrap_or_default();
    let failed = !matches!(hop.end, End::Fine | End::Slow | End::NotFound);
    // Writing to a Vec does not fail.
    let _ = writeln!(
        out,
        concat!(
            r#"{{"Timestamp":"{}","TraceId":"{:032x}","SpanId":"{:016x}","ParentSpanId":"{}","Service":"{}","#,
            r#""Name":"{} {}","Kind":"{}","DurationMs":{},"Status":"{}","#,
            r#""Attributes":{{"http":{{"method":"{}","route":"{}","status":{}}},"#,
            r#""service":{{"version":"{}"}},"k8s":{{"pod":"{}-{}-{}","node":"{}"}},"user":{{"id":"u-{}"}}}}}}"#
        ),
        kyma_core::time::format_datetime(hop.start),
        hop.trace_id,
        hop.span_id,
        parent,
        SERVICES[hop.service].name,
        hop.route.method,
        hop.route.pattern,
        if hop.parent_id.is_none() { "server" } else { "client" },
        hop.millis(),
        if failed { "error" } else { "ok" },
        hop.route.method,
        hop.route.pattern,
        hop.status,
        hop.version,
        SERVICES[hop.service].name,
        hop.replica_set,
        hop.pod_suffix(),
        hop.host(),
        hop.user,
    );
    1
}
