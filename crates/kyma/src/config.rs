//! The one configuration of a node: defaults ← `kyma.toml` ← `KYMA_*` ← flags.
//!
//! A variable is a key in capitals, `__` between a table and its key: `KYMA_STORE_OPTIONS__REGION`. An unknown key is an
//! error wherever it comes from. Settings of the parts are the parts' own structs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use kyma_server::Role;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::cli::{NodeArgs, NodeFlags};
use crate::components::{ExecSettings, IngestSettings, WorkerSettings};
use crate::telemetry;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "kyma.toml";
/// `KYMA_` variables that are no settings: clients and tests read them.
const OTHER_VARIABLES: [&str; 9] =
    ["config", "url", "shared", "bin", "test_containers", "test_database_url", "postgres_bin", "update", "failpoints"];

/// Every setting of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Where HTTP listens.
    pub(crate) listen: SocketAddr,
    /// Where the internal gRPC services listen.
    pub(crate) grpc_listen: SocketAddr,
    /// What the node does.
    #[serde(deserialize_with = "roles")]
    pub(crate) roles: Vec<Role>,
    /// Its availability zone.
    pub(crate) zone: String,
    /// The PostgreSQL that holds the catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_url: Option<String>,
    /// Whether `serve` brings the catalog's schema up to date when it starts.
    pub(crate) migrate: bool,
    /// Where the data is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_url: Option<String>,
    /// Handed to the store's client: endpoint, region, access_key_id, ...
    #[serde(deserialize_with = "texts")]
    pub(crate) store_options: BTreeMap<String, String>,
    /// The longest that one call to the store may take, retries included.
    pub(crate) store_seconds: u64,
    /// Requests to the store that are under way at once, of all queries of the node.
    pub(crate) store_requests_max: usize,
    /// Bytes that these may ask for together.
    pub(crate) store_request_bytes_max: u64,
    /// A read that takes longer than this, and than most of its size, is asked a second time.
    pub(crate) store_hedge_millis: u64,
    /// How many reads in a hundred may be asked a second time; 0 is none.
    pub(crate) store_hedge_percent: u32,
    /// Folder of the disk cache, and of what queries spill; none without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Bytes of ranges kept in memory.
    pub(crate) cache_memory_bytes: u64,
    /// Bytes of ranges kept on disk.
    pub(crate) cache_disk_bytes: u64,
    /// What to log: a level, or a filter as of RUST_LOG.
    pub(crate) log: String,
    /// `auto`, `text` or `json`.
    pub(crate) log_format: LogFormat,
    /// Where traces and log records go over OTLP: `http://collector:4317`; nowhere without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Share of the traces that begin here which is sent, from 0 to 1; a trace that came in is sent as its beginner says.
    pub(crate) otlp_sample_ratio: f64,
    /// Settings of the ports and of the node's life.
    pub(crate) server: kyma_server::Settings,
    /// Settings of ingest.
    pub(crate) ingest: IngestSettings,
    /// Settings of queries.
    pub(crate) query: ExecSettings,
    /// Settings of background work.
    pub(crate) worker: WorkerSettings,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people on a terminal, else for collectors.
    Auto,
    /// For people.
    Text,
    /// For collectors.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let server = kyma_server::Settings::default();
        Config {
            listen: server.listen,
            grpc_listen: server.grpc_listen,
            roles: server.roles.clone(),
            zone: server.zone.clone(),
            catalog_url: None,
            migrate: true,
            store_url: None,
            store_options: BTreeMap::new(),
            store_seconds: 30,
            store_requests_max: 64,
            store_request_bytes_max: 128 * 1024 * 1024,
            store_hedge_millis: 50,
            store_hedge_percent: 5,
            cache_dir: None,
            cache_memory_bytes: 256 * 1024 * 1024,
            cache_disk_bytes: 4 * 1024 * 1024 * 1024,
            log: "info".to_owned(),
            log_format: LogFormat::Auto,
            otlp_endpoint: None,
            otlp_sample_ratio: 1.0,
            server,
            ingest: IngestSettings::default(),
            query: ExecSettings::default(),
            worker: WorkerSettings::default(),
        }
    }
}

/// The configuration is wrong.
#[derive(Debug)]
pub(crate) struct Invalid(String);

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

impl Invalid {
    /// A configuration that lacks or misspells something.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Invalid(message.into())
    }
}

impl Config {
    /// The effective configuration of a command line.
    pub(crate) fn load(args: &NodeArgs) -> Result<Config, Invalid> {
        if let Some(file) = args.config.as_deref().filter(|file| !file.exists()) {
            return Err(Invalid::new(format!("the configuration file does not exist: {}", file.display())));
        }
        let file = args.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
        Config::merged(file, &args.flags)
    }

    fn merged(file: &Path, flags: &NodeFlags) -> Result<Config, Invalid> {
        let variables = Env::prefixed("KYMA_").ignore(&OTHER_VARIABLES).split("__");
        let merged = Figment::new().merge(Toml::file(file)).merge(variables).merge(Serialized::defaults(flags));
        merged.extract().map_err(|error| {
            let reasons: Vec<String> = error.into_iter().map(|reason| reason.to_string()).collect();
            Invalid::new(format!(
                "the configuration is not valid: {}\n(`kyma config` prints every key)",
                reasons.join("; ")
            ))
        })
    }

