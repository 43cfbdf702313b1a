//! A client of a node's HTTP port: what `query`, `ingest`, `generate` and `dev --sample` speak through.

pub(crate) mod upload;

use std::fmt;
use std::time::Duration;

use anyhow::{Context, bail};
use kyma_core::explain::Explanation;
use kyma_core::profile::Profile;
use reqwest::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use url::Url;

/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

/// One node.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: Url,
}

/// A query as the node takes it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) query: &'a str,
    pub(crate) language: &'a str,
    pub(crate) database: &'a str,
    /// Whether the answer says what it cost.
    pub(crate) profile: bool,
    /// What is read instead of what is there now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) as_of: Option<&'a str>,
}

/// A column of an answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) ty: String,
}

/// A JSON answer.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Json>>,
    #[serde(default)]
    pub(crate) profile: Profile,
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
    /// Results after the first.
    #[serde(default)]
    pub(crate) tables: Vec<Table>,
}

/// A further result of a query with several statements.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Json>>,
}

/// A remark about a query that ran.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Warning {
    pub(crate) rendered: String,
}

/// The error that a node answered with.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Refused {
    #[serde(skip)]
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    rendered: Option<String>,
    diagnostics: Option<Vec<Warning>>,
    request_id: Option<String>,
    /// What the query had cost, if that was asked for.
    #[serde(skip)]
    pub(crate) profile: Option<Box<Profile>>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(diagnostics) = self.diagnostics.as_ref().filter(|all| !all.is_empty()) {
            let rendered: Vec<&str> = diagnostics.iter().map(|it| it.rendered.as_str()).collect();
            return f.write_str(&rendered.join("\n\n"));
        }
        if let Some(rendered) = &self.rendered {
            return f.write_str(rendered);
        }
        write!(f, "{}: {}", self.code, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        match &self.request_id {
            Some(id) if self.status >= 500 => write!(f, "\nrequest: {id}"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refused {}

impl Client {
    /// A client of the node at `url`.
    pub(crate) fn new(url: &Url) -> anyhow::Result<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            bail!("the node's URL must start with http:// or https://: {url}");
        }
        let mut builder = reqwest::Client::builder().connect_timeout(CONNECT_TIME_MAX);
        if is_loopback(url) {
            builder = builder.no_proxy();
        }
        Ok(Client { http: builder.build().context("the HTTP client does not start")?, url: url.clone() })
    }

    /// Whether the node is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        is_loopback(&self.url)
    }

    /// Asks, and gives the whole answer.
    pub(crate) async fn query(&self, question: &Question<'_>) -> anyhow::Result<Answer> {
        let response = self.ask(question, "application/json").await?;
        response.json().await.context("the node's answer cannot be read")
    }

    /// Asks how a query would run; it is not run.
    pub(crate) async fn explain(&self, question: &Question<'_>) -> anyhow::Result<Explanation> {
        #[derive(Deserialize)]
        struct Body {
            explain: Explanation,
        }
        let mut url = self.at(&["v1", "query"])?;
        url.query_pairs_mut().append_pair("explain", "true");
        let sent = self.http.post(url).json(question).send().await;
        let response = accepted(sent.map_err(|error| self.unreachable(error))?).await?;
        let body: Body = response.json().await.context("the node's answer cannot be read")?;
        Ok(body.explain)
    }

    /// Asks, and gives the answer as it comes, in the format `accept`.
    pub(crate) async fn ask(&self, question: &Question<'_>, accept: &str) -> anyhow::Result<Response> {
        let request = self.http.post(self.at(&["v1", "query"])?).header("Accept", accept).json(question);
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        accepted(response).await
    }

    /// Gets a JSON document.
    pub(crate) async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Json> {
        let mut url = self.at(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let response = self.http.get(url).send().await.map_err(|error| self.unreachable(error))?;
        accepted(response).await?.json().await.context("the node's answer cannot be read")
    }

    fn at(&self, path: &[&str]) -> anyhow::Result<Url> {
        let mut url = self.url.clone();
        let Ok(mut segments) = url.path_segments_mut() else { bail!("not a node's URL: {}", self.url) };
        segments.pop_if_empty().extend(path);
        drop(segments);
        Ok(url)
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let broke_off = !error.is_connect();
        let error = anyhow::Error::new(error);
        if broke_off {
            return error.context(format!("the connection to {} broke off", self.url));
        }
        error.context(format!("no node answers at {}: start one with `kyma dev`, or name another with --url", self.url))
    }
}

/// The response if it is a success, else the node's error.
async fn accepted(response: Response) -> anyhow::Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    Err(refusal(response).await.into())
}

async fn refusal(response: Response) -> Refused {
    #[derive(Deserialize)]
    struct Body {
        error: Refused,
        profile: Option<Box<Profile>>,
    }
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    match serde_json::from_str::<Body>(&text) {
        Ok(body) => Refused { status: status.as_u16(), profile: body.profile, ..body.error },
        Err(_) => Refused {
            status: status.as_u16(),
            code: format!("http.{}", status.as_u16()),
            message: text.chars().take(500).collect(),
            hint: Some("is this a kyma node?".to_owned()),
            rendered: None,
            diagnostics: None,
            request_id: None,
            profile: None,
        },
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
