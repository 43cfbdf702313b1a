//! `kyma serve`: a node, until SIGTERM or Ctrl-C.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::cli::NodeArgs;
use crate::components;
use crate::config::{Config, Invalid, LogFormat};
use crate::signals::Signals;

pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    kyma_core::failpoint::arm_from_environment().map_err(|error| Invalid::new(failpoints_text(&error)))?;
    let config = Config::load(&args)?;
    let catalog_url = config.required_catalog_url()?.to_owned();
    config.required_store_url()?;
    log_to_stderr(&config.log, config.log_format)?;
    let mut signals = Signals::listen()?;
    if config.migrate {
        components::migrate(&catalog_url).await?;
    }
    let node = components::start_node(&config).await?;
    eprintln!("kyma listens on http://{}", node.http_addr);
    signals.stop().await;
    signals.or_second(node.shutdown()).await;
    Ok(())
}

fn failpoints_text(error: &kyma_core::Error) -> String {
    let hint = error.hint_text().unwrap_or_default();
    format!("{} ({hint})", error.message())
}

/// Logs to standard error; standard output belongs to answers.
pub(crate) fn log_to_stderr(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::builder()
        .parse(filter)
        .map_err(|error| Invalid::new(format!("the log filter is not valid: {filter:?}: {error}")))?;
    let builder: SubscriberBuilder<_, _, _, _> =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    let installed = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    installed.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))
}
