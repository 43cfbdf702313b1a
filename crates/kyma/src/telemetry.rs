//! What a node says of itself while it runs: log lines on standard error, and by setting traces and log records over OTLP.
//!
//! 1. Lines are for people on a terminal and JSON elsewhere, or as the setting says.
//! 2. With an `otlp_endpoint`, spans and log records wait in bounded queues, from which a thread of their own sends them
//!    over gRPC. A collector that is away, slow or hangs costs what does not fit the queues; no request waits for it.
//! 3. When the node has stopped, what waits is sent, within [`FLUSH_TIME_MAX`].
//!
//! The exporter's own lines and spans are not exported: they would beget more of themselves.

use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::{BatchConfigBuilder as LogBatches, BatchLogProcessor, SdkLoggerProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder as SpanBatches, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::{Invalid, LogFormat};

/// Spans, and log records, that wait to be sent; what comes beyond is dropped.
const QUEUE_MAX: usize = 8_192;
/// Spans or log records of one message.
const BATCH_MAX: usize = 512;
/// Longest time that one message to the collector may take.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest time between a span's end and its sending, unless the collector is slow.
const EXPORT_PERIOD: Duration = Duration::from_secs(1);
/// How long what waits may take to be sent when the node has stopped.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(1);
/// What the exporter itself is made of.
const EXPORTER: &str = "h2=off,hyper=off,hyper_util=off,tonic=off,tower=off,opentelemetry=off,opentelemetry_sdk=off,opentelemetry_otlp=off";

/// What to say, how, and to whom.
#[derive(Debug, Clone)]
pub(crate) struct Settings<'a> {
    pub(crate) log: &'a str,
    pub(crate) log_format: LogFormat,
    pub(crate) otlp_endpoint: Option<&'a str>,
    pub(crate) otlp_sample_ratio: f64,
}

/// What is sent to a collector, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Telemetry {
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

type Boxed<S> = Box<dyn Layer<S> + Send + Sync>;

/// Starts to log. Must be called within a tokio runtime, once.
pub(crate) fn start(settings: &Settings<'_>) -> anyhow::Result<Telemetry> {
    let telemetry = match settings.otlp_endpoint.filter(|endpoint| !endpoint.is_empty()) {
        Some(endpoint) => export_to(endpoint, settings.otlp_sample_ratio)?,
        None => Telemetry::default(),
    };
    let mut layers: Vec<Boxed<Registry>> = vec![lines(settings.log_format).with_filter(filter(settings.log)?).boxed()];
    if let Some(traces) = &telemetry.traces {
        // Spans are wanted whatever lines are.
        let layer =
            tracing_opentelemetry::layer().with_tracer(traces.tracer("kyma")).with_location(false).with_threads(false);
        layers.push(layer.with_filter(filter(&format!("info,{EXPORTER}"))?).boxed());
    }
    if let Some(logs) = &telemetry.logs {
        let layer = OpenTelemetryTracingBridge::new(logs);
        layers.push(layer.with_filter(filter(&format!("{},{EXPORTER}", settings.log))?).boxed());
    }
    let started = tracing_subscriber::registry().with(layers).try_init();
    started.map_err(|error| anyhow::anyhow!("logging does not start: {error}"))?;
    Ok(telemetry)
}

/// Lines on standard error; standard output belongs to answers.
fn lines<S>(format: LogFormat) -> Boxed<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    let on_terminal = std::io::stderr().is_terminal();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(on_terminal);
    match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Auto if on_terminal => layer.boxed(),
        LogFormat::Auto | LogFormat::Json => layer.json().boxed(),
    }
}

fn filter(text: &str) -> Result<EnvFilter, Invalid> {
    let parsed = EnvFilter::builder().parse(text);
    parsed.map_err(|error| Invalid::new(format!("the log filter is not valid: {text:?}: {error}")))
}

fn export_to(endpoint: &str, sample_ratio: f64) -> anyhow::Result<Telemetry> {
    let wrong = |reason: String| {
        Invalid::new(format!("otlp_endpoint cannot be used: {endpoint:?}: {reason} (write http://host:4317)"))
    };
    let url: url::Url = endpoint.parse().map_err(|error: url::ParseError| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it is not a URL of http or https".to_owned()).into());
    }
    let spans = SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIME_MAX).build();
    let spans = spans.map_err(|error| wrong(error.to_string()))?;
    let batches = SpanBatches::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(EXPORT_PERIOD);
    let processor = BatchSpanProcessor::builder(spans).with_batch_config(batches.build()).build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(sample_ratio.clamp(0.0, 1.0))));
    let traces = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler)
        .with_resource(resource())
        .build();

    let records = LogExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIME_MAX).build();
    let records = records.map_err(|error| wrong(error.to_string()))?;
    let batches = LogBatches::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(EXPORT_PERIOD);
    let processor = BatchLogProcessor::builder(records).with_batch_config(batches.build()).build();
    let logs = SdkLoggerProvider::builder().with_log_processor(processor).with_resource(resource()).build();
    Ok(Telemetry { traces: Some(traces), logs: Some(logs) })
}

fn resource() -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    Resource::builder().with_service_name("kyma").with_attribute(version).build()
}

impl Telemetry {
    /// Sends what waits, and ends.
    pub(crate) async fn stop(self) {
        // Both wait, on threads of their own, so that together they take no longer than one.
        let traces =
            self.traces.map(|traces| tokio::task::spawn_blocking(move || traces.shutdown_with_timeout(FLUSH_TIME_MAX)));
        let logs =
            self.logs.map(|logs| tokio::task::spawn_blocking(move || logs.shutdown_with_timeout(FLUSH_TIME_MAX)));
        for ending in traces.into_iter().chain(logs) {
            if let Ok(Err(error)) = ending.await {
                eprintln!("some telemetry was not sent: {error}");
            }
        }
    }
}
