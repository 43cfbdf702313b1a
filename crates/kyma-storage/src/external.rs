//! Files elsewhere, named by the text of a query: fetched only from where the node's settings allow.
//!
//! 1. The URL must lie under an allowed prefix: same scheme, host and port, and a path below the prefix's, by whole
//!    segments. URLs with credentials, or with separators of paths in disguise, are refused.
//! 2. A redirection is followed only to what is allowed, too.
//! 3. Bytes and time are bounded.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use kyma_core::{Error, Result};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::bad_url;
use crate::settings::StoreSettings;

/// Redirections that one fetch follows.
const REDIRECTS_MAX: usize = 5;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What may be fetched, and how much of it.
#[derive(Debug, Clone)]
pub struct ExternalFiles {
    allowed: Vec<Url>,
    bytes_max: u64,
    timeout: Duration,
}

impl ExternalFiles {
    /// Allows URLs under `prefixes`; none are when it is empty.
    pub fn new(prefixes: &[String], bytes_max: u64, timeout: Duration) -> Result<Self> {
        let parsed = |prefix: &String| {
            Url::parse(prefix)
                .map_err(|error| bad_url(format!("a prefix is not a URL: prefix={prefix}")).because(error))
        };
        let allowed = prefixes.iter().map(parsed).collect::<Result<Vec<_>>>()?;
        Ok(ExternalFiles { allowed, bytes_max, timeout })
    }

    /// The bytes under `url`.
    pub async fn fetch(&self, url: &str) -> Result<Bytes> {
        let url = self.admit(url)?;
        let fetched = async {
            match url.scheme() {
                "http" | "https" => self.over_http(&url).await,
                _ => self.over_store(&url).await,
            }
        };
        match tokio::time::timeout(self.timeout, fetched).await {
            Ok(fetched) => fetched,
            Err(_) => {
                let text = format!("a file elsewhere took too long: url={}, limit={:?}", shown(&url), self.timeout);
                Err(Error::exhausted("query.external_timeout", text))
            }
        }
    }

    fn admit(&self, url: &str) -> Result<Url> {
        let refused = |text: String| {
            Error::invalid("query.external_refused", text)
                .hint("whoever runs the node allows it by a prefix: query.external_urls = [\"https://host/folder/\"]")
        };
        let parsed = Url::parse(url)
            .map_err(|error| Error::invalid("query.external_url", format!("not a URL: {url:?}")).because(error))?;
        if self.allowed.iter().any(|prefix| covers(prefix, &parsed)) {
            return Ok(parsed);
        }
        Err(refused(format!("this node does not fetch from there: url={}", shown(&parsed))))
    }

