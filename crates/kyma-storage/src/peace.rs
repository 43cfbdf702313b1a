//! Hears a store that asks to be left alone: `Retry-After` of an answer 429 or 503.
//!
//! The store's client keeps an answer's headers to itself, so they are read below it, where the requests are sent.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};

use crate::budget::Budget;

/// Makes clients that tell a budget what the store asked for.
#[derive(Debug)]
pub(crate) struct Listening(pub(crate) Arc<Budget>);

impl HttpConnector for Listening {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Listener { inner, budget: Arc::clone(&self.0) }))
    }
}

#[derive(Debug)]
struct Listener {
    inner: HttpClient,
    budget: Arc<Budget>,
}

#[async_trait]
impl HttpService for Listener {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let response = self.inner.execute(request).await?;
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        if let Some(time) = asked(response.status().as_u16(), header) {
            self.budget.keep_peace(time);
        }
        Ok(response)
    }
}

/// How long an answer asks to wait. A date instead of seconds is not understood: stores do not send any.
fn asked(status: u16, retry_after: Option<&str>) -> Option<Duration> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    retry_after?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_seconds_of_answers_that_ask_for_peace() {
        assert_eq!(asked(503, Some(" 3 ")), Some(Duration::from_secs(3)));
        assert_eq!(asked(429, Some("0")), Some(Duration::ZERO));
        for (status, header) in [(200, Some("3")), (503, None), (503, Some("soon")), (503, Some("-1"))] {
            assert_eq!(asked(status, header), None);
        }
    }
}
