//! `kyma dev`: a whole kyma on this machine.
//!
//! 1. Find or start PostgreSQL: the one of `--catalog-url`, else a private process whose data is in `<data-dir>/postgres`.
//!    What a crashed start left is recovered there.
//! 2. Start a node with every role; objects are files in `<data-dir>/objects`.
//! 3. With `--sample`: load it unless it is there, ask three questions.
//! 4. Stay up until Ctrl-C or SIGTERM; then stop the node, then PostgreSQL.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use kyma_server::RunningNode;
use url::Url;

use crate::cli::DevArgs;
use crate::client::Client;
use crate::components::{self, ExecSettings, PrivateCatalog};
use crate::config::{Config, LogFormat};
use crate::sample;
use crate::signals::Signals;
use crate::telemetry;

pub(crate) async fn run(args: DevArgs) -> anyhow::Result<()> {
    log(&args.log)?;
    let data_dir = prepare(&args.data_dir)?;
    // From the first moment: a Ctrl-C while PostgreSQL starts stops it as soon as it runs.
    let mut signals = Signals::listen()?;
    let private = match &args.catalog_url {
        Some(_) => None,
        None => {
            let folder = data_dir.join("postgres");
            eprintln!("starting a private PostgreSQL in {}", folder.display());
            Some(PrivateCatalog::start(&folder).await.context("kyma dev cannot start its catalog")?)
        }
    };
    let ran = run_node(&args, &data_dir, private.as_ref(), &mut signals).await;
    if let Some(private) = private {
        private.stop().await.context("the private PostgreSQL did not stop cleanly; the next start recovers it")?;
    }
    ran
}

/// Lines for people, nothing exported.
fn log(filter: &str) -> anyhow::Result<()> {
    let (log_format, otlp_sample_ratio) = (LogFormat::Text, 0.0);
    telemetry::start(&telemetry::Settings { log: filter, log_format, otlp_endpoint: None, otlp_sample_ratio })?;
    Ok(())
}

/// The data directory, made and without links, so that it can be named in URLs.
fn prepare(folder: &Path) -> anyhow::Result<PathBuf> {
    let cannot = || format!("the data folder cannot be used: {} (choose another with --data-dir)", folder.display());
    std::fs::create_dir_all(folder).with_context(cannot)?;
    folder.canonicalize().with_context(cannot)
}

async fn run_node(
    args: &DevArgs,
    data_dir: &Path,
    private: Option<&PrivateCatalog>,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let config = config(args, data_dir, private)?;
    components::migrate(config.required_catalog_url()?).await?;
    let node = components::start_node(&config).await?;
    let presented = tokio::select! {
        () = signals.stop() => None,
        presented = present(args, &config, &node) => Some(presented),
    };
    let ran = match presented {
        Some(Ok(())) => {
            signals.stop().await;
            Ok(())
        }
        Some(Err(error)) => Err(error.context("the sample cannot be shown")),
        None => Ok(()),
    };
    eprintln!("stopping");
    signals.or_second(node.shutdown()).await;
    ran
}

fn config(args: &DevArgs, data_dir: &Path, private: Option<&PrivateCatalog>) -> anyhow::Result<Config> {
    let objects = data_dir.join("objects");
    let store =
        Url::from_directory_path(&objects).map_err(|()| anyhow::anyhow!("not a path: {}", objects.display()))?;
    Ok(Config {
        listen: args.listen,
        grpc_listen: SocketAddr::new(args.listen.ip(), 0),
        catalog_url: args.catalog_url.clone().or_else(|| private.map(PrivateCatalog::url)),
        store_url: Some(store.to_string()),
        // Nobody balances between a laptop's nodes.
        server: kyma_server::Settings { lame_duck_millis: 0, ..kyma_server::Settings::default() },
        query: ExecSettings { spill_dir: Some(data_dir.join("spill")), ..ExecSettings::default() },
        ..Config::default()
    })
}

/// Says where the node is, shows the sample if asked, says where to go next.
async fn present(args: &DevArgs, config: &Config, node: &RunningNode) -> anyhow::Result<()> {
    let url = format!("http://{}", reachable(node.http_addr));
    println!("kyma runs on {url}");
    let database = &config.server.default_database;
    if args.sample {
        let client = Client::new(&url.parse()?)?;
        sample::show(&client, database, args.sample_rows).await?;
    }
    let table = if args.sample { "Logs" } else { "Mine" };
    println!(
        "\nNext, from another terminal:\n\n  \
         kyma query --url {url} '{table} | take 5'\n  \
         kyma query --url {url} --profile '{table} | count'\n  \
         curl -s {url}/v1/query -d '{{\"query\":\"{table} | count\"}}'\n  \
         echo '{{\"Timestamp\":\"2026-01-01T00:00:00Z\",\"Message\":\"hello\",\"http\":{{\"status\":200}}}}' |\n    \
         curl -s --data-binary @- {url}/v1/ingest/{database}/Mine\n\n\
         Or open {url} in a browser. Ctrl-C stops; data stays in {}.",
        args.data_dir.display()
    );
    Ok(())
}

/// An address that a client can dial: "every interface" is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => SocketAddr::from(([127, 0, 0, 1], address.port())),
        ip if ip.is_unspecified() => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), address.port()),
        _ => address,
    }
}
