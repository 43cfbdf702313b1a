//! `kyma migrate`: brings the catalog's schema up to date, once, before nodes of a new version start.

use crate::cli::NodeArgs;
use crate::components;
use crate::config::Config;

pub(crate) async fn run(args: NodeArgs) -> anyhow::Result<()> {
    let config = Config::load(&args)?;
    components::migrate(config.required_catalog_url()?).await?;
    println!("the catalog is up to date");
    Ok(())
}
