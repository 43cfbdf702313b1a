//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use kyma_server::Role;
use serde::Serialize;
use url::Url;

/// An object-storage-native engine for logs and telemetry.
#[derive(Debug, Parser)]
#[command(name = "kyma", version, about = "An object-storage-native engine for logs and telemetry", long_about = None, arg_required_else_help = true)]
#[command(after_help = "Start with:\n  kyma dev --sample\n  kyma query 'Logs | take 10'")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole kyma on this machine, with a private PostgreSQL
    Dev(DevArgs),
    /// Run a node
    Serve(NodeArgs),
    /// Bring the catalog's schema up to date
    Migrate(NodeArgs),
    /// Print the effective configuration, secrets left out
    Config(NodeArgs),
    /// Ask a question
    Query(QueryArgs),
    /// Load files
    Ingest(IngestArgs),
    /// Generate a web shop's logs or spans
    Generate(GenerateArgs),
    /// Show how an extent is laid out
    Inspect(InspectArgs),
    /// Show background work, or try again what failed
    Tasks(TasksArgs),
    /// Check that the catalog and the bucket say the same
    Verify(VerifyArgs),
    /// Make the catalog again from the bucket
    RebuildCatalog(RebuildArgs),
}

/// `kyma verify`.
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 when nothing is wrong, with 1 otherwise. docs/recovery.md says what each problem means.\n\n\
    Examples:\n  \
    kyma verify --quick                     every object is there and long enough\n  \
    kyma verify                             footers can be read and say what the catalog says\n  \
    kyma verify --full --json > report.json every page is read and compared with its statistics\n  \
    kyma verify --repair                    also give orphans to the collector, count totals afresh, write the journal"
)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// Look only whether objects are there and long enough
    #[arg(long, conflicts_with = "full")]
    pub(crate) quick: bool,
    /// Read every page
    #[arg(long)]
    pub(crate) full: bool,
    /// Repair what can be repaired without losing rows
    #[arg(long)]
    pub(crate) repair: bool,
    /// Hours after which an object that the catalog does not know is an orphan
    #[arg(long, default_value_t = 25.0, value_name = "HOURS", value_parser = hours)]
    pub(crate) orphan_hours: f64,
    /// Extents looked at at a time
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    pub(crate) parallel: u16,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `kyma rebuild-catalog`.
#[derive(Debug, Args)]
#[command(
    after_help = "The catalog must be empty and of this version: create a database, run kyma migrate, then this. No node may be \
    running on the bucket meanwhile.\n\n\
    Examples:\n  \
    kyma rebuild-catalog --store-url s3://bucket/prefix --catalog-url postgres://kyma:secret@db/new\n  \
    kyma rebuild-catalog --json ... | jq .notes     what could not be told for certain"
)]
pub(crate) struct RebuildArgs {
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    /// The catalog to make again, when the bucket has the journals of several
    #[arg(long, value_name = "ID")]
    pub(crate) catalog_id: Option<uuid::Uuid>,
    /// Objects opened at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024), value_name = "N")]
    pub(crate) parallel: u16,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn hours(text: &str) -> Result<f64, String> {
    let hours = text.parse::<f64>().ok().filter(|hours| (0.0..=1e6).contains(hours));
    hours.ok_or_else(|| "a number of hours, 0 or more".to_owned())
}

/// `kyma dev`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kyma dev --sample                       load a sample, run three queries, stay up\n  \
    kyma dev --listen 127.0.0.1:9000        an empty server on another port\n  \
    kyma dev --catalog-url postgres://kyma:secret@db/kyma   use a PostgreSQL that runs already")]
pub(crate) struct DevArgs {
    /// Load a generated sample and run three example queries
    #[arg(long)]
    pub(crate) sample: bool,
    /// Rows of the sample
    #[arg(long, default_value_t = 200_000, value_name = "N")]
    pub(crate) sample_rows: u64,
    /// Where HTTP listens
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Where data stays between starts
    #[arg(long, default_value = ".kyma", value_name = "FOLDER")]
    pub(crate) data_dir: PathBuf,
    /// A PostgreSQL to use instead of a private one
    #[arg(long, value_name = "URL")]
    pub(crate) catalog_url: Option<String>,
    /// What to log: error, warn, info, debug, or a filter as of RUST_LOG
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    pub(crate) log: String,
}

/// `kyma serve`, `kyma migrate`, `kyma config`: the configuration and what overrides it.
#[derive(Debug, Args)]
#[command(after_help = "Settings come from defaults, then kyma.toml, then KYMA_* variables, then flags.\n\n\
    Examples:\n  \
    kyma serve --catalog-url postgres://kyma:secret@db/kyma --store-url s3://bucket/prefix\n  \
    KYMA_CATALOG_URL=postgres://... KYMA_STORE_URL=s3://... kyma serve --roles query\n  \
    kyma config                             print every setting and its value")]
pub(crate) struct NodeArgs {
    /// The configuration file; kyma.toml is read when it is there
    #[arg(long, env = "KYMA_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) flags: NodeFlags,
}

/// Flags that override settings of the same name.
#[derive(Debug, Default, Args, Serialize)]
pub(crate) struct NodeFlags {
    /// Where HTTP listens
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where the internal gRPC services listen
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grpc_listen: Option<SocketAddr>,
    /// What the node does: ingest, query, worker
    #[arg(long, value_delimiter = ',', value_name = "ROLE,...", value_parser = role)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) roles: Option<Vec<Role>>,
    /// The PostgreSQL that holds the catalog
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) catalog_url: Option<String>,
    /// The bucket or folder that holds the data: s3://, gs://, az://, file://
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) store_url: Option<String>,
    /// Folder of the disk cache
    #[arg(long, value_name = "FOLDER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cache_dir: Option<PathBuf>,
}