    async fn over_http(&self, url: &Url) -> Result<Bytes> {
        let failed = |error: reqwest::Error| {
            let text = format!("a file elsewhere cannot be fetched: url={}", shown(url));
            Error::unavailable("query.external_unavailable", text).because(error.without_url())
        };
        let response = self.client().map_err(failed)?.get(url.clone()).send().await.map_err(failed)?;
        let mut response = response.error_for_status().map_err(failed)?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            self.within_limit(url, bytes.len() + chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    /// A client of its own for each fetch: they are rare, and it holds nothing between them.
    fn client(&self) -> reqwest::Result<reqwest::Client> {
        let allowed = self.allowed.clone();
        let policy = reqwest::redirect::Policy::custom(move |attempt| {
            let allowed = allowed.iter().any(|prefix| covers(prefix, attempt.url()));
            if allowed && attempt.previous().len() <= REDIRECTS_MAX {
                return attempt.follow();
            }
            attempt.error("it redirects to where this node does not fetch from")
        });
        reqwest::Client::builder().redirect(policy).connect_timeout(CONNECT_TIMEOUT).timeout(self.timeout).build()
    }

    async fn over_store(&self, url: &Url) -> Result<Bytes> {
        let failed = |error: object_store::Error| {
            let text = format!("a file elsewhere cannot be read: url={}", shown(url));
            Error::unavailable("query.external_unavailable", text).because(error)
        };
        let (store, path) = store_of(url)?;
        let found = store.get(&path).await.map_err(failed)?;
        self.within_limit(url, usize::try_from(found.meta.size).unwrap_or(usize::MAX))?;
        let mut bytes = BytesMut::new();
        let mut chunks = found.into_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            self.within_limit(url, bytes.len() + chunk.len())?;
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }

    fn within_limit(&self, url: &Url, bytes: usize) -> Result<()> {
        if bytes as u64 <= self.bytes_max {
            return Ok(());
        }
        let text = format!("a file elsewhere is too large: url={}, limit={}", shown(url), self.bytes_max);
        Err(Error::exhausted("query.external_too_large", text).hint("the limit is query.external_bytes_max"))
    }
}

/// The store and the path in it.
fn store_of(url: &Url) -> Result<(Box<dyn ObjectStore>, Path)> {
    let bad = |error: object_store::path::Error| bad_url(format!("not a path: url={}", shown(url))).because(error);
    if url.scheme() == "file" {
        let path = Path::from_url_path(url.path()).map_err(bad)?;
        return Ok((Box::new(object_store::local::LocalFileSystem::new()), path));
    }
    let mut root = url.clone();
    root.set_path("/");
    root.set_query(None);
    let path = Path::from_url_path(url.path()).map_err(bad)?;
    let store = crate::open::connect(&StoreSettings::new(root), &std::sync::Arc::default())?;
    Ok((Box::new(store), path))
}

/// Whether `url` lies under `prefix`.
fn covers(prefix: &Url, url: &Url) -> bool {
    let disguised = ["%2e", "%2f", "%5c", "\\"];
    let path = url.path();
    let lower = path.to_ascii_lowercase();
    if disguised.iter().any(|part| lower.contains(part)) || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    let same_place = prefix.scheme() == url.scheme()
        && prefix.host_str() == url.host_str()
        && prefix.port_or_known_default() == url.port_or_known_default();
    let below = path
        .strip_prefix(prefix.path())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.path().ends_with('/'));
    same_place && below
}

/// A URL for messages: queries of URLs may hold keys.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, url: &str, expected: bool) {
        let found = covers(&Url::parse(prefix).unwrap(), &Url::parse(url).unwrap());
        assert_eq!(found, expected, "{prefix} {url}");
    }

    #[test]
    fn a_prefix_covers_what_is_below_it() {
        check("https://a.example/lists/", "https://a.example/lists/x.csv?key=1", true);
        check("https://a.example/lists", "https://a.example/lists/x.csv", true);
        check("https://a.example/lists", "https://a.example/listsx.csv", false);
        check("https://a.example/lists/", "https://a.example/other.csv", false);
        check("https://a.example/lists/", "https://a.example/lists/../other.csv", false);
        check("https://a.example/lists/", "https://a.example/lists/%2e%2e/other.csv", false);
        check("https://a.example/lists/", "https://a.example/lists/..%2fother.csv", false);
        check("https://a.example/", "https://a.example.evil.example/x", false);
        check("https://a.example/", "https://user@a.example/x", false);
        check("https://a.example/", "http://a.example/x", false);
        check("https://a.example/", "https://a.example:8443/x", false);
        check("file:///data/", "file:///data/x.csv", true);
        check("file:///data/", "file:///etc/passwd", false);
    }

    #[tokio::test]
    async fn nothing_is_fetched_unless_allowed() {
        let files = ExternalFiles::new(&[], 10, Duration::from_secs(1)).unwrap();
        let error = files.fetch("file:///etc/hosts").await.unwrap_err();
        assert_eq!(error.code(), "query.external_refused");
    }

    #[tokio::test]
    async fn a_file_is_read_within_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let url = Url::from_file_path(folder.path().join("x.csv")).unwrap();
        object_store::local::LocalFileSystem::new()
            .put(&Path::from_url_path(url.path()).unwrap(), "a,b\n".into())
            .await
            .unwrap();
        let prefix = vec![Url::from_directory_path(folder.path()).unwrap().to_string()];
        let files = |bytes| ExternalFiles::new(&prefix, bytes, Duration::from_secs(5)).unwrap();
        assert_eq!(files(4).fetch(url.as_str()).await.unwrap(), "a,b\n");
        assert_eq!(files(3).fetch(url.as_str()).await.unwrap_err().code(), "query.external_too_large");
    }
}
