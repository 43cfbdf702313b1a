//! The commands by which ingest clients learn where to put their data, and the end of what was never ingested.

use axum::http::{HeaderMap, header};
use futures::StreamExt;
use kyma_core::{Error, Result, time};

use super::blob::{BLOBS, PREFIX, day_of};
use crate::encode::body::Piece;
use crate::failure::Outcome;
use crate::kusto::v1;
use crate::settings::Role;
use crate::state::Shared;

/// Days that a container is kept; the longest that an upload may be older than its message, at least.
const KEPT_DAYS: i64 = 2;
/// Objects that one sweep looks at.
const SWEEP_OBJECTS_MAX: usize = 1_000;
/// What stands where Azure has a signature: clients do not take a place without one.
const SIGNATURE: &str = "sv=2021-08-06&sig=none";

/// The answer to a command of ingest clients; `None` for any other text.
pub(crate) async fn answer(state: &Shared, headers: &HeaderMap, text: &str) -> Outcome<Option<Vec<Piece>>> {
    let words: Vec<String> = text.split_whitespace().take(4).map(str::to_ascii_lowercase).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [".get", "ingestion", "resources", ..] => {
            state.require(Role::Ingest)?;
            sweep(state).await;
            let rows = resources(&base_url(headers)?, &day_of(state.clock.now()));
            Ok(Some(v1::text_pieces(&["ResourceTypeName", "StorageRoot"], &rows)))
        }
        [".get", "kusto", "identity", "token"] => {
            // Nobody is asked who they are; the clients want a text.
            Ok(Some(v1::text_pieces(&["AuthorizationContext"], &[vec!["none".to_owned()]])))
        }
        _ => Ok(None),
    }
}

fn resources(base: &str, day: &str) -> Vec<Vec<String>> {
    let place = |kind: &str, path: String| vec![kind.to_owned(), format!("{base}/{path}?{SIGNATURE}")];
    vec![
        place("TempStorage", format!("{BLOBS}/{day}")),
        place("SecuredReadyForAggregationQueue", "kusto-queues/ready".to_owned()),
        place("FailedIngestionsQueue", "kusto-queues/failed".to_owned()),
        place("SuccessfulIngestionsQueue", "kusto-queues/succeeded".to_owned()),
        place("IngestionsStatusTable", "kusto-tables/status".to_owned()),
    ]
}

/// The URL by which the client reached this node: the only one that is known to work for it.
fn base_url(headers: &HeaderMap) -> Result<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_host = |host: &&str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte))
    };
    let host = text(header::HOST.as_str()).filter(is_host);
    let host = host.ok_or_else(|| Error::invalid("kusto.bad_request", "the request names no usable host"))?;
    let scheme = if text("x-forwarded-proto") == Some("https") { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

/// Deletes blobs of old containers, some at a time. Clients ask for resources once an hour, so it runs often enough. A
/// failure is another call's to mend.
async fn sweep(state: &Shared) {
    let oldest = day_of(state.clock.now().saturating_sub(KEPT_DAYS * time::DAY));
    let mut listed = state.store.list(PREFIX).take(SWEEP_OBJECTS_MAX);
    while let Some(Ok(object)) = listed.next().await {
        let day = object.key.split('/').nth(1).unwrap_or_default();
        if day < oldest.as_str()
            && let Err(error) = state.store.delete(&object.key).await
        {
            tracing::warn!(key = object.key, "an old blob could not be deleted: {}", error.chain());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_host_that_was_asked() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            base_url(&pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
        };
        assert_eq!(of(&[("host", "127.0.0.1:8080")]).unwrap(), "http://127.0.0.1:8080");
        assert_eq!(of(&[("host", "[::1]:80"), ("x-forwarded-proto", "https")]).unwrap(), "https://[::1]:80");
        assert!(of(&[("host", "a/b?c")]).is_err() && of(&[]).is_err());
        let rows = resources("http://h", "20260102");
        assert_eq!(rows[0], ["TempStorage", "http://h/kusto-blobs/20260102?sv=2021-08-06&sig=none"]);
    }
}