fn role(name: &str) -> Result<Role, String> {
    let known = Role::ALL.into_iter().find(|role| role.name() == name.trim());
    known.ok_or_else(|| "ingest, query and worker are the roles".to_owned())
}

/// Which node to talk to.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The node
    #[arg(long, env = "KYMA_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(crate) url: Url,
    /// The database
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) database: String,
}

/// `kyma query`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kyma query 'Logs | where Level == \"Error\" | summarize count() by Service'\n  \
    kyma query --language sql 'select count(*) from \"Logs\"'\n  \
    kyma query --profile 'Logs | where Message has \"timeout\" | take 10'   where its time and its bytes went\n  \
    kyma query --explain 'Logs | where Message has \"timeout\" | take 10'   what it would read, without reading it\n  \
    kyma query - < question.kql | jq .      read the query from standard input, print NDJSON")]
pub(crate) struct QueryArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The query's language: kql or sql
    #[arg(long, default_value = "kql", value_name = "NAME")]
    pub(crate) language: String,
    /// How to print rows; a table on a terminal, NDJSON in a pipe unless given
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Read what was there at a sequence or a time: 1742, or 2026-11-27T04:00:00Z
    #[arg(long, value_name = "WHEN")]
    pub(crate) as_of: Option<String>,
    /// Print what the query cost, on standard error: phases, pruning, operators, requests
    #[arg(long)]
    pub(crate) profile: bool,
    /// Print how the query would run and what it would read at most, instead of running it
    #[arg(long, conflicts_with = "profile")]
    pub(crate) explain: bool,
    /// The query, or - for standard input
    #[arg(value_name = "QUERY")]
    pub(crate) text: String,
}

/// `kyma tasks`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kyma tasks                              the latest tasks, newest first\n  \
    kyma tasks --state parked               those that failed for good, with their errors\n  \
    kyma tasks --kind merge --state running what is compacted right now, and where\n  \
    kyma tasks --retry 4711                 queue one anew")]
