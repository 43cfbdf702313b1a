//! `kyma config`: the effective configuration, without secrets.

use crate::cli::NodeArgs;
use crate::config::Config;

pub(crate) fn run(args: NodeArgs) -> anyhow::Result<()> {
    print!("{}", Config::load(&args)?.shown()?);
    Ok(())
}
