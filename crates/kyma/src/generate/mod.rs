//! A seeded generator of a web shop's telemetry: the same options, the same bytes.
//!
//! 1. `request` plays requests that walk through the shop's services (`shop`): who called whom, when, how long, how it ended.
//!    Only the *shape* random numbers are used here, so logs and spans of one seed tell of the same requests and
//!    join by `TraceId` and `SpanId`.
//! 2. `lines` words each hop as log lines; `spans` as one span. Wording has random numbers of its own.
//!
//! **The incident.** From 60 % to 70 % of the time span `payments` 2.14.0, rolled out a little before, leaks connections:
//! its calls time out, `checkout` answers 502, and the gateway's error rate rises. It is found by counting errors by
//! service, then by version.

mod lines;
mod request;
mod shop;
mod spans;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::request::{Requests, Span};

/// What is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Log lines, one to three per hop.
    Logs,
    /// One span per hop.
    Spans,
}

/// What to generate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Log lines or spans.
    pub kind: Kind,
    /// How many rows.
    pub rows: u64,
    /// The seed.
    pub seed: u64,
    /// Nanoseconds of the first request.
    pub start: i64,
    /// Nanoseconds that the rows are spread over.
    pub span: i64,
}

/// Log lines per ten requests, on average: how requests are spread so that `rows` fill the time span.
const LINES_PER_TEN_REQUESTS: u64 = 42;
/// Spans per ten requests, on average.
const SPANS_PER_TEN_REQUESTS: u64 = 31;

/// Writes NDJSON rows.
#[derive(Debug)]
pub struct Generator {
    kind: Kind,
    requests: Requests,
    words: ChaCha8Rng,
    left: u64,
    hops: Vec<Span>,
    next_hop: usize,
}

impl Generator {
    /// A generator at its first row.
    pub fn new(options: Options) -> Self {
        let per_ten = match options.kind {
            Kind::Logs => LINES_PER_TEN_REQUESTS,
            Kind::Spans => SPANS_PER_TEN_REQUESTS,
        };
        let requests = (options.rows.saturating_mul(10) / per_ten).max(1);
        Generator {
            kind: options.kind,
            requests: Requests::new(options.seed, options.start, options.span, requests),
            words: ChaCha8Rng::seed_from_u64(options.seed ^ 0x5eed_0f00),
            left: options.rows,
            hops: Vec::new(),
            next_hop: 0,
        }
    }

    /// Appends rows to `out` until it holds `bytes_min` bytes or there are no more; how many rows it appended.
    pub fn fill(&mut self, out: &mut Vec<u8>, bytes_min: usize) -> u64 {
        let before = self.left;
        while self.left > 0 && out.len() < bytes_min {
            let Some(hop) = self.hops.get(self.next_hop) else {
                self.requests.next(&mut self.hops);
                self.next_hop = 0;
                continue;
            };
            self.next_hop += 1;
            self.left -= match self.kind {
                Kind::Logs => lines::write(hop, self.left, &mut self.words, out),
                Kind::Spans => spans::write(hop, out),
            };
        }
        before - self.left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(kind: Kind, rows: u64, seed: u64) -> Vec<serde_json::Value> {
        let start = kyma_core::time::parse_datetime("2026-01-01").unwrap();
        let options = Options { kind, rows, seed, start, span: 6 * kyma_core::time::HOUR };
        let mut out = Vec::new();
        assert_eq!(Generator::new(options).fill(&mut out, usize::MAX), rows);
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn one_seed_one_text() {
        assert_eq!(rows(Kind::Logs, 500, 7), rows(Kind::Logs, 500, 7));
        assert_ne!(rows(Kind::Logs, 500, 7), rows(Kind::Logs, 500, 8));
    }

    #[test]
    fn logs_and_spans_join() {
        let ids = |rows: &[serde_json::Value]| -> BTreeSet<String> {
            rows.iter().map(|row| format!("{}{}", row["TraceId"], row["SpanId"])).collect()
        };
        let (logs, spans) = (rows(Kind::Logs, 8_000, 1), rows(Kind::Spans, 6_000, 1));
        let common = ids(&logs).intersection(&ids(&spans)).count();
        assert!(common > 4_000, "{common}");
    }

    #[test]
    fn the_incident_can_be_found() {
        let errors = |version: &str| {
            rows(Kind::Logs, 40_000, 1)
                .iter()
                .filter(|row| row["Service"] == "payments" && row["Level"] == "Error")
                .filter(|row| row["Attributes"]["service"]["version"] == version)
                .count()
        };
        let (leaking, sound) = (errors("2.14.0"), errors("2.13.2"));
        assert!(leaking > 40 && leaking > 10 * sound, "leaking={leaking}, sound={sound}");
    }

    #[test]
    fn rows_fill_the_time_span() {
        let logs = rows(Kind::Logs, 20_000, 3);
        let last = logs.last().unwrap()["Timestamp"].as_str().unwrap().to_owned();
        assert!(last.as_str() > "2026-01-01T05:00" && last.as_str() < "2026-01-01T07:00", "{last}");
    }
}