pub(crate) struct TasksArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only those of a kind: merge, plan-merges, garbage, sweep, retention, delete, ...
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<String>,
    /// Only those that are queued, running, done or parked
    #[arg(long, value_name = "STATE", value_parser = ["queued", "running", "done", "parked"])]
    pub(crate) state: Option<String>,
    /// Queue a parked task anew, with all of its attempts
    #[arg(long, value_name = "TASK", conflicts_with_all = ["kind", "state"])]
    pub(crate) retry: Option<u64>,
    /// How to print rows; a table on a terminal, NDJSON in a pipe unless given
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
}

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table with borders
    Table,
    /// One JSON object per line
    Ndjson,
    /// A header line, then a line per row
    Csv,
    /// The answer as the server sends it
    Json,
}

/// `kyma ingest`.
#[derive(Debug, Args)]
#[command(after_help = "Files may be NDJSON, JSON arrays or CSV (by name or --format), plain, gzip or zstd.\n\n\
    Examples:\n  \
    kyma ingest --table Mine logs.ndjson.gz more.csv.zst\n  \
    zcat *.gz | kyma ingest --table Mine -\n  \
    kyma ingest --table Mine --key nightly-17 logs.ndjson   safe to repeat: rows are stored once")]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The table; it is created by its first row
    #[arg(long, value_name = "NAME")]
    pub(crate) table: String,
    /// What the files hold; by their names unless given
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<InputFormat>,
    /// Requests in flight
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub(crate) parallel: u8,
    /// Names this load: repeating it with the same files and key stores every row once
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Seconds to go on trying when the node is busy or away
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) retry_seconds: u64,
    /// Files, or - for standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum InputFormat {
    /// One JSON object per line
    Ndjson,
    /// A JSON array of objects
    Json,
    /// A header line, then a line per row
    Csv,
}

/// `kyma generate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kyma generate --rows 1000000 > logs.ndjson\n  \
    kyma generate --rows 1000000 --url http://127.0.0.1:8080 --table Shop\n  \
    kyma generate --kind spans --rows 300000 --seed 7 > spans.ndjson   join the logs of seed 7 by TraceId")]
pub(crate) struct GenerateArgs {
    /// How many rows
    #[arg(long, value_name = "N")]
    pub(crate) rows: u64,
    /// The same seed gives the same rows
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(crate) seed: u64,
    /// Logs or spans
    #[arg(long, value_enum, default_value = "logs", value_name = "KIND")]
    pub(crate) kind: GenerateKind,
    /// How rows are written
    #[arg(long, value_enum, default_value = "ndjson", value_name = "FORMAT")]
    pub(crate) format: GenerateFormat,
    /// Time of the first row
    #[arg(long, default_value = "2026-01-01T00:00:00Z", value_name = "DATETIME")]
    pub(crate) start: String,
    /// Hours that the rows are spread over
    #[arg(long, default_value_t = 6.0, value_name = "HOURS")]
    pub(crate) hours: f64,
    /// Send the rows to this node instead of printing them
    #[arg(long, value_name = "URL", requires = "table")]
    pub(crate) url: Option<Url>,
    /// The database to send them to
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) database: String,
    /// The table to send them to
    #[arg(long, value_name = "NAME")]
    pub(crate) table: Option<String>,
}

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateKind {
    /// Log lines
    Logs,
    /// Spans
    Spans,
}

/// How generated rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GenerateFormat {
    /// One JSON object per line
    Ndjson,
}

/// `kyma inspect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    kyma query '.show table Logs extents'                  find an extent\n  \
    kyma inspect 019a7c1e-...                              ask the node about it\n  \
    kyma inspect .kyma/objects/...                         look into an object's file\n  \
    kyma inspect --hex 019a7c1e-...                        its footer's bytes too\n  \
    kyma inspect --json 019a7c1e-... | jq .columns")]
pub(crate) struct InspectArgs {
    /// The node to ask about an extent id
    #[arg(long, env = "KYMA_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(crate) url: Url,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the footer's bytes in hexadecimal too
    #[arg(long)]
    pub(crate) hex: bool,
    /// An extent's id, or an object's file
    #[arg(value_name = "FILE|EXTENT")]
    pub(crate) what: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
