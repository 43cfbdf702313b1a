//! `kyma serve`: a node, until SIGTERM or Ctrl-C.

use crate::cli::NodeArgs;
use crate::config::{Config, Invalid};
use crate::signals::Signals;
use crate::{components, telemetry};

pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    kyma_core::failpoint::arm_from_environment().map_err(|error| Invalid::new(failpoints_text(&error)))?;
    let config = Config::load(&args)?;
    let catalog_url = config.required_catalog_url()?.to_owned();
    config.required_store_url()?;
    let telemetry = telemetry::start(&config.telemetry_settings())?;
    let mut signals = Signals::listen()?;
    if config.migrate {
        components::migrate(&catalog_url).await?;
    }
    let node = components::start_node(&config).await?;
    tracing::info!("kyma listens on http://{}", node.http_addr);
    signals.stop().await;
    let stopping = async {
        node.shutdown().await;
        telemetry.stop().await;
    };
    signals.or_second(stopping).await;
    Ok(())
}

fn failpoints_text(error: &kyma_core::Error) -> String {
    let hint = error.hint_text().unwrap_or_default();
    format!("{} ({hint})", error.message())
}
