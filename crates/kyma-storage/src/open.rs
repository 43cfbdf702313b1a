//! From a URL to a [`Store`].

use std::sync::Arc;
use std::time::Duration;

use kyma_core::{Error, Result};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};

use crate::budget::Budget;
use crate::cache::{BlockCache, DiskCache, MemoryCache, TieredCache};
use crate::error::bad_url;
use crate::local::DurableFolder;
use crate::peace::Listening;
use crate::settings::StoreSettings;
use crate::store::Store;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Opens the store of `settings.url`. Does not talk to it: see [`Store::ping`].
///
/// A cache folder that cannot be used is reported in the log and left out; it is never an error.
pub async fn open(settings: &StoreSettings) -> Result<Arc<Store>> {
    let budget = Arc::new(Budget::default());
    let inner = connect(settings, &budget)?;
    Ok(Store::assemble(inner, settings, cache(settings).await, budget))
}

async fn cache(settings: &StoreSettings) -> Arc<dyn BlockCache> {
    let memory = MemoryCache::new(settings.cache_memory_bytes);
    let Some(dir) = &settings.cache_dir else { return Arc::new(memory) };
    match DiskCache::open(dir, settings.cache_disk_bytes).await {
        Ok(disk) => Arc::new(TieredCache::new(memory, disk)),
        Err(error) => {
            tracing::warn!(dir = %dir.display(), error = error.chain(), "disk cache is left out");
            Arc::new(memory)
        }
    }
}

pub(crate) fn connect(settings: &StoreSettings, budget: &Arc<Budget>) -> Result<Arc<dyn ObjectStore>> {
    let url = &settings.url;
    if url.scheme() == "memory" {
        return Ok(Arc::new(InMemory::new()));
    }
    if url.scheme() == "file" {
        let folder = url.to_file_path().map_err(|()| bad_url(format!("store url has no absolute path: url={url}")))?;
        let opened = DurableFolder::open(&folder);
        return opened.map(|folder| Arc::new(folder) as _).map_err(|error| {
            Error::unavailable("store.unavailable", format!("store folder cannot be used: path={}", folder.display()))
                .hint("check that the folder can be created and written")
                .because(error)
        });
    }
    let (scheme, prefix) = ObjectStoreScheme::parse(url)
        .map_err(|error| bad_url(format!("store url is not known: url={url}")).because(error))?;
    let store = connect_cloud(scheme, settings, budget)
        .map_err(|error| bad_url(format!("store cannot be set up: url={url}")).because(error))?;
    Ok(if prefix == Path::default() { store } else { Arc::new(PrefixStore::new(store, prefix)) })
}

fn connect_cloud(
    scheme: ObjectStoreScheme,
    settings: &StoreSettings,
    budget: &Arc<Budget>,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let url = settings.url.as_str();
    // Retries and deadlines are ours (`retry`); one place repeats a request.
    let retry = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let client = ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(settings.request_timeout * 2);
    let listening = Listening(Arc::clone(budget));
    match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let mut builder = AmazonS3Builder::from_env()
                .with_client_options(client)
                .with_retry(retry)
                .with_http_connector(listening)
                .with_url(url);
            for (key, value) in &settings.options {
                builder = builder.with_config(key.parse::<AmazonS3ConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_client_options(client)
                .with_retry(retry)
                .with_http_connector(listening)
                .with_url(url);
            for (key, value) in &settings.options {
                builder = builder.with_config(key.parse::<GoogleConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_client_options(client)
                .with_retry(retry)
                .with_http_connector(listening)
                .with_url(url);
            for (key, value) in &settings.options {
                builder = builder.with_config(key.parse::<AzureConfigKey>()?, value);
            }
            Ok(Arc::new(builder.build()?))
        }
        other => Err(object_store::Error::NotSupported { source: format!("no client for {other:?}").into() }),
    }
}
