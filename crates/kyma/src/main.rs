//! The `kyma` binary: reads the command line and the configuration, then runs one command.
//!
//! `dev` and `serve` are nodes, put together in `components`, the only file that names implementations. `query`,
//! `ingest`, `tasks` and `generate` are clients that speak HTTP to a node. `migrate`, `config`, `inspect`, `verify` and
//! `rebuild-catalog` are for operators.

mod cli;
mod client;
mod commands;
mod components;
mod config;
mod local_file;
mod object_file;
mod output;
mod sample;
mod signals;
mod telemetry;
mod waterfall;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Calls of the operating system that block, at a time: files of a local store and of the disk cache, names of hosts.
const BLOCKING_THREADS_MAX: usize = 64;
/// A command that failed.
const FAILED: u8 = 1;
/// A command that could not start: the command line or the configuration is wrong.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    without_huge_pages();
    let cli = Cli::parse();
    // Once per process, before the first TLS connection: everything that speaks TLS here uses this provider.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kyma: a TLS provider was installed twice");
        return ExitCode::from(FAILED);
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.enable_all().thread_name("kyma-io").max_blocking_threads(BLOCKING_THREADS_MAX);
    let runtime = match runtime.build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("kyma: the runtime does not start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let ran = runtime.block_on(run(cli.command));
    // Blocking reads of standard input cannot be interrupted: do not wait for them.
    runtime.shutdown_background();
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", output::error_text(&error));
            let misused = error.downcast_ref::<config::Invalid>().is_some();
            ExitCode::from(if misused { MISUSED } else { FAILED })
        }
    }
}

/// Keeps the kernel from making huge pages of the process's memory where every process has them unasked.
///
/// What is freed goes back in small pieces, most of them in the middle of 2 MiB that are used otherwise. In the background the
/// kernel makes huge pages of these again, so that resident memory rises for as long as a node is busy.
fn without_huge_pages() {
    #[cfg(target_os = "linux")]
    // Where this is forbidden, memory is larger and nothing is wrong.
    let _forbidden = nix::sys::prctl::set_thp_disable(true);
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Dev(args) => commands::dev::run(args).await,
        Command::Serve(args) => commands::serve::run(args).await,
        Command::Migrate(args) => commands::migrate::run(args).await,
        Command::Config(args) => commands::config::run(args),
        Command::Query(args) => commands::query::run(args).await,
        Command::Ingest(args) => commands::ingest::run(args).await,
        Command::Generate(args) => commands::generate::run(args).await,
        Command::Inspect(args) => commands::inspect::run(args).await,
        Command::Verify(args) => commands::verify::run(args).await,
        Command::RebuildCatalog(args) => commands::rebuild_catalog::run(args).await,
        Command::Tasks(args) => commands::tasks::run(args).await,
    }
}
