//! A hop as log lines: what the service says while it works, then how it ended.

use std::io::Write as _;

use kyma_core::time::format_datetime;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::request::{End, Span};
use super::shop::{
    AGENTS, AUTH, CART, CATALOG, CHECKOUT, COUNTRIES, EMAIL, GATEWAY, INVENTORY, PAYMENTS, RECOMMENDATIONS, SEARCH,
    SERVICES, TERMS,
};

/// Appends the lines of a hop, at most `most`; how many that is.
pub(super) fn write(hop: &Span, most: u64, words: &mut ChaCha8Rng, out: &mut Vec<u8>) -> u64 {
    let mut written = 0;
    let mut line = |level: &str, at: i64, message: &str, words: &mut ChaCha8Rng| {
        if written < most {
            write_line(hop, level, at, message, words, out);
            written += 1;
        }
    };
    if words.random_range(0..10_u32) < 3 {
        let message = detail(hop, words);
        line("Debug", hop.start + hop.nanos / 5, &message, words);
    }
    let message = work(hop, words);
    line("Info", hop.start + hop.nanos / 2, &message, words);
    if let Some((level, message)) = end(hop, words) {
        line(level, hop.start + hop.nanos, &message, words);
    }
    written
}

fn write_line(hop: &Span, level: &str, at: i64, message: &str, words: &mut ChaCha8Rng, out: &mut Vec<u8>) {
    let service = &SERVICES[hop.service];
    // Messages hold no quotes, backslashes or control characters: they are JSON strings as they are.
    // Writing to a Vec does not fail.
    let _ = write!(
        out,
        concat!(
            r#"{{"Timestamp":"{}","Level":"{}","Service":"{}","Pod":"{}-{}-{}","Host":"{}","Message":"{}","#,
            r#""TraceId":"{:032x}","SpanId":"{:016x}","DurationMs":{},"#,
            r#""Attributes":{{"http":{{"method":"{}","route":"{}","status":{}}},"#,
            r#""service":{{"version":"{}","language":"{}"}},"#,
            r#""k8s":{{"namespace":"shop","container":"{}"}},"user":{{"id":"u-{}","country":"{}"}}"#
        ),
        format_datetime(at),
        level,
        service.name,
        service.name,
        hop.replica_set,
        hop.pod_suffix(),
        hop.host(),
        message,
        hop.trace_id,
        hop.span_id,
        hop.millis(),
        hop.route.method,
        hop.route.pattern,
        hop.status,
        hop.version,
        service.language,
        service.name,
        hop.user,
        COUNTRIES[hop.user as usize % COUNTRIES.len()],
    );
    if hop.service == GATEWAY {
        let agent = AGENTS[hop.user as usize % AGENTS.len()];
        let address = (hop.user.wrapping_mul(2_654_435_761)).to_be_bytes();
        let _ = write!(
            out,
            r#","client":{{"ip":"{}.{}.{}.{}","agent":"{agent}"}}"#,
            address[0] % 223 + 1,
            address[1],
            address[2],
            address[3]
        );
    }
    if hop.end == End::PoolExhausted {
        let waiting = words.random_range(40..400_u32);
        let _ = write!(out, r#","db":{{"system":"postgresql","pool":{{"active":50,"max":50,"waiting":{waiting}}}}}"#);
    }
    out.extend_from_slice(b"}}\n");
}

/// What a service says of its work.
fn work(hop: &Span, words: &mut ChaCha8Rng) -> String {
    let product = words.random_range(1..20_000_u32);
    let count = words.random_range(1..40_u32);
    let cents = words.random_range(199..49_999_u32);
    match hop.service {
        GATEWAY => format!(
            "{} {} {} {}ms {}B",
            hop.route.method,
            hop.route.pattern.replace("{id}", &product.to_string()),
            hop.status,
            hop.nanos / 1_000_000,
            words.random_range(180..90_000_u32)
        ),
        CATALOG if count % 2 == 0 => format!("loaded product {product} with {count} variants"),
        CATALOG => format!("listed {count} products of category c-{}", product % 120),
        SEARCH => {
            let term = TERMS[product as usize % TERMS.len()];
            format!("query [{term}] matched {product} documents in {:.2}ms", hop.millis() / 2.0)
        }
        CART => format!("cart of user u-{} now holds {count} items", hop.user),
        CHECKOUT => format!(
            "order o-{:08} created for user u-{}: {count} items, total {}.{:02} EUR",
            words.random_range(0..100_000_000_u32),
            hop.user,
            cents / 100,
            cents % 100
        ),
        PAYMENTS => format!(
            "authorised {}.{:02} EUR with provider {} ref pay_{:012x}",
            cents / 100,
            cents % 100,
            ["adyen", "stripe", "paypal"][count as usize % 3],
            words.random::<u64>() >> 16
        ),
        INVENTORY => format!("reserved {count} of sku SKU-{product:06} in warehouse wh-{}", count % 4 + 1),
        AUTH => format!("token of user u-{} accepted, expires in {}s", hop.user, words.random_range(30..3_600_u32)),
        EMAIL => format!("queued mail order-confirmation to user u-{} via smtp-{}", hop.user, count % 3 + 1),
        RECOMMENDATIONS => format!("ranked {count} items for user u-{} with model m-{}", hop.user, product % 7),
        _ => "done".to_owned(),
    }
}

/// What only debugging needs.
fn detail(hop: &Span, words: &mut ChaCha8Rng) -> String {
    match words.random_range(0..4_u32) {
        0 => format!(
            "cache {} for key {}:{}",
            if words.random_bool(0.8) { "hit" } else { "miss" },
            SERVICES[hop.service].name,
            words.random_range(0..50_000_u32)
        ),
        1 => format!(
            "connection {} taken from pool after {}us",
            words.random_range(1..50_u32),
            words.random_range(8..900_u32)
        ),
        2 => format!("serialised response in {}us", words.random_range(20..700_u32)),
        _ => format!("feature flags evaluated: {} of 42 on", words.random_range(3..30_u32)),
    }
}

/// How it ended, when there is something to say.
fn end(hop: &Span, words: &mut ChaCha8Rng) -> Option<(&'static str, String)> {
    let service = SERVICES[hop.service].name;
    Some(match hop.end {
        End::Fine => return None,
        End::Slow => (
            "Warning",
            format!(
                "slow {service} call: {}ms exceeds budget of {}ms",
                hop.nanos / 1_000_000,
                SERVICES[hop.service].millis as u32 * 5
            ),
        ),
        End::NotFound => ("Warning", format!("no such resource for {} {}", hop.route.method, hop.route.pattern)),
        End::Failed => {
            let line = words.random_range(40..900_u32);
            ("Error", format!("unhandled error in {service}: invalid state at handler.rs:{line}"))
        }
        End::PoolExhausted => {
            let waited = 5_000 + words.random_range(0..60_u32);
            (
                "Error",
                format!(
                    "connection pool exhausted: no connection to payments-db within {waited}ms (active=50, max=50)"
                ),
            )
        }
        End::Upstream if hop.service == GATEWAY => {
            ("Error", format!("upstream answered 502 for {} {}", hop.route.method, hop.route.pattern))
        }
        End::Upstream => ("Error", format!("payment failed for user u-{}: payments answered 503", hop.user)),
    })
}