    /// How the node logs.
    pub(crate) fn telemetry_settings(&self) -> telemetry::Settings<'_> {
        telemetry::Settings {
            log: &self.log,
            log_format: self.log_format,
            otlp_endpoint: self.otlp_endpoint.as_deref(),
            otlp_sample_ratio: self.otlp_sample_ratio,
        }
    }

    /// The settings of the node's ports and life.
    pub(crate) fn server_settings(&self) -> kyma_server::Settings {
        kyma_server::Settings {
            listen: self.listen,
            grpc_listen: self.grpc_listen,
            roles: self.roles.clone(),
            zone: self.zone.clone(),
            ..self.server.clone()
        }
    }

    /// The catalog's URL, or what to do about it.
    pub(crate) fn required_catalog_url(&self) -> Result<&str, Invalid> {
        self.catalog_url.as_deref().ok_or_else(|| {
            Invalid::new(
                "no catalog is configured: set catalog_url in kyma.toml, KYMA_CATALOG_URL or --catalog-url to a \
                 PostgreSQL such as postgres://kyma:secret@127.0.0.1/kyma (or try `kyma dev`, which brings its own)",
            )
        })
    }

    /// The store's URL, or what to do about it.
    pub(crate) fn required_store_url(&self) -> Result<&str, Invalid> {
        self.store_url.as_deref().ok_or_else(|| {
            Invalid::new(
                "no store is configured: set store_url in kyma.toml, KYMA_STORE_URL or --store-url to a bucket or \
                 folder such as s3://bucket/prefix or file:///var/lib/kyma",
            )
        })
    }

    /// The configuration as TOML, without secrets.
    pub(crate) fn shown(&self) -> anyhow::Result<String> {
        let mut shown = self.clone();
        shown.catalog_url = shown.catalog_url.as_deref().map(redact_url);
        shown.store_url = shown.store_url.as_deref().map(redact_url);
        shown.otlp_endpoint = shown.otlp_endpoint.as_deref().map(redact_url);
        for (key, value) in &mut shown.store_options {
            if is_secret(key) {
                *value = REDACTED.to_owned();
            }
        }
        Ok(toml::to_string_pretty(&shown)?)
    }
}

const REDACTED: &str = "***";

/// Whether an option's value must not be shown.
fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["key", "secret", "token", "password", "credential", "sas"].iter().any(|word| key.contains(word))
}

/// A URL whose password and query values are left out.
fn redact_url(text: &str) -> String {
    let Ok(mut url) = url::Url::parse(text) else { return REDACTED.to_owned() };
    if url.password().is_some() && url.set_password(Some(REDACTED)).is_err() {
        return REDACTED.to_owned();
    }
    let pairs: Vec<(String, String)> =
        url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    if pairs.iter().any(|(key, _)| is_secret(key)) {
        url.query_pairs_mut().clear().extend_pairs(
            pairs.iter().map(|(key, value)| (key.as_str(), if is_secret(key) { REDACTED } else { value.as_str() })),
        );
    }
    url.to_string()
}

/// Texts that a variable may have turned into numbers or truth values.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Scalar {
        Bool(bool),
        Integer(i128),
        Real(f64),
        Text(String),
    }
    let scalars = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    let text = |scalar| match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Real(value) => value.to_string(),
        Scalar::Text(value) => value,
    };
    Ok(scalars.into_iter().map(|(key, scalar)| (key, text(scalar))).collect())
}

/// A list of roles, or one text with commas, as variables have it.
fn roles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Role>, D::Error> {
    struct Roles;
    impl<'de> Visitor<'de> for Roles {
        type Value = Vec<Role>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of the roles ingest, query and worker")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<Role>, E> {
            let role = |name: &str| {
                let known = Role::ALL.into_iter().find(|role| role.name() == name);
                known.ok_or_else(|| E::custom(format!("unknown role: {name:?}")))
            };
            text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(role).collect()
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<Role>, A::Error> {
            let mut roles = Vec::new();
            while let Some(role) = items.next_element()? {
                roles.push(role);
            }
            Ok(roles)
        }
    }
    deserializer.deserialize_any(Roles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out() {
        assert_eq!(redact_url("postgres://kyma:pw@db:5432/kyma"), "postgres://kyma:***@db:5432/kyma");
        assert_eq!(
            redact_url("postgres://db/kyma?password=pw&sslmode=require"),
            "postgres://db/kyma?password=***&sslmode=require"
        );
        let config = Config {
            store_options: BTreeMap::from([("access_key_id".into(), "AK".into()), ("region".into(), "eu".into())]),
            ..Config::default()
        };
        let shown = config.shown().unwrap();
        assert!(!shown.contains("AK") && shown.contains("eu"), "{shown}");
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let config = Config { catalog_url: Some("postgres://db/kyma".into()), ..Config::default() };
        let again: Config = toml::from_str(&config.shown().unwrap()).unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(toml::from_str::<Config>("no_such = 1").is_err());
        assert!(toml::from_str::<Config>("[server]\nno_such = 1").is_err());
        let roles = toml::from_str::<Config>("roles = \"query, worker\"").unwrap().roles;
        assert_eq!(roles, [Role::Query, Role::Worker]);
    }
}
